"""What the README shows, runs."""

import re
import shlex
from pathlib import Path

import pytest

from delta import cli

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_examples_run(code):
    exec(compile(code, "README", "exec"), {})


def test_every_option_in_the_shown_commands_exists(capsys):
    for line in re.findall(r"^(delta .*?)(?:\s+#.*)?$", README, re.MULTILINE):
        _, verb, *rest = shlex.split(line)
        with pytest.raises(SystemExit):
            cli.main([verb, "--help"])
        text = capsys.readouterr().out
        assert all(option in text for option in rest if option.startswith("--")), line
