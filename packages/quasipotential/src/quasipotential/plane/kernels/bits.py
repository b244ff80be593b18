"""What the two marchers share.

Bit sets that are scanned word by word, an indexed binary heap, and the discs of the mesh.

Everything here is compiled by Numba and called from inside the marching loops only.
A mesh of ``nx`` by ``ny`` points is stored with one ring of padding, flat, row by row: point ``(i, j)`` is
``(j + 1) * (nx + 2) + i + 1``. The padding is Accepted from the start, so that no neighbour test needs a bound.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

UNKNOWN, CONSIDERED, FRONT, ACCEPTED = 0, 1, 2, 3
"""What a mesh point is: never reached; has a trial value; accepted with unaccepted neighbours; accepted for good."""


@intrinsic
def count_trailing_zeros(typingctx, word):
    """Number of zero bits below the lowest set bit of a non-zero 64-bit word (one machine instruction)."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


@njit(cache=True, error_model="numpy")
def set_bit(bits, row, column):
    """Put ``column`` into the set of its row."""
    bits[row, column >> 6] |= np.uint64(1) << np.uint64(column & 63)


@njit(cache=True, error_model="numpy")
def clear_bit(bits, row, column):
    """Take ``column`` out of the set of its row."""
    bits[row, column >> 6] &= ~(np.uint64(1) << np.uint64(column & 63))


@njit(cache=True, error_model="numpy")
def masked_word(bits, row, word, low, high):
    """The 64 flags of ``word``, with only the columns ``low`` to ``high`` (both included) left set."""
    flags = bits[row, word]
    first = word << 6
    if low > first:
        flags &= ~np.uint64(0) << np.uint64(low - first)
    if high < first + 63:
        flags &= ~np.uint64(0) >> np.uint64(63 - (high - first))
    return flags


@njit(cache=True, error_model="numpy")
def sift_up(keys, ids, where, place):
    """Move the entry at ``place`` towards the root until no parent is larger."""
    key, point = keys[place], ids[place]
    while place > 0:
        parent = (place - 1) >> 1
        if keys[parent] <= key:
            break
        keys[place], ids[place] = keys[parent], ids[parent]
        where[ids[place]] = place
        place = parent
    keys[place], ids[place] = key, point
    where[point] = place


@njit(cache=True, error_model="numpy")
def push(keys, ids, where, size, point, key):
    """Add a point to a heap of ``size`` entries."""
    keys[size], ids[size] = key, point
    sift_up(keys, ids, where, size)


@njit(cache=True, error_model="numpy")
def decrease(keys, ids, where, point, key):
    """Lower the key of a point that is in the heap."""
    place = where[point]
    keys[place] = key
    sift_up(keys, ids, where, place)


@njit(cache=True, error_model="numpy")
def pop(keys, ids, where, size):
    """Take the point with the smallest key out of a heap of ``size`` entries."""
    top = ids[0]
    last = size - 1
    key, point = keys[last], ids[last]
    place = 0
    child = 1
    while child < last:
        if child + 1 < last and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[place], ids[place] = keys[child], ids[child]
        where[ids[place]] = place
        place = child
        child = 2 * place + 1
    if last > 0:
        keys[place], ids[place] = key, point
        where[point] = place
    return top


def bit_set(mask: np.ndarray) -> np.ndarray:
    """A mask ``(rows, columns)`` as words of 64 flags ``(rows, (columns + 63) // 64)``."""
    rows, columns = mask.shape
    padded = np.zeros((rows, -(-columns // 64) * 64), bool)
    padded[:, :columns] = mask
    return np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64)


def disc_half_widths(radius: int) -> np.ndarray:
    """Half-width of each row of the disc ``i*i + j*j <= max(radius*radius, 2)``, for rows 0 to ``radius``."""
    square = max(radius * radius, 2)
    rows = np.arange(radius + 1)
    return np.floor(np.sqrt(square - rows * rows)).astype(np.int64)
