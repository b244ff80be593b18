"""The pages of the documentation site run as shown, where they are beside the package."""

import pytest

from claimkit.testing import pages, run_page
from securegbm.cli import main


@pytest.mark.parametrize("page", pages(__file__), ids=lambda page: page.name)
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # files that a page names are made here
    run_page(page, "securegbm", main)
