"""Install one package in every way that people try, beside an index of strangers' distributions under our names.

``python .ci/ways.py packages/quasipotential 3.11 3.12 3.13`` (or interpreters by path): each way must end with our code or
with a sentence that names the missing version; the last column says which. Libraries come from the package index.
"""

import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = ROOT / "shared"


def project(folder: Path) -> dict[str, str]:
    """Name and version of a folder."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def strangers(folder: Path) -> Path:
    """A folder of wheels under our names that are not ours; importing one would show it."""
    folder.mkdir()
    for name in ("claimkit", "delta", "delta_finetune", "photonet", "paperkit"):
        for version in ("0.1.0", "0.2.0"):
            with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
                info = f"{name}-{version}.dist-info"
                wheel.writestr(f"{name}.py", "raise SystemExit('a stranger was installed')")
                wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
                wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
                wheel.writestr(f"{info}/RECORD", "")
    return folder


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Run a command, its output kept."""
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)


def main(folder: Path, *pythons: str) -> int:
    """Try all ways; 1 when one of them installs a stranger's code or fails without naming what is missing."""
    folder = folder.resolve()
    on = project(folder)
    house = [ROOT / "packages/photonet"] if on["name"] == "stylenas" else []
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        there = Path(temporary)
        index = ("--find-links", strangers(there / "strangers"))
        git = f"git+{ROOT.as_uri()}#subdirectory="
        for source in (folder, SHARED, *house):
            run(sys.executable, "-m", "build", "--outdir", there / source.name, source).check_returncode()
        wheel, sdist = (next((there / folder.name).glob(f"*{end}")) for end in (".whl", ".tar.gz"))
        needed = [next((there / s.name).glob("*.whl")) for s in (SHARED, *house)]
        at = [f"{git}{s.relative_to(ROOT)}" for s in (SHARED, *house, folder)]
        ways = {
            "folder alone": ("pip", folder),
            "wheel alone": ("pip", wheel),
            "sdist alone": ("pip", sdist),
            "git alone": ("pip", at[-1]),
            "folders": ("pip", SHARED, *house, folder),
            "wheels": ("pip", *needed, wheel),
            "editable": ("pip", "-e", SHARED, *(a for h in house for a in ("-e", h)), "-e", folder),
            "git, with shared": ("pip", *at),
            "uv, git alone": ("uv", at[-1]),
            "uvx, git alone": ("uvx", at[-1]),
        }
        for python in pythons or ("3.11", "3.12", "3.13"):
            if run("uv", "python", "find", "--no-python-downloads", python).returncode:
                print(f"{python}  not on this machine")
                continue
            for number, (way, (tool, *wanted)) in enumerate(ways.items()):
                environment = there / f"{Path(python).as_posix().replace('/', '-')}-{number}"
                binary = environment / "bin/python"
                if tool == "uvx":
                    done = run(
                        "uv", "tool", "run", "--python", python, *index, "--from", wanted[0], folder.name, "--version"
                    )
                    ours = on["version"] in done.stdout
                else:
                    seed = ["--seed"] if tool == "pip" else []
                    run("uv", "venv", "--quiet", "--python", python, *seed, environment).check_returncode()
                    command = [binary, "-m", "pip"] if tool == "pip" else ["uv", "pip"]
                    target = [] if tool == "pip" else ["--python", binary]
                    done = run(*command, "install", "--quiet", *target, *index, *wanted)
                    script = "import importlib.metadata as m, claimkit.cli; print(m.version('claimkit'))"
                    ours = project(SHARED)["version"] in run(binary, "-c", script).stdout
                refused = done.returncode != 0 and project(SHARED)["version"] in done.stderr + done.stdout
                verdict = (
                    "our code" if done.returncode == 0 and ours else "refused, names the version" if refused else "WRONG"
                )
                wrong += verdict == "WRONG"
                print(f"{python}  {way:<18} {verdict}", flush=True)
                if verdict == "WRONG":
                    print(done.stderr[-2000:], file=sys.stderr)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
