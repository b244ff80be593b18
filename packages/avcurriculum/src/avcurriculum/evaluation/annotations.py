"""Readers of published boxes: Flickr-SoundNet, VGG-SS, MUSIC and AudioSet-instrument, interactive and extended sets.

All give :class:`Annotated` with boxes in shares of the picture, ``[x0, y0, x1, y1]`` in [0, 1], and one sentence for each
kind of thing in the file that was left out. Boxes become pixels by truncation, as in every reference.
"""

import csv
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from avcurriculum.metrics.localization import consensus_map
from claimkit.errors import InputError

Kind = Literal["flickr", "vggss", "dsol", "interactive"]
FLICKR_SIDE = 256
"""Flickr-SoundNet's boxes are on pictures of this side."""
SIDE = 224
"""All references measure on pictures of this side."""


@dataclass(frozen=True)
class Annotated:
    """One annotated picture.

    Attributes:
        name: Identifier of the clip or the frame.
        boxes: One array ``(n, 4)`` an annotator; a single one where the data set has one annotator.
        classes: Class of each box of the first annotator, where the data set says; else empty.
        agree: Annotators that make full agreement.
        sound: Clip whose sound is heard; empty where it is the picture's own.
        negative: Nothing in the picture makes the sound (the extended sets); without boxes.
        group: The same picture with other sounds has the same group (interactive sets); empty elsewhere.
        frame: Number of the frame within its video, where the name tells.
    """

    name: str
    boxes: tuple[Float[NDArray, "boxes 4"], ...]
    classes: tuple[str, ...] = ()
    agree: int = 1
    sound: str = ""
    negative: bool = False
    group: str = ""
    frame: int | None = None

    def truth(self, height: int, width: int) -> Float[NDArray, "height width"]:
        """Consensus map g in [0, 1] at a size in pixels."""
        scale = np.array([width, height, width, height])
        return consensus_map([b * scale for b in self.boxes], height, width, self.agree)

    def class_masks(self, height: int, width: int) -> dict[str, NDArray[np.bool_]]:
        """Mask of each class's boxes."""
        scale = np.array([width, height, width, height])
        names = np.array(self.classes)
        return {str(c): consensus_map([self.boxes[0][names == c] * scale], height, width, 1) > 0 for c in np.unique(names)}


Read = tuple[list[Annotated], list[str]]
"""The annotated pictures, and a sentence for each kind of thing that was left out."""


def flickr_xml(folder: Path, names: Sequence[str] | None = None) -> Read:
    """Flickr-SoundNet: one XML a clip, with ``<bbox>`` elements of three annotators whose first child is no number.

    Args:
        folder: Holds ``<name>.xml``.
        names: Clips of the test list; all files when None.

    Raises:
        InputError: No such folder, or a clip of the list has no file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give the folder of Flickr-SoundNet's XML files")
    paths = sorted(folder.glob("*.xml")) if names is None else [folder / f"{n}.xml" for n in names]
    if absent := [p.name for p in paths if not p.is_file()]:
        raise InputError(f"{folder} lacks {len(absent)} file(s) of the list, first {absent[0]}")
    out, skipped = [], []
    for path in paths:
        try:
            found = list(ElementTree.parse(path).getroot().iter("bbox"))
        except ElementTree.ParseError as e:
            skipped.append(f"{path.name} is skipped: {e}")
            continue
        boxes = [box for b in found if (box := _flickr_box(b)) is not None]
        if len(boxes) < len(found):
            skipped.append(f"{path.name}: {len(found) - len(boxes)} of {len(found)} boxes are no boxes and are left out")
        if flat := sum(not _whole(b).all() for b in boxes):
            skipped.append(f"{path.name}: {flat} of {len(found)} boxes have no area inside the picture and light nothing")
        if boxes:
            out.append(Annotated(path.stem, tuple(boxes), agree=2))
        elif not found:
            skipped.append(f"{path.name} is skipped: it has no bbox")
    return out, skipped


def vggss_json(path: Path) -> Read:
    """VGG-SS: a list of ``{"file", "class", "bbox": [[x0, y0, x1, y1] in 0..1]}``; the truth is the union of the boxes.

    Coordinates are clamped to the picture as in the reference, and boxes without area are left out. An entry of which no
    box is left stays, as it does in the reference, whose measure counts it as 0.

    Raises:
        InputError: Not such a file, or its boxes are in pixels.
    """

    def entry(e: Any) -> tuple[Annotated, int]:
        boxes, bad = _boxes(e["bbox"])
        return Annotated(str(e["file"]), (boxes,), (str(e["class"]),) * len(boxes)), bad

    return _entries(path, enumerate(_json(path, list)), "file, class and bbox in shares of the picture", entry, False)


def dsol_json(path: Path) -> Read:
    """DSOL's boxes of MUSIC and AudioSet-instrument: frame to ``{"bbox": [{"normbox": [x, y, w, h], "category_id": n}]}``.

    AudioSet-instrument's file says ``category``. Frames without a box are left out, as the reference does.

    Raises:
        InputError: Not such a file, or its boxes are in pixels.
    """

    def entry(item: Any) -> tuple[Annotated, int]:
        name, value = item
        corner = _table(b["normbox"] for b in value["bbox"])
        far = corner[:, :2] + corner[:, 2:]
        pixels = corner[:, :2] * SIDE + corner[:, 2:] * SIDE  # the reference adds pixels: the same one must be cut off
        far += 1e-12 * np.sign(np.floor(pixels) - np.floor(far * SIDE))
        kept = _whole(np.concatenate([corner[:, :2], far], 1))
        boxes = np.concatenate([corner[:, :2], far], 1)[kept].clip(0, 1)
        names = [str(b["category_id"] if "category_id" in b else b["category"]) for b in value["bbox"]]
        classes = tuple(n for n, k in zip(names, kept, strict=True) if k)
        number = re.search(r"/frame_\d+/(\d+)\.\w+$", name)
        frame = int(number[1]) if number else None
        return Annotated(name, (boxes,), classes, frame=frame), int((~kept).sum())

    items = [((n, v), n) for n, v in _json(path, dict).items()]
    return _entries(
        path, ((n, i) for i, n in items), "bbox with normbox [x, y, w, h] and category_id or category", entry, True
    )


def interactive_json(path: Path) -> Read:
    """Interactive sets (IS3, VPO): a list of ``{"image", "audio", "gt_box": [x0, y0, x1, y1]}`` in pixels of 224.

    The last part of a picture's name (``cat_alarmclock_1828_cat``) is what sounds; the rest is its group.

    Raises:
        InputError: Not such a file.
    """

    def entry(e: Any) -> tuple[Annotated, int]:
        name = Path(str(e["image"])).stem
        boxes, bad = _boxes(
            [np.floor(np.asarray(e["gt_box"], float)) / SIDE + 1e-12]
        )  # 1e-12: so that truncation gives it back
        group, _, what = name.rpartition("_")
        return Annotated(name, (boxes,), (what,) * len(boxes), sound=Path(str(e["audio"])).stem, group=group), bad

    return _entries(path, enumerate(_json(path, list)), "image, audio and gt_box in pixels of 224", entry, True)


def negatives_csv(path: Path) -> list[Annotated]:
    """Extended sets (SLAVC): lines ``video,audio,label``; those marked non-sounding show one clip with another's sound.

    Raises:
        InputError: Not such a file, or no pair in it is marked non-sounding.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: give the list of an extended set")
    with path.open(encoding="utf-8-sig", newline="") as f:
        rows = [[cell.strip() for cell in row] for row in csv.reader(f) if row]
    wrong = next((r for r in rows if len(r) != 3), None)
    if wrong is not None or not rows:
        raise InputError(f"{path} is no list of video,audio,label: {wrong or 'it is empty'}")
    none = (np.zeros((0, 4)),)
    out = [Annotated(v, none, sound=a, negative=True) for v, a, label in rows if label == "non-sounding"]
    if not out:
        raise InputError(f"{path} marks none of its {len(rows)} pairs non-sounding: it is not the list of an extended set")
    return out


