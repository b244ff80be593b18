"""The command `securegbm align`; cryptography and pandas are imported inside it."""

# ruff: noqa: B008
from pathlib import Path
from typing import Literal

from tyro.conf import OmitArgPrefixes as Flat

from securegbm.app.options import CallingOptions, FileOptions


def align(
    data: Path,
    out: Path,
    side: Literal["party-a", "party-b"] = "party-a",
    fold_case: bool = False,
    round_to: int = 1,
    most: int = 10_000_000,
    state: Path | None = None,
    link: Flat[CallingOptions] = CallingOptions(deadline=3600.0),
    table: Flat[FileOptions] = FileOptions(),
) -> None:
    """Write the rows that both parties have, in one order on both sides; party-b first, party-a then. Other ids stay hidden.

    Example: securegbm align --side party-a --data customers.csv --out aligned.csv

    Args:
        data: This party's table.
        out: CSV of its common rows, all columns as they are.
        side: party-b waits for one alignment, party-a begins it.
        fold_case: Upper and lower case of ids are the same.
        round_to: Round the number of ids shown to the other party up to a multiple of this.
        most: Most ids the other party may send (party-b).
        state: Folder of the message log; party-a or party-b when not given.
        link: Where party-b listens. With `--more NAME=HOST:PORT` the table is aligned with that further party instead, whose
            certificate is NAME.crt.
        table: How the table is written.
    """
    from securegbm.align.tables import align_tables
    from securegbm.app.links import link_of
    from securegbm.errors import SecureGBMError

    if len(link.more) > 1:
        raise SecureGBMError("tables are aligned with one party at a time; give one --more, and align with each in turn")
    rules = (table.id_column, fold_case, round_to, most)
    align_tables(data, out, *rules, link_of(link, side).each()[-1], state or Path(side), table.dialect())
