"""The negacyclic number-theoretic transform: products modulo x^N + 1 and a prime become pointwise.

Harvey's lazy butterflies (arXiv 1205.2926) on a polynomial read as a matrix of A rows: the first log2 A layers combine
whole rows, then the matrix is transposed and the other layers combine whole rows again, so that every inner loop runs
over adjacent numbers with adjacent roots. The order of the transformed numbers is this module's own: entry b A + a holds
the value at the root that the usual bit-reversed order has at a N/A + b.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from securegbm.compiled import kernel
from securegbm.ring.modular import Words, reduced, shoup, times


@dataclass(frozen=True)
class Tables:
    """Roots of one prime, with Shoup's quotients.

    Attributes:
        prime: P = 1 mod 2N.
        rows: A.
        forward: `(4, N)` roots of the layers on rows, their quotients, roots of the layers on columns, their quotients.
        inverse: The same of the inverse roots.
        scale: 1/N and its quotient.
        powers: `(8, 8)` for `_begun`.
    """

    prime: int
    rows: int
    forward: Words
    inverse: Words
    scale: Words
    powers: Words


@lru_cache
def tables(prime: int, degree: int) -> Tables:
    """The tables of `prime` for polynomials of `degree` coefficients (powers of two from 64 on)."""
    root = _root(prime, degree)
    rows = 1 << ((degree.bit_length() - 1) // 2)
    there, back = (_layers(base, prime, degree, rows) for base in (root, pow(root, -1, prime)))
    inverse = np.array([pow(degree, -1, prime)], dtype=np.uint64)
    eighths = [sign * int(c) for c in there[0, 4:8] for sign in (1, -1)]
    powers = np.array([[pow(c, h, prime) for h in range(8)] for c in eighths], dtype=np.uint64)
    return Tables(prime, rows, there, back, np.concatenate([inverse, shoup(inverse, prime)]), powers)


def _root(prime: int, degree: int) -> int:
    """A primitive root of order 2N."""
    for base in range(2, 1000):
        root = pow(base, (prime - 1) // (2 * degree), prime)
        if pow(root, degree, prime) == prime - 1:
            return root
    raise ValueError(f"{prime} has no root of order {2 * degree}")


def _layers(root: int, prime: int, degree: int, rows: int) -> Words:
    bits = degree.bit_length() - 1
    powers = [1]
    for _ in range(degree - 1):
        powers.append(powers[-1] * root % prime)
    order = [int(f"{i:0{bits}b}"[::-1], 2) for i in range(degree)]
    natural = np.array([powers[i] for i in order], dtype=np.uint64)
    columns = np.zeros(degree, dtype=np.uint64)
    group = 1
    while group < degree // rows:
        for i in range(group):
            columns[(group + i) * rows : (group + i + 1) * rows] = natural[rows * group + i : 2 * rows * group : group]
        group *= 2
    return np.stack([natural, shoup(natural, prime), columns, shoup(columns, prime)])


@kernel
def _forward(x: Any, roots: Any, p: Any, rows: Any, turned: Any, group: Any) -> None:
    width, four = len(x) // rows, p << np.uint64(2)
    half = len(x) // group
    while group < rows:
        half //= 2
        for i in range(group):
            w, quotient = roots[0, group + i], roots[1, group + i]
            low, up = x[2 * i * half : (2 * i + 1) * half], x[(2 * i + 1) * half : (2 * i + 2) * half]
            for j in range(half):
                u, v = min(low[j], low[j] - four), times(up[j], w, quotient, p)
                low[j], up[j] = u + v, u - v + four
        group *= 2
    for a in range(0, rows, 8):
        for b in range(width):
            for c in range(a, a + 8):
                turned[b * rows + c] = x[c * width + b]
    half, group = width, 1
    while group < width:
        half //= 2
        for i in range(group):
            at = (group + i) * rows
            w, quotient = roots[2, at : at + rows], roots[3, at : at + rows]
            for k in range(2 * i * half, (2 * i + 1) * half):
                low, up = turned[k * rows : (k + 1) * rows], turned[(k + half) * rows : (k + half + 1) * rows]
                for j in range(rows):
                    u, v = min(low[j], low[j] - four), times(up[j], w[j], quotient[j], p)
                    low[j], up[j] = u + v, u - v + four
        group *= 2
    for j in range(len(x)):
        x[j] = reduced(turned[j], p)


@kernel
def _begun(places: Any, powers: Any, p: Any, out: Any) -> None:
    """A polynomial of ones at few places after the first three layers: x^(h N/8 + j) mod x^(N/8) - c is c^h x^j.

    Args:
        places: Where the ones are; place -k means x^-k = -x^(N - k).
        powers: `(8, 8)` c^h for the eight c.
        p: The prime.
        out: `(N,)`, filled with numbers below 8p.
    """
    part = len(out) // 8
    out[:] = np.uint64(0)
    for place in places:
        at = place if place >= 0 else place + len(out)
        high, low = at // part, at % part
        for c in range(8):
            power = powers[c, high]
            out[c * part + low] += power if place >= 0 else p - power


@kernel
def _inverse(x: Any, roots: Any, p: Any, rows: Any, scale: Any, turned: Any) -> None:
    width, four = len(x) // rows, p << np.uint64(2)
    half, group = 1, width // 2
    while group >= 1:
        for i in range(group):
            at = (group + i) * rows
            w, quotient = roots[2, at : at + rows], roots[3, at : at + rows]
            for k in range(2 * i * half, (2 * i + 1) * half):
                low, up = x[k * rows : (k + 1) * rows], x[(k + half) * rows : (k + half + 1) * rows]
                for j in range(rows):
                    u, v = low[j], up[j]
                    low[j], up[j] = min(u + v, u + v - four), times(u - v + four, w[j], quotient[j], p)
        half *= 2
        group //= 2
    for a in range(0, rows, 8):
        for b in range(width):
            for c in range(a, a + 8):
                turned[c * width + b] = x[b * rows + c]
    half, group = width, rows // 2
    while group >= 1:
        for i in range(group):
            w, quotient = roots[0, group + i], roots[1, group + i]
            low, up = turned[2 * i * half : (2 * i + 1) * half], turned[(2 * i + 1) * half : (2 * i + 2) * half]
            for j in range(half):
                u, v = low[j], up[j]
                low[j], up[j] = min(u + v, u + v - four), times(u - v + four, w, quotient, p)
        half *= 2
        group //= 2
    for j in range(len(x)):
        x[j] = reduced(times(turned[j], scale[0], scale[1], p), p)


@kernel
def _folded(x: Any, stride: Any, roots: Any, p: Any, rows: Any, scale: Any, out: Any) -> None:
    """Coefficients 0, stride, 2 stride, ... of `inverse(x)`, for numbers below p.

    The first log2(stride) layers only add at these places; what is left is an inverse of N / stride numbers.
    """
    width, count, four = len(x) // rows, len(out), p << np.uint64(2)
    out[:] = np.uint64(0)
    groups = max(1, width // stride)
    line = np.empty(rows, dtype=np.uint64)
    for group in range(groups):
        line[:] = np.uint64(0)
        for b in range(group * width // groups, (group + 1) * width // groups):
            for a in range(rows):
                total = line[a] + x[b * rows + a]
                line[a] = min(total, total - p)
        for a in range(rows):
            at = a * count // rows if groups == 1 else a * groups + group
            total = out[at] + line[a]
            out[at] = min(total, total - p)
    half, group = 1, count // 2
    while group >= 1:
        for i in range(group):
            w, quotient = roots[0, group + i], roots[1, group + i]
            for j in range(2 * i * half, (2 * i + 1) * half):
                u, v = out[j], out[j + half]
                out[j], out[j + half] = min(u + v, u + v - four), times(u - v + four, w, quotient, p)
        half *= 2
        group //= 2
    for j in range(count):
        out[j] = reduced(times(out[j], scale[0], scale[1], p), p)


def forward(x: Words, table: Tables, turned: Words) -> None:
    """Transform x (`(N,)`, numbers below 8p) in place; the result lies below p. `turned` is memory of x's size."""
    _forward(x, table.forward, np.uint64(table.prime), table.rows, turned, 1)


def inverse(x: Words, table: Tables, turned: Words) -> None:
    """Undo `forward` in place (numbers below 4p in, below p out)."""
    _inverse(x, table.inverse, np.uint64(table.prime), table.rows, table.scale, turned)
