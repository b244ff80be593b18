"""``SHA256SUMS`` beside recorded results: what every record and picture was when a command wrote it.

It is the format of ``sha256sum -c``.
A command that writes a record writes its line; nothing else changes a line, so that an edit by hand is seen.
"""

from pathlib import Path

from claimkit.files import sha256, write_atomic

NAME = "SHA256SUMS"


def read(folder: Path) -> dict[str, str]:
    """Names to digests; empty where there is no such file."""
    file = folder / NAME
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def write(folder: Path, sums: dict[str, str]) -> bool:
    """Write the lines in order of the names; True where they changed."""
    if sums == read(folder):
        return False
    write_atomic(folder / NAME, "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())))
    return True


def renew(folder: Path, *names: str) -> None:
    """Note what files that were just written are now, and forget those that are gone; only where sums are kept."""
    if (folder / NAME).exists():
        sums = read(folder)
        for name in names:
            sums.pop(name, None)
            if (folder / name).is_file():
                sums[name] = sha256(folder / name)
        write(folder, sums)


def complete(folder: Path, names: list[str]) -> bool:
    """Add lines for files that have none yet, the others stay; True where there were such."""
    sums = read(folder)
    return write(folder, {n: sha256(folder / n) for n in names if n not in sums} | sums)
