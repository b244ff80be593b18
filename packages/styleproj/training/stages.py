"""What each training made of the same pictures: python training/stages.py DATA OUT.jpg.

A row a pair of pictures that come with the package: content, style, what each default from `slim` to `studio` makes of them
with the transform and the map of colours that it came with, and MicroAST, whose weights are in DATA.
"""

import argparse
from pathlib import Path

from claimkit.assets import Assets
from claimkit.experiment import Job
from claimkit.style.images import from_uint8, write_image
from claimkit.style.sheets import contact_sheet
from styleproj.claims.common import BENT, CUT, CutFirst, as_in_the_paper
from styleproj.networks.microast import MicroAST
from styleproj.networks.weights import load_network
from styleproj.paintings import PAINTINGS, painting
from styleproj.pictures.stylizer import Stylizer
from styleproj.samples import CONTENTS, photograph, square

SIDE, SHOWN = 384, 224

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    job = Job(seed=0, assets=Assets(given.data))
    makers = [
        as_in_the_paper(load_network(Path("slim")), job),
        CutFirst(load_network(Path("joint")), **CUT),
        CutFirst(load_network(Path("paint")), **BENT),
        *(Stylizer(load_network(Path(name))) for name in ("brush", "easel", "studio")),
        MicroAST.load(job.assets.find("weights/microast.pt")),
    ]
    rows = []
    for content, style in zip(CONTENTS, PAINTINGS, strict=False):
        pair = square(photograph(content), SIDE), from_uint8(painting(style, SIDE))
        rows.append([*pair, *(maker.stylize(*pair) for maker in makers)])
    write_image(given.out, contact_sheet(rows, SHOWN))
