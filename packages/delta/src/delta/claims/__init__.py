"""What the paper claims and how each claim is put to the test; one module an idea, criteria written before the runs."""

from delta.claims import arena, exact, halves, order, pictures

EXPERIMENTS = [*order.EXPERIMENTS, *arena.EXPERIMENTS, *pictures.EXPERIMENTS, *halves.EXPERIMENTS, *exact.EXPERIMENTS]
