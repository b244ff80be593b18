"""One progress bar for long loops."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(total: int, wanted: bool, unit: str) -> Iterator[Callable[[int], object]]:
    """A function that takes counts of what was done; it shows them where wanted, on a terminal."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, unit_scale=True, leave=False) as bar:
        yield bar.update
