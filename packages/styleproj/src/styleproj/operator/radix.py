"""The CPU kernel of style projection: a stable radix sort of float32 rows that counts zeros instead of sorting them.

Features after a ReLU are half zeros. The zeros of a row are one block of ties: one read counts them, and only the other
values are sorted, least significant digit first, on order-preserving integer keys, with digits as narrow as the range of
the row's keys allows. A key of the content carries its position in the low half of a 64-bit item. The buffers of a row stay
in the first two caches; memory sees each value once, and the result, already mixed with the content, is written once.

Rows are independent and the functions release the interpreter's lock: callers hand ranges of rows to threads.
"""

import numpy as np
from numba import njit

U32, U64, F32 = np.uint32, np.uint64, np.float32
SIGN, MAGNITUDE, INFINITY, ALL = U32(0x80000000), U32(0x7FFFFFFF), U32(0x7F800000), U32(0xFFFFFFFF)
LOW = U64(0xFFFFFFFF)
DIGITS = 3
COUNTS = DIGITS << 11
"""Room for the histograms: three digits of eleven bits hold any 32-bit key."""


@njit(nogil=True, cache=True)
def _sort(items, spare, n, low, counts):
    """Sort ``items[:n]`` stably by their 32 bits from ``low`` upwards; return the buffer that holds the result."""
    if n == 0:
        return items
    smallest, largest = items[0], items[0]
    for i in range(n):
        smallest, largest = min(smallest, items[i]), max(largest, items[i])
    base = U64(smallest >> low)  # unsigned throughout: a signed index would be tested for being negative
    span = U64(largest >> low) - base
    width = U64(1)
    while span >> (U64(DIGITS) * width):
        width += U64(1)
    size = 1 << width
    mask = U64(size - 1)
    low_counts, middle_counts, high_counts = counts[:size], counts[size : 2 * size], counts[2 * size : 3 * size]
    counts[: DIGITS * size] = 0
    for i in range(n):
        key = U64(items[i] >> low) - base
        low_counts[key & mask] += U32(1)
        middle_counts[(key >> width) & mask] += U32(1)
        high_counts[key >> (U64(2) * width)] += U32(1)
    source, target = items, spare
    for d in range(DIGITS):
        count, shift = counts[d * size : (d + 1) * size], U64(d) * width
        if count[(span >> shift) & mask] == n:
            continue  # all share this digit
        total = U32(0)
        for j in range(size):
            here = count[j]
            count[j] = total
            total += here
        for i in range(n):
            item = source[i]
            digit = ((U64(item >> low) - base) >> shift) & mask
            place = count[digit]
            target[place] = item
            count[digit] = place + U32(1)
        source, target = target, source
    return source


@njit(nogil=True, cache=True)
def _key(bits):
    """Unsigned integers in the order of the floats: flip the sign bit, and all others of negative numbers."""
    return bits ^ ((U32(0) - (bits >> U32(31))) | SIGN)


@njit(nogil=True, cache=True)
def _check(bits):
    """Number of negative values (not of -0.0), and of NaN."""
    negative, nan = U32(0), U32(0)
    for i in range(bits.size):
        negative += U32(bits[i] > SIGN)
        nan += U32((bits[i] & MAGNITUDE) > INFINITY)
    return np.int64(negative), np.int64(nan)


@njit(nogil=True, cache=True)
def _sort_values(bits, keys, spare, counts, out):
    """Sorted values of a row into ``out``, both as bits; returns the number of NaN."""
    size = bits.size
    negative, nan = _check(bits)
    filled = U64(0)
    for i in range(size):
        keys[filled] = _key(bits[i])
        filled += U64((bits[i] & MAGNITUDE) != 0)
    n = np.int64(filled)
    zeros = size - n
    result = _sort(keys, spare, n, U32(0), counts)
    for k in range(negative):
        out[k] = ALL ^ result[k]
    out[negative : negative + zeros] = 0
    for k in range(negative, n):
        out[zeros + k] = result[k] ^ SIGN
    return nan


@njit(nogil=True, cache=True)
def _sort_positions(bits, items, spare, counts):
    """The non-zero values of a row as sorted items (key, position): the buffer, its length, negatives, NaN."""
    negative, nan = _check(bits)
    filled = U64(0)
    for i in range(bits.size):
        items[filled] = (U64(_key(bits[i])) << U64(32)) | U64(i)
        filled += U64((bits[i] & MAGNITUDE) != 0)
    n = np.int64(filled)
    return _sort(items, spare, n, U64(32), counts), n, negative, nan


