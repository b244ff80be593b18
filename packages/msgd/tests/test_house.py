"""The README and the pages of the documentation run as shown."""

import pytest

from claimkit.testing import pages, run_page
from claimkit.testing.vocabulary import wrong_examples
from msgd.cli import main


@pytest.mark.parametrize("page", pages(__file__), ids=lambda page: page.name)
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_page(page, "msgd", main).examples > 0


def test_every_help_shows_an_example_that_is_taken():
    assert list(wrong_examples("msgd", main)) == []
