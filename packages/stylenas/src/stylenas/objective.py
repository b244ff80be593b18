"""What is minimised: weighted sums of the terms that an evaluation gives."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from claimkit.errors import InputError


@dataclass(frozen=True)
class Objective:
    """A weighted sum of named terms, to be minimised.

    >>> Objective.parse("0.8*reconstruction + 0.1*perception + 0.1*operators").of(
    ...     {"reconstruction": 0.5, "perception": 1.0, "operators": 0.25})
    0.525
    """

    weights: tuple[tuple[str, float], ...]

    @classmethod
    def parse(cls, text: str) -> "Objective":
        """From ``0.8*a + 0.1*b``, the name of a term, or ``published``.

        Raises:
            InputError: Anything else, a weight that is not finite, or a term twice.
        """
        weights = []
        for part in (PUBLISHED if text.strip() == "published" else text).split("+"):
            match = re.fullmatch(r"\s*(?:([0-9.eE-]+)\s*\*)?\s*([A-Za-z_]\w*)\s*", part)
            try:
                weights.append((match[2], float(match[1] or 1))) if match else None
            except ValueError:
                match = None
            if not match:
                raise InputError(f"objective {text!r} is not understood: write terms such as 0.8*quality + 0.1*macs")
        names = [n for n, _ in weights]
        if len(set(names)) < len(names) or not all(math.isfinite(w) for _, w in weights):
            raise InputError(f"objective {text!r} must name each term once, with a finite weight")
        return cls(tuple(weights))

    def of(self, terms: Mapping[str, float]) -> float:
        """The weighted sum.

        Raises:
            InputError: The evaluation does not give one of the terms.
        """
        if missing := [n for n, _ in self.weights if n not in terms]:
            raise InputError(f"the evaluation gives {', '.join(terms)}, but the objective asks for {missing[0]}")
        return sum(w * terms[n] for n, w in self.weights)

    def __str__(self) -> str:
        """As :meth:`parse` reads it, every digit of the weights."""
        return " + ".join(n if w == 1 else f"{_written(w)}*{n}" for n, w in self.weights)


def _written(weight: float) -> str:
    """Without a plus sign, which separates terms, and without the zero of whole numbers."""
    return repr(weight).removesuffix(".0").replace("e+", "e")


PUBLISHED = "0.8*reconstruction + 0.1*perception + 0.1*operators"
"""StyleNAS: distance of the student's pictures from the teacher's, of their features, and the share of operators in use."""
