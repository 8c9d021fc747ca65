"""The chart of a journey's CPU as SVG, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report import median

LABELS = {
    "before": "the version before",
    "service": "this version",
    "simple": "the simple design",
    "bare": "a bare Flask app",
}
WIDTH, LEFT, ROW, TOP = 720, 150, 46, 44
PLOT = WIDTH - LEFT - 130

STYLE = """
text { font: 14px system-ui, sans-serif; fill: #1b2523 }
.small { font-size: 12px; fill: #55625e }
.own { fill: #0f766e } .other { fill: #8a9793 } .database { fill: #d97706 }
.spread { stroke: #1b2523; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edeb } .small { fill: #a3b1ad }
  .own { fill: #2dd4bf } .other { fill: #6b7a76 } .database { fill: #fbbf24 }
  .spread { stroke: #e6edeb }
}
"""


def journey_chart(costs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A bar for each program: its own CPU, and that of its database."""
    names = [name for name in LABELS if name in costs]
    most = max(max(_totals(costs[name])) for name in names)
    rows = [_row(number, name, costs[name], PLOT / most) for number, name in enumerate(names)]
    height = TOP + ROW * len(names) + 30
    title = "CPU of one payment, from its creation to its receipt"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'role="img" aria-label="{title}">',
            f"<style>{STYLE}</style>",
            f'<text x="0" y="18">{title}, ms</text>',
            *rows,
            _legend(height - 10),
            "</svg>",
            "",
        ]
    )


def _totals(rounds: Sequence[Mapping[str, Any]]) -> list[float]:
    return [one["cpu_ms"] + _number(one["database_cpu_ms"]) for one in rounds]


def _number(value: float | None) -> float:
    """Zero for what was not measured."""
    return 0.0 if value is None or value != value else value


def _row(number: int, name: str, rounds: Sequence[Mapping[str, Any]], scale: float) -> str:
    top = TOP + number * ROW
    own = median([one["cpu_ms"] for one in rounds])
    database = median([_number(one["database_cpu_ms"]) for one in rounds])
    totals = _totals(rounds)
    least, most = LEFT + min(totals) * scale, LEFT + max(totals) * scale
    kind = "own" if name == "service" else "other"
    middle = top + 13
    end = max(most, LEFT + (own + database) * scale) + 8
    return (
        f'<text x="0" y="{top + 18}">{LABELS[name]}</text>'
        f'<rect class="{kind}" x="{LEFT}" y="{top}" width="{own * scale:.1f}" height="26"/>'
        f'<rect class="database" x="{LEFT + own * scale:.1f}" y="{top}" '
        f'width="{database * scale:.1f}" height="26"/>'
        f'<path class="spread" d="M{least:.1f} {middle}H{most:.1f}"/>'
        f'<text x="{end:.1f}" y="{top + 18}">{own:.1f} + {database:.1f}</text>'
    )


def _legend(baseline: float) -> str:
    return (
        f'<rect class="other" x="{LEFT}" y="{baseline - 11}" width="12" height="12"/>'
        f'<text class="small" x="{LEFT + 18}" y="{baseline}">the program</text>'
        f'<rect class="database" x="{LEFT + 120}" y="{baseline - 11}" width="12" height="12"/>'
        f'<text class="small" x="{LEFT + 138}" y="{baseline}">its database server</text>'
        f'<text class="small" x="{LEFT + 280}" y="{baseline}">line: the spread of the rounds</text>'
    )
