"""Where data and weights come from: ``--data DIR``, then ``CLAIMKIT_DATA``, then what the wheel carries.

Nothing is downloaded silently: only :func:`download` reaches the network, and only with a sha256.
"""

import importlib.resources
import os
from dataclasses import dataclass, field
from pathlib import Path

from claimkit.errors import InputError, NotAvailableError
from claimkit.files import sha256


@dataclass
class Assets:
    """Finds data by relative name, and remembers what was read.

    Attributes:
        folder: The user's ``--data``; the environment's ``CLAIMKIT_DATA`` where it is None.
        package: Package whose embedded ``data`` folder is the last resort.
        used: Names of what was found, to their sha256.
        carried: Names of those that did not come from one of the places.
    """

    folder: Path | None = None
    package: str | None = None
    used: dict[str, str] = field(default_factory=dict)
    carried: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take the environment's folder where none is given; refuse one that is not there."""
        if self.folder is None and (environment := os.environ.get("CLAIMKIT_DATA")):
            self.folder = Path(environment)
        if self.folder is not None and not self.folder.is_dir():
            raise InputError(f"the data folder {self.folder} does not exist: give --data an existing folder")

    def find(self, name: str, digest: str | None = None) -> Path:
        """Path of the file or folder ``name``, checked against ``digest`` (sha256) where one is given.

        Raises:
            NotAvailableError: It is in none of the places.
            InputError: It is there with another content.
        """
        path = self.locate(name)
        if path is None:
            raise NotAvailableError(
                f"needs the data set {name!r}: give the folder that holds it with --data or CLAIMKIT_DATA"
            )
        found = self.used.get(name) or sha256(path)  # of a large folder once
        if digest is not None and found != digest:
            raise InputError(f"{name} has sha256 {found[:12]}..., expected {digest[:12]}...: get the file again")
        self.used[name] = found
        if self.folder is None or not path.is_relative_to(self.folder):
            self.carried.append(name)
        return path

    def locate(self, name: str) -> Path | None:
        """Path of ``name`` in the first of the places that has it."""
        places = [] if self.folder is None else [self.folder]
        if self.package is not None:
            places.append(Path(str(importlib.resources.files(self.package))) / "data")
        return next((place / name for place in places if (place / name).exists()), None)

    def note(self, name: str, digest: str) -> None:
        """Remember data that came with a library or was generated."""
        self.used[name] = digest
        self.carried.append(name)


def download(url: str, digest: str, name: str) -> Path:
    """Fetch a file once into the user's cache and check its sha256; called only where the user asked for it by name."""
    import pooch

    path = pooch.retrieve(url, known_hash=f"sha256:{digest}", fname=name, path=pooch.os_cache("claimkit"), progressbar=True)
    return Path(path)
