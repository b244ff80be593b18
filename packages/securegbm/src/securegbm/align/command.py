"""The command `securegbm align`; cryptography and pandas are imported inside it."""

from pathlib import Path
from typing import Literal


def align(
    data: Path,
    out: Path,
    side: Literal["party-a", "party-b"] = "party-a",
    id_column: str = "id",
    fold_case: bool = False,
    round_to: int = 1,
    most: int = 10_000_000,
    address: str = "127.0.0.1:50551",
    certs: Path = Path("certs"),
    pin: str | None = None,
    insecure_loopback: bool = False,
    state: Path | None = None,
    separator: str | None = None,
    encoding: str = "utf-8",
    decimal: str = ".",
    patience: float = 60.0,
) -> None:
    """Write the rows that both parties have, in one order on both sides; party-b first, party-a then. Other ids stay hidden.

    Args:
        data: This party's table.
        out: CSV of its common rows, all columns as they are.
        side: party-b waits for one alignment, party-a begins it.
        id_column: Name of the id column.
        fold_case: Upper and lower case of ids are the same.
        round_to: Round the number of ids shown to the other party up to a multiple of this.
        most: Most ids the other party may send (party-b).
        address: Where party-b listens.
        certs: Folder of the certificates.
        pin: SHA-256 fingerprint of the other party's certificate.
        insecure_loopback: No TLS; for trials on this machine only.
        state: Folder of the message log; party-a or party-b when not given.
        separator: Between columns of the CSV; found out when not given.
        encoding: Of the CSV.
        decimal: Decimal sign of the CSV.
        patience: Seconds party-a waits for party-b.
    """
    from securegbm import verbs
    from securegbm.align.tables import align_tables

    peer = "party-b" if side == "party-a" else "party-a"
    link = verbs.Link(address, certs, side, peer, pin, insecure_loopback, 3600.0, patience)
    dialect = verbs.Dialect(separator, encoding, decimal)
    align_tables(data, out, id_column, fold_case, round_to, most, link, state or Path(side), dialect)
