"""Signed nonsense in bulk: outcomes, faults, CPU seconds and peak memory."""

import argparse
import json
import resource
import sys
import time

from securegbm.app.fuzz import fuzz


def main() -> None:
    """Fuzz."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=20_000, help="messages")
    count, begun = parser.parse_args().count, time.process_time()

    def every(done: int) -> None:
        if done % 500 == 0:
            print(done, file=sys.stderr, flush=True)

    found = fuzz(count, seed=20_000, every=every)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(found | {"cpu_seconds": round(time.process_time() - begun), "peak_mb": peak, "count": count}, indent=1))


if __name__ == "__main__":
    main()
