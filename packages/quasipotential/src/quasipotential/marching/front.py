"""The front of a march: bit sets that are scanned word by word, an indexed binary heap, and the loop around the march.

What is compiled by Numba is called from inside the marching loops only. A mesh of ``nx`` by ``ny`` points is stored with one
ring of padding, flat, row by row: point ``(i, j)`` is ``(j + 1) * (nx + 2) + i + 1``; in space the rows of a layer follow
those of the layer below. The padding is Accepted from the start, so that no neighbour test needs a bound.
"""

import time
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ..progress import progress_bar

HEAP_SIZE, ACCEPTED_COUNT, STOPPED, SINGLES = range(4)
"""First places in the integer state that survives between two calls of a march."""
STOPS = ("exhausted", "boundary", "level")
"""Why it ended, by the number at ``STOPPED``."""
_BATCH = 100_000
"""Points accepted between two looks at the clock and the keyboard."""

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


@njit(cache=True, error_model="numpy")
def edges_of(new, near, first, stride, status, front, waiting, side):
    """Edges from a point that has just become known to neighbours in the front; those where nothing waits leave it.

    ``waiting`` counts the neighbours of a point, to which ``near`` leads, that are not known yet. Of the edges to the
    ``first`` neighbours the numbers are written to ``side``.

    Returns:
        How many edges.
    """
    edges = 0
    for k in range(len(near)):
        point = new + near[k]
        waiting[point] -= 1
        if status[point] == FRONT:
            if waiting[point] == 0:
                status[point] = ACCEPTED
                clear_bit(front, point // stride, point % stride)
            elif k < first:
                side[edges] = k
                edges += 1
    return edges


def bit_set(mask: np.ndarray) -> np.ndarray:
    """A mask ``(rows, columns)`` as words of 64 flags ``(rows, (columns + 63) // 64)``."""
    rows, columns = mask.shape
    padded = np.zeros((rows, -(-columns // 64) * 64), bool)
    padded[:, :columns] = mask
    return np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64)


def count_waiting(status: np.ndarray) -> np.ndarray:
    """How many of the neighbours of each point of a padded mesh ``(..., ny + 2, nx + 2)`` are not known yet."""
    unknown, waiting = (status < FRONT).astype(np.uint8), np.zeros(status.shape, np.uint8)
    for shift in np.ndindex(*(3,) * status.ndim):
        if any(s != 1 for s in shift):
            waiting += np.roll(unknown, np.array(shift) - 1, tuple(range(status.ndim)))
    return waiting


def heap_of(u: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A heap of points by their values ``u (n,)``: keys, points, and where each point is, with room for all ``n``."""
    points = points[np.argsort(u[points], kind="stable")]  # a sorted list is a heap
    keys, ids, where = np.empty(u.size), np.empty(u.size, np.int32), np.empty(u.size, np.int32)
    keys[: len(points)], ids[: len(points)], where[points] = u[points], points, np.arange(len(points))
    return keys, ids, where


def run(accept: Callable[[int], object], state: np.ndarray, total: int, progress: bool) -> float:
    """Call ``accept(batch)`` until the heap is empty or the march has stopped; the seconds that it took.

    Args:
        accept: accepts up to ``batch`` points and keeps ``state``.
        state: see ``HEAP_SIZE`` and the names after it.
        total: points of the mesh, for the progress bar.
        progress: whether to show one.
    """
    accept(0)  # loads or compiles the march, before the clock
    began = time.perf_counter()
    with progress_bar(total, progress, "pt") as advance:
        while state[HEAP_SIZE] > 0 and not state[STOPPED]:
            before = int(state[ACCEPTED_COUNT])
            accept(_BATCH)
            advance(int(state[ACCEPTED_COUNT]) - before)
    return time.perf_counter() - began
