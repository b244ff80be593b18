"""Scenes with known answers: packs of pictures and sounds, their composition, and pools of scenes ready for a network."""

from avcurriculum.scenes import generated, packs
from avcurriculum.scenes.composer import LEVELS, Batch, Composer, Level, Scene

__all__ = ["LEVELS", "Batch", "Composer", "Level", "Scene", "generated", "packs"]
