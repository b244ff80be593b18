"""What the tests of every package ask of its command line, alike for all."""

import subprocess
import sys
from collections.abc import Callable, Sequence

CODE = """
import sys
from {package}.cli import main
try:
    main(["--help"])
finally:
    found = sorted(set({without}) & set(sys.modules))
    assert not found, found
"""


def call(main: Callable[[Sequence[str]], None], *argv: object) -> int:
    """Exit code of a command line, called in this process with arguments as a user types them."""
    try:
        main([str(a) for a in argv])
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else int(e.code is not None)
    return 0


def help_text(package: str, *without: str) -> str:
    """What ``<package> --help`` prints in a process of its own, which must not import the modules of ``without``.

    Raises:
        AssertionError: It failed, or imported one.
    """
    code = CODE.format(package=package, without=without)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
