"""The workspace around the packages; nothing to test where claimkit stands alone."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "noxfile.py").exists(), reason="claimkit stands alone here")


def packages():
    return sorted(p.parent for p in ROOT.glob("packages/*/pyproject.toml"))


def test_workflows_follow_the_published_schema():
    files = sorted((ROOT / ".github/workflows").glob("*.yml"))
    assert {f.stem for f in files} == {"ci", "docs", "nightly", "reproduce", "gpu", "release"}
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_broken_workflow_would_be_noticed(tmp_path):
    broken = tmp_path / "w.yml"
    broken.write_text("on: push\njobs:\n  a:\n    steps: []\n")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(broken)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_ci_runs_the_test_command_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first, second = re.findall(r"```console\n(.*)\n", readme)[:2]
    assert first == "pip install nox uv && nox -s reproduce"
    assert second in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()


def test_a_tenth_package_is_what_the_readme_says(tmp_path):
    blocks = dict(re.findall(r"```(?:toml|python)\n# (\S+)\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S))
    claims = re.search(
        r"```python\n(import numpy.*?EXPERIMENTS.*?)```", (ROOT / "shared/README.md").read_text("utf-8"), re.S
    )
    assert claims
    coin = tmp_path / "packages/coin"
    markers = "<!-- claims:begin -->\n<!-- claims:end -->\n"
    files = {**blocks, "src/coin/claims.py": claims[1], "README.md": markers}
    assert len(files) == 5, "as many as the README says"
    for name, text in files.items():
        (coin / name).parent.mkdir(parents=True, exist_ok=True)
        (coin / name).write_text(text, "utf-8")
    (tmp_path / "README.md").write_text(markers.replace("claims", "scoreboard"), "utf-8")
    assert tomllib.loads(blocks["pyproject.toml"])["project"]["scripts"] == {"coin": "coin.cli:main"}

    build = [sys.executable, "-c", "from hatchling.build import build_wheel; print(build_wheel('.'))"]
    built = subprocess.run(build, cwd=coin, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(coin.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "installed")
    (points,) = (tmp_path / "installed").glob("coin-*.dist-info/entry_points.txt")
    assert "coin = coin.cli:main" in points.read_text("utf-8")

    def call(code, *arguments):
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
        command = [sys.executable, "-c", f"{code}; main()", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = call("from coin.cli import main", "reproduce", "--out", str(coin / "results"))
    assert "Fair coin: reproduced" in told
    call("from claimkit.house import main", "readme")
    call("from claimkit.house import main", "readme", "--check")
    assert "| [coin](packages/coin) | 1 reproduced |" in (tmp_path / "README.md").read_text("utf-8")


@pytest.mark.parametrize("folder", packages(), ids=lambda p: p.name)
def test_every_package_keeps_the_layout_of_the_house(folder):
    name = folder.name
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["name"] == {"delta": "delta-finetune"}.get(name, name)  # the name alone is a stranger's
    assert project["project"]["requires-python"] == ">=3.11"
    assert project["tool"]["uv"]["sources"]["claimkit"] == {"workspace": True}
    assert (folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    for file in ("README.md", f"src/{name}/py.typed", f"src/{name}/cli.py"):
        assert (folder / file).exists(), file
    assert (folder / f"src/{name}/claims.py").exists() or (folder / f"src/{name}/claims/__init__.py").exists()
    for part in ("tests", "benchmarks", "results"):
        assert any((folder / part).iterdir()), part
    bounds = re.search(r"\ndependencies = \[\n(.*?)\n\]", (folder / "pyproject.toml").read_text(encoding="utf-8"), re.S)
    assert bounds
    for line in bounds[1].splitlines():
        assert re.search(r'",\s+# \S', line), f"{name}: a bound without its reason: {line.strip()}"


@pytest.mark.parametrize("folder", packages(), ids=lambda p: p.name)
def test_no_package_imports_another(folder):
    allowed = {folder.name, "claimkit", *({"photonet"} if folder.name == "stylenas" else ())}
    others = {p.name for p in packages()} - allowed
    for file in (folder / "src").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert not {m for m in re.findall(r"^\s*(?:from|import) (\w+)", text, re.M) if m in others}, file


@pytest.mark.parametrize("folder", packages(), ids=lambda p: p.name)
def test_what_a_script_takes_from_the_one_beside_it_is_there(folder):
    for part in sorted({f.parent for p in ("training", "benchmarks") for f in (folder / p).rglob("*.py")}):
        scripts = {f.stem: ast.parse(f.read_text(encoding="utf-8")) for f in part.glob("*.py")}
        for name, tree in scripts.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module in scripts:
                    beside = list(ast.walk(scripts[node.module]))
                    there = {n.name for n in beside if isinstance(n, ast.FunctionDef | ast.ClassDef)}
                    there |= {n.id for n in beside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
                    assert not {a.name for a in node.names} - there, f"{part / name}.py from {node.module}.py"


@pytest.mark.parametrize("folder", [*packages(), ROOT / "shared", ROOT / ".ci"], ids=lambda p: p.name)
def test_no_folder_and_no_file_outgrows_its_idea(folder):
    """As CONTRIBUTING.md has it; tests of a package stand beside each other, however many they are."""
    files = [f for f in folder.rglob("*.py") if not {"tests", ".venv"} & set(f.relative_to(folder).parts)]
    sizes = {str(f.relative_to(ROOT)): len(f.read_text(encoding="utf-8").splitlines()) for f in files}
    assert not {f: n for f, n in sizes.items() if n > 300}
    counts = Counter(str(f.parent.relative_to(ROOT)) for f in files)
    assert not {f: n for f, n in counts.items() if n > 12}


def test_a_run_on_a_card_knows_the_packages():
    command = [sys.executable, str(ROOT / ".ci/gpu.py"), "photonets", "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "no package photonets: choose among avcurriculum" in done.stderr
