"""The fourth rule, for an encoder that trained along: python training/rules/fourth.py DATA FOLDER OUT.json NETWORK [...].

A NETWORK is written as in the third rule (training/rules/third.py). FOLDER holds the 40 paintings of training/paintings.csv
that are kept apart; each takes another held-out photograph (512 pixels, paired 95 % intervals). A candidate may be taken
where the relative differences of style, Gram and content from `brush`'s end at 0 or below for two of the three and at +1 %
or below for the third, edges are above MicroAST's by 0.07, foreign colours at most 0.9 %, clipped 3 % and weave 1.2 (means).
Of those the one with the lowest sum of the three relative differences is taken.

Committed before any candidate was looked at: what the training ends with, and its means with `brush` at 0.5 and 0.75. It
took none (training/fourth.json): on these pairs `brush` itself is 0.045 above MicroAST's edges.
"""

from candidates import Row, against, colours, judge_kept_apart
from third import EDGES

from claimkit.claims import Estimate

BEFORE, LOSS = "brush@1.15,0.02", 0.01


def fourth(now: Row, before: Row, peer: Row) -> tuple[dict[str, bool], list[Estimate], float]:
    """The rule."""
    three = against(now, before)
    *two, last = sorted(1.0 if e.high is None else e.high for e in three)
    holds = {"two of the distances": max(two) <= 0, "the third": last <= LOSS}
    holds |= {"edges": bool(now["edges"].mean() >= peer["edges"].mean() + EDGES)} | colours(now)
    return holds, [*three, *against(now, peer, ", MicroAST's")], sum(e.value for e in three)


if __name__ == "__main__":
    judge_kept_apart(__doc__, BEFORE, fourth)
