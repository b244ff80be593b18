"""What the papers claim and how each claim is put to the test; one module an idea, criteria written before the runs."""

from photonet.claims.cost import kernel, large, ratios, speed
from photonet.claims.light import added, default, graded, in_loop, known, unseen
from photonet.claims.pictures import ablation, artistic, chosen, decoded, preserved, sharp, transfers, video

EXPERIMENTS = [
    *sharp.EXPERIMENTS,
    *ablation.EXPERIMENTS,
    *artistic.EXPERIMENTS,
    *speed.EXPERIMENTS,
    *preserved.EXPERIMENTS,
    *kernel.EXPERIMENTS,
    *large.EXPERIMENTS,
    *video.EXPERIMENTS,
    *default.EXPERIMENTS,
    *graded.EXPERIMENTS,
    *added.EXPERIMENTS,
    *ratios.EXPERIMENTS,
    *known.EXPERIMENTS,
    *transfers.EXPERIMENTS,
    *chosen.EXPERIMENTS,
    *unseen.EXPERIMENTS,
    *decoded.EXPERIMENTS,
    *in_loop.EXPERIMENTS,
]
