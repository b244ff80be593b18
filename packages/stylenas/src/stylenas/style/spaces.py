"""The published space and the extended one, with candidates that share weights or are trained each from scratch."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

from claimkit import run
from claimkit.errors import InputError
from claimkit.files import sha256, text_digest
from claimkit.style.encoders import LevelEncoder
from claimkit.style.images import image_files
from photonet.execution.style import digest
from photonet.network.architecture import DEAD, Architecture
from photonet.network.auto_encoder import MULTIPLE
from photonet.weights import load_network
from stylenas.style.candidate import EXTENDED, PUBLISHED, Candidate, CandidateNet
from stylenas.style.judge import Judge, training_crops
from stylenas.style.supernet import Supernet, c_step_loss, narrow_encoder

_ONE_DRAWS = threading.Lock()  # torch has one generator for all threads: one network begins at a time
CONFIRMING = 1000  # between the seed of a search and those that confirm it
SpaceName = Literal["published", "extended"]
Training = Literal["supernet", "scratch"]


@dataclass(frozen=True, kw_only=True)
class StyleSpace:
    """A space of style networks, judged against PhotoNet.

    Attributes:
        kind: published (31 operators) or extended.
        training: supernet, or scratch: closed-form start and C-step of each candidate.
        size: Side of the pictures that are judged and trained on, in pixels, a multiple of 16.
        pairs: Pairs of pictures that are judged, up to 12.
        crops: Crops to train on.
        batch: Crops a step.
        steps: Steps of the supernet, or of each candidate.
        rate: Learning rate.
        latency: Whether to measure it.
        supernet: File of the shared weights; trained, and written, when it is not there.
        content: Folder of photographs to train on, instead of those that come with scikit-image.
        weights: File of photonet networks, whose ``photonet`` is the teacher; the shipped one when None.
        seed: Of crops and of the supernet's candidates.
    """

    kind: SpaceName = "published"
    training: Training = "supernet"
    size: int = 96
    pairs: int = 4
    crops: int = 64
    batch: int = 4
    steps: int = 400
    rate: float = 1e-3
    latency: bool = False
    supernet: Path | None = None
    content: Path | None = None
    weights: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if self.kind not in ("published", "extended") or self.training not in ("supernet", "scratch"):
            raise InputError(f"there is no space {self.kind!r} with training {self.training!r}")
        if self.size % MULTIPLE or self.size < 2 * MULTIPLE:
            raise InputError(f"size = {self.size}: expected a multiple of {MULTIPLE} pixels, at least {2 * MULTIPLE}")
        if not 1 <= self.pairs <= 12 or min(self.steps, self.crops, self.batch) < 1 or self.rate <= 0:
            raise InputError(f"{self.name}: expected 1 to 12 pairs, and steps, crops, batch and learning rate above 0")

    @property
    def name(self) -> str:
        """Everything that a value depends on but the machine."""
        what = f"{self.kind}, {self.training} {self.steps} steps of {self.batch} of {self.crops} crops at {self.rate:g}"
        where = "" if self.content is None else f" of {self.content.name}"
        return f"{what}{where}, {self.pairs} pairs of {self.size} pixels, seed {self.seed}"

    @property
    def operators(self) -> Sequence[str]:
        """Photonet's operators, and depth and width."""
        return EXTENDED if self.kind == "extended" else PUBLISHED

    def canonical(self, genome: str) -> str:
        """Photonet's canonical form; a shallow encoder has no operators at the sizes that it lacks."""
        return Candidate.of(genome).genome(self.kind == "extended")

    def evaluate(self, genome: str) -> Mapping[str, float]:
        """The terms of :class:`~stylenas.style.judge.Judge`."""
        return self.studio.judge.terms(self.network(genome), self.latency)

    def confirm(self, genome: str, seed: int) -> Mapping[str, float]:
        """The terms of the genome trained from scratch on other crops, from other weights, as many steps."""
        return replace(scratch(self, self.steps), seed=self.seed + CONFIRMING + seed).evaluate(genome)

    @property
    def identity(self) -> str:
        """Its name says what its values depend on; the teacher and the photographs beside it, wherever they come from."""
        teacher = digest(load_network("photonet", self.weights))
        if self.content is None:
            return teacher
        files = [(f.name, sha256(f)) for f in image_files(self.content)]
        return f"{teacher} {text_digest(repr(files))[:16]}"

    def network(self, genome: str) -> CandidateNet:
        """A genome's network, with shared weights or trained."""
        candidate, studio = Candidate.of(genome), self.studio
        with _ONE_DRAWS, torch.random.fork_rng(devices=[]):
            network = CandidateNet(studio.encoders[candidate.narrow], candidate)
            if self.training == "scratch":
                torch.manual_seed(self.seed)
                for layer in network.decoder.children():
                    layer.reset_parameters()  # type: ignore[operator]
        if self.training == "supernet":
            with torch.no_grad():
                network.decoder.load_state_dict(studio.supernets[candidate.narrow].select(candidate))
        else:
            self._train(network, studio)
        return network.eval().requires_grad_(False)

    def _train(self, network: CandidateNet, studio: "Studio") -> None:
        """The C-step of one candidate, from the weights that it has."""
        optimizer = torch.optim.Adam(network.decoder.parameters(), self.rate, betas=(0.5, 0.9))
        rng = torch.Generator().manual_seed(self.seed)
        with torch.no_grad():
            levels = network.encoder(studio.crops)
        for _ in range(self.steps):
            rows = torch.randint(len(studio.crops), (self.batch,), generator=rng)
            optimizer.zero_grad()
            c_step_loss(network.encoder, network.decoder, studio.crops[rows], [x[rows] for x in levels]).backward()
            optimizer.step()

    @property
    def studio(self) -> "Studio":
        """What its candidates share; made once in a process."""
        return _studio(replace(self, latency=False))

    def prepare(self) -> None:
        """Train the supernet now, if there is none, rather than in every worker."""
        _ = self.studio


