"""The outcome of a comparison, and the table of outcomes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass
class Outcome:
    """Two medians from interleaved rounds, and the bound on their ratio."""

    name: str
    ours: float
    bare: float
    unit: str
    bound: float
    better: Literal["higher", "lower"]
    rounds: int
    note: str = ""

    @property
    def ratio(self) -> float:
        """The service's median divided by the bare app's; NaN if that is zero."""
        return self.ours / self.bare if self.bare else float("nan")

    @property
    def is_met(self) -> bool:
        """Whether the ratio is within the bound."""
        if self.better == "higher":
            return self.ratio >= self.bound
        return self.ratio <= self.bound


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as a text table."""
    lines = [f"{'measured':44} {'ours':>12} {'bare':>12} {'ratio':>7} {'bound':>8}  "]
    for row in outcomes:
        sign = ">=" if row.better == "higher" else "<="
        lines.append(
            f"{row.name:44} {row.ours:>12.4g} {row.bare:>12.4g} {row.ratio:>7.2f} "
            f"{sign}{row.bound:>6.2f}  {'met' if row.is_met else 'MISSED'}  {row.unit}"
            f"{'; ' + row.note if row.note else ''}"
        )
    return "\n".join(lines)
