"""Private set intersection of two lists: CPU seconds a side and memory."""

import argparse
import resource
import time

from securegbm.align.intersection import Masker, OwnIds


def main() -> None:
    """Align two lists of which half is common."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=1_000_000, help="ids a side")
    count = parser.parse_args().count
    lists = ([f"customer {i}" for i in range(count)], [f"customer {i}" for i in range(count // 2, count + count // 2)])
    spent = [0.0, 0.0]

    def timed(side: int, work):
        begun = time.process_time()
        found = work()
        spent[side] += time.process_time() - begun
        return found

    own = [timed(side, lambda side=side: OwnIds(lists[side])) for side in (0, 1)]
    maskers = [Masker(), Masker()]
    once = [timed(side, lambda side=side: maskers[side].mask(own[side].points)) for side in (0, 1)]
    twice = [timed(1 - side, lambda side=side: maskers[1 - side].mask(once[side])) for side in (0, 1)]
    common = [timed(side, lambda side=side: own[side].common(twice[side], twice[1 - side])) for side in (0, 1)]
    assert [lists[0][at] for at in common[0]] == [lists[1][at] for at in common[1]]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{count} ids a side, {len(common[0])} common: {spent[0]:.1f} and {spent[1]:.1f} CPU s, peak {peak} MB (both sides)"
    )


if __name__ == "__main__":
    main()
