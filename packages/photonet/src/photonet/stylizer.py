"""Pictures in, picture out: :class:`PhotoStylizer` holds a network and does everything around it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, overload

import torch
from torch import Tensor

from claimkit import run
from claimkit.errors import InputError
from claimkit.style.images import checked_image, read_image
from claimkit.style.padding import crop, pad_to_multiple
from claimkit.style.transforms import checked_strength
from photonet.colour.found import RegionExecutor
from photonet.colour.local import LocalExecutor
from photonet.colour.matched import MatchedExecutor
from photonet.colour.methods import COLOURS, ColourExecutor, has_matrix
from photonet.execution.carried import CarriedExecutor
from photonet.execution.executor import Executor
from photonet.execution.style import OWN, Made, Style, checked_maker, digest
from photonet.execution.walk import Smooth
from photonet.look import Table
from photonet.network.auto_encoder import PhotoNet
from photonet.regions.labels import checked, feathered, from_labels
from photonet.transforms import TRANSFORMS, Transform
from photonet.weights import load_network, load_networks

Picture: TypeAlias = Tensor | Path | str
METHOD = "matched"
"""What is used without being asked."""
ADDING = "graded"
"""The network whose change ``local`` adds to the matrix: that of the transfer in the loop of its training (claim N21)."""
GAIN = 5.0
"""Most by which a matrix of colours stretches a difference: a step of 8 bits, or the noise of a JPEG, then stays below what
the eye takes for a band or for grain. Of 47 pairs of photographs 38 ask for less."""


class PhotoStylizer:
    """Gives photographs the light of others.

    Without being asked it uses :data:`METHOD`, which claim N15 chose by a rule that was written before its measurement.
    Whatever names a network, a file of networks or a transform of features asks for a network. The paper's transform is WCT.

    Args:
        network: A network, or the name or bits of one in ``model``; its first when None.
        method: ``network``, a method of colours in :data:`photonet.colour.METHODS`, or, of the modules of the same names,
            ``matched``, ``local`` or ``regions`` (:mod:`photonet.colour.found`).
        model: File of networks that ``photonet train`` wrote; the one that comes with the package when None.
        transform: Name in :data:`photonet.transforms.TRANSFORMS`, or a callable ``(x, s) -> z``; ``ot`` when None.
        max_gain: By how much a matrix may stretch a difference of the content; :data:`GAIN` of a method of colours, and of
            a network no bound, when None.
        device: ``auto``, ``cpu``, ``cuda`` ...
        pixels: Larger pictures pass a network in bands of about so many pixels; the result does not depend on it.
        network_size: A network sees a copy of larger pictures of so many pixels squared, and its change is carried to their
            own size (:mod:`photonet.execution.carried`); all of them when 0.

    Attributes:
        executor: What runs the network or the method.
        device: Where it works.
    """

    def __init__(
        self,
        network: PhotoNet | str | None = None,
        *,
        method: str | None = None,
        model: Path | None = None,
        transform: str | Transform | None = None,
        max_gain: float | None = None,
        device: str = "auto",
        pixels: int = 1 << 21,
        network_size: int = 0,
    ) -> None:
        self.device = run.choose_device(device)
        if pixels < 1:
            raise InputError(f"pixels = {pixels}: expected at least 1")
        asked = network is not None or model is not None or transform is not None or bool(network_size)
        method = method or ("network" if asked else METHOD)
        self.executor: Executor | CarriedExecutor | ColourExecutor | RegionExecutor | LocalExecutor | MatchedExecutor
        if method == "network":
            asked_for = "ot" if transform is None else transform
            known = [n for n, t in TRANSFORMS.items() if asked_for in (n, t)]
            self._made = Made(known[0] if known else OWN, max_gain, network_size)
            loaded = network if isinstance(network, PhotoNet) else load_network(network, model)
            loaded = loaded.requires_grad_(False).to(torch.device(self.device))
            executor = Executor(loaded, asked_for, pixels=pixels, max_gain=max_gain)
            self.executor = CarriedExecutor(executor, network_size) if network_size else executor
            return
        if asked:
            raise InputError(
                f"the method {method!r} knows no network, its size, model or transform of features: leave them out"
            )
        gain = GAIN if max_gain is None else max_gain
        if method == "regions":
            self.executor = RegionExecutor(load_network().encoder, gain)
        elif method == "matched":
            self.executor = MatchedExecutor(load_network().encoder, gain)
        elif method == "local":
            self.executor = LocalExecutor(load_network(ADDING), gain)
        else:
            gain = gain if has_matrix(method) else max_gain
            self.executor = ColourExecutor(method, gain)
        self._made = Made(max_gain=gain)

    @classmethod
    def of_style(cls, style: Style, model: Path | None = None, device: str = "auto") -> "PhotoStylizer":
        """The method, or the network of ``model``, that looked at a style, and as it was made then.

        Raises:
            InputError: It is none of them, or the transform has no name.
        """
        if style.network.startswith(COLOURS):
            return cls(method=style.network.removeprefix(COLOURS), max_gain=style.made.max_gain, device=device)
        made = style.made
        if made.transform == OWN:
            raise InputError(f"the style {style.name!r} was prepared for {OWN}: give it with the network")
        for network in load_networks(model).values():
            if digest(network) == style.network:
                return cls(
                    network, transform=made.transform or None, max_gain=made.max_gain, network_size=made.network_size,
                    device=device,
                )  # fmt: skip
        raise InputError(f"the style {style.name!r} was made by a network that is not here: give its --model")

    @overload
    def prepare(self, style: Tensor, masks: Tensor | None = None, name: str | None = None) -> Style: ...
    @overload
    def prepare(
        self, style: Picture | Style | Table, masks: Tensor | None = None, name: str | None = None
    ) -> Style | Table: ...

    def prepare(self, style: Picture | Style | Table, masks: Tensor | None = None, name: str | None = None) -> Style | Table:
        """What is needed of a style picture; look at it once, use it for any number of contents.

        Args:
            style: ``(3, height, width)`` in [0, 1], or a file: a picture, what :meth:`Style.save` wrote, a ``.cube`` table.
            masks: Soft masks of its regions, ``(regions, height, width)`` in [0, 1].
            name: What it is called; the file's name when not given.

        Raises:
            InputError: Not a picture, too small, masks that do not fit or come after the style was prepared, or a style of
                another network.
        """
        if isinstance(style, str | Path):
            path = Path(style)
            name = path.stem if name is None else name
            suffix = path.suffix.lower()
            style = Table.load(path) if suffix == ".cube" else Style.load(path) if suffix == ".style" else read_image(path)
        if isinstance(style, Table):
            if masks is not None:
                raise _without_regions(style)
            return style
        if isinstance(style, Style):
            checked_maker(style, self.executor.digest)
            if masks is not None:
                raise InputError(
                    f"the style {style.name!r} was prepared before: give its regions when it is, with its picture"
                )
            return style
        image = checked_image(style, "the style")
        if masks is not None:
            masks = checked(masks, image.shape[-2], image.shape[-1], "style")
        found = self.executor.prepare(self._padded(image), self._padded_masks(masks), name or "style")
        return replace(found, made=self._made)

    def stylize(
        self,
        content: Picture,
        style: Picture | Style | Table,
        alpha: float = 1.0,
        *,
        masks: Tensor | None = None,
        style_masks: Tensor | None = None,
        labels: Tensor | None = None,
        style_labels: Tensor | None = None,
        smooth: Smooth | None = None,
    ) -> Tensor:
        """The content in the light of the style, ``(3, height, width)`` in [0, 1], of the content's size.

        Args:
            content: ``(3, height, width)`` in [0, 1], or a picture file.
            style: A picture, a file, a prepared style, or a table of colours.
            alpha: Strength in [0, 1]; 0 is the content, encoded and decoded.
            masks: Soft masks ``(regions, height, width)`` in [0, 1]; where they sum to less than 1 the content stays.
            style_masks: Those of the style's regions, in the same order; not for a style prepared with masks.
            labels: Whole numbers ``(height, width)`` instead of masks: a region for each, its borders feathered; -1 is none.
            style_labels: Whole numbers of the style picture; a label that it lacks takes all of the style.
            smooth: Given a name and the content's statistics there, returns those to be used: for videos.

        Raises:
            InputError: What is given does not fit; the sentence says what.
        """
        checked_strength(alpha)
        image = checked_image(read_image(Path(content)) if isinstance(content, str | Path) else content, "the content")
        if labels is not None or style_labels is not None:
            if masks is not None or style_masks is not None:
                raise InputError("regions are given as labels and as masks: expected one of the two, for content and style")
            masks, style_masks = _regions(image, labels, style_labels)
        elif masks is not None:
            masks = checked(masks, image.shape[-2], image.shape[-1], "content")
        prepared = self.prepare(style, style_masks)
        if isinstance(prepared, Table):
            if masks is not None:
                raise _without_regions(prepared)
            return alpha * prepared(image) + (1 - alpha) * image.cpu()
        padded = self._padded(image)
        result = self.executor(padded, prepared, alpha, self._padded_masks(masks), smooth)
        return crop(result, *image.shape[-2:])[0].clamp(0, 1).cpu()

    def strengths(
        self,
        content: Tensor,
        style: Tensor | Style,
        *,
        labels: Tensor | None = None,
        style_labels: Tensor | None = None,
    ) -> Callable[[float], Tensor]:
        """A function of alpha alone that gives what :meth:`stylize` does.

        A method that works on RGB is run once, as its ``alpha z + (1 - alpha) x`` is that of pictures; a network, and a
        method in another space of colours, is run at each strength.

        Args:
            content: ``(3, height, width)`` in [0, 1].
            style: A picture or a prepared style.
            labels: Whole numbers ``(height, width)``, see :meth:`stylize`; the style is then a picture.
            style_labels: Those of the style.

        Raises:
            InputError: What is given does not fit.
        """
        image, masks, style_masks = checked_image(content, "the content"), None, None
        if labels is not None or style_labels is not None:
            masks, style_masks = _regions(image, labels, style_labels)
        prepared = self.prepare(style, style_masks)
        if not self.executor.blends_pictures or isinstance(prepared, Table):
            return lambda alpha: self.stylize(image, prepared, alpha, masks=masks)
        padded = self.executor(self._padded(image), prepared, 1.0, self._padded_masks(masks))
        full = crop(padded, *image.shape[-2:])[0].cpu()
        return lambda alpha: torch.lerp(image.cpu(), full, checked_strength(alpha)).clamp(0, 1)

    def _padded(self, image: Tensor) -> Tensor:
        return pad_to_multiple(image[None].to(self.device), self.executor.multiple)

    def _padded_masks(self, masks: Tensor | None) -> Tensor | None:
        return None if masks is None else pad_to_multiple(masks[None].to(self.device), self.executor.multiple)[0]


def _without_regions(table: Table) -> InputError:
    return InputError(f"the table {table.name!r} knows no regions: give the style's picture with its masks")


def _regions(image: Tensor, labels: Tensor | None, style_labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """Masks of a content, feathered, and of its style, from labels of both."""
    if labels is None or style_labels is None:
        raise InputError("a segmentation of the content needs one of the style, and the other way round")
    masks, style_masks, _ = from_labels(labels, style_labels)
    return feathered(checked(masks, image.shape[-2], image.shape[-1], "content"), image), style_masks
