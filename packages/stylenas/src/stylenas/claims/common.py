"""What several claims need: the space with shared weights, and the published networks in it."""

from stylenas.style.spaces import SpaceName, StyleSpace, genome_of

PRESETS = ("photonet", "photonas", "best-of-log")
"""PhotoNet with all operators, and the two networks that the authors' search is known by."""


def style_space(size: int, pairs: int, steps: int, kind: SpaceName = "published", latency: bool = False) -> StyleSpace:
    """The space whose candidates share weights, which are trained once in a process."""
    crops = 64 if size > 32 else 8
    return StyleSpace(kind=kind, size=size, pairs=pairs, steps=steps, crops=crops, latency=latency)


def published() -> dict[str, str]:
    """Genomes of the published networks."""
    return {name: genome_of(name) for name in PRESETS}
