"""Taking sounds apart: the network of masks, what it is told, the mixes that it learns from, and factorisation."""

from avcurriculum.separation import separate

__all__ = ["separate"]
