"""The search space of PhotoNAS (arXiv 1912.02398, section 3; operators as in the authors' code): a network is 32 bits.

The encoder gives features f1 .. f5 at 1/1 .. 1/16 of the picture's size. Bits 0 to 4 say what the bottleneck sees (BFA), the
others, stage by stage of the decoder, which operators are there. Stage 1 works at 1/16 of the size, stage 5 at all of it;
every stage but the last doubles it. Bit 8 is read by nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from claimkit.errors import InputError

LENGTH = 32
DEAD = 8
Kind = Literal["transfer", "aggregate", "convolution", "norm", "skip", "dead"]


class Operator(NamedTuple):
    """What one bit switches: its name, the stage (0 is the bottleneck), its kind, what it does, what is there without it."""

    name: str
    stage: int
    kind: Kind
    does: str
    without: str = "nothing"


OPERATORS = (
    Operator("T5", 0, "transfer", "transfer on f5"),
    Operator("bfa4", 0, "aggregate", "f4, normalised and pooled, joins f5"),
    Operator("bfa3", 0, "aggregate", "f3, normalised and pooled, joins f5"),
    Operator("bfa2", 0, "aggregate", "f2, normalised and pooled, joins f5"),
    Operator("bfa1", 0, "aggregate", "f1, normalised and pooled, joins f5"),
    Operator("stage1.T", 1, "transfer", "transfer before the stage"),
    Operator("conv15", 1, "convolution", "3x3 convolution"),
    Operator("conv16", 1, "convolution", "3x3 convolution after doubling"),
    Operator("dead", 1, "dead", "read by nothing"),
    Operator("stage2.T", 2, "transfer", "transfer before the stage"),
    Operator("in4", 2, "norm", "instance norm of f4 on its skip"),
    Operator("skip4", 2, "skip", "f4 joins conv17", "conv17 on the decoder alone"),
    Operator("conv18", 2, "convolution", "3x3 convolution"),
    Operator("conv19", 2, "convolution", "3x3 convolution to fewer channels", "1x1 convolution to fewer channels"),
    Operator("conv20", 2, "convolution", "3x3 convolution after doubling"),
    Operator("T4", 2, "transfer", "transfer on f4, for skip and bottleneck"),
    Operator("stage3.T", 3, "transfer", "transfer before the stage"),
    Operator("in3", 3, "norm", "instance norm of f3 on its skip"),
    Operator("skip3", 3, "skip", "f3 joins conv21", "conv21 on the decoder alone"),
    Operator("conv22", 3, "convolution", "3x3 convolution"),
    Operator("conv23", 3, "convolution", "3x3 convolution to fewer channels", "1x1 convolution to fewer channels"),
    Operator("conv24", 3, "convolution", "3x3 convolution after doubling"),
    Operator("T3", 3, "transfer", "transfer on f3, for skip and bottleneck"),
    Operator("stage4.T", 4, "transfer", "transfer before the stage"),
    Operator("in2", 4, "norm", "instance norm of f2 on its skip"),
    Operator("skip2", 4, "skip", "f2 joins conv25", "conv25 on the decoder alone"),
    Operator("conv26", 4, "convolution", "3x3 convolution after doubling"),
    Operator("T2", 4, "transfer", "transfer on f2, for skip and bottleneck"),
    Operator("stage5.T", 5, "transfer", "transfer before the stage"),
    Operator("in1", 5, "norm", "instance norm of f1 on its skip"),
    Operator("skip1", 5, "skip", "f1 joins conv27", "conv27 on the decoder alone"),
    Operator("T1", 5, "transfer", "transfer on f1, for skip and bottleneck"),
)
NAMES = tuple(o.name for o in OPERATORS)
STAGES = (1, 2, 3, 4, 5)


def level_of(stage: int) -> int:
    """Level of the encoder whose feature may join a stage of the decoder: f4 the second, f1 the fifth; none the first."""
    return 6 - stage


@dataclass(frozen=True)
class Architecture:
    """A network of the search space, named by its canonical string: strings that mean the same network are equal here.

    Attributes:
        bits: 32 characters 0 and 1; those that change nothing are 0.
    """

    bits: str

    def __post_init__(self) -> None:
        """Check and canonicalise."""
        if len(self.bits) != LENGTH or set(self.bits) - {"0", "1"}:
            odd = "".join(sorted(set(self.bits) - {"0", "1"}))[:8]
            found = f"{len(self.bits)} characters" + (f", among them {odd!r}" if odd else "")
            raise InputError(f"an architecture is a string of {LENGTH} characters 0 and 1, not one of {found}")
        object.__setattr__(self, "bits", _canonical(self.bits))

    @classmethod
    def parse(cls, text: "str | Architecture") -> "Architecture":
        """From a string of bits or the name of a preset; an architecture is itself.

        Raises:
            InputError: Neither.
        """
        if isinstance(text, Architecture):
            return text
        name = text.strip().lower()
        if name in PRESETS:
            return PRESETS[name]
        if set(name) - {"0", "1"} and len(name) != LENGTH:
            raise InputError(f"{text!r} is neither one of {', '.join(PRESETS)} nor a string of {LENGTH} characters 0 and 1")
        return cls(name)

    @classmethod
    def of(cls, operators: Iterable[str]) -> "Architecture":
        """From the names of its operators."""
        wanted = set(operators)
        if unknown := sorted(wanted - set(NAMES)):
            raise InputError(f"there is no operator {unknown[0]!r}: expected one of {', '.join(NAMES)}")
        return cls("".join("01"[n in wanted] for n in NAMES))

    def __contains__(self, operator: str) -> bool:
        """Whether an operator is there and changes something."""
        return operator in self.operators

    def __len__(self) -> int:
        """Number of operators."""
        return len(self.operators)

    def __str__(self) -> str:
        return self.bits

    @cached_property
    def operators(self) -> tuple[str, ...]:
        """Names of the operators that are there, in the order of the bits."""
        return tuple(n for n, b in zip(NAMES, self.bits, strict=True) if b == "1")

    @cached_property
    def transfers(self) -> tuple[str, ...]:
        """Names of the transfers, in the order in which they happen."""
        order = ("T5", "T4", "T3", "T2", "T1", *(f"stage{j}.T" for j in STAGES))
        return tuple(n for n in order if n in self.operators)

    @cached_property
    def aggregated(self) -> tuple[int, ...]:
        """Levels that join f5 in the bottleneck, from the deepest."""
        return tuple(k for k in (4, 3, 2, 1) if f"bfa{k}" in self.operators)

    @cached_property
    def skips(self) -> tuple[int, ...]:
        """Levels that join a stage of the decoder, from the deepest."""
        return tuple(k for k in (4, 3, 2, 1) if f"skip{k}" in self.operators)

    @cached_property
    def style_stages(self) -> int:
        """Decoder stages that the pure style passes: those before the last that is preceded by a transfer."""
        return max((j - 1 for j in STAGES if f"stage{j}.T" in self.operators), default=0)

    @cached_property
    def style_decoded(self) -> bool:
        """Whether the pure style passes the bottleneck at all."""
        return any(n.startswith("stage") for n in self.transfers)

    @cached_property
    def style_levels(self) -> tuple[int, ...]:
        """Levels of the style that are looked at: for a transfer on them, or on its way through the decoder."""
        needed = {int(n[1]) for n in self.transfers if not n.startswith("stage")}
        if self.style_decoded:
            needed |= {5, *self.aggregated, *(k for k in self.skips if 6 - k <= self.style_stages)}
        return tuple(sorted(needed))

    @property
    def style_depth(self) -> int:
        """Deepest level of the style that is needed; 0 where there is no transfer."""
        return max(self.style_levels, default=0)

    @cached_property
    def content_levels(self) -> tuple[int, ...]:
        """Levels of the content that are needed; f5 always is."""
        return tuple(sorted({5, *self.aggregated, *self.skips}))

    def describe(self) -> list[tuple[str, str, str]]:
        """Rows of stage, operator and what it does, for what is there or was replaced."""
        rows = [("bottleneck", "conv1x1", "f5 and what joins it to the decoder's channels, linear")]
        for o in OPERATORS:
            where = "bottleneck" if o.stage == 0 else f"stage {o.stage}"
            if o.name in self.operators:
                rows.append((where, o.name, o.does))
            elif o.without != "nothing":
                rows.append((where, f"no {o.name}", o.without))
        return rows


def _canonical(bits: str) -> str:
    """Zeros for what changes nothing: the dead bit, a norm without its skip, a transfer on a feature that goes nowhere."""
    on = {n for n, b in zip(NAMES, bits, strict=True) if b == "1"} - {NAMES[DEAD]}
    for k in (1, 2, 3, 4):
        if f"skip{k}" not in on:
            on.discard(f"in{k}")
            if f"bfa{k}" not in on:
                on.discard(f"T{k}")
    return "".join("01"[n in on] for n in NAMES)


PRESETS = {
    "artnet": Architecture.of(
        o.name
        for o in OPERATORS
        if o.kind in ("transfer", "aggregate", "convolution") and o.name not in ("T1", "T2", "T3", "T4")
    ),
    "photonet": Architecture("1" * LENGTH),
    "photonas": Architecture("01010000000100000000000000001111"),
    "best-of-log": Architecture("01000000001100000000000001010000"),
    "stylenas": Architecture("01000000000100100001100000000011"),
}
"""ArtNet and PhotoNet (1907.03118); the published PhotoNAS; the lowest objective in the log that its authors published; the
best of the search of claim N9 of the package stylenas."""
