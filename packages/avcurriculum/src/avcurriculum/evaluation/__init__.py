"""Measuring: published annotations, localisers on annotated clips and on composed scenes, separators on mixes."""

from avcurriculum.evaluation import annotations

__all__ = ["annotations"]
