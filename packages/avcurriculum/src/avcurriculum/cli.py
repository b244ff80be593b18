"""The command line; torch is imported inside the verbs."""

from collections.abc import Sequence
from pathlib import Path

import tyro

from avcurriculum.options import ComposeOptions, EvalOptions, LocalizeOptions, TrainOptions, Weights
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


def demo(out: Path = Path("avcurriculum-demo.png"), sources: int = 2, steps: int = 0, seed: int = 0) -> None:
    """Draw a generated scene, a map for each of its sounds, and the sounds before and after they are taken apart.

    Example: avcurriculum demo --out avcurriculum.png

    Args:
        out: The picture.
        sources: Sounding things in the scene.
        steps: Train the localiser and the separator here, so many steps each (300 take half a minute); 0 takes those that
            the package carries.
        seed: Of the scene, and of the training.
    """
    from avcurriculum.verbs import scenes

    scenes.demo(out, sources, steps, seed)


def compose(
    options: tyro.conf.OmitArgPrefixes[ComposeOptions] = ComposeOptions(),  # noqa: B008
    out: Path = Path("avcurriculum-scenes"),
) -> None:
    """Compose scenes with known answers: picture, mixture, stems, boxes.

    Example: avcurriculum compose --number 6 --sources 2 --out scenes

    Args:
        options: What they are made of.
        out: Folder; a scene has a .png, a .wav, a .wav a stem, and all are described in scenes.json.
    """
    from avcurriculum.verbs import scenes

    scenes.compose(options, out)


def train(
    options: tyro.conf.OmitArgPrefixes[TrainOptions] = TrainOptions(),  # noqa: B008
    out: Path = Path("avcurriculum-run"),
    resume: bool = False,
) -> None:
    """Train a localiser by a curriculum, and a separator on top of it; checkpoint, resume.

    It is validated on held-out scenes: of the pack, or of every tenth video where there are more than ten. The best step is
    kept, and the command says so where nothing was learned.

    Example: avcurriculum train --videos clips --out localiser

    Args:
        options: What is trained, and on what.
        out: Folder of model.pt, separator.pt, history.json and checkpoint.pt.
        resume: Go on from the checkpoint in --out.
    """
    from avcurriculum.verbs import training

    training.train(options, out, resume)


def evaluate(
    options: tyro.conf.OmitArgPrefixes[EvalOptions] = EvalOptions(),  # noqa: B008
) -> None:
    """Measure a localiser, or a separator, on composed scenes or on an annotated data set.

    Example: avcurriculum eval --annotations vggss.json --kind vggss --clips clips

    Args:
        options: What is measured, and on what.
    """
    from avcurriculum.verbs import evaluation

    evaluation.evaluate(options)


def localize(
    clip: tyro.conf.Positional[Path],
    options: tyro.conf.OmitArgPrefixes[LocalizeOptions] = LocalizeOptions(),  # noqa: B008
    out: Path | None = None,
    json: Path | None = None,
    output: tyro.conf.OmitArgPrefixes[ClipOptions] = ClipOptions(),  # noqa: B008
) -> None:
    """Show where the sound of a video comes from: a heat map over the video, the sound kept.

    Example: avcurriculum localize street.mp4 --sounds 2

    Args:
        clip: The video.
        options: What is looked for, and by which model.
        out: The video with the heat map; CLIP-heat.mp4 when not given.
        json: Write the places over time here.
        output: How the video is written.
    """
    from avcurriculum.verbs import clips

    clips.localize(clip, options, out, json, output)


def separate(
    clip: tyro.conf.Positional[Path],
    out: Path | None = None,
    sounds: int = 2,
    model: Path | None = None,
    separator: Path | None = None,
    weights: Weights = None,
) -> None:
    """Take the sounds of a video apart by what is seen: one .wav a sound, and a picture that says which is whose.

    Example: avcurriculum separate duet.mp4 --out duet

    Args:
        clip: The video.
        out: Folder; CLIP-sounds when not given.
        sounds: Number of sounds.
        model: Localiser that train wrote; the shipped one when not given.
        separator: Separator that train wrote; the shipped one when not given.
        weights: Files of MobileNetV2's and YAMNet's weights, for a pretrained network.
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
        renamed={"--architecture": "--arch"},
    )
