"""What makes a reply say no more than its sums: a fresh public-key encryption of zero, added in one pass over the residues.

It is one kernel, so that threads of one process do not wait for each other between its steps.
"""

from typing import Any

import numpy as np

from securegbm.compiled import kernel
from securegbm.ring.modular import reduced, times
from securegbm.ring.transform import _folded, _forward, _inverse


@kernel
def sanitise(
    used: Any, error: Any, error_at: Any, key: Any, quotients: Any, second: Any, firsts: Any, added: Any, primes: Any,
    roots: Any, inverses: Any, scales: Any, rows: Any, stride: Any, out: Any,
) -> None:  # fmt: skip
    """A reply modulo q: the second polynomial, then per vector the first ones at the targets in use.

    Args:
        used: `(N,)` the ternary polynomial u that multiplies the public key.
        error: `(N,)` error of the second polynomial.
        error_at: `(vectors, count)` errors of the first ones.
        key: `(1 + vectors, primes, N)` the public key, transformed.
        quotients: Its Shoup quotients.
        second: `(primes, N)` transformed sum of the second polynomials.
        firsts: `(R, vectors primes)` sums of the first ones at targets.
        added: `(primes, vectors, count)` encoded noise.
        primes: `(primes,)`.
        roots: `(primes, 4, N)` of the transform.
        inverses: `(primes, 4, N)` of the inverse transform.
        scales: `(primes, 2)` of the inverse transform.
        rows: A of the transform.
        stride: M.
        out: `(primes, N + vectors count)`, filled with numbers below the primes.
    """
    degree, vectors, count = len(used), error_at.shape[0], error_at.shape[1]
    u, product, turned = (
        np.empty(degree, dtype=np.uint64),
        np.empty(degree, dtype=np.uint64),
        np.empty(degree, dtype=np.uint64),
    )
    few = np.empty(degree // stride, dtype=np.uint64)
    for number in range(len(primes)):
        p, row = primes[number], out[number]
        for j in range(degree):
            x = np.uint64(used[j])
            u[j] = min(x, x + p)  # -1 becomes p - 1
        _forward(u, roots[number], p, rows, turned, 1)
        for j in range(degree):
            product[j] = reduced(times(u[j], key[0, number, j], quotients[0, number, j], p) + second[number, j], p)
        _inverse(product, inverses[number], p, rows, scales[number], turned)
        for j in range(degree):
            row[j] = reduced(product[j] + np.uint64(np.int64(p) + error[j]), p)
        for vector in range(vectors):
            for j in range(degree):
                product[j] = reduced(times(u[j], key[1 + vector, number, j], quotients[1 + vector, number, j], p), p)
            _folded(product, stride, inverses[number], p, rows, scales[number], few)
            at, lane = degree + vector * count, vector * len(primes) + number
            for r in range(count):
                zero = few[r] + np.uint64(np.int64(p) + error_at[vector, r])
                row[at + r] = reduced(zero + firsts[r, lane] + added[number, vector, r], p)
