"""Pictures of the claims and of the demo."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from claimkit.figures import figure, save

INK = {"easy_to_hard": "#0b6e4f", "direct": "#c1440e", "hard_to_easy": "#8d8d8d", "mixed": "#3a6ea5"}


def orders(values: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Claim E1: validation against steps, then test IoU@0.3 and pair accuracy by the number of sources."""
    f, ax = figure(1, 3, (4.2, 3.2), squeeze=False)
    for arm, ink in INK.items():
        curves = np.array([[v[2] for v in value["arms"][arm]["validation"]] for value in values])
        steps = [v[0] for v in values[0]["arms"][arm]["validation"]]
        ax[0, 0].plot(steps, curves.mean(0), color=ink, label=arm.replace("_", " "))
        ax[0, 0].fill_between(steps, curves.min(0), curves.max(0), color=ink, alpha=0.12, lw=0)
        for axis, name in ((ax[0, 1], "iou@0.3"), (ax[0, 2], "pair")):
            means = np.array([[np.mean(v["arms"][arm][f"k{k}"][name]) for k in (1, 2, 3)] for v in values])
            axis.errorbar((1, 2, 3), means.mean(0), means.std(0), color=ink, marker="o", capsize=3)
    ax[0, 0].set(xlabel="step", ylabel="pair accuracy", title="validation, three sources")
    ax[0, 1].set(xlabel="sources", ylabel="IoU@0.3 of solo queries", title="test", xticks=(1, 2, 3))
    ax[0, 2].set(xlabel="sources", ylabel="pair accuracy", title="test", xticks=(1, 2, 3))
    ax[0, 0].axhline(0.5, color="k", lw=0.6, ls=":")
    ax[0, 2].axhline(0.5, color="k", lw=0.6, ls=":")
    ax[0, 0].legend(frameon=False, fontsize=8)
    save(f, path)


def curves(arms: Mapping[str, Sequence[Sequence[Sequence[float]]]], path: Path) -> None:
    """Claim E1b: of each arm and seed ``(step, validation)``; means and ranges over the seeds."""
    f, ax = figure(size=(4.2, 3.2))
    for arm, seeds in arms.items():
        steps, scores = np.array(seeds)[0, :, 0], np.array(seeds)[..., 1]
        ink = INK.get(arm, "k")
        ax.plot(steps, scores.mean(0), color=ink, label=arm.replace("_", " "))
        ax.fill_between(steps, scores.min(0), scores.max(0), color=ink, alpha=0.12, lw=0)
    ax.set(xlabel="step", ylabel="pair accuracy", title="validation, three sources")
    ax.legend(frameon=False, fontsize=8)
    save(f, path)


def bars(groups: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str, path: Path) -> None:
    """Means over seeds with their deviations: one panel a group, one bar a candidate."""
    most = max(len(seeds) for seeds in groups.values())
    f, ax = figure(1, len(groups), (4.2, 0.9 + 0.24 * most), squeeze=False)
    for axis, (title, seeds) in zip(ax[0], groups.items(), strict=True):
        means, deviations = [np.mean(x) for x in seeds.values()], [np.std(x) for x in seeds.values()]
        axis.barh(list(seeds), means, xerr=deviations, color="#0b6e4f", height=0.7)
        axis.invert_yaxis()
        axis.set(xlabel=xlabel, title=title)
    save(f, path)


def demo(scene: Any, maps: NDArray[Any], estimate: NDArray[Any], names: Sequence[str], path: Path) -> None:
    """A scene, the map of each sound over it, and spectrograms of the stems, the mixture and the estimates."""
    k = len(names)
    f, ax = figure(3, k + 1, (2.8, 2.5))
    ax[0, 0].imshow(scene.image)
    ax[0, 0].set_title("scene")
    _spectrogram(ax[1, 0], scene.mixture, "mixture")
    ax[2, 0].axis("off")
    side = scene.image.shape[0]
    for i, name in enumerate(names):
        ax[0, i + 1].imshow(scene.image)
        ax[0, i + 1].imshow(
            maps[i], cmap="inferno", alpha=0.6, extent=(0, side, side, 0), vmin=0, vmax=1, interpolation="bilinear"
        )
        x0, y0, x1, y1 = scene.boxes[i]
        ax[0, i + 1].plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color="w", lw=1)
        ax[0, i + 1].set_title(f"where is the {name}?")
        _spectrogram(ax[1, i + 1], scene.stems[i], f"{name}, true")
        _spectrogram(ax[2, i + 1], estimate[i], f"{name}, separated")
    for axis in ax[0]:
        axis.set(xticks=[], yticks=[])
    save(f, path)


def picture(image: NDArray[np.uint8], path: Path) -> None:
    """Write an RGB picture, whole or not at all."""
    from claimkit.media.picture import Picture, write_picture

    write_picture(path, Picture(image))


def _spectrogram(axis: Any, wave: NDArray[Any], title: str) -> None:
    import librosa
    import librosa.display

    db = librosa.amplitude_to_db(np.abs(librosa.stft(np.asarray(wave, np.float32), n_fft=512, hop_length=256)), top_db=None)
    shown = {"sr": 16_000, "hop_length": 256, "cmap": "magma", "vmin": -60, "vmax": 30}
    librosa.display.specshow(db, x_axis="time", y_axis="linear", ax=axis, **shown)
    axis.set(title=title, yticks=[0, 4000, 8000], xticks=[0, 1, 2], xlabel="", ylabel="")
