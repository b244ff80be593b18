"""A pack that is computed: things with their own shape, colour, texture and voice, varied from item to item."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from avcurriculum.audio import RATE
from avcurriculum.scenes.packs import SAMPLES, Pack, Picture, Sound, Split, loudness

SIDE = 64
_SPLIT_SEED: dict[Split, int] = {"train": 0, "val": 1, "test": 2}


@dataclass(frozen=True)
class _Thing:
    hue: float
    shape: Callable[[NDArray, NDArray], NDArray]
    texture: Callable[[NDArray, NDArray, float], NDArray]
    voice: Callable[[NDArray, Generator], NDArray]


def _disc(x: NDArray, y: NDArray) -> NDArray:
    return x**2 + y**2 < 0.7


def _box(x: NDArray, y: NDArray) -> NDArray:
    return (abs(x) < 0.75) & (abs(y) < 0.75)


def _cross(x: NDArray, y: NDArray) -> NDArray:
    return (abs(x) < 0.3) | (abs(y) < 0.3)


def _ring(x: NDArray, y: NDArray) -> NDArray:
    return abs(np.hypot(x, y) - 0.6) < 0.25


def _triangle(x: NDArray, y: NDArray) -> NDArray:
    return (y > -0.8) & (y < 0.8 - 2.2 * abs(x))


def _diamond(x: NDArray, y: NDArray) -> NDArray:
    return abs(x) + abs(y) < 0.85


def _stripes(x: NDArray, y: NDArray, phase: float) -> NDArray:
    return np.sin(14 * (x * np.cos(phase) + y * np.sin(phase)))


def _checks(x: NDArray, y: NDArray, phase: float) -> NDArray:
    return np.sign(np.sin(10 * x + phase) * np.sin(10 * y + phase))


def _dots(x: NDArray, y: NDArray, phase: float) -> NDArray:
    return np.cos(12 * x + phase) + np.cos(12 * y - phase) - 0.5


def _plain(x: NDArray, y: NDArray, phase: float) -> NDArray:
    return 0.3 * (x * np.cos(phase) + y * np.sin(phase))


def _hum(t: NDArray, rng: Generator) -> NDArray:
    f = rng.uniform(90, 130)
    return sum((np.sin(2 * np.pi * f * k * t + rng.uniform(0, 6)) / k for k in range(1, 9)), np.zeros_like(t))


def _bell(t: NDArray, rng: Generator) -> NDArray:
    f, every = rng.uniform(1800, 2400), rng.uniform(0.4, 0.7)
    return np.sin(2 * np.pi * f * t) * np.exp(-8 * ((t + rng.uniform(0, every)) % every))


def _hiss(t: NDArray, rng: Generator) -> NDArray:
    return np.diff(rng.standard_normal(t.size + 2), n=2)


def _rumble(t: NDArray, rng: Generator) -> NDArray:
    kernel = np.hanning(int(rng.integers(60, 100)))
    return np.convolve(rng.standard_normal(t.size), kernel, "same")


def _chirp(t: NDArray, rng: Generator) -> NDArray:
    every = rng.uniform(0.25, 0.4)
    part = (t + rng.uniform(0, every)) % every / every
    return np.sin(2 * np.pi * np.cumsum(500 + rng.uniform(900, 1300) * part) / RATE) * (part < 0.6)


def _clicks(t: NDArray, rng: Generator) -> NDArray:
    every = rng.uniform(0.09, 0.14)
    return rng.standard_normal(t.size) * np.exp(-200 * ((t + rng.uniform(0, every)) % every))


def _warble(t: NDArray, rng: Generator) -> NDArray:
    rate = rng.uniform(6, 9)
    return np.sin(2 * np.pi * rng.uniform(3200, 3800) * t + 40 * np.sin(2 * np.pi * rate * t))


def _buzz(t: NDArray, rng: Generator) -> NDArray:
    f = rng.uniform(300, 380)
    return ((t * f) % 1 - 0.5) * (1 + np.sin(2 * np.pi * rng.uniform(18, 24) * t))


_THINGS = {
    "bell": _Thing(0.13, _disc, _plain, _bell),
    "buzz": _Thing(0.0, _cross, _plain, _buzz),
    "chirp": _Thing(0.33, _triangle, _stripes, _chirp),
    "clicks": _Thing(0.58, _ring, _dots, _clicks),
    "hiss": _Thing(0.5, _box, _stripes, _hiss),
    "hum": _Thing(0.75, _diamond, _checks, _hum),
    "rumble": _Thing(0.08, _box, _checks, _rumble),
    "warble": _Thing(0.9, _disc, _dots, _warble),
}
_UNSEEN: dict[str, Callable[[NDArray, Generator], NDArray]] = {"noise": lambda t, rng: rng.standard_normal(t.size)}
_SILENT = {
    "grey": _Thing(-1.0, _box, _plain, _hum),
    "grey ring": _Thing(-1.0, _ring, _stripes, _hum),
    "grey cross": _Thing(-1.0, _cross, _checks, _hum),
}


def generate_pack(split: Split, items: int = 24, seed: int = 0) -> Pack:
    """A generated pack of eight classes, three silent ones and one sound without picture; splits share no item.

    Args:
        split: train, val or test.
        items: Pictures and sounds a class.
        seed: Seed.
    """
    rng = np.random.default_rng([seed, _SPLIT_SEED[split]])
    time = np.arange(SAMPLES) / RATE

    def sounds(voice: Callable[[NDArray, Generator], NDArray]) -> list[Sound]:
        return [loudness((voice(time, rng) + 0.01 * rng.standard_normal(SAMPLES)).astype(np.float32)) for _ in range(items)]

    return Pack(
        split,
        {name: sounds(thing.voice) for name, thing in _THINGS.items()},
        {name: [_picture(thing, rng) for _ in range(items)] for name, thing in _THINGS.items()},
        {name: sounds(voice) for name, voice in _UNSEEN.items()},
        {name: [_picture(thing, rng) for _ in range(items)] for name, thing in _SILENT.items()},
        [_background(rng) for _ in range(items)],
    )


def _picture(thing: _Thing, rng: Generator) -> Picture:
    import colorsys

    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    turn, zoom = rng.uniform(-0.4, 0.4), rng.uniform(0.9, 1.2)
    x, y = zoom * (x * np.cos(turn) - y * np.sin(turn)), zoom * (x * np.sin(turn) + y * np.cos(turn))
    hue, saturation = (thing.hue + rng.uniform(-0.03, 0.03)) % 1, 0.0 if thing.hue < 0 else rng.uniform(0.6, 0.9)
    ink = np.array(colorsys.hsv_to_rgb(hue, saturation, rng.uniform(0.6, 0.9)))
    paper = np.full(3, rng.uniform(0.75, 1.0))
    shade = 1 + 0.25 * np.clip(thing.texture(x, y, rng.uniform(0, 3)), -1, 1)
    picture = np.where(thing.shape(x, y)[..., None], ink * shade[..., None], paper)
    return _bytes(picture + 0.03 * rng.standard_normal(picture.shape))


def _background(rng: Generator) -> Picture:
    coarse = rng.uniform(0.2, 0.7, (4, 4, 1)) + rng.uniform(-0.08, 0.08, (4, 4, 3))
    return _bytes(np.kron(coarse, np.ones((32, 32, 1))) + 0.05 * rng.standard_normal((128, 128, 3)))


def _bytes(picture: NDArray) -> Picture:
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)
