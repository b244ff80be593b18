"""What the paper claims and how each claim is put to the test; one module an idea, criteria written before the runs."""

from avcurriculum.claims import (
    assignment,
    counting,
    filmed,
    folds,
    localization,
    order,
    representation,
    separation,
)

EXPERIMENTS = [
    *order.EXPERIMENTS,
    *localization.EXPERIMENTS,
    *representation.EXPERIMENTS,
    *separation.EXPERIMENTS,
    *assignment.EXPERIMENTS,
    *counting.EXPERIMENTS,
    *folds.EXPERIMENTS,
    *filmed.EXPERIMENTS,
]
