"""What several verbs of the command line are told alike; torch is imported when something is made."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from photonet.stylizer import PhotoStylizer

Transforms = Literal["wct", "wct-exact", "wct-relative", "wct-identity", "adain", "ot"]
Methods = Literal["network", "matched", "local", "regions", "mk", "reinhard", "idt", "histogram"]


@dataclass(frozen=True)
class Making:
    """How pictures are made.

    Attributes:
        method: Of colours alone: mk (a 3x3 matrix), reinhard, idt or histogram; matched: mk between colours whose places are
            alike; regions: mk in regions that are found in both; local: mk and what a network adds to it in small windows;
            network: the one that --network names, also where only --transform or --model is given. matched when not given.
        network: stylenas (found by a search), graded (the same, trained with the transfer in the loop), photonas, photonet
            (more operators, a stronger effect) or artnet (for paintings, not sharp); or the bits of a network that photonet
            train wrote. stylenas when only a transform is given.
        transform: What content features are given of the style's: ot changes them least, wct is the paper's, its variants
            are weaker, adain knows no colours; ot when not given.
        max_gain: By how much a matrix may stretch a difference, so that faint noise and steps stay faint.
        network_size: A network sees a copy of larger pictures, of NETWORK_SIZE x NETWORK_SIZE pixels, and its change is
            carried to their size: a 4K picture in a second or two; 0 shows it every pixel.
        model: Networks that photonet train wrote; those that come with the package when not given.
        device: auto, cpu, cuda, cuda:N or mps.
    """

    method: Methods | None = None
    network: str | None = None
    transform: Transforms | None = None
    max_gain: float | None = None
    network_size: int = 0
    model: Path | None = None
    device: str = "auto"

    def stylizer(self, style: Path) -> "PhotoStylizer":
        """The stylizer; of a saved style and no other word, whoever looked at it."""
        from photonet.execution.style import Style
        from photonet.stylizer import PhotoStylizer

        said = (self.method, self.network, self.transform, self.max_gain, self.network_size or None)
        if style.suffix.lower() == ".style" and all(x is None for x in said):
            return PhotoStylizer.of_style(Style.load(style), self.model, self.device)
        return PhotoStylizer(
            self.network, method=self.method, model=self.model, transform=self.transform, max_gain=self.max_gain,
            device=self.device, network_size=self.network_size,
        )  # fmt: skip
