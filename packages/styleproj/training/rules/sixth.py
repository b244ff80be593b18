"""The sixth rule, for weights trained at half the size: python training/rules/sixth.py DATA FOLDER OUT.json NETWORK [...].

DATA, FOLDER, NETWORK and the pairs are those of the fourth rule. A candidate may be taken where the relative differences of
style, Gram and content from `easel`'s lie wholly below 0 (paired 95 % intervals), SSIM of edges is lower by 0.01 at the most
(by the interval's end), and means are at most 0.9 % of foreign colours, 3 % clipped, and 1.2 of weave. Of those the one with
the lowest sum of the three relative differences is taken, and is the default. What it is worth is for claim P21 to say, on
pictures that nothing was chosen by.

Committed while the candidates were trained, before any was measured by it: two trainings and their mean. A pilot of
600 steps had been measured on 30 pairs of training pictures (style -1.9 %, Gram -2.8 %, content -1.4 %).
"""

from candidates import Row, against, colours, judge_kept_apart

from claimkit.claims import Estimate
from claimkit.statistics import mean_interval
from styleproj.claims.weights import below

BEFORE, LOST = "easel@1.15,0.02", 0.01


def sixth(now: Row, before: Row, peer: Row) -> tuple[dict[str, bool], list[Estimate], float]:
    """The rule."""
    three, edges = against(now, before), mean_interval(before["edges"] - now["edges"], "edges, before - now")
    holds = {e.name: below(e, 0) for e in three} | {"edges": below(edges, LOST)} | colours(now)
    return holds, [*three, edges, *against(now, peer, ", MicroAST's")], sum(e.value for e in three)


if __name__ == "__main__":
    judge_kept_apart(__doc__, BEFORE, sixth)
