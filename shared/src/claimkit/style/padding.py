"""Any size of picture: padded to what an encoder wants, cropped afterwards."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from claimkit.errors import InputError


def pad_to_multiple(image: Float[Tensor, "b c h w"], multiple: int, least: int | None = None) -> Float[Tensor, "b c _ _"]:
    """Pad on the right and at the bottom until height and width are multiples; mirrored, so that no edge appears.

    The result is at least ``least`` large, by default twice the multiple: the deepest level then has the two positions each
    way that reflection needs.
    """
    if multiple < 1:
        raise InputError(f"the multiple must be at least 1, not {multiple}")
    least = 2 * multiple if least is None else least
    height, width = image.shape[-2:]
    right = max(-(-width // multiple) * multiple, -(-least // multiple) * multiple) - width
    bottom = max(-(-height // multiple) * multiple, -(-least // multiple) * multiple) - height
    while right or bottom:  # reflection reaches as far as the picture is wide less one; tiny pictures need several
        height, width = image.shape[-2:]
        dx, dy = min(right, width - 1), min(bottom, height - 1)
        if (right and not dx) or (bottom and not dy):  # one pixel wide: nothing to mirror
            return F.pad(image, (0, right, 0, bottom), mode="replicate")
        image = F.pad(image, (0, dx, 0, dy), mode="reflect")
        right, bottom = right - dx, bottom - dy
    return image


def crop(image: Float[Tensor, "b c _ _"], height: int, width: int) -> Float[Tensor, "b c {height} {width}"]:
    """The top left part: what :func:`pad_to_multiple` was given."""
    return image[..., :height, :width]
