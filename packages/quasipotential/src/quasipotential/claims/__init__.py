"""What the paper claims and how each claim is put to the test; criteria written before the runs."""

from quasipotential.claims import escape, graphs, ladder, occupancy, paths, rare, ratios, regression, speed, theory, trust

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
    *rare.EXPERIMENTS,
]
