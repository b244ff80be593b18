"""What `securegbm align` does, and how a serving table is read again while it serves."""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from claimkit.files import write_atomic
from securegbm.align.party import AlignParty, canonical
from securegbm.align.party import align as align_ids
from securegbm.errors import SecureGBMError
from securegbm.tables.files import Dialect, read_frame

if TYPE_CHECKING:
    from securegbm.app.links import Link


def align_tables(
    data: Path, out: Path, id_column: str, fold_case: bool, round_to: int, most: int, link: "Link", state: Path,
    dialect: Dialect,
) -> None:  # fmt: skip
    """Align this party's table with the other's; see the command's help."""
    if round_to < 1 or most < 1:
        raise SecureGBMError(f"--round-to is {round_to} and --most {most}; give numbers of at least 1")
    frame = read_frame(data, id_column, dialect, as_text=True)
    frame[id_column] = canonical(frame[id_column].tolist(), fold_case)
    ids = frame[id_column].tolist()

    def tell(sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    if link.own == "party-a":
        channel, secret = link.open()
        common = align_ids(ids, channel, secret, round_to, link.log(state, "label"), fold_case)
        channel.close()
    else:
        log, made = link.log(state, "feature"), []

        def make(secret: bytes) -> AlignParty:
            made.append(AlignParty(ids, secret, round_to, most, log, tell, fold_case))
            return made[0]

        with link.serve(make, tell) as server:
            print(f"waiting for party-a on port {server.port}", flush=True)
            made[0].done.wait()
            time.sleep(1.0)  # let the last answer go out, and be asked for again if it was lost
        common = made[0].common
    common = sorted(common, key=ids.__getitem__)  # by id: the order is the same after an alignment with a third party
    write_atomic(out, frame.iloc[common].to_csv(index=False))
    print(f"{len(common)} of {len(ids)} rows are common: {out}")


def reloaded(path: Path, read: Callable[[], None], tell: Callable[[str], None], every: float = 2.0) -> None:
    """Call `read` whenever the file has changed; a file that cannot be read leaves the old table in place.

    Args:
        path: The file.
        read: Reads it.
        tell: Called with one sentence about each attempt.
        every: Seconds between two looks.
    """
    before = os.stat(path).st_mtime_ns

    def watch() -> None:
        seen = before
        while True:
            time.sleep(every)
            try:
                now = os.stat(path).st_mtime_ns
                if now != seen:
                    seen = now
                    read()
                    tell(f"{path.name} was read again")
            except (OSError, SecureGBMError) as error:
                tell(f"{path.name} was not read again: {error}")

    threading.Thread(target=watch, daemon=True).start()
