"""Files as people have them: CSV in its dialects, gzip, Parquet and Feather; what is doubtful is one sentence."""

import csv
import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from securegbm.errors import SecureGBMError

MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "none", "?", "-nan", "#N/A"]
"""What stands for a missing value in a column that is not the id."""


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written.

    Args:
        separator: Between fields; found out from the header when not given.
        encoding: Of the text; a byte order mark decides by itself.
        decimal: Decimal sign.
    """

    separator: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."

    def __post_init__(self) -> None:
        if self.separator is not None and len(self.separator.replace("\\t", "\t")) != 1:
            raise SecureGBMError(f"--separator {self.separator!r} is not one character")
        if self.decimal not in (".", ",") or self.decimal == self.separator:
            raise SecureGBMError(f"--decimal {self.decimal!r} is not '.' or ',', or is the separator, too")


def read_frame(path: Path, id_column: str, dialect: Dialect | None = None, as_text: bool = False) -> Any:
    """A table file as a pandas frame, the id column as text.

    Args:
        path: CSV (also gzip), or Parquet or Feather by its name.
        id_column: The column of ids.
        dialect: Of a CSV.
        as_text: Leave every field of a CSV as it stands.

    Raises:
        SecureGBMError: If it cannot be read, or not without doubt.
    """
    if path.suffix in (".parquet", ".feather", ".arrow"):
        frame = _read_arrow(path)
    else:
        frame = _read_csv(path, id_column, dialect or Dialect(), as_text)
    if id_column not in frame:
        raise SecureGBMError(
            f"{path.name} has no column {id_column!r}; its columns are {', '.join(map(str, frame.columns))}"
        )
    ids = frame[id_column]
    blank = np.flatnonzero((ids.isna() | (ids.astype(str).str.strip() == "")).to_numpy())
    if len(blank):
        raise SecureGBMError(f"row {blank[0] + 1} of {path.name} has no {id_column!r}; give every row its id, or remove it")
    if not len(frame):
        raise SecureGBMError(f"{path.name} has a header and no rows; give at least one")
    frame[id_column] = ids.astype(str)
    return frame


def _read_arrow(path: Path) -> Any:
    import pandas

    try:
        return pandas.read_parquet(path) if path.suffix == ".parquet" else pandas.read_feather(path)
    except ImportError as error:
        raise SecureGBMError(f"{path.name} needs pyarrow; install the extra `arrow`, or give a CSV") from error
    except (OSError, ValueError) as error:
        raise SecureGBMError(f"cannot read {path}: {str(error).splitlines()[0]}") from error


def _text(path: Path, encoding: str) -> str:
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError) as error:
        raise SecureGBMError(f"cannot read {path}: {error}") from error
    if data[:4] in (b"PK\x03\x04", b"PAR1"):
        raise SecureGBMError(
            f"{path.name} is a workbook or Parquet, no CSV; save a workbook as CSV, and let Parquet's name end in .parquet"
        )
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        encoding = name if data.startswith(mark) else encoding
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise SecureGBMError(
            f"{path.name} is not {encoding} text; say which with --encoding (latin-1, cp1252, ...)"
        ) from error
    if "\0" in text:
        raise SecureGBMError(f"{path.name} holds zero bytes, so it is no {encoding} text; say which with --encoding")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _separator(header: str, path: Path, id_column: str) -> str:
    fits = [
        sep
        for sep in (",", ";", "\t", "|")
        if id_column in [name.strip() for name in next(csv.reader([header], delimiter=sep), [])]
    ]
    if len(fits) > 1:
        fits = [sep for sep in fits if sep in header]
    if len(fits) != 1:
        raise SecureGBMError(
            f"{path.name} has no column {id_column!r} (its first line is {header[:60]!r}); name it with --id-column, or say "
            "what separates the fields with --separator"
        )
    return fits[0]


def _read_csv(path: Path, id_column: str, dialect: Dialect, as_text: bool) -> Any:
    import pandas

    lines = _text(path, dialect.encoding).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise SecureGBMError(f"{path.name} is empty; give a header and rows")
    separator = (dialect.separator or "").replace("\\t", "\t") or _separator(lines[0], path, id_column)
    names = [name.strip() for name in next(csv.reader([lines[0]], delimiter=separator))]
    trailing = len(names) > 1 and names[-1] == ""
    names = names[:-1] if trailing else names
    doubled = sorted({name for name in names if names.count(name) > 1 or name == ""})
    if doubled:
        raise SecureGBMError(
            f"{path.name} has the column {doubled[0]!r} more than once or a column without a name; name each"
        )
    width = _check_widths(lines, separator, len(names), path)
    if id_column not in names:
        raise SecureGBMError(f"{path.name} has no column {id_column!r}; its columns are {', '.join(names)}")
    body = io.StringIO("\n".join(lines[1:]) + "\n" if len(lines) > 1 else "")
    if len(lines) == 1:
        raise SecureGBMError(f"{path.name} has a header and no rows; give at least one")
    types: Any = str if as_text else {id_column: str}
    missing = {} if as_text else {name: MISSING for name in names if name != id_column}
    extra = [f"\0{i}" for i in range(width - len(names))]
    try:
        frame = pandas.read_csv(
            body, header=None, names=[*names, *extra], sep=separator, decimal=dialect.decimal, dtype=types,
            keep_default_na=False, na_values=missing, index_col=False,
            skip_blank_lines=True, skipinitialspace=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise SecureGBMError(f"cannot read {path.name}: {str(error).splitlines()[0]}") from error
    return frame[names]


def _check_widths(lines: list[str], separator: str, columns: int, path: Path) -> int:
    """Every line must have as many fields as the header; an empty one more is a comma at the end of the line."""
    if any('"' in line for line in lines):
        widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        ends = [row[-1] == "" for row in csv.reader(lines, delimiter=separator) if row]
    else:
        widths = [line.count(separator) + 1 for line in lines if line.strip()]
        ends = [line.rstrip(" ").endswith(separator) for line in lines if line.strip()]
    for number, (width, empty) in enumerate(zip(widths, ends, strict=True), 1):
        if width != columns and not (width == columns + 1 and empty):
            raise SecureGBMError(
                f"line {number} of {path.name} has {width} fields, its header {columns}; correct the line, or say what "
                "separates the fields with --separator"
            )
    return max(widths)
