"""What several verbs begin with: a pack, a composer of its scenes, a localiser."""

from pathlib import Path

from avcurriculum.network.model import AVNet
from avcurriculum.options import Look, Weights
from avcurriculum.scenes.composer import LEVELS, Composer, Level
from avcurriculum.scenes.film import FilmComposer
from avcurriculum.scenes.generated import generate_pack
from avcurriculum.scenes.packs import Pack, Split, load_pack
from avcurriculum.training.trainer import load_model
from avcurriculum.video.apply import film_localizer, shipped_localizer
from claimkit.errors import InputError


def read_pack(folder: Path | None, split: Split) -> Pack:
    """One split of a folder, or a generated one; files that cannot be read are named."""
    if folder is None:
        return generate_pack(split)
    pack = load_pack(folder, split)
    if pack.skipped:
        print(f"{len(pack.skipped)} file(s) of {folder} cannot be read and are skipped: {', '.join(pack.skipped[:5])}")
    return pack


def composer_of(pack: Pack, sources: int, net: AVNet, seed: int, look: Look = "tiles") -> Composer:
    """Scenes of so many sources, with as many silent things as is usual for that number."""
    if look == "film":
        return FilmComposer(pack, sources, net.architecture.canvas, 10 * seed + sources, net.mel)
    silent = min(LEVELS[min(sources, 4)].distractors, len(pack.distractors))
    return Composer(pack, Level(sources, silent), net.architecture.canvas, 10 * seed + sources, net.mel)


def read_model(path: Path | None, weights: Weights, separates: bool = False) -> AVNet:
    """A localiser that ``train`` wrote, or the shipped one: that of films, or the one that tells the shipped separator."""
    shipped = shipped_localizer if separates else film_localizer
    net = shipped() if path is None else load_model(path, weights)
    if weights is not None and net.architecture.backbone != "pretrained":
        raise InputError(
            "--weights are of a pretrained network, which this localiser is not: leave them out, or give --model"
        )
    return net
