"""Where numbers sit in the polynomials: coefficient packing with stride M, and the masks that turn products into sums.

A block of M rows is the polynomial G(x) = sum_i g_i x^i. For R = N/M entries (an entry is one bin of one feature) the
mask P(x) = sum_i x^((entry_i - e0) M - i), with x^-k = -x^(N-k), makes coefficient rM of G P the sum of g over the rows
of entry e0 + r. Rows of one block never meet in a wrong target, because |i - j| < M. Replies of several masks can be
merged into one ciphertext by Galois automorphisms; `target_positions` says where each entry ends up.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError

Ints = npt.NDArray[np.int64]
Entries = npt.NDArray[np.signedinteger[Any]]


def check_stride(stride: int, degree: int) -> None:
    """Refuse a stride that is no power of two between 1 and the ring's degree."""
    if stride < 1 or stride > degree or stride & (stride - 1):
        raise SecureGBMError(f"stride {stride} is not a power of two from 1 to {degree}; refuse this peer's request")


def adaptive_stride(n_rows: int, n_entries: int, degree: int, merge: bool) -> int:
    """The stride that sends fewest ciphertexts: sqrt(rows N / entries), as a power of two.

    Between two powers the smaller one is taken: it means fewer replies, and a reply costs three times an upload.

    Args:
        n_rows: Rows in the request.
        n_entries: Sums asked for, per vector.
        degree: N.
        merge: Replies are merged, so that a longer stride costs key switches instead of bytes.
    """
    longest = 1 << max(0, int(np.ceil(np.log2(max(n_rows, 1)))))
    if merge:
        return int(min(512, degree, longest))
    ideal = np.sqrt(max(n_rows, 1) * degree / max(n_entries, 1))
    return int(min(degree, longest, 2 ** max(0, round(float(np.log2(ideal) - 0.2)))))


def merge_factor(n_entries: int, stride: int, degree: int) -> int:
    """How many reply polynomials can become one: a power of two, at most the stride."""
    outputs = -(-n_entries * stride // degree)
    return min(stride, 1 << max(0, int(np.ceil(np.log2(max(outputs, 1))))))


def target_positions(n_entries: int, stride: int, degree: int, merge: int) -> tuple[Ints, Ints]:
    """Reply ciphertext and coefficient of every entry.

    Args:
        n_entries: Sums per vector.
        stride: M.
        degree: N.
        merge: Reply polynomials per ciphertext (1: not merged).

    Returns:
        `(entries,)` ciphertext index and `(entries,)` coefficient index.
    """
    per_output = degree // stride
    entry = np.arange(n_entries)
    output = entry // per_output
    position = (entry % per_output) * stride
    part = output % merge
    for level in range(merge.bit_length() - 1):
        position = position + ((part >> level) & 1) * (stride >> (level + 1))
    return output // merge, position


def mask_positions(entries: Entries, stride: int, degree: int) -> Iterator[tuple[int, Ints, Ints]]:
    """The masks of one block that are not empty.

    Args:
        entries: `(rows of the block, features)` entry index of each row's bin per feature; -1 for none.
        stride: M, at least the number of rows.
        degree: N.

    Yields:
        Output index, coefficient indices with +1, coefficient indices with -1.
    """
    per_output = degree // stride
    row, column = np.nonzero(entries >= 0)
    if row.size == 0:
        return
    flat = entries[row, column].astype(np.int64)
    output = flat // per_output
    position = (flat - output * per_output) * stride - row
    order = np.argsort(output, kind="stable")
    output, position = output[order], position[order]
    starts = np.flatnonzero(np.concatenate([[True], output[1:] != output[:-1]]))
    for start, stop in zip(starts, [*starts[1:], len(output)], strict=True):
        here = position[start:stop]
        yield int(output[start]), here[here >= 0], here[here < 0] + degree
