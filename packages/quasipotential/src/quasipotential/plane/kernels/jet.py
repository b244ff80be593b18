"""The second-order update of the jet marcher, compiled: value and gradient of a point from one accepted edge.

The path from ``z = z0 + s (z1 - z0)`` to the target is a cubic with end slopes ``a0`` and ``a1`` against the chord
``w``,

    phi(r) = z + r w + (a0 r (1-r)^2 - a1 r^2 (1-r)) w_perp,

its action is Simpson's rule of ``g(x, v) = |b|_A |v|_A - <b, A v>``, and the value on the edge is the cubic Hermite
interpolant of the two jets (U and its gradient). All three numbers are found together by Newton's method with analytic
first derivatives.
After Paskal and Cameron, arXiv 2109.03424; written from the formulas, not from their code.
Positions are in mesh units (columns, rows), directions in physical units.
"""

import math

from numba import njit

compiled = njit(cache=True, error_model="numpy", fastmath={"contract", "arcp", "nsz"})
"""Products and sums may be fused; NaN and infinity keep their meaning."""


@compiled
def quadratic_weights(t):
    """Values and derivatives at ``t`` of the three Lagrange polynomials on the nodes 0, 1/2 and 1."""
    return ((2 * t - 1) * (t - 1), 4 * t * (1 - t), t * (2 * t - 1)), (4 * t - 3, 4 - 8 * t, 4 * t - 1)


@compiled
def interpolate(table, k, row, column, wx, wy, dx, dy):
    """One component of a half-grid table and its two derivatives per mesh unit, biquadratic inside a mesh cell."""
    value = slope_x = slope_y = 0.0
    for m in range(3):
        t0, t1, t2 = table[row + m, column, k], table[row + m, column + 1, k], table[row + m, column + 2, k]
        line = wx[0] * t0 + wx[1] * t1 + wx[2] * t2
        value += wy[m] * line
        slope_y += dy[m] * line
        slope_x += wy[m] * (dx[0] * t0 + dx[1] * t1 + dx[2] * t2)
    return value, slope_x, slope_y


