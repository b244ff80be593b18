"""Running claims: seeds as jobs, what is measured already, and the code that a measurement really uses."""

from claimkit.runner.seeds import reproduce as reproduce
