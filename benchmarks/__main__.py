"""`make bench`: run the comparisons and print their results.

    python -m benchmarks [case …] [--rounds N]
        cases: journey http live capacity qr compression sweep turns webhooks webhook-storm
    python -m benchmarks http journey --against FOLDER  with an older checkout in the same rounds
    python -m benchmarks tricks --only WORDS           optimisations whose names have the words

The service and the bare app alternate within each round; their medians are compared as ratios,
because machines differ and drift. The results are written as JSON to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.cases import (
    capacity,
    compression,
    http,
    journey,
    live,
    qr,
    sweep,
    tricks,
    turns,
    webhook_storm,
    webhooks,
)
from tests.support.databases import Databases

SIDE_BY_SIDE = {"journey": journey, "http": http, "live": live, "capacity": capacity}
"""Cases with programs of their own, which an older checkout can join."""
CASES = {
    **SIDE_BY_SIDE,
    "qr": qr,
    "compression": compression,
    "sweep": sweep,
    "tricks": tricks,
    "turns": turns,
    "webhooks": webhooks,
    "webhook-storm": webhook_storm,
}
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run the cases; exit status 1 when a bound was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], default=[])
    parser.add_argument("--rounds", type=int, default=None, help="rounds of each comparison")
    parser.add_argument("--only", nargs="*", default=[], help="words in the names of tricks")
    parser.add_argument("--against", type=Path, help="a checkout of an older version")
    parser.add_argument("--engine", default="mysql", choices=("sqlite", "mysql", "postgres"))
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    outcomes: list[report.Outcome] = []
    samples: dict[str, Any] = {}
    databases = Databases()
    try:
        for name in options.cases or CASES:
            print(f"measuring {name} …", file=sys.stderr)
            arguments: dict[str, Any] = {}
            if options.rounds is not None:
                arguments["rounds"] = options.rounds
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                if name in SIDE_BY_SIDE:
                    measure = SIDE_BY_SIDE[name].measure
                    rows, own = measure(folder, options.engine, options.against, **arguments)
                    samples |= own
                else:
                    url = stack.enter_context(databases.fresh(options.engine))
                    if name == "tricks":
                        arguments["words"] = options.only
                    rows = CASES[name].measure(folder, url, **arguments)
                outcomes += rows
                print(report.table(rows), flush=True)
    finally:
        databases.close()
    write_results(outcomes, options.engine, samples)
    return 0 if all(outcome.is_met for outcome in outcomes) else 1


def write_results(outcomes: list[report.Outcome], engine: str, samples: dict[str, Any]) -> None:
    """Write all as JSON into RESULTS and print the file's path to standard error."""
    RESULTS.mkdir(exist_ok=True)
    at = datetime.now(UTC)
    results = {
        "at": at.isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "engine": engine,
        "outcomes": [
            {**asdict(outcome), "ratio": outcome.ratio, "kept": outcome.is_met}
            for outcome in outcomes
        ],
        **samples,
    }
    path = RESULTS / f"{at:%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\n{path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
