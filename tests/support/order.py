"""The order of the test files: the slowest first, so that no worker ends long after the others.

xdist gives each worker whole files, those with the most tests first, but here the slowest files
have few tests. The durations come from a run of the whole suite; after such a run,
`python -m tests.support.order FILE` updates them from its `--junitxml=FILE`.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(__file__).with_name("seconds_of_files.json")
SHOWN_FROM_SECONDS = 3


def recorded_seconds() -> dict[str, int]:
    """Seconds by file. A file without an entry was quick or did not exist."""
    seconds: dict[str, int] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return seconds


def slowest_first(items: list[pytest.Item]) -> None:
    """Sort by the duration of the file; the sort is stable."""
    seconds = recorded_seconds()
    items.sort(key=lambda item: -seconds.get(item.nodeid.split("::")[0], 0))


def measure(report: Path) -> dict[str, int]:
    """Seconds by file from a JUnit report: only the slow files, the slowest first."""
    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - our own report
        # The classname of a test class ends with the class, not with the file.
        parts = case.attrib["classname"].split(".")
        while parts and not (ROOT / "/".join(parts)).with_suffix(".py").is_file():
            parts.pop()
        if parts:
            seconds[f"{'/'.join(parts)}.py"] += float(case.attrib["time"])
    by_length = sorted(seconds.items(), key=lambda one: -one[1])
    return {file: round(took) for file, took in by_length if took >= SHOWN_FROM_SECONDS}


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(measure(Path(sys.argv[1])), indent=2) + "\n", encoding="utf-8")
