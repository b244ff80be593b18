import pytest
from jaxtyping import install_import_hook

import claimkit.testing.fixtures  # noqa: F401  # the profile of hypothesis

install_import_hook("stylenas.style", "beartype.beartype")  # stays: the modules are imported when they are first used


SLOW = """
import os, time
from stylenas.table import Table

class Slow(Table):
    "A table whose evaluations take a while and leave a line in a file when they begin."
    def evaluate(self, genome):
        with open(os.environ["SLOW_LOG"], "a") as log:
            log.write(f"{genome} {os.getpid()}\\n")
        time.sleep(float(os.environ.get("SLOW_SECONDS", "0.03")))
        return super().evaluate(genome)

def space():
    return Slow()
"""


@pytest.fixture
def slow(tmp_path, monkeypatch):
    """A folder with the module ``slow``, importable here and in other processes; and the lines of its log."""
    (tmp_path / "slow.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("SLOW_LOG", str(tmp_path / "log"))

    def lines():
        log = tmp_path / "log"
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

    return lines
