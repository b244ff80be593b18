"""Faces, breadth of strokes and flicker, beside MicroAST: python benchmarks/looks.py DATA FACES [faces|strokes|flicker ...].

DATA is the development data, FACES the folder ``Faces`` of Caltech-101. Writes benchmarks/looks.json.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from skimage.filters import sobel
from skimage.metrics import structural_similarity

from claimkit.assets import Assets
from claimkit.experiment import Job
from claimkit.files import sha256, write_atomic
from claimkit.statistics import mean_interval
from claimkit.style.images import fit, from_uint8, read_image, resize
from claimkit.style.metrics import WINDOW
from styleproj import Stylizer
from styleproj.claims.common import held_out
from styleproj.claims.peer import OURS, PEER
from styleproj.networks.microast import MicroAST
from styleproj.paintings import PAINTINGS, painting
from styleproj.pictures.colour import luma
from styleproj.pictures.flicker import moved
from styleproj.pictures.steady import Steady
from styleproj.samples import photograph

FACES = {  # centres of the eyes (across, across, down) and of the mouth (across, down), in shares of the picture, by hand
    "image_0001": (0.62, 0.745, 0.505, 0.685, 0.715),
    "image_0022": (0.295, 0.425, 0.475, 0.357, 0.675),
    "image_0044": (0.283, 0.408, 0.458, 0.341, 0.69),
    "image_0066": (0.451, 0.577, 0.458, 0.514, 0.668),
    "image_0088": (0.541, 0.655, 0.5, 0.596, 0.737),
    "image_0109": (0.555, 0.678, 0.484, 0.616, 0.684),
    "image_0131": (0.549, 0.678, 0.479, 0.616, 0.695),
    "image_0153": (0.443, 0.573, 0.442, 0.502, 0.647),
    "image_0175": (0.522, 0.655, 0.489, 0.588, 0.721),
    "image_0196": (0.443, 0.573, 0.479, 0.51, 0.658),
    "image_0218": (0.596, 0.729, 0.474, 0.667, 0.695),
    "image_0240": (0.541, 0.675, 0.495, 0.596, 0.71),
    "image_0262": (0.306, 0.431, 0.474, 0.365, 0.716),
    "image_0283": (0.325, 0.467, 0.453, 0.4, 0.69),
    "image_0305": (0.58, 0.706, 0.474, 0.643, 0.695),
    "image_0327": (0.537, 0.667, 0.458, 0.6, 0.684),
    "image_0349": (0.455, 0.58, 0.463, 0.514, 0.668),
    "image_0370": (0.282, 0.412, 0.505, 0.349, 0.747),
    "image_0377": (0.55, 0.694, 0.463, 0.624, 0.684),
    "image_0414": (0.549, 0.675, 0.479, 0.608, 0.716),
}
EYE, MOUTH = (0.05, 0.05), (0.075, 0.055)
"""Half of a box, across and down, in shares of the picture."""
SIDE = 512


def drawing(a, b):
    """SSIM of edges at every place, ``(height, width)``."""
    edges = [sobel(luma(x)[0].double().numpy()) for x in (a, b)]
    return structural_similarity(*edges, win_size=WINDOW, data_range=1.0, full=True)[1]


def faces(job, folder):
    """Mean SSIM of edges inside eyes and mouth: ours, the peer's; each face in two held-out paintings."""
    makers = {OURS: Stylizer(device="cpu"), PEER: MicroAST.load(job.assets.find("weights/microast.pt"))}
    root, paintings = job.assets.find("images/photos").parent, held_out("paintings", job)
    found, files = {n: [] for n in makers}, {}
    for i, (name, (left, right, eyes, across, down)) in enumerate(FACES.items()):
        file = folder / f"{name}.jpg"
        files[name] = sha256(file)
        face = fit(read_image(file), SIDE)
        height, width = face.shape[-2:]
        inside = np.zeros((height, width), bool)
        for x, y, (half, tall) in ((left, eyes, EYE), (right, eyes, EYE), (across, down, MOUTH)):
            rows, columns = ((y - tall) * height, (y + tall) * height), ((x - half) * width, (x + half) * width)
            inside[round(rows[0]) : round(rows[1]), round(columns[0]) : round(columns[1])] = True
        styles = [fit(read_image(root / paintings[(i + 8 * k) % len(paintings)]), SIDE) for k in range(2)]
        for n, maker in makers.items():
            found[n].append(float(np.mean([drawing(maker.stylize(face, s), face)[inside].mean() for s in styles])))
    apart = mean_interval(np.subtract(found[OURS], found[PEER]), "ours - the peer's")
    return {"means": {n: float(np.mean(v)) for n, v in found.items()}, "apart": str(apart), "values": found, "sha256": files}