@njit(nogil=True, cache=True)
def _mean(values):
    total = 0.0
    for v in values:
        total += v
    return F32(total / values.size)


@njit(nogil=True, cache=True)
def _level(items, n, negative, zeros, t, out):
    """``t`` with the values that a block of equal content spans replaced by their mean."""
    if zeros:
        out[negative : negative + zeros] = _mean(t[negative : negative + zeros])
    k = 0
    while k < n:
        end = k + 1
        while end < n and items[end] >> U64(32) == items[k] >> U64(32):
            end += 1
        a = k + (zeros if k >= negative else 0)
        out[a : a + end - k] = t[a] if end == k + 1 else _mean(t[a : a + end - k])
        k = end


@njit(nogil=True, cache=True)
def _place(items, t, x, strength, rest, out):
    """The k-th of the sorted items gets ``t[k]``, mixed with its own value."""
    if rest == 0:
        for k in range(items.size):
            out[items[k] & LOW] = t[k]
    else:
        for k in range(items.size):
            i = items[k] & LOW
            out[i] = strength * t[k] + rest * x[i]


@njit(nogil=True, cache=True)
def _fill(bits, t, strength, out):
    """The k-th zero gets ``t[k]``, without a branch: all others get something too, to be overwritten."""
    k, last = U64(0), U64(t.size - 1)
    for i in range(bits.size):
        out[i] = strength * t[min(k, last)]
        k += U64((bits[i] & MAGNITUDE) == 0)


@njit(nogil=True, cache=True)
def sort_rows(rows, out, start, stop):
    """Sorted values of rows ``start`` to ``stop``; returns the number of NaN."""
    size = rows.shape[1]
    keys, spare, counts = np.empty(size, U32), np.empty(size, U32), np.empty(COUNTS, U32)
    nan = 0
    for c in range(start, stop):
        nan += _sort_values(rows[c].view(U32), keys, spare, counts, out[c].view(U32))
    return nan


@njit(nogil=True, cache=True)
def argsort_rows(rows, out, start, stop):
    """Positions of the sorted values, ties in the order of their positions; returns the number of NaN."""
    size = rows.shape[1]
    items, spare, counts = np.empty(size, U64), np.empty(size, U64), np.empty(COUNTS, U32)
    found = 0
    for c in range(start, stop):
        bits = rows[c].view(U32)
        result, n, negative, nan = _sort_positions(bits, items, spare, counts)
        found += nan
        zeros = size - n
        for k in range(n):
            out[c, k + (zeros if k >= negative else 0)] = result[k] & LOW
        k = negative
        for i in range(size):
            if (bits[i] & MAGNITUDE) == 0:
                out[c, k] = i
                k += 1
    return found


@njit(nogil=True, cache=True)
def project_rows(x, s, ordered, level, alpha, out, start, stop):
    """``alpha * z + (1 - alpha) * x`` of rows ``start`` to ``stop``, with z the values of ``s`` in the order of ``x``.

    Args:
        x: Content, float32 ``(rows, size)``.
        s: Style, float32 ``(rows, size)``.
        ordered: Whether the rows of ``s`` are sorted already.
        level: Whether equal values of the content all get the mean of the style values that they span.
        alpha: In [0, 1].
        out: Where the result goes, float32 ``(rows, size)``.
        start: First row.
        stop: Row after the last.

    Returns:
        Number of NaN in what was read as content and as style.
    """
    size = x.shape[1]
    items, spare, counts = np.empty(size, U64), np.empty(size, U64), np.empty(COUNTS, U32)
    keys, spare_keys, own, mean = np.empty(size, U32), np.empty(size, U32), np.empty(size, F32), np.empty(size, F32)
    strength, rest = F32(alpha), F32(1.0 - alpha)
    nan_x, nan_s = 0, 0
    for c in range(start, stop):
        t = own
        if ordered:
            t = s[c]
        else:
            nan_s += _sort_values(s[c].view(U32), keys, spare_keys, counts, own.view(U32))
        bits = x[c].view(U32)
        result, n, negative, nan = _sort_positions(bits, items, spare, counts)
        nan_x += nan
        zeros = size - n
        if level:
            _level(result, n, negative, zeros, t, mean)
            t = mean
        if zeros:
            _fill(bits, t[negative : negative + zeros], strength, out[c])
        _place(result[:negative], t, x[c], strength, rest, out[c])
        _place(result[negative:n], t[negative + zeros :], x[c], strength, rest, out[c])
    return nan_x, nan_s
