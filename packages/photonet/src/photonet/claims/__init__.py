"""What the papers claim and how each claim is put to the test; one module an idea, criteria written before the runs."""

from photonet.claims import ablation, artistic, default, graded, kernel, large, preserved, sharp, speed, video

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
]
