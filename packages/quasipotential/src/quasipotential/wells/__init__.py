"""Several attractors: the costs of going between them, and which one the noise favours."""

from . import trees as trees
