"""Updates along straight segments in space, compiled: from one base, from an edge and from a triangle of bases.

The geometric action of a segment ``w`` with midpoint drift ``b`` is ``|b|_A |w|_A - <b, A w>`` with ``A = D^{-1}``, given as
a tuple of its upper triangle, or None for the identity (a constant D shears the mesh). U, b and A are linear between the
bases. Method: Yang, Potter and Cameron, arXiv 1808.00562; written from the formulas, not from their code.
"""

import math

from numba import njit


@njit(cache=True, error_model="numpy", inline="always")
def dot(a, b):
    """Scalar product of two triples."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True, error_model="numpy", inline="always")
def minus(a, b):
    """Difference of two triples."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@njit(cache=True, error_model="numpy", inline="always")
def beyond(a, s, e):
    """``a + s e`` of triples."""
    return a[0] + s * e[0], a[1] + s * e[1], a[2] + s * e[2]


@njit(cache=True, error_model="numpy")
def times(a, v):
    """A symmetric matrix times a triple."""
    if a is None:
        return v
    return (
        a[0] * v[0] + a[1] * v[1] + a[2] * v[2],
        a[1] * v[0] + a[3] * v[1] + a[4] * v[2],
        a[2] * v[0] + a[4] * v[1] + a[5] * v[2],
    )


@njit(cache=True, error_model="numpy")
def plus(a, s, c):
    """``a + s c`` of matrices."""
    if a is None:
        return a
    return a[0] + s * c[0], a[1] + s * c[1], a[2] + s * c[2], a[3] + s * c[3], a[4] + s * c[4], a[5] + s * c[5]


@njit(cache=True, error_model="numpy")
def bend(c, b, w, ratio):
    """What a change ``c`` of the metric adds to the action of a segment; ``ratio`` is the speed over the length."""
    if c is None:
        return 0.0
    cb, cw = times(c, b), times(c, w)
    kinetic = 0.5 * dot(b, cb) / ratio if ratio > 1e-12 else 0.0
    return kinetic + 0.5 * dot(w, cw) * ratio - dot(b, cw)


@njit(cache=True, error_model="numpy")
def action(b, w, a):
    """Geometric action of one straight segment."""
    aw = times(a, w)
    return math.sqrt(dot(b, times(a, b)) * dot(w, aw)) - dot(b, aw)


@njit(cache=True, error_model="numpy")
def edge_slope(s, rise, drifts, ways, metrics):
    """Value, less the first base's, and derivative of the action through the place ``s`` of an edge ``e``.

    ``w0 - s e`` leads from there to the target, ``b0 + s db`` and ``a0 + s da`` are drift and metric half-way.
    """
    (b0, db), (w0, e), (a0, da) = drifts, ways, metrics
    b, w, a = beyond(b0, s, db), beyond(w0, -s, e), plus(a0, s, da)
    ab, aw = times(a, b), times(a, w)
    speed, length = math.sqrt(dot(b, ab)), math.sqrt(dot(w, aw))
    value = s * rise + speed * length - dot(b, aw)
    slope = rise - dot(db, aw) + dot(e, ab) - dot(e, aw) * speed / length + bend(da, b, w, speed / length)
    if speed > 1e-12 * length:
        slope += dot(db, ab) * length / speed
    return value, slope


@njit(cache=True, error_model="numpy")
def edge_update(u0, rise, drifts, ways, metrics):
    """Smallest action through the open edge between two bases, and where; infinity and -1 without a minimum inside."""
    v0, f0 = edge_slope(0.0, rise, drifts, ways, metrics)
    if f0 >= 0.0:
        return math.inf, -1.0
    _, f1 = edge_slope(1.0, rise, drifts, ways, metrics)
    if f1 <= 0.0:
        return math.inf, -1.0
    low, high, scale, side = 0.0, 1.0, 1e-5 * (f1 - f0), 0
    s, value = 0.5, v0
    for _ in range(30):
        s = (low * f1 - high * f0) / (f1 - f0)
        value, slope = edge_slope(s, rise, drifts, ways, metrics)
        if abs(slope) < scale or high - low < 1e-5:
            break
        if slope < 0.0:
            low, f0 = s, slope
            if side == -1:
                f1 *= 0.5
            side = -1
        else:
            high, f1 = s, slope
            if side == 1:
                f0 *= 0.5
            side = 1
    return u0 + value, s


