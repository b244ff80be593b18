"""ICC profiles of three primaries and a curve: made from their numbers, and read back as functions (ICC.1:2022, 8-10)."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Curve = Callable[[NDArray[np.float32]], NDArray[np.float32]]
D50 = np.array([0.96420, 1.0, 0.82491])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D65 = (0.3127, 0.3290)
PRIMARIES = {
    "sRGB": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    "Adobe RGB": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)),
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    "BT.2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
}


@dataclass(frozen=True)
class MatrixSpace:
    """An RGB space: ``XYZ (D50) = matrix @ curve(rgb)``.

    Attributes:
        matrix: Columns are the primaries, ``(3, 3)``.
        curves: From coded values to linear light, one a channel.
    """

    matrix: NDArray[np.float64]
    curves: tuple[Curve, Curve, Curve]


def srgb_decode(coded: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear light of sRGB's coded values in [0, 1] (IEC 61966-2-1)."""
    return np.where(coded <= 0.04045, coded / 12.92, ((np.maximum(coded, 0) + 0.055) / 1.055) ** 2.4).astype(np.float32)


def srgb_encode(linear: NDArray[Any]) -> NDArray[np.float32]:
    """Coded values of sRGB of linear light in [0, 1]."""
    root = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, linear * 12.92, root).astype(np.float32)


def rgb_to_xyz(primaries: ArrayLike, white: tuple[float, float] = D65) -> NDArray[Any]:
    """Matrix from linear RGB to XYZ of its own white, from chromaticities ``(3, 2)``."""
    xy = np.asarray(primaries, float)
    columns = np.stack([xy[:, 0] / xy[:, 1], np.ones(3), (1 - xy.sum(1)) / xy[:, 1]])
    return columns * np.linalg.solve(columns, _xyz(white))


def to_d50(white: tuple[float, float]) -> NDArray[Any]:
    """Bradford's adaptation of XYZ from a white to D50."""
    return np.linalg.solve(BRADFORD, (BRADFORD @ D50 / (BRADFORD @ _xyz(white)))[:, None] * BRADFORD)


def matrix_profile(name: str, primaries: ArrayLike, white: tuple[float, float], gamma: float | None) -> bytes:
    """A display profile of version 2; ``gamma`` is the exponent of the decoding, None sRGB's curve."""
    if gamma is None:
        points = np.round(srgb_decode(np.linspace(0, 1, 1024, dtype=np.float32)) * 65535).astype(">u2")
        curve = b"curv" + bytes(4) + struct.pack(">I", 1024) + points.tobytes()
    else:
        curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    text = name.encode("ascii", "replace")
    described = b"desc" + bytes(4) + struct.pack(">I", len(text) + 1) + text + bytes(1 + 4 + 4 + 2 + 1 + 67)
    tags = {b"desc": described, b"cprt": b"text" + bytes(4) + b"No rights reserved\0", b"wtpt": _xyz_tag(D50)}
    for channel, column in zip("rgb", (to_d50(white) @ rgb_to_xyz(primaries, white)).T, strict=True):
        tags[f"{channel}XYZ".encode()] = _xyz_tag(column)
    tags |= {f"{channel}TRC".encode(): curve for channel in "rgb"}
    offset, table, body, placed = 132 + 12 * len(tags), b"", b"", {}
    for tag, data in tags.items():
        if data not in placed:  # the three curves are one
            placed[data] = offset + len(body)
            body += data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", tag, placed[data], len(data))
    date = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
    head = bytes(8) + b"\2\x20\0\0mntrRGB XYZ " + date + b"acsp" + bytes(28) + _xyz_tag(D50)[8:]
    whole = head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


@cache
def srgb() -> bytes:
    """The profile of sRGB that results are tagged with."""
    return matrix_profile("sRGB", PRIMARIES["sRGB"], D65, None)


@cache
def adobe_rgb() -> bytes:
    """The profile of Adobe RGB (1998), for cameras that name it in EXIF only."""
    return matrix_profile("Adobe RGB (1998)", PRIMARIES["Adobe RGB"], D65, 563 / 256)


@lru_cache(maxsize=16)
def read_matrix(profile: bytes) -> MatrixSpace | None:
    """The space of an RGB profile made of a matrix and curves; None for any other (tables, grey, CMYK, damaged)."""
    tags = _tags(profile)
    if profile[16:20] != b"RGB " or profile[20:24] != b"XYZ " or b"A2B0" in tags or b"A2B1" in tags:
        return None
    try:
        columns = [struct.unpack(">3i", tags[f"{c}XYZ".encode()][8:20]) for c in "rgb"]
        curves = [_curve(tags[f"{c}TRC".encode()]) for c in "rgb"]
    except (KeyError, struct.error, ValueError, IndexError):
        return None
    return MatrixSpace(np.array(columns).T / 65536, (curves[0], curves[1], curves[2]))


def read_grey(profile: bytes) -> Curve | None:
    """The curve of a grey profile, to relative luminance."""
    data = _tags(profile).get(b"kTRC")
    if profile[16:20] != b"GRAY" or data is None:
        return None
    try:
        return _curve(data)
    except (struct.error, ValueError, IndexError):
        return None


def _tags(profile: bytes) -> dict[bytes, bytes]:
    if len(profile) < 132:
        return {}
    count = min(struct.unpack(">I", profile[128:132])[0], 200, (len(profile) - 132) // 12)
    entries = (struct.unpack(">4sII", profile[132 + 12 * i : 144 + 12 * i]) for i in range(count))
    return {name: profile[offset : offset + size] for name, offset, size in entries}


def _curve(data: bytes) -> Curve:
    """A ``curv`` or ``para`` tag as a function (ICC.1:2022, 10.6 and 10.18)."""
    if data[:4] == b"curv":
        count = struct.unpack(">I", data[8:12])[0]
        if count == 0:
            return lambda v: v
        if count == 1:
            exponent = struct.unpack(">H", data[12:14])[0] / 256
            return lambda v: np.maximum(v, 0) ** np.float32(exponent)
        table = np.frombuffer(data[12 : 12 + 2 * count], ">u2").astype(np.float32) / 65535
        at = np.linspace(0, 1, len(table), dtype=np.float32)
        return lambda v: np.interp(v, at, table).astype(np.float32)
    if data[:4] != b"para":
        raise ValueError("neither a curve nor a parametric curve")
    kind = struct.unpack(">H", data[8:10])[0]
    p = [v / 65536 for v in struct.unpack(f">{(1, 3, 4, 5, 7)[kind]}i", data[12 : 12 + 4 * (1, 3, 4, 5, 7)[kind]])]
    g, a, b, c, d, e, f = {
        0: lambda: (p[0], 1, 0, 0, -1, 0, 0),
        1: lambda: (*p, 0, -p[2] / p[1], 0, 0),
        2: lambda: (*p[:3], 0, -p[2] / p[1], p[3], p[3]),
        3: lambda: (*p, 0, 0),
        4: lambda: (*p[:5], p[5], p[6]),
    }[kind]()
    return lambda v: np.where(v >= d, np.maximum(a * v + b, 0) ** g + e, c * v + f).astype(np.float32)


def _xyz(white: tuple[float, float]) -> NDArray[Any]:
    x, y = white
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _xyz_tag(values: ArrayLike) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(v) * 65536) for v in np.asarray(values)))
