"""What a network that sees a ninth of a picture makes of it, beside the whole: python training/carried.py OUT.json.

The photograph of China, 640 pixels long, in the light of a cup of coffee, by `stylenas`.
"""

import argparse
import json
import math
from pathlib import Path

from claimkit.files import write_atomic
from claimkit.style.metrics import ssim_edge
from photonet import PhotoStylizer
from photonet.quality import halo
from photonet.samples import photograph

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    content, style = photograph("china", 640), photograph("coffee", 640)
    ninth = round(math.sqrt(content.shape[-2] * content.shape[-1]) / 3)
    whole = PhotoStylizer("stylenas").stylize(content, style)
    carried = PhotoStylizer("stylenas", network_size=ninth).stylize(content, style)
    found = {
        "network_size": ninth,
        "levels of 255 between them": round(255 * float((whole - carried).abs().mean()), 1),
        "levels of 255 that the network changes": round(255 * float((whole - content).abs().mean()), 1),
        "SSIM of edges, whole and carried": [round(float(ssim_edge(x, content)), 3) for x in (whole, carried)],
        "halo in levels of 255, whole and carried": [round(halo(x, content), 3) for x in (whole, carried)],
    }
    write_atomic(given.out, json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
