"""Pictures in, picture out: :class:`Stylizer` holds a network and does everything around the projection of its features."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from claimkit import run
from claimkit.errors import InputError
from claimkit.style.images import SMALLEST, checked_image, read_image, resize
from claimkit.style.padding import crop, pad_to_multiple
from claimkit.style.transforms import Statistics, checked_strength
from styleproj.networks import tiles
from styleproj.networks.network import StyleNetwork
from styleproj.networks.weights import load_network
from styleproj.operator.projection import Ties
from styleproj.operator.sorted_style import SortedStyle
from styleproj.operator.transforms import FeatureTransform, checked_transform, transform
from styleproj.pictures.canvas import Canvas, checked_detail, detail
from styleproj.pictures.colour import LIMIT, MAX_GAIN, NARROWEST, SOFT_CLIP, coral, keep_chroma, repaint
from styleproj.pictures.parts import Part, at_level, parts_of
from styleproj.pictures.style import Style, digest, picture_digest

Picture: TypeAlias = Tensor | Path | str
PreserveColor = Literal["luminance", "coral"]
QUICK = 176
"""Side in pixels of a square of the area at which a quick picture is decoded."""


class Stylizer:
    """Gives pictures the style of others.

    Args:
        network: A network, a file of one, or None for the one that comes with the package; ``Path("slim")`` is the one that
            was the default before.
        ties: Order among equal values, see :func:`styleproj.project`.
        transform: How features take the style, see :func:`styleproj.operator.transforms.transform`; ``projection`` is
            the paper's, ``ot-projection`` what the shipped network is trained for.
        palette: After decoding, map the colours to the mean and covariance of the style's, by the map that moves them least;
            a decoder alone does not hit them. Not done where the content's colours are kept.
        max_gain: Most that this map of colours may enlarge a difference of colours, at least 1; ``inf`` sets no bound.
        soft_clip: Width, at most 0.5, of what is bent at either end of the range of a channel that the map takes beyond it,
            see :func:`styleproj.pictures.colour.soft_clip`; 0 clips.
        device: ``auto``, ``cpu``, ``cuda`` ...
        tile: Side of the pieces in which larger pictures are encoded and decoded; the result does not depend on it.
        cache: Folder where styles are kept between runs.

    Attributes:
        network: The network, frozen.
        device: Where it works.
        limit: How far outside [0, 1] the map of colours lets a value lie before the ends of the range are bent.
    """

    limit: float = LIMIT

    def __init__(
        self,
        network: StyleNetwork | Path | None = None,
        *,
        ties: Ties = "average",
        transform: FeatureTransform = "ot-projection",
        palette: bool = True,
        max_gain: float = MAX_GAIN,
        soft_clip: float = SOFT_CLIP,
        device: str = "auto",
        tile: int = 1024,
        cache: Path | None = None,
    ) -> None:
        self.device = run.choose_device(device)
        loaded = network if isinstance(network, StyleNetwork) else load_network(network)
        self.network = loaded.eval().requires_grad_(False).to(self.device)
        if tile < SMALLEST or tile % self.network.multiple:
            raise InputError(f"tile = {tile}: expected a multiple of {self.network.multiple}, at least {SMALLEST}")
        self.ties: Ties = ties
        if not max_gain >= 1:
            raise InputError(f"max_gain = {max_gain}: expected at least 1, which lets no difference of colours grow")
        self.transform: FeatureTransform = checked_transform(transform)
        self.palette = palette
        self.max_gain = max_gain
        if not (soft_clip == 0 or NARROWEST <= soft_clip <= 0.5):
            raise InputError(f"soft_clip = {soft_clip}: expected 0, which clips, or a width from {NARROWEST} to 0.5")
        self.soft_clip = soft_clip
        self.tile = tile
        self.cache = cache
        self._digest = digest(self.network)

    def prepare(self, style: Picture | Style, mask: Tensor | None = None, name: str | None = None) -> Style:
        """What the network needs of a style picture; encode it once, use it for any number of contents.

        Args:
            style: ``(3, height, width)`` in [0, 1], or a file: a picture, or what :meth:`Style.save` wrote.
            mask: The part that counts, ``(height, width)``: positions above 1/2.
            name: What it is called; the file's name when not given.

        Raises:
            InputError: Not a picture, too small, a mask of another size, or a style of another network.
        """
        if isinstance(style, str | Path):
            path = Path(style)
            name = path.stem if name is None else name
            style = Style.load(path) if path.suffix == ".style" else read_image(path)
        if isinstance(style, Style):
            if style.network != self._digest:
                raise InputError(f"the style {style.name!r} was made for another network: prepare it from its picture again")
            return style
        image = checked_image(style, "the style")
        if mask is not None:
            _same_size(mask, image, "style mask")
        file = self.cache and self.cache / f"{picture_digest(image, mask)}-{self._digest}.style"
        if file and file.exists():
            return Style.load(file)
        with torch.inference_mode():
            features = self.encode(image)
            where = None if mask is None else mask > 0.5
            inside = [at_level(where, x, self.network.multiple) for x in features]
            levels = [SortedStyle.of(x[0], w) for x, w in zip(features, inside, strict=True)]
            statistics = [Statistics.of(x, None if w is None else w.float()) for x, w in zip(features, inside, strict=True)]
            colours = Statistics.of(image[None], None if where is None else where.float())
        prepared = Style(tuple(levels), tuple(statistics), colours, self._digest, name or "style")
        if file:
            prepared.save(file)
        return prepared

    def stylize(
        self,
        content: Picture,
        style: Picture | Style | Sequence[Picture | Style],
        alpha: float = 1.0,
        *,
        weights: Sequence[float] | None = None,
        mask: Tensor | None = None,
        style_mask: Tensor | None = None,
        labels: Tensor | None = None,
        style_labels: Tensor | None = None,
        preserve_color: PreserveColor | None = None,
        stroke: float | None = None,
        keep_detail: float = 0.0,
    ) -> Tensor:
        """The content in the style, ``(3, height, width)`` in [0, 1], of the content's size.

        Args:
            content: ``(3, height, width)`` in [0, 1], or a picture file.
            style: A picture, a file, a prepared style, or several of these.
            alpha: Strength in [0, 1]; 0 is the content, encoded and decoded.
            weights: Of several styles, in any scale; equal when not given. The mix is taken among the features.
            mask: Where the content is changed, ``(height, width)`` in [0, 1]; elsewhere it stays exactly what it is.
            style_mask: The part of one style picture that counts, ``(height, width)``.
            labels: Whole numbers ``(height, width)``. With several styles: the number of the style at each pixel, from 0.
                With ``style_labels``: regions that take their values from the style's regions of the same label.
            style_labels: Whole numbers ``(height, width)`` of the one style picture.
            preserve_color: ``luminance`` keeps the content's chroma, ``coral`` repaints the style in the content's colours.
            stroke: Breadth of strokes as a share of the picture, 1 as at 512 x 512 pixels, see :class:`Canvas`; some pixels
                whatever the size when not given.
            keep_detail: Weaken the style by so much, in [0, 1], where lettering, faces and the like would be lost.

        Raises:
            InputError: What is given does not fit; the sentence says what.
        """
        checked_strength(alpha)
        if preserve_color not in (None, "luminance", "coral"):
            raise InputError(f"preserve_color = {preserve_color!r} is neither 'luminance' nor 'coral'")
        image = checked_image(read_image(Path(content)) if isinstance(content, str | Path) else content, "the content")
        for given, name in ((mask, "mask"), (labels, "labels")):
            if given is not None:
                _same_size(given, image, name)
        several: list[Picture | Style] = (
            [style] if isinstance(style, str) or not isinstance(style, Sequence) else list(style)
        )
        if preserve_color == "coral":
            several = [self._repainted(s, image) for s in several]
        canvas = Canvas.of(image, stroke, SMALLEST)
        at_canvas = canvas.fitted(labels), canvas.fitted(mask)
        parts = parts_of(self.prepare, several, weights, style_mask, at_canvas[0], style_labels, at_canvas[1])
        with torch.inference_mode():
            features = list(self.encode(canvas.image))
            held = self._held(canvas.image, features, keep_detail)
            for level, x in enumerate(features):
                z = self._transform(x, parts, level, alpha)
                features[level] = z if held is None else torch.lerp(z, x, held[level])
            return self._painted(features, parts, alpha, canvas, preserve_color, mask, keep_detail)

    def strengths(
        self, content: Tensor, style: Tensor | Style, *, mask: Tensor | None = None, style_mask: Tensor | None = None,
        labels: Tensor | None = None, style_labels: Tensor | None = None,
        preserve_color: PreserveColor | None = None, stroke: float | None = None, keep_detail: float = 0.0,
    ) -> Callable[..., Tensor]:  # fmt: skip
        """A function of alpha that gives what :meth:`stylize` does of the same, and only blends and decodes.

        With ``quick=True`` it decodes at a lower size and enlarges: for a slider that is still moving.

        Raises:
            InputError: What is given does not fit.
        """
        image = checked_image(content, "the content")
        for given, name in ((mask, "mask"), (labels, "labels")):
            if given is not None:
                _same_size(given, image, name)
        used = self._repainted(style, image) if preserve_color == "coral" else style
        canvas = Canvas.of(image, stroke, SMALLEST)
        at_canvas = canvas.fitted(labels), canvas.fitted(mask)
        parts = parts_of(self.prepare, [used], None, style_mask, at_canvas[0], style_labels, at_canvas[1])
        with torch.inference_mode():
            features = self.encode(canvas.image)
            held = self._held(canvas.image, features, keep_detail)
            full = [self._transform(x, parts, level, 1.0) for level, x in enumerate(features)]
            if held is not None:
                full = [torch.lerp(z, x, m) for z, x, m in zip(full, features, held, strict=True)]
        small = [_shrunk(f, self.network.multiple) for f in (features, full)]

        @torch.inference_mode()
        def at(alpha: float, quick: bool = False) -> Tensor:
            ends = small if quick else (features, full)
            blended = [torch.lerp(x, z, checked_strength(alpha)) for x, z in zip(*ends, strict=True)]
            return self._painted(blended, parts, alpha, canvas, preserve_color, mask, keep_detail)

        return at

    def _painted(
        self, features: Sequence[Tensor], parts: list[Part], alpha: float, canvas: Canvas,
        preserve_color: PreserveColor | None, mask: Tensor | None, keep_detail: float,
    ) -> Tensor:  # fmt: skip
        """The picture of transformed features, in the colours and within the mask that were asked for."""
        result = self.decode(features)
        padded = [n + -n % self.network.multiple for n in canvas.image.shape[-2:]]
        if list(result.shape[-2:]) != padded:
            result = resize(result, *padded)  # a quick one
        result = crop(result[None], *canvas.image.shape[-2:])[0]
        if self.palette and preserve_color is None:
            colours = [(where, style.colours) for where, style in parts]
            result = repaint(result, colours, alpha, self.max_gain, self.soft_clip, self.limit)
        image, result = canvas.content, canvas.back(result.clamp(0, 1), keep_detail)
        if preserve_color == "luminance":
            result = keep_chroma(result, image.to(result.device))
        if mask is not None:
            soft = mask.to(result).clamp(0, 1)
            result = soft * result + (1 - soft) * image.to(result.device)
        return result.cpu()

    def _held(self, image: Tensor, features: Sequence[Tensor], keep: float) -> list[Tensor] | None:
        """How much of the content's own features stays, at each level; None where nothing is asked for."""
        if checked_detail(keep) == 0:
            return None
        shares = pad_to_multiple(keep * detail(image)[None, None], self.network.multiple)
        return [F.avg_pool2d(shares, shares.shape[-1] // x.shape[-1]).to(x) for x in features]

    def _transform(self, x: Tensor, parts: list[Part], level: int, alpha: float) -> Tensor:
        """Transform the features of a level, part by part."""

        def towards(features: Tensor, style: Style, ties: Ties) -> Tensor:
            return transform(features, style.levels[level], style.statistics[level], self.transform, alpha, ties)

        if parts and parts[0][0] is None:
            return towards(x, parts[0][1], self.ties)
        z = x.clone()
        ties = "average" if self.ties == "local-mean" else self.ties  # a part has no neighbourhoods
        for where, style in parts:
            here = at_level(where, x, self.network.multiple)
            if here is not None and here.any():
                z[..., here] = towards(x[..., here].unsqueeze(-2), style, ties).squeeze(-2)
        return z

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """Features of a picture ``(3, height, width)``, mirrored on to a multiple of the network's stride."""
        padded = pad_to_multiple(image[None].to(self.device), self.network.multiple)[0]
        return tiles.encode(self.network, padded, self.tile)

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """The picture of features, ``(3, height, width)``, about [0, 1]: its colours are still to be mapped."""
        return tiles.decode(self.network, tuple(features), self.tile)

    def _repainted(self, style: Picture | Style, image: Tensor) -> Tensor:
        if isinstance(style, Style) or (isinstance(style, str | Path) and Path(style).suffix == ".style"):
            raise InputError("preserve_color='coral' repaints the style picture: give the picture, not a prepared style")
        picture = read_image(Path(style)) if isinstance(style, str | Path) else style
        return coral(checked_image(picture, "the style").cpu(), image.cpu())


def _shrunk(features: Sequence[Tensor], multiple: int) -> list[Tensor]:
    """Features of a picture of about :data:`QUICK` pixels squared; the same where it is no larger."""
    height, width = (n * multiple for n in features[-1].shape[-2:])
    scale = QUICK / (height * width) ** 0.5
    if scale >= 1:
        return list(features)
    deepest = [max(1, round(n * scale)) for n in features[-1].shape[-2:]]
    sizes = [[n * (x.shape[-1] // features[-1].shape[-1]) for n in deepest] for x in features]
    return [F.interpolate(x, size, mode="area") for x, size in zip(features, sizes, strict=True)]


def _same_size(mask: object, image: Tensor, name: str) -> None:
    if not isinstance(mask, Tensor):
        raise InputError(f"the {name} is a {type(mask).__name__}: give a tensor (height, width), as of torch.from_numpy")
    if mask.shape != image.shape[-2:]:
        is_, wanted = (" x ".join(str(n) for n in reversed(s)) for s in (mask.shape, image.shape[-2:]))
        raise InputError(f"the {name} is {is_} pixels, its picture {wanted}: give one of the same size")
    if name != "labels" and not -0.01 <= float(mask.min()) <= float(mask.max()) <= 1.01:  # resizing rounds
        span = f"{float(mask.min()):.4g} to {float(mask.max()):.4g}"
        raise InputError(f"the {name} has values from {span}: expected [0, 1]; divide bytes by 255")
