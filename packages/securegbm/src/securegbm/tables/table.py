"""A party's table: numeric columns, their names, and the ids of the rows, which must be aligned between the parties."""

import hashlib
import hmac
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError
from securegbm.state.store import dump_json, read_json, write_atomically
from securegbm.tables.binning import BinConfig, Bins, ColumnBins, Floats, find_all_bins
from securegbm.tables.encode import Rule, apply, learn
from securegbm.tables.files import Dialect, read_frame

NUMBER: Rule = {"kind": "number"}


@dataclass(frozen=True)
class Table:
    """Numeric columns of aligned rows.

    Args:
        values: `(rows, columns)` float64, NaN for missing.
        names: One name per column.
        ids: One id per row, in the order both parties agreed on (`securegbm align`); both parties compare
            a keyed hash of the ids.
        rules: How columns that were no numbers became numbers; they go into the half of a model.
        monotone: Columns with which predictions must rise (1) or fall (-1).
        categorical: Columns of categories without an order (numbers from 0), which are split into sets.
    """

    values: Floats
    names: tuple[str, ...]
    ids: tuple[str, ...]
    rules: dict[str, Rule] = field(default_factory=dict)
    monotone: dict[str, int] = field(default_factory=dict)
    categorical: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (*self.monotone, *self.categorical):
            if name not in self.names:
                raise SecureGBMError(f"there is no column {name!r} to declare; the columns are {', '.join(self.names)}")
        if any(way not in (-1, 1) for way in self.monotone.values()):
            raise SecureGBMError("a column is monotone with 1 (rising) or -1 (falling); declare nothing else")
        if both := sorted(set(self.monotone) & set(self.categorical)):
            raise SecureGBMError(f"column {both[0]!r} is declared categorical and monotone; leave it out of one")
        if self.values.ndim != 2 or self.values.shape != (len(self.ids), len(self.names)):
            raise SecureGBMError(
                f"a table of shape {self.values.shape} has {len(self.ids)} ids and {len(self.names)} names; "
                "give one id per row and one name per column"
            )
        if len(set(self.ids)) != len(self.ids):
            raise SecureGBMError("row ids repeat; give every row its own id")
        if len(self.ids) == 0:
            raise SecureGBMError("the table has no rows; give at least one")

    @classmethod
    def of(cls, values: npt.ArrayLike, names: list[str] | None = None, ids: list[str] | None = None) -> "Table":
        """A table from an array; names default to x0, x1, ... and ids to the row numbers."""
        array = np.ascontiguousarray(values, dtype=np.float64)
        if array.ndim != 2:
            raise SecureGBMError(f"a table needs two dimensions, this has shape {array.shape}")
        return cls(
            array,
            tuple(names or [f"x{i}" for i in range(array.shape[1])]),
            tuple(ids or [str(i) for i in range(len(array))]),
        )

    @classmethod
    def read(
        cls,
        path: Path,
        id_column: str,
        drop: tuple[str, ...] = (),
        dialect: Dialect | None = None,
        rules: dict[str, Rule] | None = None,
    ) -> tuple["Table", dict[str, list[str]]]:
        """Read a file.

        Args:
            path: CSV with a header line (also gzip), Parquet or Feather.
            id_column: The column of row ids.
            drop: Columns that are not features; returned as text.
            dialect: Of a CSV.
            rules: How text became numbers at training; learned from this file when not given.

        Returns:
            The table and the dropped columns.

        Raises:
            SecureGBMError: If the file, a column or the number format is wrong.
        """
        frame = read_frame(path, id_column, dialect)
        for name in drop:
            if name not in frame:
                raise SecureGBMError(f"{path.name} has no column {name!r}; its columns are {', '.join(frame.columns)}")
        taken = {name: frame[name].astype(str).tolist() for name in drop}
        ids = frame[id_column].tolist()
        frame = frame.drop(columns=[id_column, *drop])
        names = tuple(map(str, frame.columns))
        called = {name: f"column {name!r} of {path.name}" for name in names}
        learned = {name: learn(frame[name], called[name]) for name in names if rules is None}
        kept = learned if rules is None else {name: rules.get(name, NUMBER) for name in names}
        columns = [apply(frame[name], kept[name], called[name]) for name in names]
        values = np.column_stack(columns) if columns else np.zeros((len(ids), 0))
        own = {name: rule for name, rule in kept.items() if rule != NUMBER}
        return cls(np.ascontiguousarray(values), names, tuple(ids), own), taken

    def constant_columns(self) -> list[str]:
        """Names of the columns that hold one value only: they can never be split."""
        same = (self.values == self.values[:1]) | (np.isnan(self.values) & np.isnan(self.values[:1]))
        return [name for name, constant in zip(self.names, same.all(axis=0), strict=True) if constant]

    def id_digest(self, key: bytes) -> str:
        """Keyed hash of the ids in order: equal at both parties if and only if the rows are aligned."""
        return hmac.digest(key, "\n".join(self.ids).encode(), "sha256").hex()

    def id_tokens(self, key: bytes) -> list[bytes]:
        """16 keyed bytes per id, to name rows of a request."""
        return [hmac.digest(key, row.encode(), "sha256")[:16] for row in self.ids]

    def bin(self, config: BinConfig, kept: Path | None = None) -> tuple[list[ColumnBins], Bins]:
        """Edges of every column and the bin of every value.

        Args:
            config: How to bin.
            kept: File the edges are kept in, so that a resumed run has the same ones at once.
        """
        if kept is not None and kept.exists():
            columns = [ColumnBins.from_dict(column) for column in read_json(kept)]
        else:
            kinds = [self.names.index(name) for name in self.categorical]
            columns = find_all_bins(self.values, config, [f"column {name!r}" for name in self.names], kinds)
            columns = [
                replace(column, layout=replace(column.layout, monotone=self.monotone.get(name, 0)))
                for name, column in zip(self.names, columns, strict=True)
            ]
            if kept is not None:
                write_atomically(kept, dump_json([column.to_dict() for column in columns]))
        bins = [column.transform(self.values[:, i]) for i, column in enumerate(columns)]
        return columns, np.column_stack(bins) if bins else np.zeros((len(self.ids), 0), dtype=np.uint16)

    def digest(self) -> str:
        """Hash of everything in the table, to notice a change between two runs of one job."""
        found = hashlib.sha256(np.ascontiguousarray(self.values).tobytes())
        found.update("\n".join((*self.names, *self.ids)).encode())
        if self.monotone or self.categorical:
            found.update(repr((sorted(self.monotone.items()), sorted(self.categorical))).encode())
        return found.hexdigest()


def pack_rows(rows: npt.NDArray[np.int64], n_rows: int) -> bytes:
    """A set of rows as a bit per row."""
    member = np.zeros(n_rows, dtype=bool)
    member[rows] = True
    return np.packbits(member).tobytes()


def unpack_bits(data: bytes, count: int) -> npt.NDArray[np.bool_]:
    """The first `count` bits.

    Raises:
        SecureGBMError: If there are not exactly as many bytes as that needs.
    """
    if len(data) != -(-count // 8):
        raise SecureGBMError(f"{len(data)} bytes arrived where {count} bits were expected; refuse this peer")
    return np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=count).astype(bool)
