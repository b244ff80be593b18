"""What the paper claims and how each claim is put to the test; one module an idea, criteria written before the runs."""

from avcurriculum.claims import (
    assignment,
    convergence,
    counting,
    filmed,
    folds,
    localization,
    order,
    representation,
    separation,
    transfer,
)

EXPERIMENTS = [
    *order.EXPERIMENTS,
    *convergence.EXPERIMENTS,
    *localization.EXPERIMENTS,
    *representation.EXPERIMENTS,
    *transfer.EXPERIMENTS,
    *separation.EXPERIMENTS,
    *assignment.EXPERIMENTS,
    *counting.EXPERIMENTS,
    *folds.EXPERIMENTS,
    *filmed.EXPERIMENTS,
]