@njit(cache=True, error_model="numpy")
def triangle_update(s, u0, d1, d2, drifts, ways, metrics):
    """Smallest action through a triangle of bases by Newton's method from ``(s, 0)``, the minimum on its first edge.

    ``d1`` and ``d2`` are the rises of U along the edges; ``drifts`` holds b half-way from the first base and its changes,
    ``metrics`` the same of A, ``ways`` the vector from the first base to the target and the two edges. Second derivatives
    leave the changes of A out. The Karush-Kuhn-Tucker test comes first: where
    the slope into the triangle is not negative, the edge's minimum is that of the triangle.

    Returns:
        The value, infinity without a minimum inside.
    """
    (b0, db1, db2), (w0, e1, e2), (a0, da1, da2) = drifts, ways, metrics
    t = 0.0
    for step in range(12):
        b = beyond(beyond(b0, s, db1), t, db2)
        w = beyond(beyond(w0, -s, e1), -t, e2)
        a = plus(plus(a0, s, da1), t, da2)
        ab, aw, ad1, ad2, ae1, ae2 = times(a, b), times(a, w), times(a, db1), times(a, db2), times(a, e1), times(a, e2)
        bb, ww = dot(b, ab), dot(w, aw)
        speed, length = math.sqrt(bb), math.sqrt(ww)
        if speed < 1e-12 * length:
            return math.inf
        ratio = speed / length
        bd1, bd2, we1, we2 = dot(b, ad1), dot(b, ad2), dot(w, ae1), dot(w, ae2)
        g1 = d1 + bd1 / ratio - we1 * ratio - dot(db1, aw) + dot(b, ae1) + bend(da1, b, w, ratio)
        g2 = d2 + bd2 / ratio - we2 * ratio - dot(db2, aw) + dot(b, ae2) + bend(da2, b, w, ratio)
        if step == 0 and g2 >= 0.0:
            return math.inf
        scale = 1e-6 * (abs(d1) + abs(d2) + speed * length)
        if abs(g1) + abs(g2) < scale:
            return u0 + s * d1 + t * d2 + speed * length - dot(b, aw)
        i2, j2 = 1.0 / bb, 1.0 / ww
        m11 = (dot(db1, ad1) - bd1 * bd1 * i2) / ratio + (dot(e1, ae1) - we1 * we1 * j2) * ratio
        m22 = (dot(db2, ad2) - bd2 * bd2 * i2) / ratio + (dot(e2, ae2) - we2 * we2 * j2) * ratio
        m12 = (dot(db1, ad2) - bd1 * bd2 * i2) / ratio + (dot(e1, ae2) - we1 * we2 * j2) * ratio
        cross = 1.0 / (speed * length)
        m11 += 2.0 * (dot(db1, ae1) - bd1 * we1 * cross)
        m22 += 2.0 * (dot(db2, ae2) - bd2 * we2 * cross)
        m12 += dot(db1, ae2) + dot(db2, ae1) - (bd1 * we2 + bd2 * we1) * cross
        determinant = m11 * m22 - m12 * m12
        if not (determinant > 0.0 and m11 + m22 > 0.0):
            return math.inf
        s -= (m22 * g1 - m12 * g2) / determinant
        t -= (m11 * g2 - m12 * g1) / determinant
        if not (s > -0.5 and t > -0.5 and s + t < 1.5):
            return math.inf
        if step > 0 and not (s >= 0.0 and t >= 0.0 and s + t <= 1.0):
            return math.inf
    return math.inf
