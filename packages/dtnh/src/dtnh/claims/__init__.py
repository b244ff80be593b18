"""What the paper claims and how each claim is put to the test; criteria written before the runs."""

from dtnh.claims import arena, never_hurts, photographs

EXPERIMENTS = [*never_hurts.EXPERIMENTS, *arena.EXPERIMENTS, *photographs.EXPERIMENTS]
