"""What the README shows runs as shown."""

import dataclasses
import re
import typing
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text()


def options_of(function):
    """Names of a command's options, those in groups, too."""
    found = set()
    for name, kind in typing.get_type_hints(function).items():
        found |= {field.name.rstrip("_") for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else {name}
    return found


def test_the_python_example_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert "TreeReport" in capsys.readouterr().out


def test_the_commands_exist(capsys):
    """Every verb and option that a console block uses is known to the command line."""
    from securegbm import cli

    known = {"certs", "party-b serve", "party-a train", "party-a predict", "party-a serve", "export", "audit", "demo",
             "models list", "models show", "models retire", "models use",
             "certs rotate", "certs accept", "align",
             "reproduce", "list", "cite"}  # fmt: skip
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for line in block.splitlines():
            words = line.split("#")[0].split()
            if not words or words[0] != "securegbm":
                continue
            verb = " ".join(words[1:3]) if words[1] in cli.TWO_WORDS and not words[2].startswith("-") else words[1]
            assert verb in known, line
            function = getattr(cli, verb.replace("-", "_").replace(" ", "_"), None)
            options = {word[2:].replace("-", "_") for word in words if word.startswith("--") and word != "--help"}
            if function is not None:
                assert options <= options_of(function), line


def test_the_container_recipe_runs_known_commands_as_nobody():
    """Both entry points name verbs and options that exist, and neither image runs as root or holds state."""
    import json

    from securegbm import cli

    lines = (Path(__file__).parents[1] / "deploy" / "Dockerfile").read_text().splitlines()
    points = [json.loads(line.split(None, 1)[1]) for line in lines if line.startswith("ENTRYPOINT")]
    assert [point[1:3] for point in points] == [["party-a", "serve"], ["party-b", "serve"]]
    for point in points:
        options = {word[2:].replace("-", "_") for word in point if word.startswith("--")}
        assert options <= options_of(getattr(cli, "_".join(point[1:3]).replace("-", "_")))
    assert "USER securegbm" in lines
    assert (
        lines.index("USER securegbm")
        < lines.index("VOLUME /state")
        < min(number for number, line in enumerate(lines) if line.startswith("ENTRYPOINT"))
    )
