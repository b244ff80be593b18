"""What the paper claims and how each claim is put to the test; one module an idea, criteria written before the runs."""

from delta.claims import exact, order

EXPERIMENTS = [*order.EXPERIMENTS, *exact.EXPERIMENTS]
