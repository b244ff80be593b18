"""What a run has cost the feature party's customers so far: requests, opened cells, and the account of the noise."""

import math

import numpy as np
import numpy.typing as npt

from securegbm.errors import ProtocolError
from securegbm.state.store import TreeStore, dump_json, read_json, write_atomically


class Ledger:
    """Counts over all restarts of a run; what an open tree may ask is booked before it begins and corrected after it.

    Args:
        store: The run's folder.
        most: Requests for sums that the run may make.
        most_opened: Cells of the binned table that it may open.
        per_tree: Requests a tree may make.
    """

    def __init__(self, store: TreeStore, most: int, most_opened: int, per_tree: int) -> None:
        self._path = store.file("ledger.json")
        held = read_json(self._path) if self._path is not None and self._path.exists() else store.ledger
        self._held: dict[str, int] = held
        store.ledger = held
        self._most, self._most_opened, self._per_tree = most, most_opened, per_tree
        self._before = dict(held)
        self._asked, self._touched = 0, np.zeros(0, dtype=np.int32)

    def begin(self, n_rows: int) -> None:
        """A tree begins.

        Raises:
            ProtocolError: If the run has no requests left.
        """
        if self._held["asked"] >= self._most:
            raise ProtocolError("this run has asked for all the sums that the feature party grants it; the session ends")
        self._before = dict(self._held)
        self._asked, self._touched = 0, np.zeros(n_rows, dtype=np.int32)
        self._book(self._per_tree, self._per_tree)

    def ask(self, rows: npt.NDArray[np.int64]) -> None:
        """Sums over `rows` are asked for.

        Raises:
            ProtocolError: If the tree or the run has no request left.
        """
        self._asked += 1
        self._touched[rows] += 1
        if self._asked > self._per_tree or self._before["asked"] + self._asked > self._most:
            raise ProtocolError(
                f"more sums were asked for than a tree of {self._per_tree // 2} leaves needs, or than the feature party "
                "grants a run; the session ends"
            )

    def commit(self) -> None:
        """The tree is whole."""
        self._book(self._asked, int(self._touched.max(initial=0)))

    def open(self, cells: int) -> None:
        """Cells of the binned table are opened.

        Raises:
            ProtocolError: If that is more than granted.
        """
        if self._held["opened"] + cells > self._most_opened:
            raise ProtocolError("the feature party opens no more cells of its table in this run; the session ends")
        self._held["opened"] += cells
        self._before["opened"] += cells
        self._write()

    def epsilon(self, noise: float, n_columns: int, delta: float = 1e-6) -> float:
        """The privacy loss of one row's columns so far, at `delta`; infinite without noise.

        A request in which the row takes part changes, when its bins change, two sums of g and two of h per column by at
        most 1 each: rho = 4 F / (2 noise^2) of zero-concentrated privacy, and epsilon = rho + 2 sqrt(rho ln(1/delta)).
        It holds for gradients of at most 1, which this party cannot see, and not for decisions, which are exact.

        Args:
            noise: Standard deviation of the noise, in units of gradients.
            n_columns: F.
            delta: Probability outside of the account.
        """
        if noise <= 0:
            return math.inf
        rho = self._held["touched"] * 2.0 * n_columns / noise**2
        return rho + 2.0 * math.sqrt(rho * math.log(1.0 / delta))

    def _book(self, asked: int, touched: int) -> None:
        self._held["asked"] = self._before["asked"] + asked
        self._held["touched"] = self._before["touched"] + touched
        self._write()

    def _write(self) -> None:
        if self._path is not None:
            write_atomically(self._path, dump_json(self._held))
