"""A blinded choice by eye, the default against MicroAST: python training/by_eye.py DATA OUT, then --votes FILE.

Without --votes: sheets of held-out photographs in held-out paintings in OUT, on which nobody can tell which picture is
whose, and votes.json to be filled in. With it: how many pairs the default won, tied and lost.
"""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from claimkit.assets import Assets
from claimkit.experiment import Job
from claimkit.style.images import fit, read_image
from claimkit.style.sheets import ask_by_eye
from styleproj.claims.peer import Beside, couples
from styleproj.networks.microast import MicroAST
from styleproj.pictures.stylizer import Stylizer

PAIRS = Beside(styles=16, each=2, turn=2)


def pictures(data: Path) -> Iterator[tuple[str, Tensor, Tensor, Tensor, Tensor]]:
    """Name, content and style of each pair, the default's picture and the peer's."""
    job = Job(seed=0, assets=Assets(data))
    ours, peer = Stylizer(), MicroAST.load(job.assets.find("weights/microast.pt"))
    for files in couples(PAIRS, job):
        content, style = (fit(read_image(file), PAIRS.side) for file in files)
        name = " ".join(file.name for file in files)
        yield name, content, style, ours.stylize(content, style), peer.stylize(content, style)


if __name__ == "__main__":
    ask_by_eye(__doc__, pictures)
