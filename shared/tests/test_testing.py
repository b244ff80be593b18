"""A page's blocks are run as a reader would, and one that cannot run is noticed."""

import pytest

from claimkit.cli import run_verbs
from claimkit.errors import InputError
from claimkit.testing import blocks, pages, run_page

PAGE = """# Toy
```python
x = 2
```
```console
$ pip install toy
$ toy double 21 --times 2   # by the command
84
$ toy \\
  double 1
```
```python
y = x + 1
```
"""


def toy(argv):
    def double(n: int, /, times: int = 1) -> None:
        """Print twice a number.

        Args:
            n: The number.
            times: How often.
        """
        if n < 0:
            raise InputError("n is below 0")
        print(n * 2**times)

    run_verbs({"double": double, "half": lambda: None}, "toy", "A toy.", argv)


@pytest.fixture
def page(tmp_path):
    def write(text):
        (tmp_path / "page.md").write_text(text, encoding="utf-8")
        return tmp_path / "page.md"

    return write


def test_python_shares_its_names_and_commands_run_in_order(page, capsys):
    tried = run_page(page(PAGE), "toy", toy)
    assert (tried.names["x"], tried.names["y"]) == (2, 3)
    assert tried.examples == 4
    assert capsys.readouterr().out.split() == ["84", "2"]


def test_lines_of_an_error_are_the_pages(page):
    with pytest.raises(ZeroDivisionError) as e:
        run_page(page(PAGE.replace("x + 1", "x / 0")), "toy", toy)
    assert e.traceback[-1].lineno + 1 == PAGE.splitlines().index("y = x + 1") + 1


@pytest.mark.parametrize("line", ["toy double -- -1", "toy triple 1", "toy double 1 --twice"])
def test_a_command_that_fails_is_noticed(page, line):
    with pytest.raises(AssertionError, match=r"page\.md:1: "):
        run_page(page(f"```console\n{line}\n```\n"), "toy", toy)


@pytest.mark.parametrize(
    ("line", "known"), [("double 9 --times 3", True), ("double 9 --twice 3", False), ("triple 9", False)]
)
def test_what_is_not_run_must_exist(page, line, known, capsys):
    file = page(f"<!-- not run: it takes an hour -->\n```console\ntoy {line}\n```\n")
    assert blocks(file)[0].not_run == "it takes an hour"
    if known:
        assert run_page(file, "toy", toy).examples == 1
        assert capsys.readouterr().out == ""
    else:
        with pytest.raises(AssertionError, match="no "):
            run_page(file, "toy", toy)


def test_pages_are_those_beside_the_packages(tmp_path):
    (tmp_path / "docs/toy").mkdir(parents=True)
    (tmp_path / "docs/toy/index.md").write_text("```python\n1\n```\n")
    (tmp_path / "docs/toy/words.md").write_text("Nothing to run.\n")
    file = tmp_path / "packages/toy/tests/deep/test_docs.py"
    (tmp_path / "docs/house.md").write_text("```console\ntoy double 1\n```\n")
    (tmp_path / "docs/other.md").write_text("```console\npip install toy\n```\n")
    assert [p.name for p in pages(file)] == ["index.md", "house.md"]
    assert pages(tmp_path / "elsewhere/packages/other/tests") == []
