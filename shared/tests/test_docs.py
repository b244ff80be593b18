"""The pages of the documentation site run as shown."""

from pathlib import Path

import pytest

from claimkit.house import main
from claimkit.testing import blocks, run_page

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", [p for p in sorted(DOCS.glob("claimkit/*.md")) if blocks(p)], ids=lambda page: page.name)
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page, "claimkit", main)
