"""What the README shows, runs."""

import re
import shlex
from pathlib import Path

import pytest

from delta import cli

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


(LOOP,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
RECIPES = Path(__file__).parents[3] / "docs" / "delta" / "recipes.md"


def run(code):
    """The names that an example leaves."""
    names = {}
    exec(compile(code, "README", "exec"), names)
    return names


def test_the_loop_trains_with_the_regulariser():
    names = run(LOOP)
    assert names["loss"].isfinite() and names["attention"].layers == ("layer3.1.conv2",)
    source, model = (names[n].get_parameter("layer3.1.conv2.weight") for n in ("source", "model"))
    assert model.grad.abs().sum() > 0 and source.grad is None


@pytest.mark.skipif(not RECIPES.exists(), reason="the pages come with the repository")
def test_the_call_tells_accuracy_and_attention(capsys):
    recipe = RECIPES.read_text(encoding="utf-8").split("## Everything in one call")[1]
    fit = run(recipe.split("```python\n")[1].split("```")[0])["fit"]
    told = capsys.readouterr().out
    assert (
        told.startswith(f"{fit.result.validation.accuracy} tensor(") and fit.result.validation.accuracy > 0.5
    )  # chance is 0.1


def test_every_option_in_the_shown_commands_exists(capsys):
    for line in re.findall(r"^(delta .*?)(?:\s+#.*)?$", README, re.MULTILINE):
        _, verb, *rest = shlex.split(line)
        with pytest.raises(SystemExit):
            cli.main([verb, "--help"])
        text = capsys.readouterr().out
        assert all(option in text for option in rest if option.startswith("--")), line
