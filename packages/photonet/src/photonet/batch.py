"""Many pictures: which content meets which style, where the result goes, and going on after a bad file."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from claimkit import run
from claimkit.errors import InputError
from claimkit.media.reading import read_picture
from claimkit.style.images import fit, image_files, resize, write_image
from photonet.look import Table
from photonet.maps import read_masks
from photonet.regions import Say, read_segmentations
from photonet.style import Style
from photonet.stylizer import PhotoStylizer

Pairs = Literal["all", "matched"]
LOOKS = (".style", ".cube")
"""Suffixes of styles that were prepared, and of tables."""


@dataclass(frozen=True)
class Task:
    """One picture to make."""

    content: Path
    style: Path
    target: Path


@dataclass(frozen=True)
class Options:
    """What all pictures of a batch have in common. Sizes are longer sides, 0 keeps them; segmentations go with one pair.

    ``say`` is told where labels of them were taken for one; a warning when None.
    """

    alpha: float = 1.0
    size: int = 0
    style_size: int = 1024
    content_segmentation: Path | None = None
    style_segmentation: Path | None = None
    say: Say | None = None


def tasks(content: Path, style: Path, pairs: Pairs, out: Path | None, suffix: str) -> list[Task]:
    """Pair contents with styles.

    Args:
        content: A picture, or a folder of pictures.
        style: A picture, a saved style, or a folder of pictures.
        pairs: Every content with every style, or the first with the first and so on.
        out: File of the one result, or folder; the caller's folder where it is None.
        suffix: Format of results in folders, such as ``.jpg``.

    Raises:
        InputError: Nothing to pair, or numbers that do not match.
    """
    contents, styles = (image_files(p) if p.is_dir() else [p] for p in (content, style))
    if pairs == "matched":
        if len(contents) != len(styles):
            raise InputError(f"{len(contents)} contents and {len(styles)} styles cannot be matched: use --pairs all")
        couples = list(zip(contents, styles, strict=True))
    else:
        couples = [(c, s) for c in contents for s in styles]
    if out is not None and out.suffix and not out.is_dir():
        if len(couples) > 1:
            raise InputError(f"{len(couples)} pictures do not fit in the one file {out}: give --out a folder")
        return [Task(*couples[0], out)]
    folder = Path() if out is None else out
    return [Task(c, s, folder / f"{c.stem}-{s.stem}{suffix}") for c, s in couples]


def stylize_all(
    stylizer: PhotoStylizer, todo: Sequence[Task], options: Options, done: Callable[[Task], None]
) -> Counter[str]:
    """Make every picture; return why some could not be made, each sentence with how many it cost.

    A style is prepared once for all contents. A file that cannot be used costs its own pictures only.
    """
    segmented = options.content_segmentation is not None or options.style_segmentation is not None
    if segmented and len(todo) != 1:
        raise InputError(f"a segmentation belongs to one content and one style, not to {len(todo)} pictures")
    prepared: dict[Path, Style | Table | InputError] = {}
    problems: Counter[str] = Counter()
    for task in run.progress(todo, "stylise", unit="picture"):
        try:
            rgb, alpha = load(task.content, options.size)
            if segmented:
                result = _segmented(stylizer, task, rgb, options)
            else:
                style = _style(stylizer, task.style, options.style_size, prepared)
                result = stylizer.stylize(rgb, style, options.alpha)
            write_image(task.target, result, alpha)
        except InputError as e:
            known = len(todo) == 1 or any(path.name in str(e) for path in (task.content, task.style))
            problems[str(e) if known else f"{task.content}: {e}"] += 1
        except OSError as e:
            problems[f"{task.target}: {e.strerror or e}"] += 1
        else:
            done(task)
    return problems


def load(path: Path, longest: int = 0) -> tuple[Tensor, Tensor | None]:
    """A picture laid over white, shrunk where ``longest`` is not 0, and its transparency."""
    picture = read_picture(path)
    rgb = picture.rgb if picture.alpha is None else picture.rgb * picture.alpha + (1 - picture.alpha)
    image = fit(rgb, longest) if longest else rgb
    return image, None if picture.alpha is None else resize(picture.alpha[None], *image.shape[-2:])[0]


def _style(
    stylizer: PhotoStylizer, path: Path, longest: int, known: dict[Path, Style | Table | InputError]
) -> Style | Table:
    if path not in known:
        try:
            known[path] = stylizer.prepare(path if path.suffix in LOOKS else load(path, longest)[0], name=path.stem)
        except InputError as e:
            known[path] = e if path.name in str(e) else InputError(f"{path}: {e}")
    style = known[path]
    if isinstance(style, InputError):
        raise style
    return style


def _segmented(stylizer: PhotoStylizer, task: Task, rgb: Tensor, options: Options) -> Tensor:
    """One pair with segmentations, which have the sizes of the files."""
    content, style = options.content_segmentation, options.style_segmentation
    if content is None or style is None:
        raise InputError("a segmentation of the content needs one of the style, and the other way round: give both")
    if task.style.suffix in LOOKS:
        raise InputError("a segmentation of the style goes with its picture, not with a prepared style")
    small = load(task.style, options.style_size)[0]
    size, style_size = ((x.shape[-2], x.shape[-1]) for x in (rgb, small))
    if content.is_dir() and style.is_dir():
        masks, style_masks = read_masks(content, style, size, style_size)
        return stylizer.stylize(rgb, small, options.alpha, masks=masks, style_masks=style_masks)
    labels, style_labels = read_segmentations(content, style, size, style_size, options.say)
    return stylizer.stylize(rgb, small, options.alpha, labels=labels, style_labels=style_labels)
