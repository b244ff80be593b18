"""The circumstances of a run: seeds, device, environment, progress. torch is used where imported, never imported."""

import functools
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import psutil

from claimkit.errors import InputError, MissingPackageError
from claimkit.run.seeding import limit_threads as limit_threads
from claimkit.run.seeding import seed_everything as seed_everything

T = TypeVar("T")
CODE = (":(top)", ":(top,exclude,glob)**/results/**", ":(top,exclude,glob)**/*.md")
"""What of a checkout can change a measurement: neither what is generated from its records nor prose."""
LONGEST = 200_000
"""Characters of a difference that a record keeps."""
FLAGS = ("sse4", "avx", "fma", "f16c", "bf16", "amx", "neon", "asimd", "sve")
"""Beginnings of the processor's abilities that decide which kernels numerical libraries choose."""


def choose_device(device: str = "auto") -> str:
    """``"auto"`` is the GPU where there is one, otherwise the CPU; any other name is checked.

    Raises:
        InputError: CUDA was asked for and is not there, or no such kind of device.
    """
    if device == "cpu":
        return "cpu"
    if device != "auto" and device.split(":")[0] not in ("cuda", "mps"):
        raise InputError(f"device {device!r} is not known: use auto, cpu, cuda, cuda:N or mps")
    torch = sys.modules.get("torch")
    if device == "auto":
        return "cuda" if torch is not None and torch.cuda.is_available() else "cpu"
    backend = device.split(":")[0]
    if torch is None or not getattr(torch.backends if backend == "mps" else torch, backend).is_available():
        raise InputError(f"device {device!r} was asked for but torch sees none here: use --device cpu")
    return device


def distribution(package: str) -> str:
    """Name under which a package is installed: of whoever installed its command, or its own where it has none.

    >>> distribution("numpy")
    'numpy'
    """
    for command in importlib.metadata.entry_points(group="console_scripts", name=package):
        if command.dist is not None:
            return command.dist.name
    return package


def environment(package: str, device: str = "cpu") -> dict[str, str | int | float | None]:
    """Machine and versions: what a reader needs to judge a number; no names and no paths of the machine."""
    versions = {}
    for name in (distribution(package), "claimkit", "numpy", "scipy", "torch", "numba", "lightgbm", "scikit-learn"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    torch = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name(device) if torch is not None and device.startswith("cuda") else None
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "flags": " ".join(sorted(f for f in _cpuinfo("flags", "Features").split() if f.startswith(FLAGS))),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "device": gpu or device,
        **versions,
    }


def machine(env: Mapping[str, object] | None = None) -> str:
    """One line: ``2 x AMD EPYC, 24 GB, cpu``."""
    e = env or environment("claimkit")
    return f"{e['cores']} x {e['processor']}, {e['memory_gb']} GB, {e['device']}"


@functools.cache
def installed() -> tuple[str, ...]:
    """Every installed distribution as ``name==version``, sorted, without where it came from: ``pip freeze`` to publish."""
    found = {(d.metadata["Name"] or "").lower(): d.version for d in importlib.metadata.distributions()}
    return tuple(f"{name}=={version}" for name, version in sorted(found.items()) if name)


def load() -> float:
    """Processes that wait for the processor, averaged over the last minute."""
    return round(psutil.getloadavg()[0], 2)


def commit(folder: Path) -> str | None:
    """Short commit of the checkout that tracks ``folder``, with ``+`` where its code has changed; None outside one."""
    if not folder.is_dir() or not git(folder, "ls-files", "--", "."):
        return None
    return git(folder, "rev-parse", "--short=12", "HEAD").strip() + ("+" if changes(folder) else "")


def changes(folder: Path) -> str:
    """Difference of the checkout's code from its commit, new Python files included; empty where there is none."""
    text = git(folder, "diff", "HEAD", "--no-color", "--", *CODE)
    for name in git(folder, "ls-files", "--others", "--exclude-standard", "--full-name", "--", *CODE).splitlines():
        if name.endswith(".py"):
            root = git(folder, "rev-parse", "--show-toplevel").strip()
            text += git(Path(root), "diff", "--no-color", "--no-index", "--", os.devnull, name)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n(cut: the difference has {len(text)} characters)\n"


def git(folder: Path, *args: str) -> str:
    """What git prints in a folder; nothing where there is no git, no checkout or no answer."""
    try:
        command = ["git", "-C", str(folder), *args]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode in (0, 1) else ""


def peak_memory_mb() -> float:
    """Peak resident memory of this process, in MB (10^6 bytes)."""
    try:  # Linux: getrusage would count what the parent had before this process's program was loaded
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    except (OSError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows keeps the peak elsewhere
        return getattr(psutil.Process().memory_info(), "peak_wset") / 1e6  # noqa: B009 - exists on Windows alone
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def require(module: str, purpose: str, install: str) -> None:
    """Refuse, before any work is done, what an optional dependency is missing for.

    Raises:
        MissingPackageError: ``module`` is not installed; the sentence names ``purpose`` and what to install.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingPackageError(f"{purpose} need {module}, which is not installed: pip install '{install}'")


def picture(path: Path, suffixes: tuple[str, ...] = (".png", ".pdf", ".svg")) -> None:
    """Refuse, before any work is done, a file name that no picture can be written to.

    Raises:
        InputError: It ends in none of the suffixes.
    """
    if path.suffix.lower() not in suffixes:
        known = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
        raise InputError(f"{path} is no name of a picture: use one that ends in {known}")


def checkpoint(out: Path, resume: bool) -> Path:
    """The checkpoint of a training verb, ``out/checkpoint.pt``: there when it resumes, and only then.

    Raises:
        InputError: There is nothing to resume, or a run that would be overwritten.
    """
    path = out / "checkpoint.pt"
    if resume and not path.exists():
        raise InputError(f"{path} does not exist: start without --resume, or give the --out of an earlier run")
    if not resume and path.exists():
        raise InputError(f"{out} already holds a run: add --resume to go on with it, or give another --out")
    return path


def progress(items: Iterable[T], description: str = "", total: int | None = None, unit: str = "it") -> Iterable[T]:
    """tqdm, silent when the error stream is not a terminal."""
    from tqdm import tqdm

    return tqdm(items, desc=description, total=total, unit=unit, disable=not sys.stderr.isatty(), leave=False)


def _cpuinfo(*keys: str) -> str:
    """First value that Linux gives under one of the keys; empty elsewhere."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(keys):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return ""