def frequency(picture):
    """Mean of the frequencies of luma up to 128 cycles a picture, by power beside the mean; of a square."""
    y = luma(resize(picture, SIDE, SIDE))[0]
    window = torch.hann_window(SIDE)
    power = torch.fft.rfft2((y - y.mean()) * window[:, None] * window).abs().square()
    f = torch.hypot(torch.fft.fftfreq(SIDE)[:, None] * SIDE, torch.fft.rfftfreq(SIDE) * SIDE)
    seen = (f >= 4) & (f <= 128)
    return float((f * power)[seen].sum() / power[seen].sum())


def strokes(job, folder):
    """Cycles a picture of what is drawn at several sizes of one picture, with --stroke 1 and without."""
    stylizer = Stylizer(device="cpu")
    found = {}
    for name in list(PAINTINGS)[:2]:
        style = stylizer.prepare(from_uint8(painting(name, SIDE)))
        content = photograph("astronaut", SIDE)
        sizes = {side: resize(content, side, side) for side in (512, 1024, 2048, 4096)}
        rows = {"stroke 1": {s: frequency(stylizer.stylize(x, style, stroke=1)) for s, x in sizes.items()}}
        rows["no stroke"] = {s: frequency(stylizer.stylize(x, style)) for s, x in sizes.items() if s < 2048}
        found[name] = rows
    farthest = max(abs(f / row["stroke 1"][512] - 1) for row in found.values() for f in row["stroke 1"].values())
    return {"cycles a picture": found, "farthest from 512": farthest}


def warp_error(contents, results, back):
    """Mean change of pixels of the same thing from frame to frame, over the spread of the results' values."""
    errors = []
    for i in range(1, len(results)):
        seen, before = back(contents[i - 1], results[i - 1], contents[i])
        there = ~seen.isnan().any(0) & ((seen - contents[i]).abs().mean(0) < 0.05)
        errors.append(float((results[i] - before).abs().mean(0)[there].mean()))
    return float(np.mean(errors)) / float(torch.stack(results).std())


def panned(content, result, _now, step=(2, 3)):
    """The frame before, where a pan by whole pixels has taken it; nan where nothing is known."""
    both = [torch.roll(x, (-step[0], -step[1]), (1, 2)).clone() for x in (content, result)]
    for x in both[:1]:
        x[:, -step[0] :], x[:, :, -step[1] :] = math.nan, math.nan
    return both


def flicker(job, folder):
    """Warp error over contrast of a pan, whose flow is exact, and of a clip, of ours, ours steady and the peer's."""
    root = job.assets.find("images/photos").parent
    ours, peer = Stylizer(device="cpu"), MicroAST.load(job.assets.find("weights/microast.pt"))
    photo = photograph("coffee", 640)
    noise = torch.Generator().manual_seed(0)
    pan = [photo[:, 2 * i : 2 * i + 256, 3 * i : 3 * i + 384] for i in range(10)]
    pan = [(x + 0.01 * torch.randn(x.shape, generator=noise)).clamp(0, 1) for x in pan]
    clips = {"pan, exact": (pan, panned)}
    for name in ("davis_blackswan", "davis_dog", "mountain_2", "bunny"):
        clip = [fit(read_image(f), 384) for f in sorted((root / "video" / name).glob("*.jpg"))[:10]]
        clips[name] = clip, lambda c, r, now: moved((c, r), now)
    found = {}
    for name, (frames, back) in clips.items():
        rows = {OURS: [], "ours, --steady": [], PEER: []}
        for style in held_out("paintings", job):
            picture = fit(read_image(root / style), SIDE)
            prepared, kept = ours.prepare(picture), peer.prepare(picture)
            steady = Steady(ours, prepared)
            rows[OURS].append(warp_error(frames, [ours.stylize(f, prepared) for f in frames], back))
            rows["ours, --steady"].append(warp_error(frames, [steady(f) for f in frames], back))
            rows[PEER].append(warp_error(frames, [peer.stylize(f, kept) for f in frames], back))
        ratios = {n: mean_interval(np.divide(rows[n], rows[PEER]), f"{n} over the peer's") for n in list(rows)[:2]}
        found[name] = {"values": rows, "ratios": [str(r) for r in ratios.values()]}
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("faces", type=Path)
    parser.add_argument("what", nargs="*", default=["faces", "strokes", "flicker"])
    given = parser.parse_args()
    out = Path(__file__).with_suffix(".json")
    result = json.loads(out.read_text()) if out.exists() else {}
    torch.set_num_threads(1)
    job = Job(seed=0, assets=Assets(given.data))
    for what in given.what:
        result[what] = {"faces": faces, "strokes": strokes, "flicker": flicker}[what](job, given.faces)
        write_atomic(out, json.dumps(result, indent=1) + "\n")
        print(what, json.dumps(result[what])[:600])
