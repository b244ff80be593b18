"""What the verbs are asked for, as their command lines read it; nothing heavy is imported here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from claimkit.errors import InputError

Weights = tuple[Path, Path] | None
"""Files of MobileNetV2's and YAMNet's weights."""
OrderName = Literal["easy_to_hard", "direct", "hard_to_easy", "mixed"]
SplitName = Literal["train", "val", "test"]
LossName = Literal["infonce", "contrastive", "maxmargin"]
ArchName = Literal["small", "resnet18", "pretrained"]
Look = Literal["tiles", "film"]
Kind = Literal["flickr", "vggss", "dsol", "interactive"]


@dataclass(frozen=True)
class ComposeOptions:
    """Scenes to compose."""

    pack: Path | None = None
    """Folder with a manifest.csv; generated things when not given."""
    split: SplitName = "train"
    """Of the pack."""
    sources: int = 2
    """Sounding things a scene."""
    distractors: int = 1
    """Silent things a scene."""
    offscreen: bool = False
    """Add a sound whose thing is not seen."""
    look: Look = "tiles"
    """tiles do not overlap; film has things at natural size, partly hidden, silent and off-screen ones at random."""
    number: int = 8
    """Scenes."""
    canvas: int = 128
    """Side of the pictures in pixels."""
    seed: int = 0
    """Seed of all scenes."""

    def check(self) -> None:
        """Refuse what cannot be composed (here, not where it is made: the command line would wrap the sentence)."""
        if self.number < 1 or self.seed < 0:
            raise InputError(
                f"number = {self.number}, seed = {self.seed}: expected at least one scene, and no negative seed"
            )
        if self.look == "film" and self.offscreen:
            raise InputError("scenes that look like films have off-screen sounds at random: leave out --offscreen")


@dataclass(frozen=True)
class TrainOptions:
    """A localiser, and a separator on top of it, to train."""

    pack: Path | None = None
    """Folder with a manifest.csv; generated things when not given. With --videos it only teaches to count sounds."""
    videos: Path | None = None
    """Folder of videos with sound to train on, two seconds a scene; its number of sounds is estimated."""
    arch: ArchName = "small"
    """small, resnet18, or pretrained (frozen backbones, needs --weights)."""
    weights: Weights = None
    """Files of MobileNetV2's and YAMNet's weights."""
    order: OrderName = "easy_to_hard"
    """From simple to complex, or one of the controls."""
    hardest: int = 3
    """Sources of the most complex scenes."""
    steps: int = 1200
    """Steps of the whole curriculum."""
    patience: int | None = None
    """End a stage when the mean loss of so many steps is no better than that of as many before."""
    scenes: int = 1024
    """Composed scenes of each number of sources."""
    look: Look = "tiles"
    """tiles do not overlap; film has things at natural size, partly hidden, silent and off-screen ones at random."""
    fresh: bool = False
    """Compose new scenes at every step, so that none is seen twice (not with frozen backbones)."""
    batch: int = 64
    """Scenes a step."""
    learning_rate: float = 3e-3
    """Largest rate."""
    loss: LossName = "infonce"
    """infonce, contrastive (the authors' form) or maxmargin."""
    scale: float | None = None
    """The loss's gamma or margin; 7, 5 or 1 when not given."""
    augment: bool = True
    """Flip and crop pictures, mask and scale sounds at every step (not the features of frozen backbones)."""
    bf16: bool = False
    """Compute the backbones in bfloat16, faster on processors with AVX512-BF16; results differ as by another seed."""
    init: Path | None = None
    """Model that train wrote, to start from."""
    separator_steps: int = 0
    """Train a separator for so many steps, on the pack's sounds or on the videos' simplest; 0 trains none."""
    checkpoint_every: int = 200
    """Steps between checkpoints: the most that an interruption can lose."""
    seed: int = 0
    """Seed of weights and scenes."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""

    def check(self) -> None:
        """Refuse what cannot be trained."""
        if self.checkpoint_every < 1 or self.scenes < self.batch:
            raise InputError(
                f"checkpoint_every = {self.checkpoint_every}, scenes = {self.scenes}: too few; scenes fill a batch"
            )
        if self.hardest < 1:
            raise InputError(f"hardest = {self.hardest}: expected at least one source")
        if self.fresh and (self.arch == "pretrained" or self.videos is not None):
            raise InputError("fresh scenes are composed, and read by a network that is trained whole: leave out --fresh")
        if self.bf16 and self.arch == "pretrained":
            raise InputError("frozen backbones are computed once, and not in bfloat16: leave out --bf16")

    @property
    def gamma(self) -> float:
        """The loss's scale, its usual one where none is given."""
        return {"infonce": 7.0, "contrastive": 5.0, "maxmargin": 1.0}[self.loss] if self.scale is None else self.scale


@dataclass(frozen=True)
class EvalOptions:
    """What to measure, and on what."""

    model: Path | None = None
    """File that train wrote; the shipped one when not given."""
    pack: Path | None = None
    """Folder with a manifest.csv; generated things when not given."""
    split: SplitName = "test"
    """Of the pack."""
    scenes: int = 240
    """Of each number of sources."""
    weights: Weights = None
    """Files of MobileNetV2's and YAMNet's weights, for a pretrained network."""
    annotations: Path | None = None
    """Folder of Flickr-SoundNet's XML files, or the official JSON file of the others; instead of a pack."""
    kind: Kind = "flickr"
    """flickr, vggss, dsol (MUSIC, AudioSet-instrument), or interactive (IS3, VPO)."""
    clips: Path | None = None
    """Folder of the annotated clips: videos NAME.mp4, or NAME.jpg and NAME.wav (also in frames/ and audio/)."""
    negatives: Path | None = None
    """List video,audio,label of an extended set (SLAVC); its non-sounding pairs are measured, too."""
    prior: float = 0.0
    """Share of a prior of things, which hears nothing, in the maps: the size of the visual network's outputs."""
    separator: Path | None = None
    """Separator that train wrote; it is measured instead of the localiser, which then only looks."""
    seed: int = 0
    """Seed of the scenes."""
    json: Path | None = None
    """Write the numbers here too."""

    def check(self) -> None:
        """Refuse options that what is measured would not heed, and numbers out of range."""
        if self.scenes < 1 or self.seed < 0:
            raise InputError(f"scenes = {self.scenes}, seed = {self.seed}: expected at least one, and no negative seed")
        if self.annotations is None and (self.clips or self.negatives or self.prior):
            raise InputError("--clips, --negatives and --prior are of annotated data: give --annotations, too")
        if self.separator is not None and self.prior:
            raise InputError("a prior of things is of a localiser's maps: leave out --prior, or --separator")
        if self.separator is not None and self.negatives is not None:
            raise InputError("no sound of a negative is seen, and none is separated: leave out --negatives, or --separator")


@dataclass(frozen=True)
class LocalizeOptions:
    """How a video's sounds are looked for."""

    sounds: int = 1
    """Number of sounds to tell apart, each in its own colour."""
    every: float = 0.25
    """Seconds between looks."""
    prior: float = 0.0
    """Share of a prior of things, which hears nothing, in the maps: the size of the visual network's outputs."""
    model: Path | None = None
    """File that train wrote; the shipped one when not given."""
    weights: Weights = None
    """Files of MobileNetV2's and YAMNet's weights, for a pretrained network."""
