"""A synthetic benchmark: a function of 31 bits that is evaluated in microseconds and shaped like the search of StyleNAS.

The published log of 200 evaluations (facts of it, not its rows) has these features, and the table is made to have them: few
operators matter, most cost more than they give; some only pay together; random genomes have mean 0.16; the best known has
about a fifth of the operators and 0.05. Where the good genomes are is drawn anew for each seed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from claimkit.errors import InputError

NEEDED = 5
"""Operators whose absence costs quality, as the five bits that the best 20 published genomes share."""
PAIRS = 12
FLOOR = 0.03
"""Quality where no penalty applies: 0.8 L_r + 0.1 L_p of the published log's best is 0.038."""


@dataclass
class Table:
    """quality = floor + needed operators that are off + operators that hurt + pairs, all exact but for ``noise``.

    ``quality`` is a sum of positive penalties, ``operators`` the share of bits in use and ``macs`` an additive cost in which
    operators weigh unequally, as they do in a network.

    Args:
        seed: Which function.
        bits: How many operators, at least 8.
        noise: Standard deviation of a fixed disturbance of each genome's quality: what training once does.
    """

    seed: int = 0
    bits: int = 31
    noise: float = 0.002
    name: str = field(init=False)
    operators: Sequence[str] = field(init=False)
    single: NDArray[np.float64] = field(init=False, repr=False)
    pairs: NDArray[np.float64] = field(init=False, repr=False)
    cost: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Draw the function."""
        if self.bits < 8 or self.noise < 0 or self.seed < 0:
            given = f"bits = {self.bits}, noise = {self.noise}, seed = {self.seed}"
            raise InputError(f"{given}: a table needs at least 8 bits, and noise and seed that are not negative")
        rng = np.random.default_rng(self.seed)
        self.name = f"table of {self.bits} bits, seed {self.seed}, noise {self.noise:g}"
        self.operators = [f"o{i}" for i in range(self.bits)]
        order = rng.permutation(self.bits)
        needed, others = order[:NEEDED], order[NEEDED:]
        self.single = np.zeros((2, self.bits))  # penalty of each bit when it is off, and when it is on
        self.single[0, needed] = rng.uniform(0.005, 0.035, NEEDED)
        self.single[1, others] = rng.exponential(0.0012, self.bits - NEEDED)
        self.pairs = np.zeros((self.bits, self.bits))  # penalty where exactly one of two is on
        for i, j in rng.choice(self.bits, (PAIRS, 2)):
            self.pairs[i, j] += rng.uniform(0, 0.004) * (i != j)
        self.cost = rng.dirichlet(np.full(self.bits, 0.5))

    def canonical(self, genome: str) -> str:
        """Every bit matters."""
        return genome

    def confirm(self, genome: str, seed: int) -> Mapping[str, float]:
        """The same with another disturbance: what training again does."""
        return self.evaluate(genome, f"{self.seed}.{seed}")

    def evaluate(self, genome: str, draw: str = "") -> Mapping[str, float]:
        """Terms ``quality``, ``operators`` and ``macs``, the last two in [0, 1]; the disturbance is that of ``draw``."""
        x = np.frombuffer(genome.encode(), np.uint8) - ord("0")
        penalty = self.single[x, np.arange(self.bits)].sum() + (self.pairs * (x[:, None] != x[None])).sum()
        digest = hashlib.sha256(f"{draw or self.seed}:{genome}".encode()).digest()
        noise = self.noise * np.random.default_rng(list(digest[:16])).standard_normal()
        return {
            "quality": float(FLOOR + penalty + noise),
            "operators": float(x.mean()),
            "macs": float(self.cost @ x),
        }
