"""A blinded choice by eye, the default against the 3 x 3 matrix: python training/by_eye.py DATA OUT, then --votes FILE.

Without --votes: sheets of the development data's pairs in OUT, on which nobody can tell which picture is whose, and
votes.json to be filled in. With it: how many pairs the default won, tied and lost.
"""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from claimkit.assets import Assets
from claimkit.experiment import Job
from claimkit.style.sheets import ask_by_eye
from photonet.claims.common import Pairs, photo_pairs
from photonet.claims.light.default import MATRIX
from photonet.stylizer import PhotoStylizer

SIDE = 512


def pictures(data: Path) -> Iterator[tuple[str, Tensor, Tensor, Tensor, Tensor]]:
    """Name, content and style of each pair, the default's picture and the matrix's."""
    ours, matrix = PhotoStylizer(), PhotoStylizer(method=MATRIX, max_gain=1e6)
    for name, content, style in photo_pairs(Pairs(longest=SIDE, development=True), Job(seed=0, assets=Assets(data))):
        yield name, content, style, ours.stylize(content, style), matrix.stylize(content, style)


if __name__ == "__main__":
    ask_by_eye(__doc__, pictures)
