"""What the paper claims and how each claim is put to the test; one module an idea, criteria written before the runs."""

from styleproj.claims import deepest, defaults, fidelity, fronts, kl, peer, pictures, ratios, speed, weights

EXPERIMENTS = [
    *fidelity.EXPERIMENTS,
    *fronts.EXPERIMENTS,
    *kl.EXPERIMENTS,
    *speed.EXPERIMENTS,
    *ratios.EXPERIMENTS,
    *pictures.EXPERIMENTS,
    *defaults.EXPERIMENTS,
    *weights.EXPERIMENTS,
    *deepest.EXPERIMENTS,
    *peer.EXPERIMENTS,
]