@dataclass(frozen=True)
class Studio:
    """What all candidates of a space share; by width: whole, narrow."""

    judge: Judge
    crops: torch.Tensor
    encoders: dict[bool, LevelEncoder]
    supernets: dict[bool, Supernet]


@lru_cache(maxsize=4)
def _studio(space: StyleSpace) -> Studio:
    teacher = load_network("photonet", space.weights)
    files = [] if space.content is None else image_files(space.content)
    crops = training_crops(files, space.crops, space.size, space.seed)
    encoders = {False: teacher.encoder}
    if space.kind == "extended":
        encoders[True] = narrow_encoder(teacher.encoder, crops)
    supernets = {}
    if space.training == "supernet":
        about = {"space": space.name, "teacher": space.identity}
        for narrow, encoder in encoders.items():
            supernets[narrow] = _supernet(space, encoder, crops, about | {"narrow": str(narrow)})
    return Studio(Judge.of(teacher, space.size, space.pairs), crops, encoders, supernets)


def _supernet(space: StyleSpace, encoder: LevelEncoder, crops: torch.Tensor, about: dict[str, str]) -> Supernet:
    """From its file, or trained and written to it."""
    run.seed_everything(space.seed)
    net = Supernet(encoder)
    path = space.supernet
    if path is not None and about["narrow"] == "True":
        path = path.with_stem(f"{path.stem}-narrow")
    if path is not None and path.exists():
        if net.load(path) != about:
            raise InputError(f"{path} is the supernet of another search: remove it, or name another with --storage")
    else:
        net.start(crops)
        net.train_on(crops, space.steps, space.batch, space.rate, space.kind == "extended", space.seed)
        if path is not None:
            net.save(path, about)
            net.load(path)  # rounded as the file is: whoever trains it and whoever reads it see the same
    return net.eval().requires_grad_(False)


def photonet_bits(genome: str) -> str:
    """A genome of the published space as the 32 characters that photonet reads, with the bit that nothing reads.

    Raises:
        InputError: Not of the published space's length.
    """
    if len(genome) != len(PUBLISHED):
        raise InputError(f"photonet reads genomes of {len(PUBLISHED)} operators, not of {len(genome)}")
    return Architecture(genome[:DEAD] + "0" + genome[DEAD:]).bits


def genome_of(architecture: str) -> str:
    """The genome of a preset of photonet or of a string of its 32 bits."""
    bits = Architecture.parse(architecture).bits
    return bits[:DEAD] + bits[DEAD + 1 :]


def scratch(space: StyleSpace, steps: int) -> StyleSpace:
    """The same space and pictures, each candidate trained from scratch."""
    return replace(space, training="scratch", steps=steps, supernet=None)
