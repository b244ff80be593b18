"""Readers of published box annotations: Flickr-SoundNet (XML), VGG-SS (JSON), MUSIC and AudioSet-instrument (DSOL's JSON).

All give :class:`Annotated` with boxes in shares of the picture, ``[x0, y0, x1, y1]`` in [0, 1].
"""

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from avcurriculum.metrics.localization import consensus_map
from claimkit.errors import InputError

FLICKR_SIDE = 256
"""Flickr-SoundNet's boxes are on pictures of this side."""


@dataclass(frozen=True)
class Annotated:
    """One annotated picture.

    Attributes:
        name: Identifier of the clip or the frame.
        boxes: One array ``(n, 4)`` an annotator; a single one where the data set has one annotator.
        classes: Class of each box of the first annotator, where the data set says; else empty.
        agree: Annotators that make full agreement.
    """

    name: str
    boxes: tuple[Float[NDArray, "boxes 4"], ...]
    classes: tuple[str, ...] = ()
    agree: int = 1

    def truth(self, height: int, width: int) -> Float[NDArray, "height width"]:
        """Consensus map g in [0, 1] at a size in pixels."""
        scale = np.array([width, height, width, height])
        return consensus_map([b * scale for b in self.boxes], height, width, self.agree)

    def class_masks(self, height: int, width: int) -> dict[str, NDArray[np.bool_]]:
        """Mask of each class's boxes."""
        scale = np.array([width, height, width, height])
        names = np.array(self.classes)
        return {str(c): consensus_map([self.boxes[0][names == c] * scale], height, width, 1) > 0 for c in np.unique(names)}


def flickr_xml(folder: Path, names: Sequence[str] | None = None) -> tuple[list[Annotated], list[str]]:
    """Flickr-SoundNet: one XML a clip, with ``<bbox>`` elements of three annotators whose first child is no number.

    Args:
        folder: Holds ``<name>.xml``.
        names: Clips of the test list; all files when None.

    Returns:
        The annotated clips, and one sentence for each file that was skipped because it cannot be read.

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
            boxes = [_flickr_box(b) for b in ElementTree.parse(path).getroot().iter("bbox")]
            if not boxes:
                raise ValueError("it has no bbox")
        except (ElementTree.ParseError, ValueError) as e:
            skipped.append(f"{path.name} is skipped: {e}")
            continue
        out.append(Annotated(path.stem, tuple(boxes), agree=2))
    return out, skipped


def vggss_json(path: Path) -> list[Annotated]:
    """VGG-SS: a list of ``{"file", "class", "bbox": [[x0, y0, x1, y1] in 0..1]}``; the truth is the union of the boxes.

    Raises:
        InputError: Not such a file.
    """
    out = []
    for number, entry in enumerate(_json(path, list)):
        try:
            boxes = _boxes(entry["bbox"])
            out.append(Annotated(str(entry["file"]), (boxes,), (str(entry["class"]),) * len(boxes)))
        except (KeyError, TypeError, ValueError) as e:
            raise InputError(f"{path}, entry {number}: expected file, class and bbox in shares of the picture ({e})") from e
    return out


def dsol_json(path: Path) -> list[Annotated]:
    """DSOL's boxes of MUSIC and AudioSet-instrument: frame to ``{"bbox": [{"normbox": [x, y, w, h], "category_id": n}]}``.

    Raises:
        InputError: Not such a file.
    """
    out = []
    for name, entry in _json(path, dict).items():
        try:
            corner = np.array([b["normbox"] for b in entry["bbox"]], float).reshape(-1, 4)
            boxes = _boxes(np.concatenate([corner[:, :2], corner[:, :2] + corner[:, 2:]], 1))
            out.append(Annotated(name, (boxes,), tuple(str(b["category_id"]) for b in entry["bbox"])))
        except (KeyError, TypeError, ValueError) as e:
            raise InputError(f"{path}, {name}: expected bbox with normbox [x, y, w, h] and category_id ({e})") from e
    return out


def _flickr_box(element: ElementTree.Element) -> Float[NDArray, "1 4"]:
    values = [float(child.text or "") for child in list(element)[1:5]]
    if len(values) != 4:
        raise ValueError("a bbox has fewer than four numbers")
    return np.array([values]) / FLICKR_SIDE


def _boxes(values: Any) -> Float[NDArray, "boxes 4"]:
    boxes = np.asarray(values, float).reshape(-1, 4)
    if boxes.size == 0 or boxes.min() < -0.01 or boxes.max() > 1.01:
        raise ValueError("boxes are empty or outside [0, 1]")
    return boxes.clip(0, 1)


def _json(path: Path, kind: type) -> Any:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise InputError(f"{path} is not JSON: {e}") from e
    if not isinstance(data, kind):
        raise InputError(f"{path} holds a {type(data).__name__}, expected a {kind.__name__}")
    return data
