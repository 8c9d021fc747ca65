"""Write the figures of results into the documents: tables, a chart and the arithmetic of scaling.

    python -m benchmarks.document benchmarks/results/FILE.json …

A later file replaces what an earlier one measured.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import arithmetic
from benchmarks.chart import journey_chart
from benchmarks.report import median
from benchmarks.subjects import SIMPLE_GREEN, WITH_REDIS

DOCS = Path(__file__).parents[1] / "docs"
CLIENTS = 16
NAMES = ("service", WITH_REDIS, "before", "simple", SIMPLE_GREEN, "bare")

Results = dict[str, Any]


def main() -> int:
    """Rewrite the parts of the documents between their markers."""
    results: Results = {}
    for name in sys.argv[1:]:
        results |= json.loads(Path(name).read_text())
    write(results, DOCS)
    return 0


def write(results: Results, docs: Path) -> None:
    """Write the parts for which there are results; the others stay."""
    if "journey" in results:
        _replace(docs / "performance.md", "journey", journey_table(results))
        (docs / "journey.svg").write_text(journey_chart(results["journey"]["subjects"]))
    if "http" in results:
        _replace(docs / "performance.md", "http", http_table(results))
    if "live" in results:
        _replace(docs / "performance.md", "live", live_table(results))
    if "capacity" in results:
        _replace(docs / "scaling.md", "capacity", capacity_table(results))
    if {"journey", "live"} <= results.keys():
        _replace(docs / "scaling.md", "arithmetic", arithmetic.table(results))


def _replace(path: Path, marker: str, text: str) -> None:
    """Put the text between `<!-- marker -->` and `<!-- /marker -->`."""
    begin, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    document = path.read_text()
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    assert len(pattern.findall(document)) == 1, f"{path.name} needs {begin} … {end} once"
    path.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", document))


def _rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _spread(values: Sequence[float], digits: int = 1) -> str:
    """The median, with least and most in brackets."""
    if not values or values[0] != values[0]:
        return "–"
    ends = f"{min(values):,.{digits}f}–{max(values):,.{digits}f}"
    return f"{median(values):,.{digits}f} ({ends})" if len(values) > 1 else ends.split("–")[0]


def journey_table(results: Results) -> str:
    """CPU and requests of a journey, for each program."""
    costs = results["journey"]["subjects"]
    names = [name for name in NAMES if name in costs]

    def row(title: str, field: str, digits: int) -> list[str]:
        each = [[round_[field] for round_ in costs[name]] for name in names]
        return [title, *(_spread(values, digits) for values in each)]

    hourly = [
        _spread([3_600_000 / round_["cpu_ms"] for round_ in costs[name]], 0) for name in names
    ]
    rows = [
        row("CPU of the program, ms", "cpu_ms", 1),
        row("CPU of its database, ms", "database_cpu_ms", 1),
        ["journeys per core and hour", *hourly],
        row("HTTP requests", "requests", 0),
        row("event after the bank's request, p99, ms", "event_p99_ms", 0),
    ]
    return _rows(["One journey", *(f"`{name}`" for name in names)], rows)


def http_table(results: Results) -> str:
    """CPU for each request at 16 clients, and the ratios that have a bound."""
    samples = {
        (row["operation"], row["subject"]): [one["cpu_ms"] for one in row["rounds"]]
        for row in results["http"]
        if row["clients"] == CLIENTS
    }
    names = [name for name in NAMES if any(subject == name for _, subject in samples)]
    rows = []
    for operation in dict.fromkeys(operation for operation, _ in samples):
        cells = [_spread(samples.get((operation, name), []), 2) for name in names]
        bounds = [
            f"{row['ratio']:.2f} of {row['name'].split(' / ')[1]} ({_sign(row)} {row['bound']})"
            for row in results["outcomes"]
            if row["name"].startswith(f"{operation}, {CLIENTS} clients / ")
            and row["bound"] is not None
        ]
        rows.append([operation, *cells, ", ".join(bounds) or "–"])
    header = [f"ms of CPU, {CLIENTS} clients", *(f"`{name}`" for name in names)]
    return _rows([*header, "requests per CPU second"], rows)


def _sign(row: dict[str, Any]) -> str:
    return "≥" if row["better"] == "higher" else "≤"


def live_table(results: Results) -> str:
    """The rows about watchers."""
    rows = [
        [
            row["name"],
            f"{row['ours']:.1f}",
            f"{row['bare']:.1f}",
            row["unit"],
            f"{row['ratio']:.2f}" + ("" if row["bound"] is None else f" (≤ {row['bound']})"),
        ]
        for row in results["outcomes"]
        if row["name"].startswith(("confirm to event", "memory of an idle", "CPU of an idle"))
    ]
    return _rows(["Measured", "`service`", "other", "Unit", "Ratio"], rows)


def capacity_table(results: Results) -> str:
    """Prediction and measurement, side by side."""
    rows = [
        [
            f"{row['processes']}, {row['clients']} clients",
            f"{row['predicted_per_second']:.0f} / {row['per_second']:.0f}",
            f"{row['throughput_agreement']:.0f} %",
            f"{row['predicted_p50_ms']:.0f} / {row['p50_ms']:.0f} ms",
            f"{row['latency_agreement']:.0f} %",
        ]
        for row in results["capacity"]["rows"]
    ]
    header = ["Processes", "Creations per second, model / here", "Agreement"]
    return _rows([*header, "Median wait, model / here", "Agreement"], rows)


if __name__ == "__main__":
    sys.exit(main())
