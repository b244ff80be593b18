"""What the paper claims and how each claim is put to the test; one module an idea, criteria written before the runs."""

from stylenas.claims import confirmed, cost, efficiency, found, fronts, overhead, proxies, speed

EXPERIMENTS = [
    *efficiency.EXPERIMENTS,
    *fronts.EXPERIMENTS,
    *proxies.EXPERIMENTS,
    *speed.EXPERIMENTS,
    *cost.EXPERIMENTS,
    *found.EXPERIMENTS,
    *overhead.EXPERIMENTS,
    *confirmed.EXPERIMENTS,
]
