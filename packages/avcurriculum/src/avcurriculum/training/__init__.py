"""Training by a curriculum: stages, augmentation, the loop, and the estimated number of sounds that orders videos."""

from avcurriculum.training import curriculum
from avcurriculum.training.trainer import Head, History, Trainer, Training, load_model, save_model, train

__all__ = ["Head", "History", "Trainer", "Training", "curriculum", "load_model", "save_model", "train"]
