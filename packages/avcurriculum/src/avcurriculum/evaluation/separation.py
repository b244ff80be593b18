"""A separator measured on mixes of two sounds, each with the picture of its thing."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from avcurriculum.evaluation.field import Sample, foreign
from avcurriculum.metrics import audible_mean, bss_eval, si_sdr
from avcurriculum.network.model import AVNet
from avcurriculum.scenes.packs import Pack
from avcurriculum.scenes.pools import Pool
from avcurriculum.separation.conditions import Reader, assign, assigned_stems, heard_centers
from avcurriculum.separation.mixing import draw_mix, seen_centers, stems
from avcurriculum.separation.separate import Separator
from claimkit import run
from claimkit.errors import InputError

CHUNK = 16
MEASURES: tuple[str, ...] = ("nsdr", "sir", "sar", "si_sdr gain")


class TwoSounds(NamedTuple):
    """Two sounds that are mixed, and the visual centres of the picture of each."""

    waves: Float[NDArray, "2 samples"]
    seen: Float[Tensor, "2 centers dim"]


def pack_mixes(net: AVNet, pack: Pack, shown: Pool, number: int, seed: int) -> Iterator[TwoSounds]:
    """Mixes of a pack, the same for every separator."""
    seen = seen_centers(net, shown)
    for i in range(number):
        mix = draw_mix(pack, shown, np.random.default_rng([seed, 7, i]))
        yield TwoSounds(stems(pack, [mix])[0].numpy(), seen[list(mix.pictures)])


def mixes_of(net: AVNet, samples: Iterable[Sample]) -> Iterator[TwoSounds]:
    """Each annotated clip with the next one that shares no class, and no picture, with it.

    Raises:
        InputError: No two clips without a common class.
    """
    left: list[Sample] = []
    found = False
    for sample in samples:
        mate = next((i for i, s in enumerate(left) if foreign(s.entry, sample.entry)), None)
        if mate is None:
            left.append(sample)
            continue
        pair = left.pop(mate), sample
        with torch.no_grad():
            positions = net.embed_image(torch.stack([p.image for p in pair]))
            seen = net.centers(positions, 1 + net.architecture.background).centers
        found = True
        yield TwoSounds(np.stack([p.wave for p in pair]), seen)
    if not found:
        raise InputError("a separator mixes two clips without a common class: there are no two such clips")


@torch.no_grad()
def estimates(
    net: AVNet, separator: Separator, mixes: Sequence[TwoSounds], reader: Reader | None = None
) -> Float[Tensor, "mixes 2 samples"]:
    """Stems of some mixes in the order of the pictures, told or assigned by the rule of :mod:`.separation.conditions`."""
    mixture = torch.from_numpy(np.stack([m.waves.sum(0) for m in mixes]))
    seen = [m.seen for m in mixes]
    if separator.settings.blind:
        return assigned_stems(net, separator, mixture, seen, reader)
    found = [assign(h, s) for h, s in zip(heard_centers(net, mixture, 2, reader), seen, strict=True)]
    return separator.separate(mixture, torch.stack([f.center[np.argsort(f.thing)] for f in found]))


def measure_separation(
    net: AVNet, separator: Separator, mixes: Sequence[TwoSounds], reader: Reader | None = None
) -> dict[str, dict[str, float]]:
    """Means over mixes in dB: as assigned, and its bounds, the stems in random order and in the better order.

    ``right order`` is the share of mixes whose order is the better one, and ``silent`` that of stems that are silent: they,
    and mixes of them alone, are left out of the means.
    """
    rows: dict[str, list[list[float]]] = {"assigned": [], "random order": [], "better order": []}
    silent = []
    for i in run.progress(range(0, len(mixes), CHUNK), "separate", unit="batch"):
        part = mixes[i : i + CHUNK]
        for mix, stems_ in zip(part, estimates(net, separator, part, reader).numpy(), strict=True):
            own, other = (_score(mix.waves, e) for e in (stems_, stems_[::-1]))
            silent.append(np.isnan(si_sdr(mix.waves, stems_)).mean())
            rows["assigned"].append(own)
            rows["random order"].append([(a + b) / 2 for a, b in zip(own, other, strict=True)])
            rows["better order"].append(other if other[-1] > own[-1] else own)
    table = {
        name: {m: audible_mean(np.array(column)) for m, column in zip(MEASURES, zip(*values, strict=True), strict=True)}
        for name, values in rows.items()
    }
    own, best = (np.array([row[-1] for row in rows[name]]) for name in ("assigned", "better order"))
    right = audible_mean(np.where(np.isnan(own), np.nan, own >= best))
    table["assigned"] |= {"right order": right, "silent": float(np.mean(silent))}
    return table


def _score(waves: NDArray[np.float32], estimate: NDArray[np.float32]) -> list[float]:
    mixture = np.broadcast_to(waves.sum(0), waves.shape)
    after, before = bss_eval(waves, estimate), bss_eval(waves, mixture)
    gain = si_sdr(waves, estimate) - si_sdr(waves, mixture)
    return [audible_mean(x) for x in (after.sdr - before.sdr, after.sir, after.sar, gain)]
