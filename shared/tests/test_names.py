"""Names of distributions: nothing that strangers publish under our names is ever installed in place of our code.

The index here is a folder of wheels that hold metadata alone: ours, with what each pyproject.toml asks of the others, and
strangers' distributions of our names, as the public index has them or may have tomorrow.
"""

import json
import re
import runpy
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "noxfile.py").exists(), reason="claimkit stands alone here")
FOLDERS = [ROOT / "shared", *sorted(p.parent for p in ROOT.glob("packages/*/pyproject.toml"))]
PYTHONS = ("3.11", "3.12", "3.13")


def metadata(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]


PROJECTS = {metadata(f)["name"]: metadata(f) for f in FOLDERS} if (ROOT / "noxfile.py").exists() else {}


def name_of(requirement):
    return re.split(r"[^\w-]", requirement, maxsplit=1)[0]


def write_wheel(index, name, version, requires=(), extras=()):
    stem = f"{name.replace('-', '_')}-{version}"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    with zipfile.ZipFile(index / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", "\n".join([*lines, *(f"Provides-Extra: {e}" for e in extras), ""]))
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")


def ours(index, name, loosely=False):
    """A wheel of ours, as built; ``loosely`` with the bounds that were asked for before the names were found taken."""
    project = PROJECTS[name]
    requires = [r for r in project["dependencies"] if name_of(r) in PROJECTS]
    if loosely:
        requires = [re.sub(r"==0\.1\.0\+[\w.]+", ">=0.1,<0.2", r) for r in requires]
    write_wheel(index, name, project["version"], requires)


@pytest.fixture
def index(tmp_path):
    """Strangers under all of our names, with every version that a loose bound would take."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in (*PROJECTS, "delta", "paperkit"):
        for version in ("0.1.0", "0.1.1", "0.2.0", "99.0"):
            write_wheel(folder, name, version, extras=("style", "transfer", "media", "demo"))
    return folder


def pip(index, python, *wanted):
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--quiet",
        "--ignore-installed",
        "--no-index",
        "--report=-",
    ]
    command += ["--find-links", str(index), "--python-version", python, "--only-binary=:all:", "--target", str(index / "to")]
    done = subprocess.run([*command, *wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        return None, done.stderr
    return {i["metadata"]["name"]: i["metadata"]["version"] for i in json.loads(done.stdout)["install"]}, done.stderr


def uv(index, python, *wanted):
    command = [find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-index", "--offline"]
    command += ["--no-config", "--find-links", str(index), "--python-version", python, "-"]
    done = subprocess.run(command, input="\n".join(wanted), capture_output=True, text=True, check=False)
    if done.returncode:
        return None, done.stderr
    return dict(line.split("==") for line in done.stdout.split()), done.stderr


@pytest.mark.parametrize("resolve", [pip, uv])
def test_the_index_of_strangers_is_a_trap_for_loose_bounds(index, resolve):
    ours(index, "quasipotential", loosely=True)
    taken, error = resolve(index, "3.12", f"quasipotential=={PROJECTS['quasipotential']['version']}")
    assert taken and taken["claimkit"] == "0.1.1", error


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("resolve", [pip, uv])
def test_a_wheel_alone_is_refused_with_the_version_that_is_missing(index, resolve, python):
    own = [name for name in PROJECTS if name != "claimkit"]
    for name in own:
        ours(index, name)
    for name in own if resolve is uv else ["stylenas"]:
        taken, error = resolve(index, python, f"{name}=={PROJECTS[name]['version']}")
        assert taken is None, f"{name} took {taken}"
        assert PROJECTS["claimkit"]["version"] in error


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("resolve", [pip, uv])
def test_with_all_of_our_wheels_there_nothing_is_a_strangers(index, resolve, python):
    for name in PROJECTS:
        ours(index, name)
    taken, error = resolve(index, python, *(f"{name}=={p['version']}" for name, p in PROJECTS.items()))
    assert taken, error
    assert {name: taken[name] for name in PROJECTS} == {name: p["version"] for name, p in PROJECTS.items()}
    assert not {"delta", "paperkit"} & set(taken)


@pytest.mark.parametrize("name", PROJECTS)
def test_whatever_is_ours_is_asked_for_exactly(name):
    project = PROJECTS[name]
    asked = [*project["dependencies"], *chain(*project.get("optional-dependencies", {}).values())]
    for requirement in asked:
        if (other := name_of(requirement)) in PROJECTS and other != name:
            assert requirement.endswith(f"=={PROJECTS[other]['version']}"), requirement
        assert other not in ("delta", "paperkit"), requirement
    assert "+" in project["version"], "without a label a public index may serve this version"


@pytest.mark.parametrize("name", PROJECTS)
def test_metadata_say_what_people_search_for(name):
    project = PROJECTS[name]
    assert project["authors"] and len(project["keywords"]) >= 5 and len(project["description"]) <= 130
    for version in PYTHONS:
        assert f"Programming Language :: Python :: {version}" in project["classifiers"]


@pytest.mark.parametrize("folder", FOLDERS[1:], ids=lambda f: f.name)
def test_the_first_line_under_the_title_runs_the_package_without_a_clone(folder):
    _, line = (folder / "README.md").read_text("utf-8").split("\n\n")[:2]
    assert f'uvx --from "git+URL#subdirectory=packages/{folder.name}" {folder.name} demo' in line


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_a_release_names_the_repository_and_no_link_ends_nowhere(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nox", MagicMock())  # its decorators, which this needs nothing of
    build = runpy.run_path(str(ROOT / "noxfile.py"))["with_links"]
    copy = build(folder.relative_to(ROOT), "https://example.org/ours", tmp_path)
    targets = re.findall(r"\]\(([^)\s]+)\)", (copy / "README.md").read_text("utf-8"))
    assert not [t for t in targets if not re.match(r"https?:|#", t)]
    for target in targets:
        if target.startswith("https://example.org/ours/"):
            path = re.sub(r"^\w+/main/", "", target.removeprefix("https://example.org/ours/")).split("#")[0]
            assert (ROOT / path).exists(), target
    assert metadata(copy)["urls"]["Issues"] == "https://example.org/ours/issues"


def test_no_sentence_asks_for_a_name_that_is_not_ours_yet():
    names = "|".join({*PROJECTS, *(f.name for f in FOLDERS[1:])})
    asked = re.compile(rf"pip install ['\"]*(?:{names})\b(?!/)")
    files = [p for f in FOLDERS for p in (*(f / "src").rglob("*.py"), f / "README.md")]
    assert not [str(p) for p in files if asked.search(p.read_text("utf-8"))]
