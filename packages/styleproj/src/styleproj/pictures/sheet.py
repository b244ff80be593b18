"""Contact sheets: pictures in rows and columns on white."""

from collections.abc import Sequence

import torch
from torch import Tensor

from claimkit.style.images import resize


def contact_sheet(rows: Sequence[Sequence[Tensor | None]], side: int, gap: int = 8) -> Tensor:
    """One picture ``(3, height, width)`` of pictures ``(3, h, w)``, each shrunk or enlarged into a square; None is empty."""
    lines = []
    for row in rows:
        cells = [_cell(picture, side) for picture in row]
        lines.append(torch.cat([torch.nn.functional.pad(c, (gap, 0, gap, 0), value=1.0) for c in cells], 2))
    width = max(line.shape[2] for line in lines)
    return torch.cat([torch.nn.functional.pad(line, (0, width - line.shape[2]), value=1.0) for line in lines], 1)


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
