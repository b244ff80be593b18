"""Every automated job of the house, one session each. Packages are found in packages/: a new one needs no edit here.

``nox -s reproduce`` runs the session for all packages, ``nox -s "reproduce(msgd)"`` for one. What follows ``--`` goes to the
command that the session runs: ``nox -s "reproduce(msgd)" -- M4 --workers 2``.
"""

import re
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import nox

ROOT = Path(__file__).parent
PACKAGES = sorted(p.parent.name for p in (ROOT / "packages").glob("*/pyproject.toml"))
FOLDERS = {"claimkit": Path("shared"), **{p: Path("packages") / p for p in PACKAGES}}

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "records", "tests"]
nox.options.error_on_missing_interpreters = True

ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
PAPERS = sorted(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["claimkit"]["papers"])
each_package = nox.parametrize("package", [nox.param(p, id=p) for p in PACKAGES])
each_paper = nox.parametrize("paper", [nox.param(p, id=p) for p in PAPERS])
each_folder = nox.parametrize("package", [nox.param(p, id=p) for p in FOLDERS])


def metadata(package: str) -> dict[str, Any]:
    """The table ``project`` of a package's pyproject.toml."""
    return tomllib.loads((ROOT / FOLDERS[package] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def extras(package: str) -> set[str]:
    """Extras that a package offers."""
    return set(metadata(package).get("optional-dependencies", {}))


def target(package: str, *wanted: str) -> str:
    """A package's folder with those of the wanted extras that it has, as pip spells it."""
    chosen = sorted(extras(package).intersection(wanted))
    return f"./{FOLDERS[package].as_posix()}" + (f"[{','.join(chosen)}]" if chosen else "")


def install(session: nox.Session, *targets: str, lowest: bool = False) -> None:
    """Install folders as a stranger would: from their metadata alone, without the workspace's shortcuts."""
    options: list[str] = []
    if session.venv_backend == "uv":  # uv would otherwise take wheels that it built of these folders earlier
        options = ["--no-sources", *(f"--reinstall-package={metadata(p)['name']}" for p in FOLDERS)]
        options += ["--resolution=lowest-direct"] if lowest else []
    elif lowest:
        session.error("the lowest versions are resolved by uv: pip install uv")
    session.install(*options, *targets)


def with_house(package: str, *wanted: str) -> list[str]:
    """Targets of a package and of those of the house that it builds on, without what their own tests need."""
    named = {re.split(r"[^\w-]", d)[0] for d in metadata(package)["dependencies"]}
    return [*(target(p) for p in FOLDERS if p in named), target(package, *wanted)]


def pytest(session: nox.Session, package: str, *options: str) -> None:
    """Tests of the folder, and the doctests of what was installed: a file after the other on every core, a thread each."""
    session.install("pytest-xdist[psutil]>=3.6")  # 3.6 with pytest 9
    tests = (FOLDERS[package] / "tests").as_posix()
    spread = () if session.posargs else ("-n", "logical", "--dist", "loadfile")  # who asks for one test wants to see it
    session.run("pytest", tests, "--pyargs", package, *spread, *options, *session.posargs, env=ONE_THREAD)


@nox.session
@each_folder
def tests(session: nox.Session, package: str) -> None:
    """Run the tests of a package against its installed wheel."""
    install(session, *with_house(package, "test"))
    pytest(session, package)


@nox.session
@each_folder
def lowest(session: nox.Session, package: str) -> None:
    """The same with the oldest versions that the metadata allow; their own deprecation warnings are not errors."""
    install(session, *with_house(package, "test"), lowest=True)
    pytest(session, package, "-W", "default")


@nox.session
def lint(session: nox.Session) -> None:
    """Style and formatting."""
    session.install("ruff>=0.12")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def records(session: nox.Session) -> None:
    """Recorded results that are what a command wrote, judged again by the code of all packages, and tables that agree."""
    install(session, *(target(p) for p in FOLDERS))
    session.run("claimkit", "readme", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Static types of all packages."""
    install(session, *(target(p, "test", "plots", "report") for p in FOLDERS), "pyright[nodejs]>=1.1.400")
    session.run("pyright", "--pythonpath", shutil.which("python", path=session.bin) or "python")


@nox.session(venv_backend="venv")
@each_package
def readme(session: nox.Session, package: str) -> None:
    """What a newcomer does: the README's install command with plain pip, then its first example, in an empty folder."""
    text = (ROOT / FOLDERS[package] / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(console|python)\n(.*?)```", text, re.DOTALL)
    command = next(body for kind, body in blocks if kind == "console").strip().splitlines()[0]
    example = next(body for kind, body in blocks if kind == "python")
    if not command.startswith("pip install "):
        session.error(f"the first console block of {package}'s README is not its install command")
    session.run("python", "-m", *command.split())
    with tempfile.TemporaryDirectory() as empty, session.chdir(empty):
        Path("example.py").write_text(example, encoding="utf-8")
        session.run("python", "example.py")
        session.run(package, "--help", silent=True)


def with_links(folder: Path, repository: str, to: Path) -> Path:
    """A copy of a package's folder whose README and metadata name the repository, for a page that stands elsewhere."""
    copy = to / folder.name
    shutil.copytree(ROOT / folder, copy, ignore=shutil.ignore_patterns("__pycache__", ".*"))

    def absolute(match: re.Match[str]) -> str:
        path = (ROOT / folder / match[2]).resolve().relative_to(ROOT).as_posix()
        return f"{match[1]}({repository}/{'raw' if match[1].startswith('!') else 'blob'}/main/{path})"

    readme = copy / "README.md"
    links = re.compile(r"(!?\[(?:[^][]|\[[^]]*\])*\])\((?!https?:|#|mailto:)([^)\s]+)\)")
    readme.write_text(links.sub(absolute, readme.read_text(encoding="utf-8")), encoding="utf-8")
    pyproject = copy / "pyproject.toml"
    urls = {
        "Repository": "",
        "Issues": "/issues",
        "Changelog": "/blob/main/CHANGELOG.md",
        "Documentation": f"/blob/main/{folder.as_posix()}",
    }
    table = "".join(f'{name} = "{repository}{path}"\n' for name, path in urls.items())
    pyproject.write_text(f"{pyproject.read_text(encoding='utf-8')}\n[project.urls]\n{table}", encoding="utf-8")
    return copy


@nox.session
@each_folder
def build(session: nox.Session, package: str) -> None:
    """Build sdist and wheel, and check their metadata strictly; after ``--`` the repository's address, for a release."""
    session.install("build[uv]", "twine")
    out = ROOT / "dist" / package
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as to:
        source = with_links(FOLDERS[package], session.posargs[0], Path(to)) if session.posargs else ROOT / FOLDERS[package]
        session.run("python", "-m", "build", "--outdir", str(out), str(source), silent=True)
    files = sorted(out.iterdir())
    session.run("twine", "check", "--strict", *map(str, files))
    for file in files:
        session.log(f"{file.name}: {file.stat().st_size / 1e3:.0f} kB")


@nox.session(venv_backend="venv")
@each_package
def ways(session: nox.Session, package: str) -> None:
    """Every way into an environment, on every Python that is here: our code, or a sentence that names what is missing."""
    session.install("uv", "build")
    session.run("python", ".ci/ways.py", FOLDERS[package].as_posix(), *session.posargs)


@nox.session
@each_package
def reproduce(session: nox.Session, package: str) -> None:
    """Measure a package's claims at preset small; afterwards the scoreboard and the report page."""
    session.notify("report")
    install(session, *with_house(package, "reproduce", "plots"))
    session.run(package, "reproduce", "--out", f"report/results/{package}", *session.posargs)


@nox.session
@each_paper
def paper(session: nox.Session, paper: str) -> None:
    """Measure a paper's claims at preset small, in whichever packages they live; afterwards the scoreboard and the page."""
    session.notify("report")
    lost = []
    for package in PACKAGES:
        claims = (ROOT / FOLDERS[package] / "src" / package).glob("claims*/*.py")
        if any(f'"{paper}"' in file.read_text(encoding="utf-8") for file in claims):
            install(session, *with_house(package, "reproduce", "plots"))
            command = (package, "reproduce", "--paper", paper, "--out", f"report/results/{package}", *session.posargs)
            try:
                session.run(*command)
            except nox.command.CommandFailed:  # the other packages' claims are still measured
                lost.append(package)
    if lost:
        session.error(f"claims of {paper} broke or no longer hold in {', '.join(lost)}")


@nox.session
def report(session: nox.Session) -> None:
    """Print the scoreboard; write report/index.html and the badges from recorded and fresh results."""
    install(session, target("claimkit", "report"))
    options = session.posargs if session.posargs and session.posargs[0].startswith("--link") else []
    session.run("claimkit", "page", *options)


@nox.session
@each_package
def bench(session: nox.Session, package: str) -> None:
    """Run a package's benchmarks, which print ratios against its peers; for a quiet machine."""
    install(session, *with_house(package, "test", "bench", "plots"))
    for script in sorted((FOLDERS[package] / "benchmarks").glob("*.py")):
        session.run("python", script.as_posix(), *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site in build/site: no warning, no dead link; ``-- --serve`` shows it while it is written."""
    install(session, target("claimkit", "docs"))
    if "--serve" in session.posargs:
        session.run("mkdocs", "serve")
    else:
        session.run("mkdocs", "build", "--strict", *session.posargs, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def browser(session: nox.Session) -> None:
    """The report page and the pages of the packages that have one, clicked through in the system's headless Chromium."""
    install(
        session,
        target("claimkit", "test"),
        *(target(p, "demo") for p in PACKAGES if "demo" in extras(p)),
        "playwright",
        "axe-playwright-python",
    )
    session.run("pytest", "-m", "browser", "shared/tests/test_browser.py", *session.posargs)


@nox.session
def gpu(session: nox.Session) -> None:
    """In ten minutes of a card: the tests that need one, a short training a package beside the CPU's; ``-- --report``."""
    install(session, *(target(p, "test", "demo") for p in FOLDERS))
    session.run("python", ".ci/gpu.py", *session.posargs)


@nox.session
def cluster(session: nox.Session) -> None:
    """Once a night: claims on dask and ray, a search on a shared database, training under torchrun; with their speed-ups."""
    install(session, *(target(p, "test") for p in FOLDERS), "ray", "dask[distributed]>=2024.5")
    session.run("python", ".ci/cluster.py", *session.posargs)
