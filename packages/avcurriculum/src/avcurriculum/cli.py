"""The command line; torch is imported inside the verbs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro

from claimkit.cli import main as run
from claimkit.media.options import ClipOptions

CITATION = """
@article{hu2020curriculum,
  title   = {Curriculum Audiovisual Learning},
  author  = {Hu, Di and Wang, Zheng and Xiong, Haoyi and Wang, Dong and Nie, Feiping and Dou, Dejing},
  journal = {arXiv preprint arXiv:2001.09414},
  year    = {2020}
}
@inproceedings{hu2019deep,
  title     = {Deep Multimodal Clustering for Unsupervised Audiovisual Learning},
  author    = {Hu, Di and Nie, Feiping and Li, Xuelong},
  booktitle = {Conference on Computer Vision and Pattern Recognition},
  year      = {2019},
  note      = {arXiv:1807.03094}
}
"""

OrderName = Literal["easy_to_hard", "direct", "hard_to_easy", "mixed"]
SplitName = Literal["train", "val", "test"]
Loss = Literal["infonce", "contrastive", "maxmargin"]
Architectures = Literal["small", "resnet18", "pretrained"]
Annotations = Literal["flickr", "vggss", "dsol", "interactive"]


def demo(out: Path = Path("avcurriculum-demo.png"), sources: int = 2, steps: int = 300, seed: int = 0) -> None:
    """Train on generated scenes for a minute; draw one scene, a map for each sound, and its sounds before and after.

    Args:
        out: The picture.
        sources: Sounding things in the scene.
        steps: Steps of training, of the localiser and of the separator.
        seed: Seed.
    """
    from avcurriculum.verbs import scenes

    scenes.demo(out, sources, steps, seed)


def compose(
    pack: Path | None = None,
    split: SplitName = "train",
    sources: int = 2,
    distractors: int = 1,
    offscreen: bool = False,
    number: int = 8,
    canvas: int = 128,
    seed: int = 0,
    out: Path = Path("avcurriculum-scenes"),
) -> None:
    """Compose scenes with known answers: picture, mixture, stems, boxes.

    Args:
        pack: Folder with a manifest.csv; generated things when not given.
        split: Of the pack.
        sources: Sounding things a scene.
        distractors: Silent things a scene.
        offscreen: Add a sound whose thing is not seen.
        number: Scenes.
        canvas: Side of the pictures in pixels.
        seed: Seed of all scenes.
        out: Folder; a scene has a .png, a .wav, a .wav a stem, and all are described in scenes.json.
    """
    from avcurriculum.verbs import scenes

    scenes.compose(pack, split, sources, distractors, offscreen, number, canvas, seed, out)


def train(
    pack: Path | None = None,
    videos: Path | None = None,
    arch: Architectures = "small",
    weights: tuple[Path, Path] | None = None,
    order: OrderName = "easy_to_hard",
    hardest: int = 3,
    steps: int = 1200,
    patience: int | None = None,
    scenes: int = 1024,
    batch: int = 64,
    learning_rate: float = 3e-3,
    loss: Loss = "infonce",
    scale: float | None = None,
    augment: bool = True,
    init: Path | None = None,
    separator_steps: int = 0,
    checkpoint_every: int = 200,
    seed: int = 0,
    device: str = "auto",
    out: Path = Path("avcurriculum-run"),
    resume: bool = False,
) -> None:
    """Train a localiser by a curriculum, and a separator on top of it; checkpoint, resume.

    It is validated on held-out scenes: of the pack, or of every tenth video where there are more than ten. The best step is
    kept, and the command says so where nothing was learned.

    Args:
        pack: Folder with a manifest.csv; generated things when not given. With --videos it only teaches to count sounds.
        videos: Folder of videos with sound to train on, two seconds a scene; its number of sounds is estimated.
        arch: small, resnet18, or pretrained (frozen backbones, needs --weights).
        weights: Files of MobileNetV2's and YAMNet's weights.
        order: From simple to complex, or one of the controls.
        hardest: Sources of the most complex scenes.
        steps: Steps of the whole curriculum.
        patience: End a stage when the mean loss of so many steps is no better than that of as many before.
        scenes: Composed scenes of each number of sources.
        batch: Scenes a step.
        learning_rate: Largest rate.
        loss: infonce, contrastive (the authors' form) or maxmargin.
        scale: The loss's gamma or margin; 7, 5 or 1 when not given.
        augment: Flip and crop pictures, mask and scale sounds at every step (not the features of frozen backbones).
        init: Model that train wrote, to start from.
        separator_steps: Train a separator for so many steps, on the pack's sounds or on the videos' simplest; 0 trains none.
        checkpoint_every: Steps between checkpoints: the most that an interruption can lose.
        seed: Seed of weights and scenes.
        device: auto, cpu, cuda, cuda:N or mps.
        out: Folder of model.pt, separator.pt, history.json and checkpoint.pt.
        resume: Go on from the checkpoint in --out.
    """
    from avcurriculum.training.trainer import Training
    from avcurriculum.verbs import training

    default = {"infonce": 7.0, "contrastive": 5.0, "maxmargin": 1.0}[loss]
    settings = Training(
        batch,
        learning_rate,
        loss=loss,
        scale=default if scale is None else scale,
        seed=seed,
        augment=augment,
        keep_best=True,
    )
    job = training.TrainJob(
        pack,
        videos,
        arch,
        weights,
        order,
        hardest,
        steps,
        patience,
        scenes,
        separator_steps,
        checkpoint_every,
        device,
        init,
    )
    training.train(job, settings, out, resume)


def evaluate(
    model: Path | None = None,
    pack: Path | None = None,
    split: SplitName = "test",
    scenes: int = 240,
    weights: tuple[Path, Path] | None = None,
    annotations: Path | None = None,
    kind: Annotations = "flickr",
    clips: Path | None = None,
    negatives: Path | None = None,
    separator: Path | None = None,
    seed: int = 0,
    json: Path | None = None,
) -> None:
    """Measure a localiser, or a separator, on composed scenes or on an annotated data set.

    Args:
        model: File that train wrote; the shipped one when not given.
        pack: Folder with a manifest.csv; generated things when not given.
        split: Of the pack.
        scenes: Of each number of sources.
        weights: Files of MobileNetV2's and YAMNet's weights, for a pretrained architecture.
        annotations: Folder of Flickr-SoundNet's XML files, or the official JSON file of the others; instead of a pack.
        kind: flickr, vggss, dsol (MUSIC, AudioSet-instrument), or interactive (IS3, VPO).
        clips: Folder of the annotated clips: videos NAME.mp4, or NAME.jpg and NAME.wav (also in frames/ and audio/).
        negatives: List video,audio,label of an extended set (SLAVC); its non-sounding pairs are measured, too.
        separator: Separator that train wrote; it is measured instead of the localiser, which then only looks.
        seed: Seed of the scenes.
        json: Write the numbers here too.
    """
    from avcurriculum.verbs import evaluation

    data = None if annotations is None else evaluation.Annotations(annotations, kind, clips, negatives)
    evaluation.evaluate((model, separator), weights, data, (pack, split), scenes, seed, json)


def localize(
    clip: tyro.conf.Positional[Path],
    out: Path | None = None,
    sounds: int = 1,
    every: float = 0.25,
    model: Path | None = None,
    weights: tuple[Path, Path] | None = None,
    json: Path | None = None,
    output: tyro.conf.OmitArgPrefixes[ClipOptions] = ClipOptions(),  # noqa: B008
) -> None:
    """Show where the sound of a video comes from: a heat map over the video, the sound kept.

    Args:
        clip: The video.
        out: The video with the heat map; CLIP-heat.mp4 when not given.
        sounds: Number of sounds to tell apart, each in its own colour.
        every: Seconds between looks.
        model: File that train wrote; the shipped one when not given.
        weights: Files of MobileNetV2's and YAMNet's weights, for a pretrained architecture.
        json: Write the places over time here.
        output: How the video is written.
    """
    from avcurriculum.verbs import clips

    clips.localize(clip, out, sounds, every, model, weights, json, output)


def separate(
    clip: tyro.conf.Positional[Path],
    out: Path | None = None,
    sounds: int = 2,
    model: Path | None = None,
    separator: Path | None = None,
    weights: tuple[Path, Path] | None = None,
) -> None:
    """Take the sounds of a video apart by what is seen: one .wav a sound, and a picture that says which is whose.

    Args:
        clip: The video.
        out: Folder; CLIP-sounds when not given.
        sounds: Number of sounds.
        model: Localiser that train wrote; the shipped one when not given.
        separator: Separator that train wrote; the shipped one when not given.
        weights: Files of MobileNetV2's and YAMNet's weights, for a pretrained architecture.
    """
    from avcurriculum.verbs import clips

    clips.separate(clip, out, sounds, model, separator, weights)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    run(
        "avcurriculum",
        "Which object makes which sound, learned without labels from simple to complex scenes.",
        {
            "demo": demo,
            "compose": compose,
            "train": train,
            "eval": evaluate,
            "localize": localize,
            "separate": separate,
        },
        CITATION,
        argv,
        {"--architecture": "--arch"},
    )
