"""Sums over bins: masks times uploads, in the order that keeps intermediate results in the processor's caches.

The packing is `crypto.packing`'s. Of a product's first polynomial only the coefficients at targets are ever looked at, so
they are summed up directly: row i of a block in entry r - b + ... of the stride layout. The second polynomial, which
gradients and hessians share, needs the whole product: masks are transformed and multiplied into three sums of 30-bit
pieces that cannot overflow for eight blocks.
"""

from typing import Any

import numpy as np

from securegbm.compiled import kernel
from securegbm.ring.modular import reduced, times
from securegbm.ring.transform import _begun, _forward

_PIECE = np.uint64((1 << 30) - 1)
_BITS = np.uint64(30)


@kernel
def bucket(entries: Any, stride: Any, slots: Any, outputs: Any, starts: Any, positions: Any) -> None:
    """Sort the places of ones in masks by output and block.

    Args:
        entries: `(rows, features)` entry index, -1 for none.
        stride: M.
        slots: R = N / M.
        outputs: Polynomials.
        starts: `(outputs blocks + 1,)`, filled with where each mask's places begin.
        positions: `(rows features,)`, filled with b M - i; negative means x^-k = -x^(N - k).
    """
    rows, features = entries.shape
    blocks, bits = (rows + stride - 1) // stride, _log2(slots)
    starts[:] = 0
    for row in range(rows):
        block = row // stride
        for feature in range(features):
            if entries[row, feature] >= 0:
                starts[(entries[row, feature] >> bits) * blocks + block + 1] += 1
    for i in range(outputs * blocks):
        starts[i + 1] += starts[i]
    free = starts[:-1].copy()
    for row in range(rows):
        block, offset = row // stride, row % stride
        for feature in range(features):
            entry = entries[row, feature]
            if entry >= 0:
                at = (entry >> bits) * blocks + block
                positions[free[at]] = (entry & (slots - 1)) * stride - offset
                free[at] += 1


@kernel
def _log2(power: Any) -> Any:
    bits = 0
    while power > 1:
        power >>= 1
        bits += 1
    return bits


@kernel
def multiply(
    positions: Any, starts: Any, uploads: Any, first: Any, last: Any, primes: Any, roots: Any, powers: Any, rows: Any,
    lifts: Any, out: Any, kept: Any, number: Any, mode: Any,
) -> None:  # fmt: skip
    """Add the products of masks and uploads to the sums of the outputs first ... last - 1.

    Args:
        positions: Places of ones.
        starts: Where each mask's begin.
        uploads: `(blocks, primes, N)` transformed polynomials.
        first: First output.
        last: One after the last output.
        primes: `(primes,)`.
        roots: `(primes, 4, N)` of the transform.
        powers: `(primes, 8, 8)` of the transform.
        rows: A of the transform.
        lifts: `(primes, 6)` of 1, 2^30 and 2^60 mod p, then their quotients.
        out: `(outputs, primes, N)` sums below p.
        kept: `(masks, primes, N)` transformed masks.
        number: `(outputs blocks,)` index of each mask in `kept`.
        mode: 0: nothing is kept; 1: fill `kept`; 2: use it.
    """
    blocks, degree = len(uploads), uploads.shape[2]
    fresh, turned = np.empty(degree, dtype=np.uint64), np.empty(degree, dtype=np.uint64)
    low, middle, top = (
        np.zeros(degree, dtype=np.uint64),
        np.zeros(degree, dtype=np.uint64),
        np.zeros(degree, dtype=np.uint64),
    )
    for output in range(first, last):
        for prime in range(len(primes)):
            p, total, lift, terms = primes[prime], out[output, prime], lifts[prime], 0
            for block in range(blocks):
                at = output * blocks + block
                if starts[at] == starts[at + 1]:
                    continue
                mask = fresh
                if mode > 0:
                    mask = kept[number[at], prime]
                if mode < 2:
                    _begun(positions[starts[at] : starts[at + 1]], powers[prime], p, mask)
                    _forward(mask, roots[prime], p, rows, turned, 8)
                factor = uploads[block, prime]
                for j in range(degree):
                    x0, x1 = factor[j] & _PIECE, (factor[j] >> _BITS) & _PIECE
                    y0, y1 = mask[j] & _PIECE, (mask[j] >> _BITS) & _PIECE
                    low[j] += x0 * y0
                    middle[j] += x0 * y1 + x1 * y0
                    top[j] += x1 * y1
                terms += 1
                if terms == 8:
                    _fold(low, middle, top, lift, p, total)
                    terms = 0
            if terms:
                _fold(low, middle, top, lift, p, total)


@kernel
def _fold(low: Any, middle: Any, top: Any, lift: Any, p: Any, total: Any) -> None:
    for j in range(len(total)):
        carry = reduced(times(top[j], lift[2], lift[5], p) + times(middle[j], lift[1], lift[4], p), p)
        total[j] = reduced(times(low[j], lift[0], lift[3], p) + carry + total[j], p)
        low[j], middle[j], top[j] = np.uint64(0), np.uint64(0), np.uint64(0)


@kernel
def spread(x: Any, primes: Any, out: Any) -> None:
    """`(rows, R, lanes)` numbers to `(rows, 2R, lanes)`: first their negatives, then themselves; `(lanes,)` primes."""
    rows, slots, lanes = x.shape
    for row in range(rows):
        for d in range(slots):
            for lane in range(lanes):
                value = x[row, d, lane]
                out[row, d, lane] = reduced(primes[lane] - value, primes[lane])
                out[row, slots + d, lane] = value


@kernel
def gather(entries: Any, slots: Any, spreads: Any, primes: Any, out: Any) -> None:
    """Add up the products' coefficients at targets: target r takes coefficient (r - b) M + i of row i in slot b.

    Args:
        entries: `(rows, features)` of one block.
        slots: R.
        spreads: `(rows, 2R lanes)`: a lane is a vector modulo a prime.
        primes: `(R lanes,)` of each place.
        out: `(outputs, R lanes)` sums below the primes.
    """
    width, bits = len(primes), _log2(slots)
    for row in range(len(entries)):
        for feature in range(entries.shape[1]):
            entry = entries[row, feature]
            if entry >= 0:
                begin = (slots - (entry & (slots - 1))) * (width >> bits)
                total, added = out[entry >> bits], spreads[row, begin : begin + width]
                for r in range(width):
                    x = total[r] + added[r]
                    total[r] = min(x, x - primes[r])
