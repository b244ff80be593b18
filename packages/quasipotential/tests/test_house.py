"""What the house asks of every package: its pages run as shown, its command line speaks like the others'."""

import re

import pytest

from claimkit.testing import help_of, pages, run_page
from claimkit.testing.vocabulary import foreign_words, wrong_examples
from quasipotential.cli import main
from quasipotential.systems import BUILT_IN


@pytest.mark.parametrize("page", pages(__file__), ids=lambda page: page.name)
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # files that a page names are made here
    assert run_page(page, "quasipotential", main).examples > 0


def test_words_of_the_command_line():
    assert list(foreign_words("quasipotential", main)) == []


def test_every_help_shows_an_example_that_is_taken():
    assert list(wrong_examples("quasipotential", main)) == []
    for verb in ("solve", "path", "exit", "wells"):
        (name,) = re.findall(rf"Example: quasipotential {verb} (\S+)", help_of(main, verb))
        assert name in BUILT_IN
