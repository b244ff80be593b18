"""The pages of the documentation site run as shown."""

from pathlib import Path

import pytest

from claimkit.house import main
from claimkit.testing import run_page

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", sorted(DOCS.glob("claimkit/*.md")), ids=lambda page: page.name)
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page, "claimkit", main)
