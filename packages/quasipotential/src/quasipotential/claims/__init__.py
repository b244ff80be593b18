"""What the paper claims and how each claim is put to the test; criteria written before the runs."""

from quasipotential.claims import theory
from quasipotential.claims.choice import graphs, occupancy, regression
from quasipotential.claims.escapes import escape, leaving, paths, prefactor, rare
from quasipotential.claims.solvers import ladder, ratios, space, speed, trust

EXPERIMENTS = [
    *theory.EXPERIMENTS,
    *ladder.EXPERIMENTS,
    *escape.EXPERIMENTS,
    *occupancy.EXPERIMENTS,
    *graphs.EXPERIMENTS,
    *regression.EXPERIMENTS,
    *paths.EXPERIMENTS,
    *speed.EXPERIMENTS,
    *ratios.EXPERIMENTS,
    *trust.EXPERIMENTS,
    *space.EXPERIMENTS,
    *rare.EXPERIMENTS,
    *leaving.EXPERIMENTS,
    *prefactor.EXPERIMENTS,
]
