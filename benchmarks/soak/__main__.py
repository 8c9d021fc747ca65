"""`make soak`: run the service under load and faults, and check that nothing was lost.

    python -m benchmarks.soak [--minutes 10] [--engine mysql] [--rate 4] [--fault-every 60]
        [--sentinels] [--keep FOLDER]

Exit status 1 if the ledger does not add up, if an answer was a 500, if a log has an error,
or if memory grows.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.soak.run import SoakPlan, run_soak


def main() -> int:
    """Run one soak and print its report."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--engine", default="mysql", choices=("sqlite", "mysql", "postgres"))
    parser.add_argument("--rate", type=float, default=4, help="new payments per second")
    parser.add_argument("--fault-every", type=float, default=60, help="seconds between faults")
    parser.add_argument("--sentinels", action="store_true", help="Redis with a replica")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the logs there")
    options = parser.parse_args()
    plan = SoakPlan(
        options.minutes * 60,
        options.engine,
        options.rate,
        options.fault_every,
        has_sentinels=options.sentinels,
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        report = run_soak(plan, folder, lambda line: print(line, flush=True))
    print("\n".join(report.lines))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
