"""What several claims need: the space with shared weights, and the published networks in it."""

from stylenas.style.spaces import StyleSpace, genome_of

PRESETS = ("photonet", "photonas", "best-of-log")
"""PhotoNet with all operators, and the two networks that the authors' search is known by."""


def style_space(size: int, pairs: int, steps: int, kind: str = "published", latency: bool = False) -> StyleSpace:
    """The space whose candidates share weights, which are trained once in a process."""
    return StyleSpace(kind=kind, size=size, pairs=pairs, steps=steps, latency=latency)  # type: ignore[arg-type]


def published() -> dict[str, str]:
    """Genomes of the published networks."""
    return {name: genome_of(name) for name in PRESETS}
