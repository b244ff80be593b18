"""Signed nonsense in bulk: `python benchmarks/fuzz.py [COUNT]` prints outcomes, faults, CPU seconds and peak memory."""

import json
import resource
import sys
import time

from securegbm.app.fuzz import fuzz


def main() -> None:
    """Fuzz, 20,000 messages unless told otherwise."""
    count, begun = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, time.process_time()

    def every(done: int) -> None:
        if done % 500 == 0:
            print(done, file=sys.stderr, flush=True)

    found = fuzz(count, seed=20_000, every=every)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(found | {"cpu_seconds": round(time.process_time() - begun), "peak_mb": peak, "count": count}, indent=1))


if __name__ == "__main__":
    main()
