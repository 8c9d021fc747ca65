"""`make bench`: every comparison, started, measured and told by this one command.

    python -m benchmarks [case …] [--rounds N]     cases: http qr live sweep
    python -m benchmarks tricks --only WORDS           of docs/performance.md, those with the words

Ours and the bare reference take turns within each round; medians are compared as ratios, because
machines differ and drift. JSON goes to benchmarks/results/.
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
from benchmarks.cases import http, live, qr, sweep, tricks
from tests.support.databases import Databases

CASES = {"http": http, "qr": qr, "live": live, "sweep": sweep, "tricks": tricks}
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run the chosen cases; exit status 1 when a bound was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], default=[])
    parser.add_argument("--rounds", type=int, default=None, help="rounds of each comparison")
    parser.add_argument("--only", nargs="*", default=[], help="words in the names of tricks")
    parser.add_argument("--engine", default="mysql", choices=("sqlite", "mysql", "postgres"))
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    outcomes: list[report.Outcome] = []
    databases = Databases()
    try:
        for name in asked.cases or CASES:
            with ExitStack() as made:
                folder = Path(made.enter_context(tempfile.TemporaryDirectory()))
                url = made.enter_context(databases.fresh(asked.engine))
                print(f"measuring {name} …", file=sys.stderr)
                options: dict[str, Any] = {}
                if asked.rounds is not None:
                    options["rounds"] = asked.rounds
                if name == "tricks":
                    options["words"] = asked.only
                outcomes += CASES[name].measure(folder, url, **options)
    finally:
        databases.close()
    print(report.table(outcomes))
    _keep(outcomes, asked.engine)
    return 0 if all(one.kept for one in outcomes) else 1


def _keep(outcomes: list[report.Outcome], engine: str) -> None:
    RESULTS.mkdir(exist_ok=True)
    at = datetime.now(UTC)
    told = {
        "at": at.isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "engine": engine,
        "outcomes": [{**asdict(one), "ratio": one.ratio, "kept": one.kept} for one in outcomes],
    }
    path = RESULTS / f"{at:%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(told, indent=2) + "\n")
    print(f"\n{path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