def read(path: Path, kind: Kind) -> Read:
    """Read annotations of a kind."""
    readers = {"flickr": flickr_xml, "vggss": vggss_json, "dsol": dsol_json, "interactive": interactive_json}
    return readers[kind](path)


def _entries(path: Path, entries: Any, expected: str, entry: Callable[[Any], tuple[Annotated, int]], drop: bool) -> Read:
    """Read all entries; those that are malformed are counted, and are an error only where nothing else is in the file."""
    out, malformed, empty, cut, lost = [], [], [], [], []
    for where, value in entries:
        try:
            found, bad = entry(value)
        except (KeyError, TypeError, ValueError) as e:
            malformed.append((where, e))
            continue
        if bad:
            cut.append(found.name)
            if not len(found.boxes[0]):
                lost.append(found.name)
        if len(found.boxes[0]) or not drop:
            out.append(found)
        if not len(found.boxes[0]):
            empty.append(found.name)
    if malformed and not out:
        where, error = malformed[0]
        place = f"entry {where}" if isinstance(where, int) else where
        raise InputError(f"{path}, {place}: expected {expected} ({error})")
    if len(lost) > max(len(cut) - len(lost), len(out) - len(cut)):
        raise InputError(f"{path}: most boxes, first of {lost[0]}, have no area inside the picture; expected {expected}")
    notes = []
    if malformed:
        notes.append(f"{len(malformed)} entries, first {malformed[0][0]}, are skipped: expected {expected}")
    if cut:
        notes.append(
            f"{len(cut)} entries, first {cut[0]}, have boxes without area inside the picture; these boxes are left out"
        )
    if empty:
        what = "are left out" if drop else "count as 0, as the reference's do"
        notes.append(f"{len(empty)} entries, first {empty[0]}, have no box left and {what}")
    return out, notes


def _flickr_box(element: ElementTree.Element) -> Float[NDArray, "1 4"] | None:
    try:
        values = [float(child.text or "") for child in list(element)[1:5]]
    except ValueError:
        return None
    return np.array([values]) / FLICKR_SIDE if len(values) == 4 and np.isfinite(values).all() else None


def _boxes(values: Any) -> tuple[Float[NDArray, "boxes 4"], int]:
    """Boxes clamped to the picture, and how many had no area in it."""
    boxes = _table(values)
    kept = _whole(boxes)
    return boxes[kept].clip(0, 1), int((~kept).sum())


def _table(values: Iterable[Iterable[float]]) -> Float[NDArray, "boxes 4"]:
    """Four numbers a box; a fifth one, such as a score, makes the entry malformed."""
    rows = [list(map(float, b)) for b in values]
    if wrong := [r for r in rows if len(r) != 4]:
        raise ValueError(f"a box has four numbers, not {len(wrong[0])}")
    return np.array(rows, float).reshape(-1, 4)


def _whole(boxes: Float[NDArray, "boxes 4"]) -> NDArray[np.bool_]:
    inside = boxes.clip(0, 1)
    return (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1]) & np.isfinite(boxes).all(1)


def _json(path: Path, kind: type) -> Any:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise InputError(f"{path} cannot be read: {e.strerror or e}") from e
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise InputError(f"{path} is not JSON: {e}") from e
    if not isinstance(data, kind):
        raise InputError(f"{path} holds a {type(data).__name__}, expected a {kind.__name__}")
    return data
