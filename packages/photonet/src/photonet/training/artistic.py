"""ArtNet trained as its pictures are made and looked at: transfers in the loop, losses of VGG-19 instead of pixels alone.

A decoder that is trained by mean squared error gives the mean of all pictures that its bottleneck allows, which is blurred,
and a style that is decoded by it is blurred, too. A picture is to look to VGG-19 like the content, a stylised one like
the style; encoder and decoder learn both, the maps of the transfers are taken as given.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from claimkit.run import seed_everything
from claimkit.style.looks import Judge, content_distance, edge_similarity, style_distance, style_gram_distance
from claimkit.style.metrics import rms
from claimkit.style.transforms import Statistics
from claimkit.training.crops import Crops
from claimkit.training.loop import Loop
from photonet.network.auto_encoder import PhotoNet
from photonet.transforms import TRANSFORMS, AffineTransform, resolve
from photonet.weights import save_networks


@dataclass(frozen=True)
class Artistic:
    """Settings of the training.

    Attributes:
        batch: Pictures a step, each of its own photograph and painting, and each photograph alone.
        crop: Side of the crops in pixels, a multiple of 32.
        learning_rate: Of Adam.
        transforms: Of the transfers, one a step in turn.
        likeness: Weight of the distance of features of a photograph that is only encoded and decoded.
        drawing: Weight of what is missing of its edges.
        pixels: Weight of its root mean square error.
        style: Weight of a stylised picture's distance of means and deviations.
        gram: Weight of its distance of Gram matrices.
        content: Weight of its distance of normalised deep features.
        edges: Weight of what is missing of the content's edges in it.
        outside: Weight of its values outside [0, 1], which would be clipped.
        seed: Of crops.
    """

    batch: int = 2
    crop: int = 128
    learning_rate: float = 3e-4
    transforms: tuple[str, ...] = ("wct", "ot")
    likeness: float = 6.0
    drawing: float = 8.0
    pixels: float = 6.0
    style: float = 6.0
    gram: float = 8.0
    content: float = 2.0
    edges: float = 1.0
    outside: float = 20.0
    seed: int = 0


def as_made(network: PhotoNet, content: Tensor, style: Tensor, transform: str) -> tuple[Tensor, Tensor]:
    """A batch of pictures as ``PhotoStylizer(network, transform=...)`` makes them, and the content as decoded; not clamped.

    Each has the size of its content; gradients pass a transfer as they pass a matrix that is known.
    """
    rule = resolve(transform)
    assert isinstance(rule, AffineTransform)

    def given(x: Tensor, s: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            x, s = x.float(), s.float()
            return rule.fit(Statistics.of(x.detach()), Statistics.of(s.detach()))(x)

    with torch.autocast("cpu", torch.bfloat16):
        c = network.encode(content)
        with torch.no_grad():
            s = network.encode(style)
        return network.in_step(c, s, given).float(), network.decoder(c).float()


def train_artistic(
    network: PhotoNet,
    judge: Judge,
    content: list[Path],
    style: list[Path],
    out: Path,
    steps: int,
    settings: Artistic,
    resume: bool = False,
) -> Path:
    """Train encoder and decoder; every other step is judged at half the size, where larger shapes are seen.

    Args:
        network: What to go on from.
        judge: Whose features the distances are measured in.
        content: Photographs.
        style: Paintings, turned at random.
        out: Folder of checkpoint.pt, log.jsonl, samples/ and network.safetensors.
        steps: In all.
        settings: What to do.
        resume: Go on from the checkpoint in ``out``.

    Returns:
        The file of the trained network, under the name ``artnet``.
    """
    seed_everything(settings.seed)
    network.to(memory_format=torch.channels_last).train().requires_grad_(True)
    photos, paintings = Crops(content, seed=settings.seed), Crops(style, seed=settings.seed + 1)

    def draw(step: int, count: int) -> tuple[Tensor, Tensor]:
        x, s = (c.at(step).draw(count, settings.crop, 2.2) for c in (photos, paintings))
        turned = torch.stack([y.rot90(int(torch.randint(4, (), generator=paintings.generator)), (1, 2)) for y in s])
        return x.contiguous(memory_format=torch.channels_last), turned.contiguous(memory_format=torch.channels_last)

    def step(i: int) -> dict[str, Tensor]:
        x, s = draw(i, settings.batch)
        made, same = as_made(network, x, s, settings.transforms[i % len(settings.transforms)])
        whole = bool(i // 2 % 2)
        with torch.autocast("cpu", torch.bfloat16):
            seen = [F.avg_pool2d(t, 2) if whole else _part(t, settings.crop // 2, i) for t in (made, same, x, s)]
            with torch.no_grad():
                kept, wanted = judge(seen[2]), judge(seen[3])
            levels, own = judge(seen[0]), judge(seen[1])
        losses = {
            "likeness": torch.stack([_apart(f, g) for f, g in zip(own, kept, strict=True)]).mean(0),
            "drawing": 1 - edge_similarity(same, x),
            "pixels": rms((same - x).flatten(1)),
            "style": style_distance(levels, wanted),
            "gram": style_gram_distance(levels, wanted),
            "content": content_distance(levels[-1], kept[-1]),
            "edges": 1 - edge_similarity(made, x),
            "outside": (made - made.clamp(0, 1)).abs().mean((1, 2, 3)),
        }
        means = {k: v.mean() for k, v in losses.items()}
        return means | {"total": torch.stack([getattr(settings, k) * v for k, v in means.items()]).sum()}

    shown = draw(2**31, 4)

    def sample() -> Tensor:
        made, same = as_made(network, *shown, next(iter(TRANSFORMS)))
        rows = [*shown, made.clamp(0, 1), same.clamp(0, 1)]
        return torch.cat([torch.cat(list(row), 2) for row in rows], 1)

    rate = settings.learning_rate
    identity = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(settings).items()}
    loop = Loop(network, out, steps, rate, sample_every=200, checkpoint_every=100, identity=identity)
    loop.run(step, sample, resume)
    path = out / "network.safetensors"
    about = {"steps": str(steps), "seconds": f"{loop.seconds:.0f}"}
    save_networks(network.encoder, {"artnet": network.decoder}, path, about)
    return path


def _apart(f: Tensor, g: Tensor) -> Tensor:
    """Norm of the difference of features over the norm of those that are wanted."""
    return rms((f.float() - g.float()).flatten(1)) / rms(g.float().flatten(1))


def _part(x: Tensor, side: int, step: int) -> Tensor:
    """The same part of each picture, another one each step."""
    down, across = (step * 37 % (n - side + 1) for n in x.shape[-2:])
    return x[..., down : down + side, across : across + side]
