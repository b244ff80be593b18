"""Settings of a training, read by the command line without torch."""

from dataclasses import dataclass

from claimkit.errors import InputError

MULTIPLE = 16  # of a crop's side in pixels, as of a picture's


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training.

    Attributes:
        steps: Steps in all.
        batch: Crops a step.
        crop: Side of the crops in pixels, a multiple of 16 from 32 on.
        learning_rate: Of Adam.
        image_weight: Of the picture's error, w_x.
        feature_weight: Of the features' error, w_f.
        sample_every: Steps between sample grids.
        checkpoint_every: Steps between checkpoints: the most that a crash can lose.
        bf16: Convolutions in bfloat16; twice as fast on processors that have it.
        seed: Of crops.
    """

    steps: int = 4000
    batch: int = 8
    crop: int = 128
    learning_rate: float = 1e-3
    image_weight: float = 0.5
    feature_weight: float = 0.5
    sample_every: int = 500
    checkpoint_every: int = 200
    bf16: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Check."""
        if self.crop % MULTIPLE or self.crop < 2 * MULTIPLE:
            raise InputError(f"crop must be a multiple of {MULTIPLE}, at least {2 * MULTIPLE}, not {self.crop}")
        if min(self.steps, self.batch) < 1 or self.learning_rate <= 0:
            raise InputError("steps and batch must be at least 1, and the learning rate above 0")
