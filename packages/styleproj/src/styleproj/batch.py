"""Many pictures: which content meets which style, where the result goes, and going on after a bad file."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from claimkit import run
from claimkit.errors import InputError
from claimkit.media.reading import read_picture
from claimkit.style.images import fit, image_files, resize, write_image
from styleproj.style import Style
from styleproj.stylizer import PreserveColor, Stylizer

Pairs = Literal["all", "matched"]


@dataclass(frozen=True)
class Task:
    """One picture to make."""

    content: Path
    styles: tuple[Path, ...]
    target: Path


@dataclass(frozen=True)
class Options:
    """What all pictures of a batch have in common; see :meth:`Stylizer.stylize`. Sizes are longer sides, 0 keeps them."""

    alpha: float = 1.0
    weights: tuple[float, ...] = ()
    size: int = 1024
    style_size: int = 512
    mask: Path | None = None
    style_mask: Path | None = None
    labels: Path | None = None
    style_labels: Path | None = None
    preserve_color: PreserveColor | None = None


def tasks(content: Path, styles: Sequence[Path], pairs: Pairs, mixed: bool, out: Path | None, suffix: str) -> list[Task]:
    """Pair contents with styles.

    Args:
        content: A picture, or a folder of pictures.
        styles: Pictures, saved styles, or folders of pictures.
        pairs: Every content with every style, or the first with the first and so on.
        mixed: All styles together make one picture of each content.
        out: File of the one result, or folder; beside the caller where it is None.
        suffix: Format of results in folders, such as ``.jpg``.

    Raises:
        InputError: Nothing to pair, or numbers that do not match.
    """
    contents = image_files(content) if content.is_dir() else [content]
    given = [f for s in styles for f in (image_files(s) if s.is_dir() else [s])]
    if not given:
        raise InputError("no style was given: name at least one picture after the content")
    if mixed:
        couples = [(c, tuple(given)) for c in contents]
    elif pairs == "matched":
        if len(contents) != len(given):
            raise InputError(f"{len(contents)} contents and {len(given)} styles cannot be matched: use --pairs all")
        couples = [(c, (s,)) for c, s in zip(contents, given, strict=True)]
    else:
        couples = [(c, (s,)) for c in contents for s in given]
    if out is not None and out.suffix and len(couples) > 1:
        raise InputError(f"{len(couples)} pictures do not fit in the one file {out}: give --out a folder")
    if out is not None and out.suffix and not out.is_dir():
        return [Task(*couples[0], out)]
    folder = Path() if out is None else out
    return [Task(c, s, folder / f"{'-'.join([c.stem, *(p.stem for p in s)])}{suffix}") for c, s in couples]


def stylize_all(stylizer: Stylizer, todo: Sequence[Task], options: Options, done: Callable[[Task], None]) -> Counter[str]:
    """Make every picture; return why some could not be made, each sentence with how many it cost.

    A style is prepared once for all contents. A file that cannot be used costs its own pictures only.
    """
    prepared: dict[Path, Style | Loaded | InputError] = {}
    problems: Counter[str] = Counter()
    for task in run.progress(todo, "stylise", unit="picture"):
        try:
            styles = [_style(stylizer, path, options, prepared) for path in task.styles]
            _one(stylizer, task, styles, options)
        except InputError as e:
            known = any(path.name in str(e) for path in (task.content, *task.styles))
            problems[str(e) if known or len(todo) == 1 else f"{task.target.name}: {e}"] += 1
        except OSError as e:
            problems[f"{task.target}: {e.strerror or e}"] += 1
        else:
            done(task)
    return problems


@dataclass(frozen=True)
class Loaded:
    """A picture laid over white, shrunk; its transparency; and the size of its file."""

    image: Tensor
    alpha: Tensor | None
    size: tuple[int, int]


def load(path: Path, longest: int) -> Loaded:
    """Read a picture and shrink it; 0 keeps its size."""
    picture = read_picture(path)
    rgb = picture.rgb if picture.alpha is None else picture.rgb * picture.alpha + (1 - picture.alpha)
    image = fit(rgb, longest) if longest else rgb
    height, width = image.shape[-2:]
    alpha = None if picture.alpha is None else resize(picture.alpha[None], height, width)[0]
    return Loaded(image, alpha, (rgb.shape[-2], rgb.shape[-1]))


def read_map(path: Path | None, picture: Loaded, *, labels: bool = False) -> Tensor | None:
    """A mask in [0, 1] from the brightness of a file, or labels from its values or colours, at the size of the picture.

    Raises:
        InputError: The file has another size than the picture's.
    """
    if path is None:
        return None
    values = read_picture(path).rgb
    if (values.shape[-2], values.shape[-1]) != picture.size:
        is_, wanted = (f"{w} x {h}" for h, w in ((values.shape[-2], values.shape[-1]), picture.size))
        raise InputError(f"the mask {path} is {is_} pixels, its picture {wanted}: give one of the same size")
    if not labels:
        return F.interpolate(values.mean(0)[None, None], picture.image.shape[-2:], mode="area")[0, 0]
    byte = (values * 255).round()
    codes = byte[0] * 65536 + byte[1] * 256 + byte[2]
    return F.interpolate(codes[None, None], picture.image.shape[-2:], mode="nearest")[0, 0].long()


def _one(stylizer: Stylizer, task: Task, styles: list[Style | Loaded], o: Options) -> None:
    content = load(task.content, o.size)
    first = styles[0]
    labels, style_labels = read_map(o.labels, content, labels=True), None
    if isinstance(first, Loaded):
        style_labels = read_map(o.style_labels, first, labels=True)
    if labels is not None and style_labels is None:
        labels = labels.unique(return_inverse=True)[1]  # values or colours in ascending order are styles 0, 1, ...
    result = stylizer.stylize(
        content.image,
        [s if isinstance(s, Style) else s.image for s in styles],
        o.alpha,
        weights=o.weights or None,
        mask=read_map(o.mask, content),
        style_mask=read_map(o.style_mask, first) if isinstance(first, Loaded) else None,
        labels=labels,
        style_labels=style_labels,
        preserve_color=o.preserve_color,
    )
    write_image(task.target, result, content.alpha)


def _style(stylizer: Stylizer, path: Path, o: Options, known: dict[Path, Style | Loaded | InputError]) -> Style | Loaded:
    """A style prepared once; the picture itself where what is needed of it depends on the content, a mask or labels."""
    if path not in known:
        try:
            if path.suffix == ".style":
                known[path] = stylizer.prepare(path)
            else:
                picture = load(path, o.style_size)
                as_picture = o.preserve_color == "coral" or o.style_mask or o.style_labels
                known[path] = picture if as_picture else stylizer.prepare(picture.image, name=path.stem)
        except InputError as e:
            known[path] = e if path.name in str(e) else InputError(f"{path}: {e}")
    style = known[path]
    if isinstance(style, InputError):
        raise style
    return style
