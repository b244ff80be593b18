"""What counts as the code of a measurement."""

import sys

import pytest

from claimkit.runner import imports

FILES = {
    "ours/__init__.py": "",
    "ours/__init__.pyi": "from .lazy import slow as slow\nfrom .unused import other as other\n",
    "ours/claims/__init__.py": "from ours.claims import a, b\n",
    "ours/claims/a.py": "from ours import slow\nfrom ours.near import f\nimport sibling.deep\nCOMMAND = '-m ours.started'\n",
    "ours/claims/b.py": "import ours.elsewhere\n",
    "ours/near.py": '"""Doc."""\n\n\ndef f():\n    """Doc."""\n    from . import late\n    return 1  # one\n',
    "ours/late.py": "import json, numpy\n",
    "ours/lazy.py": "slow = 1\n",
    "ours/unused.py": "other = 1\n",
    "ours/elsewhere.py": "",
    "ours/started.py": "",
    "ours/data/weights.bin": "w",
    "sibling/__init__.py": "import sibling.unfollowed\n",
    "sibling/deep.py": "",
    "sibling/unfollowed.py": "",
}  # fmt: skip


@pytest.fixture
def root(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_closure_is_what_the_measurement_uses(root):
    found = set(imports.closure("ours.claims.a"))
    assert found == {
        "ours", "ours.claims.a", "ours.near", "ours.late", "ours.lazy", "ours.started", "sibling", "sibling.deep",
    }  # fmt: skip
    assert not {"ours", "sibling"} & set(sys.modules), "nothing was imported to find out"


@pytest.mark.parametrize(
    ("file", "text", "same"),
    [
        ("ours/near.py", "def f():\n    'Other words.'\n    from . import late\n    return (1)\n", True),
        ("ours/near.py", "def f():\n    from . import late\n    return 2\n", False),
        ("ours/late.py", "import numpy, json\n", False),
        ("ours/lazy.py", "slow = 2\n", False),
        ("ours/started.py", "x = 1\n", False),
        ("ours/__init__.py", "import random\n", False),
        ("sibling/deep.py", "x = 1\n", False),
        ("ours/data/weights.bin", "v", False),
        ("ours/claims/b.py", "x = 1\n", True),
        ("ours/claims/__init__.py", "", True),
        ("ours/unused.py", "other = 2\n", True),
    ],
)
def test_the_digest_changes_with_what_is_used_and_with_nothing_else(root, file, text, same):
    before = imports.code_digest("ours.claims.a")
    (root / file).write_text(text)
    assert (imports.code_digest("ours.claims.a") == before) == same


def test_libraries_count_by_version_with_those_that_they_need(monkeypatch):
    found = imports.libraries("claimkit.statistics")
    assert {"numpy", "scipy"} <= set(found) and not {"claimkit", "pytest"} & set(found)
    assert "wcwidth" not in found and "typing-extensions" in imports.libraries("claimkit.cli"), "tyro's"
    real = imports.importlib.metadata.version
    monkeypatch.setattr(imports.importlib.metadata, "version", lambda n: "9" if n == "scipy" else real(n))
    assert imports.libraries("claimkit.statistics")["scipy"] == "9"


def test_a_search_over_photonets_networks_rests_on_photonet():
    pytest.importorskip("stylenas")
    found = imports.closure("stylenas.claims.found")
    assert any(m.startswith("photonet.") for m in found) and not any(m.startswith("styleproj") for m in found)
