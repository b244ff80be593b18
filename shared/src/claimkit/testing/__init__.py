"""What the tests of every package ask of its command line and of its pages, alike for all.

A page of Markdown is run as a reader would: its blocks in turn, in one folder, Python in one namespace and commands in this
process. A block that costs too much says why in a comment before it, ``<!-- not run: minutes -->``; its commands must exist.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Main = Callable[[Sequence[str]], None]

CODE = """
import sys
from {package}.cli import main
try:
    main(["--help"])
finally:
    found = sorted(set({without}) & set(sys.modules))
    assert not found, found
"""


def call(main: Main, *argv: object) -> int:
    """Exit code of a command line, called in this process with arguments as a user types them."""
    try:
        main([str(a) for a in argv])
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else int(e.code is not None)
    return 0


def own_process(package: str, *words: str) -> list[str]:
    """The command line of a package as a process of its own that hears Ctrl-C.

    A shell that runs the tests in the background has its children ignore SIGINT, so the process itself takes it up again.
    ``preexec_fn`` would do it between fork and exec, where the threads of gRPC and torch in the parent can hang or end it.
    """
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    return [sys.executable, "-c", f"{heard}; from {package}.cli import main; main()", *words]


def help_text(package: str, *without: str) -> str:
    """What ``<package> --help`` prints in a process of its own, which must not import the modules of ``without``.

    Raises:
        AssertionError: It failed, or imported one.
    """
    code = CODE.format(package=package, without=without)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Block:
    """One fenced block of a page: its kind (python or console), its text, where it starts, and why it is not run."""

    kind: str
    body: str
    line: int
    not_run: str = ""

    def commands(self, package: str) -> list[list[str]]:
        """Arguments of every line that calls the package's command; what other programs do is theirs to test."""
        lines = self.body.replace("\\\n", " ").splitlines()
        words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines if package in line]
        return [w[1:] for w in words if w[:1] == [package]]


def blocks(page: Path) -> list[Block]:
    """The python and console blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"(?:<!-- not run: (.+?) -->\s*\n)?^```(console|python)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [Block(m[2], m[3], text.count("\n", 0, m.start(3)), m[1] or "") for m in found]


def pages(tests: Path | str) -> list[Path]:
    """Pages of the documentation site that show a package, whose ``tests`` folder (or a file in it) is given.

    Those of its own folder that have something to run, and those of the house that use its command; none in an sdist, where
    there is no site.
    """
    folder = next(p for p in (Path(tests), *Path(tests).parents) if p.name == "tests").parent
    docs = folder.parents[1] / "docs"
    own = [p for p in sorted((docs / folder.name).glob("*.md")) if shows(p, folder.name)]
    return own + [p for p in sorted(docs.glob("*.md")) if any(b.commands(folder.name) for b in blocks(p))]


def shows(page: Path, package: str) -> bool:
    """Whether a page has an example that :func:`run_page` tries."""
    return any(b.kind == "python" or b.commands(package) for b in blocks(page))


@dataclass(frozen=True)
class Tried:
    """What was done of a page: the names that its Python left, and how many examples were run or found to exist."""

    names: dict[str, Any]
    examples: int


def run_page(page: Path, package: str, main: Main) -> Tried:
    """Run every block of a page in the current folder.

    Raises:
        AssertionError: A command failed, or one that is not run names an option that does not exist.
    """
    names: dict[str, Any] = {"__name__": "page"}
    examples = 0
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        if block.kind == "python" and not block.not_run:
            exec(compile("\n" * block.line + block.body, str(page), "exec"), names)
            examples += 1
        for words in block.commands(package) if block.kind == "console" else ():
            if block.not_run:
                _exists(package, words, main, where)
            else:
                assert call(main, *words) == 0, f"{where}: {shlex.join(words)}"
            examples += 1
    return Tried(names, examples)


def help_of(main: Main, *verb: str) -> str:
    """What ``--help`` prints of a command line, or of one of its verbs, without colours and in one width."""
    with contextlib.redirect_stdout(io.StringIO()) as shown, _columns("200"):
        call(main, *verb, "--help")
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue())


@contextlib.contextmanager
def _columns(number: str) -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = number
    try:
        yield
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before


def _exists(package: str, words: Sequence[str], main: Main, where: str) -> None:
    verb = [w for w in words[:2] if not w.startswith("-")]
    text = help_of(main, *verb)
    assert f"{package} {' '.join(verb[:1])}" in text.partition("\n")[0], f"{where}: no verb {verb[0]}"
    options = {w.partition("=")[0] for w in words if w.startswith("--")}
    known = set(re.findall(r"--[\w.-]+", text)) | {"--help", "--version"}
    assert options <= known, f"{where}: no option {', '.join(sorted(options - known))}"
