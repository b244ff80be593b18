"""The verbs ``localize`` and ``separate``: a user's video."""

import json
import sys
from dataclasses import replace
from pathlib import Path

from avcurriculum import audio, plots
from avcurriculum.options import LocalizeOptions, Weights
from avcurriculum.separation.separate import load_separator
from avcurriculum.verbs.common import read_model
from avcurriculum.video import apply, media
from claimkit import run
from claimkit.errors import InputError
from claimkit.files import write_atomic
from claimkit.media.options import ClipOptions
from claimkit.media.policy import check_results
from claimkit.media.writing import check_container

DEMONSTRATION = (
    "A demonstration on composed scenes of a few sounds: on filmed clips the shipped localisers were below the centre of "
    "the picture (claims E7, E7b). Train your own: avcurriculum train --videos FOLDER"
)
"""First line of both verbs with the shipped models."""


def localize(clip: Path, job: LocalizeOptions, out: Path | None, table: Path | None, output: ClipOptions) -> None:
    """Write a video with the heat map."""
    if output.hdr == "keep":
        raise InputError("hdr = 'keep': colours of maps are those of SDR, and so is what they are laid over; use tone-map")
    model = job.model
    if model is None:
        print(DEMONSTRATION)
    out = clip.with_name(f"{clip.stem}-heat.mp4") if out is None else out
    check_container(out, output)
    check_results([out, *([table] if table else [])], [clip, *([model] if model else [])], output.existing)
    if output.existing == "skip" and out.exists():
        print(f"{out} exists already and is skipped")
        return
    run.limit_threads(1)  # of small pictures: more would wait for each other, and for those of the encoder
    read, net = media.read_clip(clip), read_model(model, job.weights)
    heat = apply.localize_clip(read, net, job.sounds, job.every, job.prior)
    read = replace(read, sound=read.sound[:0].copy())  # 38 MB in ten minutes, which nothing needs from here on
    report = media.repaint(read, out, lambda time, frame: apply.paint(frame, heat.at(time), in_place=True), output)
    for note in report.notes:
        print(note, file=sys.stderr)
    if table is not None:
        write_atomic(table, json.dumps({"clip": clip.name, "places": heat.places()}, indent=1) + "\n")
    looks = len(heat.times)
    quiet = f", {int(heat.silent.sum())} of {looks} looks at silence" if heat.silent.any() else ""
    away = "".join(f", sound {i} not in the picture at {n} of {looks}" for i, n in enumerate(heat.absent.sum(0), 1) if n)
    if job.prior:
        print(f"{job.prior:.0%} of every map is a prior of things, which does not depend on the sound")
    print(f"{read.seconds:.1f} s of video, {job.sounds} sound(s){quiet}{away}: {out}")


def separate(
    clip: Path, out: Path | None, sounds: int, model: Path | None, separator: Path | None, weights: Weights
) -> None:
    """Write the sounds of a video one by one."""
    if model is None or separator is None:
        print(DEMONSTRATION)
    out = clip.with_name(f"{clip.stem}-sounds") if out is None else out
    read, net = media.read_clip(clip), read_model(model, weights, separates=True)
    masks = apply.shipped_separator() if separator is None else load_separator(separator)
    waves, maps = apply.separate_clip(read, net, masks, sounds)
    (middle,) = media.sample_frames(clip, [read.seconds / 2], side=0)
    for i, wave in enumerate(waves, 1):
        audio.save(out / f"sound-{i}.wav", wave)
        plots.picture(apply.paint(middle, maps[i - 1 : i]), out / f"sound-{i}.png")
    print(f"{len(waves)} sounds of {read.seconds:.1f} s: {out}")
