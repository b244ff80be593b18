"""HDR video as SDR: HLG and PQ to light (ITU-R BT.2100), the curve of BT.2390 to SDR's white, and sRGB.

White of SDR is the 203 cd/m2 that BT.2408 gives diffuse white; what is brighter is rolled off, never cut.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from claimkit.media.colour.icc import D65, PRIMARIES, rgb_to_xyz, srgb_encode

PQ, HLG = 16, 18
"""Codes of the two transfer functions (ITU-T H.273, table 3)."""
NAMES = {PQ: "HDR10 (PQ)", HLG: "HLG"}
CURVE = "the curve of ITU-R BT.2390"
WHITE, PEAK = 203.0, 1000.0
"""Candelas a square metre of SDR's white, and of the display that is assumed where a file names none."""
M1, M2, C1, C2, C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
TO_709 = np.linalg.solve(rgb_to_xyz(PRIMARIES["sRGB"], D65), rgb_to_xyz(PRIMARIES["BT.2020"], D65)).astype(np.float32)


def pq_light(signal: NDArray[Any]) -> NDArray[Any]:
    """Candelas a square metre of PQ's signal in [0, 1]."""
    root = np.maximum(signal, 0) ** (1 / M2)
    return 10000 * (np.maximum(root - C1, 0) / (C2 - C3 * root)) ** (1 / M1)


def pq_signal(light: NDArray[Any]) -> NDArray[Any]:
    """PQ's signal in [0, 1] of candelas a square metre."""
    power = (np.maximum(light, 0) / 10000) ** M1
    return ((C1 + C2 * power) / (1 + C3 * power)) ** M2


def hlg_scene(signal: NDArray[Any]) -> NDArray[Any]:
    """Relative light of the scene in [0, 1] of HLG's signal."""
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12)


def roll_off(light: NDArray[Any], peak: float) -> NDArray[Any]:
    """Light up to ``peak`` as light up to :data:`WHITE`: the EETF of BT.2390, section 5.4, with black at 0."""
    top = float(pq_signal(np.array(peak)))
    e, white = np.minimum(pq_signal(light) / top, 1), float(pq_signal(np.array(WHITE))) / top
    if white >= 1:
        return np.minimum(light, WHITE)
    knee = 1.5 * white - 0.5
    t = np.clip((e - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    return pq_light(np.where(e < knee, e, spline) * top)


def tone_map(coded: NDArray[np.uint16], transfer: int, peak: float = PEAK) -> NDArray[np.uint8]:
    """A frame of BT.2020's primaries as sRGB.

    The largest of a pixel's channels is rolled off and the others keep their share of it, so that hues stay.

    Args:
        coded: RGB signal of 16 bits, ``(h, w, 3)``.
        transfer: :data:`PQ` or :data:`HLG`.
        peak: Candelas a square metre of the display that the film was made on.
    """
    light = _light(transfer)[coded]
    if transfer == HLG:
        peak = PEAK
        light *= np.maximum(light @ LUMA, 1e-9)[..., None] ** np.float32(0.2) * np.float32(PEAK)
    largest = light.max(-1)
    at, becomes = _curve(float(peak))
    light *= (np.interp(largest, at, becomes) / np.maximum(largest, 1e-6)).astype(np.float32)[..., None] / np.float32(WHITE)
    return _coded()[(np.clip(light @ TO_709.T, 0, 1) * 65535).astype(np.uint16)]


@cache
def _light(transfer: int) -> NDArray[np.float32]:
    signal = np.arange(65536) / 65535
    return (pq_light(signal) if transfer == PQ else hlg_scene(signal)).astype(np.float32)


@cache
def _curve(peak: float) -> tuple[NDArray[Any], NDArray[Any]]:
    at = pq_light(np.linspace(0, 1, 4096))
    return at, roll_off(at, peak)


@cache
def _coded() -> NDArray[np.uint8]:
    return np.round(srgb_encode(np.arange(65536, dtype=np.float32) / 65535) * 255).astype(np.uint8)
