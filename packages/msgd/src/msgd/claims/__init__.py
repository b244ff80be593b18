"""What the paper claims and how each claim is put to the test; one module an idea, criteria written before the runs."""

from msgd.claims import algebra, bias, convergence, cost, digits, fashion, large_batches, rademacher, second_order

EXPERIMENTS = [
    *algebra.EXPERIMENTS,
    *convergence.EXPERIMENTS,
    *bias.EXPERIMENTS,
    *second_order.EXPERIMENTS,
    *fashion.EXPERIMENTS,
    *digits.EXPERIMENTS,
    *large_batches.EXPERIMENTS,
    *cost.EXPERIMENTS,
    *rademacher.EXPERIMENTS,
]