@compiled
def lagrangian(b, metric, x, y, vx, vy):
    """``g``, its derivatives in the direction ``v`` and in the position (per mesh unit), and the scaled momentum there.

    The momentum is ``A (|b|_A / |v|_A v - b)``: the gradient of U where ``v`` is the direction of the minimiser; it is
    also the derivative of ``g`` in ``v``.
    """
    column = min(max(int(x), 0), (b.shape[1] + 1) // 2 - 2)
    row = min(max(int(y), 0), (b.shape[0] + 1) // 2 - 2)
    wx, dx = quadratic_weights(x - column)
    wy, dy = quadratic_weights(y - row)
    bx, bxx, bxy = interpolate(b, 0, 2 * row, 2 * column, wx, wy, dx, dy)
    by, byx, byy = interpolate(b, 1, 2 * row, 2 * column, wx, wy, dx, dy)
    if metric is None:
        length = vx * vx + vy * vy
        ratio = math.sqrt((bx * bx + by * by) / length) + 1e-300
        px, py = ratio * vx - bx, ratio * vy - by
        qx, qy = bx / ratio - vx, by / ratio - vy
        return px * vx + py * vy, px, py, qx * bxx + qy * byx, qx * bxy + qy * byy
    a, ax, ay = interpolate(metric, 0, 2 * row, 2 * column, wx, wy, dx, dy)
    c, cx, cy = interpolate(metric, 1, 2 * row, 2 * column, wx, wy, dx, dy)
    d, ex, ey = interpolate(metric, 2, 2 * row, 2 * column, wx, wy, dx, dy)
    avx, avy = a * vx + c * vy, c * vx + d * vy
    abx, aby = a * bx + c * by, c * bx + d * by
    ratio = math.sqrt((bx * abx + by * aby) / (vx * avx + vy * avy)) + 1e-300
    px, py = ratio * avx - abx, ratio * avy - aby
    qx, qy = abx / ratio - avx, aby / ratio - avy
    # g depends on the metric through r |v|_A^2 / 2 + |b|_A^2 / (2 r) - <b, A v>, stationary in the ratio r
    ma = 0.5 * (ratio * vx * vx + bx * bx / ratio) - bx * vx
    mc = ratio * vx * vy + bx * by / ratio - (bx * vy + by * vx)
    md = 0.5 * (ratio * vy * vy + by * by / ratio) - by * vy
    gx = qx * bxx + qy * byx + ma * ax + mc * cx + md * ex
    gy = qx * bxy + qy * byy + ma * ay + mc * cy + md * ey
    return px * vx + py * vy, px, py, gx, gy


@compiled
def normal_to(wx, wy, x, y, metric):
    """The vector that is perpendicular to ``w`` and as long, in the metric at the mesh point ``(x, y)``.

    ``J A w / sqrt(det A)``.
    """
    if metric is None:
        return -wy, wx
    row, column = 2 * int(y), 2 * int(x)
    a, c, d = metric[row, column, 0], metric[row, column, 1], metric[row, column, 2]
    root = math.sqrt(a * d - c * c)
    return -(c * wx + d * wy) / root, (a * wx + c * wy) / root


@compiled
def curve_action(s, a0, a1, edge, b, metric, basis, inverse):
    """Value of the update and its derivatives in ``s``, ``a0`` and ``a1``, and the momentum at the target.

    ``edge`` holds x0, y0 (first base, mesh units), ei, ej (to the second base), xt, yt (target), u0, rise and the two
    slopes of U along the edge.
    """
    x0, y0, ei, ej, xt, yt, u0, rise, t0, t1 = edge
    zx, zy = x0 + s * ei, y0 + s * ej
    ix, iy = xt - zx, yt - zy
    wx, wy = basis[0, 0] * ix + basis[0, 1] * iy, basis[1, 0] * ix + basis[1, 1] * iy
    ex, ey = basis[0, 0] * ei + basis[0, 1] * ej, basis[1, 0] * ei + basis[1, 1] * ej
    ux, uy = normal_to(wx, wy, xt, yt, metric)
    fx, fy = normal_to(ex, ey, xt, yt, metric)
    nx, ny = inverse[0, 0] * ux + inverse[0, 1] * uy, inverse[1, 0] * ux + inverse[1, 1] * uy
    kx, ky = inverse[0, 0] * fx + inverse[0, 1] * fy, inverse[1, 0] * fx + inverse[1, 1] * fy
    bend, swing = (a0 - a1) / 8, (a0 + a1) / 4
    g0, p0x, p0y, q0x, q0y = lagrangian(b, metric, zx, zy, wx + a0 * ux, wy + a0 * uy)
    gm, pmx, pmy, qmx, qmy = lagrangian(
        b, metric, 0.5 * (zx + xt) + bend * nx, 0.5 * (zy + yt) + bend * ny, wx - swing * ux, wy - swing * uy
    )
    g1, p1x, p1y, _, _ = lagrangian(b, metric, xt, yt, wx + a1 * ux, wy + a1 * uy)
    r = 1 - s
    value = u0 + s * s * (3 - 2 * s) * rise + s * r * r * t0 - s * s * r * t1 + (g0 + 4 * gm + g1) / 6
    across0 = ux * p0x + uy * p0y
    across_m = ux * pmx + uy * pmy
    across1 = ux * p1x + uy * p1y
    shift = 0.5 * (nx * qmx + ny * qmy)
    d0 = (across0 - across_m + shift) / 6
    d1 = (across1 - across_m - shift) / 6
    front = 6 * s * r * rise + r * (1 - 3 * s) * t0 - s * (2 - 3 * s) * t1
    along = (
        q0x * ei
        + q0y * ej
        - (p0x * (ex + a0 * fx) + p0y * (ey + a0 * fy))
        + 4
        * (qmx * (0.5 * ei - bend * kx) + qmy * (0.5 * ej - bend * ky) - (pmx * (ex - swing * fx) + pmy * (ey - swing * fy)))
        - (p1x * (ex + a1 * fx) + p1y * (ey + a1 * fy))
    ) / 6
    return value, front + along, d0, d1, p1x, p1y


@compiled
def fine_action(s, a0, a1, edge, b, metric, basis, inverse):
    """Action of a path over an edge by Simpson's rule on its two halves less that on the whole.

    Where a path is long or bent the three nodes of the minimisation miss what lies between them.
    """
    x0, y0, ei, ej, xt, yt = edge[:6]
    zx, zy = x0 + s * ei, y0 + s * ej
    ix, iy = xt - zx, yt - zy
    wx, wy = basis[0, 0] * ix + basis[0, 1] * iy, basis[1, 0] * ix + basis[1, 1] * iy
    ux, uy = normal_to(wx, wy, xt, yt, metric)
    nx, ny = inverse[0, 0] * ux + inverse[0, 1] * uy, inverse[1, 0] * ux + inverse[1, 1] * uy
    difference = 0.0
    for k in range(5):
        r = 0.25 * k
        q, slope = r * (1 - r) * (a0 * (1 - r) - a1 * r), a0 * (1 - r) * (1 - 3 * r) - a1 * r * (2 - 3 * r)
        g, _, _, _, _ = lagrangian(b, metric, zx + r * ix + q * nx, zy + r * iy + q * ny, wx + slope * ux, wy + slope * uy)
        difference += g / 3 if k % 2 == 1 else g / (-2 if k == 2 else -12)
    return difference


@compiled
def solve3(h, g0, g1, g2):
    """Solution of a symmetric 3 by 3 system (h00, h01, h02, h11, h12, h22), with a flag whether it is positive definite."""
    h00, h01, h02, h11, h12, h22 = h
    if not h22 > 0.0:
        return False, 0.0, 0.0, 0.0
    # eliminate the last unknown, then the second
    k00, k01, k11 = h00 - h02 * h02 / h22, h01 - h02 * h12 / h22, h11 - h12 * h12 / h22
    r0, r1 = g0 - h02 * g2 / h22, g1 - h12 * g2 / h22
    if not k11 > 0.0:
        return False, 0.0, 0.0, 0.0
    pivot = k00 - k01 * k01 / k11
    if not pivot > 1e-9 * abs(h00):
        return False, 0.0, 0.0, 0.0
    x0 = (r0 - k01 * r1 / k11) / pivot
    x1 = (r1 - k01 * x0) / k11
    return True, x0, x1, (g2 - h02 * x0 - h12 * x1) / h22


@compiled
def refine(s, a0, a1, free, edge, b, metric, basis, inverse):
    """Minimise the action over one edge.

    ``(converged, value, s, a0, a1, px, py)``; with ``free`` false ``s`` stays where it is.

    The Hessian is taken from differences of the analytic slopes once, and again only when the steps shrink too slowly.
    ``s`` may end outside of [0, 1]; a step far outside ends the search.
    """
    step = 1e-4
    fresh = False
    last = math.inf
    h = (1.0, 0.0, 0.0, 1.0, 0.0, 1.0)
    value, fs, f0, f1, px, py = curve_action(s, a0, a1, edge, b, metric, basis, inverse)
    for _ in range(20):
        if not fresh:
            _, ss, s0, s1, _, _ = curve_action(s + step, a0, a1, edge, b, metric, basis, inverse)
            _, _, h00, h01, _, _ = curve_action(s, a0 + step, a1, edge, b, metric, basis, inverse)
            _, _, _, h11, _, _ = curve_action(s, a0, a1 + step, edge, b, metric, basis, inverse)
            h = (
                (ss - fs) / step,
                (s0 - f0) / step,
                (s1 - f1) / step,
                (h00 - f0) / step,
                (h01 - f1) / step,
                (h11 - f1) / step,
            )
            fresh = True
        if not free:
            h = (1.0, 0.0, 0.0, h[3], h[4], h[5])
            fs = 0.0
        definite, ds, d0, d1 = solve3(h, fs, f0, f1)
        if not definite:
            return False, value, s, a0, a1, px, py
        size = max(abs(ds), abs(d0), abs(d1))
        if not size < 1e3:
            return False, value, s, a0, a1, px, py
        if size > 0.5:
            ds, d0, d1 = 0.5 * ds / size, 0.5 * d0 / size, 0.5 * d1 / size
            fresh = False
        s, a0, a1 = s - ds, a0 - d0, a1 - d1
        if s < -1.5 or s > 2.5 or abs(a0) > 3.0 or abs(a1) > 3.0:
            return False, value, s, a0, a1, px, py
        value, fs, f0, f1, px, py = curve_action(s, a0, a1, edge, b, metric, basis, inverse)
        if size < 1e-6:
            return True, value, s, a0, a1, px, py
        if size > 0.2 * last:
            fresh = False
        last = size
    return False, value, s, a0, a1, px, py
