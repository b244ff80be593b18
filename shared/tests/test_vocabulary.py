"""One word for one thing: a foreign word on a command line is named, and a former one is taken with a notice."""

from pathlib import Path

import pytest

from claimkit import cli
from claimkit.testing import call
from claimkit.testing.vocabulary import WORDS, foreign_words, verbs_of, wrong_examples


def packages_main(renamed=(("fit", "train"), ("--reg", "--penalty")), **verbs):
    def main(argv):
        cli.main("toypaper", "A toy.", verbs, "@misc{toy}", argv, dict(renamed))

    return main


def train(
    penalty: str = "l2", size: int = 3, out: Path = Path("out"), alpha: float | None = None, noise: tuple[float, ...] = ()
):
    """Train."""
    print(penalty, size, out)


def test_words_of_the_house_are_not_foreign():
    main = packages_main(train=train)
    assert verbs_of("toypaper", main) == ["train", "reproduce", "list", "cite"]
    assert list(foreign_words("toypaper", main)) == []


def test_each_foreign_word_is_named():
    def fit(reg: str = "l2", noise: str = "white", lr: float = 0.1):
        """Fit."""

    said = list(foreign_words("toypaper", packages_main((), fit=fit)))
    assert [s.split(":")[0] for s in said] == [
        "toypaper fit",
        "toypaper fit --reg",
        "toypaper fit --noise takes STR",
        "toypaper fit --lr",
    ]
    assert "--penalty" in said[1] and "FLOAT" in said[2] and "--learning-rate" in said[3]


def test_a_verb_without_an_example_or_with_a_wrong_one_is_named():
    ran = []

    def bare(size: int = 3):
        """Do."""

    def wrong(size: int = 3):
        """Do.

        Example: toypaper wrong --size many
        """

    def right(size: int = 3):
        """Do.

        Example: toypaper right --size 4
        """
        ran.append(size)

    def folder(out: Path = Path("picture.png")):
        """Do.

        Example: toypaper folder --out demo
        """

    def file(out: Path = Path("run")):
        """Do.

        Example: toypaper file --out model.pt
        """

    verbs = {"bare": bare, "wrong": wrong, "right": right, "folder": folder, "file": file}
    said = list(wrong_examples("toypaper", packages_main((), **verbs)))
    first, *rest = [s.split(":")[0] for s in said]
    assert first == "toypaper bare --help has no line 'Example"
    assert rest == ["toypaper wrong", "toypaper folder", "toypaper file"]
    assert not ran  # an example is parsed, not run


def test_no_word_is_an_others_synonym():
    others = [o for w in WORDS.values() for o in w.instead]
    assert not set(others) & set(WORDS) and len(set(others)) == len(others)


@pytest.mark.parametrize(
    ("argv", "notices"),
    [
        (["fit", "--reg", "l2sp"], ["fit is called train now", "--reg is called --penalty now"]),
        (["train", "--reg=l2sp"], ["--reg is called --penalty now"]),
        (["train", "--penalty", "l2sp", "--out", "fit"], []),
    ],
)
def test_a_former_word_is_taken_with_a_notice(argv, notices, capsys):
    assert call(packages_main(train=train), *argv) == 0
    told = capsys.readouterr()
    assert told.out.split()[0] == "l2sp" and told.err.splitlines() == [f"toypaper: {n}" for n in notices]


def test_processes_are_workers_in_all_packages(capsys, toy, tmp_path):
    main = packages_main()
    assert call(main, "reproduce", "T1", "--jobs", "1", "--out", tmp_path / "o") == 0
    assert "--jobs is called --workers now" in capsys.readouterr().err
