"""Contact sheets, and a choice by eye between two ways to make a picture that is blinded by them.

Needed by styleproj and photonet. Which of the two pictures is on the left is drawn from the name of the pair, so that the
sheets can be made again, and nothing has to be kept that tells them apart.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from claimkit.errors import InputError
from claimkit.files import write_atomic
from claimkit.style.images import resize, write_image

Pairs = Iterable[tuple[str, Tensor, Tensor, Tensor, Tensor]]
"""Name, content, style, our picture and the other of each pair, pictures (3, height, width)."""
CHOICES = ("left", "right", "same")


def contact_sheet(rows: Sequence[Sequence[Tensor | None]], side: int, gap: int = 8) -> Tensor:
    """One picture ``(3, height, width)`` of pictures ``(3, h, w)``, each shrunk or enlarged into a square; None is empty."""
    lines = []
    for row in rows:
        cells = [_cell(picture, side) for picture in row]
        lines.append(torch.cat([torch.nn.functional.pad(c, (gap, 0, gap, 0), value=1.0) for c in cells], 2))
    width = max(line.shape[2] for line in lines)
    return torch.cat([torch.nn.functional.pad(line, (0, width - line.shape[2]), value=1.0) for line in lines], 1)


def blinded(pairs: Pairs, out: Path, rows: int = 3, side: int = 320) -> None:
    """Sheets to choose by, and votes.json to be filled in with one of :data:`CHOICES` a pair.

    Args:
        pairs: See :data:`Pairs`.
        out: Folder of sheet-01.png and so on, each with ``rows`` pairs: content, style, and the two in a drawn order.
        rows: Pairs a sheet.
        side: Pixels of the square that a picture is fitted into.
    """
    lines, votes = [], {}
    for name, content, style, ours, other in pairs:
        lines.append([content, style, *((ours, other) if ours_is_left(name) else (other, ours))])
        votes[name] = ""
    for i in range(0, len(lines), rows):
        write_image(out / f"sheet-{i // rows + 1:02}.png", contact_sheet(lines[i : i + rows], side))
    write_atomic(out / "votes.json", json.dumps(votes, indent=1) + "\n")


def ours_is_left(name: str) -> bool:
    """Whether our picture of the pair of this name is on the left."""
    return hashlib.sha256(name.encode()).digest()[0] % 2 == 0


def counted(votes: Mapping[str, str]) -> dict[str, float]:
    """How many pairs we won, tied and lost; the share of won and tied ones with its 95 % interval (Wilson).

    Raises:
        InputError: No votes, or one that is none of :data:`CHOICES`.
    """
    from scipy.stats import binomtest

    if unknown := sorted({v for v in votes.values() if v not in CHOICES}):
        raise InputError(f"votes = {unknown}: expected {', '.join(CHOICES)} for each pair")
    if not votes:
        raise InputError("there are no votes: expected one for each pair")
    ours = {name: "left" if ours_is_left(name) else "right" for name in votes}
    tied = sum(v == "same" for v in votes.values())
    won = sum(v == ours[name] for name, v in votes.items())
    interval = binomtest(won + tied, len(votes)).proportion_ci(method="wilson")
    share = round((won + tied) / len(votes), 3)
    lost = len(votes) - won - tied
    ends = {"low": round(float(interval.low), 3), "high": round(float(interval.high), 3)}
    return {"won": won, "tied": tied, "lost": lost, "share": share, **ends}


def ask_by_eye(about: str | None, pictures: Callable[[Path], Pairs]) -> None:
    """The command of a script that asks: ``DATA OUT`` writes the sheets, ``DATA --votes FILE`` prints what was counted."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--votes", type=Path)
    given = parser.parse_args()
    if given.votes is not None:
        try:
            print(json.dumps(counted(json.loads(given.votes.read_text(encoding="utf-8"))), indent=1))
        except InputError as error:
            parser.error(f"{given.votes}: {error}")
    elif given.out is None:
        parser.error("say where the sheets shall be: DATA OUT, or count votes with --votes FILE")
    else:
        blinded(pictures(given.data), given.out)


def _cell(picture: Tensor | None, side: int) -> Tensor:
    """The picture in the middle of a white square."""
    cell = torch.ones(3, side, side)
    if picture is None:
        return cell
    height, width = picture.shape[-2:]
    scale = side / max(height, width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (side - h) // 2, (side - w) // 2
    cell[:, top : top + h, left : left + w] = resize(picture.cpu(), h, w) if (h, w) != (height, width) else picture.cpu()
    return cell
