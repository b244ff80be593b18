"""One word for one thing on every command line, and an example of every verb that can be typed as it stands."""

import functools
import inspect
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from claimkit import cli
from claimkit.errors import InputError
from claimkit.testing import Main, call, help_of


@dataclass(frozen=True)
class Word:
    """A verb or an option.

    Attributes:
        means: What it is for, in all packages.
        takes: What its value looks like in ``--help``; empty for verbs and where it differs.
        instead: Other spellings of the same, which no package uses.
    """

    means: str
    takes: str = ""
    instead: tuple[str, ...] = ()


WORDS = {
    "train": Word("make a model from data", "", ("fit", "finetune", "fine-tune", "learn")),
    "demo": Word("show what the package does, without files", "", ("example", "tour")),
    "compare": Word("several methods on the same data", "", ("versus", "comparison")),
    "bench": Word("time the package against its peers", "", ("benchmark", "speed")),
    "export": Word("a model for another program", "", ("dump", "convert")),
    "web": Word("a page on this machine", "", ("gui", "app", "ui")),
    "--data": Word("a file or folder of data", "PATH", ("--data-dir", "--root", "--folder", "--input")),
    "--out": Word("where the result goes", "PATH", ("--output", "--outdir", "--dest", "--to-file", "--save")),
    "--model": Word("a file with a model", "PATH", ("--checkpoint", "--model-path")),
    "--arch": Word("the name of a network", "", ("--architecture", "--backbone", "--net")),
    "--penalty": Word("what is added to the loss", "", ("--reg", "--regularizer", "--regulariser")),
    "--alpha": Word("its weight, or the strength of an effect", "FLOAT", ("--strength", "--lambda")),
    "--noise": Word("the level of a noise, a number", "FLOAT", ("--epsilon", "--noise-level", "--sigma")),
    "--labels": Word("a picture of regions", "PATH", ("--regions", "--seg", "--segmentation", "--content-seg")),
    "--size": Word("pixels of a side", "INT", ("--resolution", "--image-size")),
    "--colour": Word("what becomes of colours", "", ("--color", "--preserve-color")),
    "--seed": Word("fixes what is drawn", "INT", ("--random-state", "--rng")),
    "--seeds": Word("how many seeds", "INT", ("--repeats", "--n-seeds", "--trials")),
    "--steps": Word("of training", "INT", ("--iterations", "--iters", "--n-steps")),
    "--batch": Word("rows a step", "INT", ("--batch-size", "--minibatch")),
    "--learning-rate": Word("of training", "FLOAT", ("--lr", "--rate", "--step-size")),
    "--workers": Word("processes", "INT", ("--jobs", "--n-jobs", "--processes", "--num-workers")),
    "--device": Word("auto, cpu, cuda, cuda:N or mps", "STR", ("--gpu", "--cuda")),
}


def verbs_of(package: str, main: Main) -> list[str]:
    """Verbs of a command line, as its ``--help`` lists them."""
    found = re.search(r"\{(.*?)\}", help_of(main), re.DOTALL)
    assert found, f"{package} --help lists no verbs"
    return [verb.strip() for verb in found[1].replace("\n", "").split(",")]


def foreign_words(package: str, main: Main) -> Iterator[str]:
    """A sentence for every verb and option that is spelled otherwise than in the other packages, or takes something else."""
    instead = {other: word for word, w in WORDS.items() for other in w.instead}
    for verb in verbs_of(package, main):
        if verb in instead:
            yield f"{package} {verb}: the verb is called {instead[verb]} elsewhere ({WORDS[instead[verb]].means})"
        text = help_of(main, *verb.split())
        for option, takes in re.findall(r"^[│\s]*(--[a-z][\w-]*)[^\S\n]?(.*)$", text, re.MULTILINE):
            if option in instead:
                word = instead[option]
                yield f"{package} {verb} {option}: it is called {word} elsewhere ({WORDS[word].means})"
            wanted = WORDS.get(option, Word("")).takes
            if wanted and not re.match(rf"(\{{None\}}\||\[)*{wanted}\b", takes):
                yield f"{package} {verb} {option} takes {takes.split('  ')[0].strip(' │')}: elsewhere it takes {wanted}"


def wrong_examples(package: str, main: Main) -> Iterator[str]:
    """A sentence for every verb whose ``--help`` shows no example, or one that would be refused.

    That is one which the command line does not take, or whose ``--out`` is a folder where the verb writes a file, or a file
    where it writes a folder: told by the suffix, which the default has or lacks.
    """
    run = cli.run_verbs

    def parsed_only(verbs: Mapping[str, cli.Verb], *rest: Any) -> None:
        run({name: _looked_at(verb) for name, verb in verbs.items()}, *rest)

    for verb in verbs_of(package, main):
        found = re.search(r"^Example: (.*)$", help_of(main, *verb.split()), re.MULTILINE)
        words = shlex.split(found[1]) if found else []
        if words[: 1 + len(verb.split())] != [package, *verb.split()]:
            yield f"{package} {verb} --help has no line 'Example: {package} {verb} ...'"
            continue
        with patch.object(cli, "run_verbs", parsed_only):
            if call(main, *words[1:]) != 0:
                yield f"{package} {verb}: its example is not taken: {' '.join(words)}"


def _looked_at(verb: cli.Verb) -> cli.Verb:
    """The verb without what it does; it refuses a folder for a file, and a file for a folder."""
    usual = getattr(inspect.signature(verb).parameters.get("out"), "default", None)

    @functools.wraps(verb)
    def look(*args: Any, **options: Any) -> None:
        out = inspect.signature(verb).bind(*args, **options).arguments.get("out")
        if isinstance(usual, Path) and isinstance(out, Path) and bool(out.suffix) != bool(usual.suffix):
            raise InputError(f"--out is {out}, and is usually {usual}")

    return look
