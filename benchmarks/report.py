"""One comparison's outcome, and the table of all."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass
class Outcome:
    """A ratio of two medians taken in interleaved rounds, and the bound it is held to."""

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
        """Ours over the bare one's; a bare value of zero has none."""
        return self.ours / self.bare if self.bare else float("nan")

    @property
    def kept(self) -> bool:
        """Whether the bound holds."""
        if self.better == "higher":
            return self.ratio >= self.bound
        return self.ratio <= self.bound


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as text."""
    lines = [f"{'measured':44} {'ours':>12} {'bare':>12} {'ratio':>7} {'bound':>8}  "]
    for one in outcomes:
        sign = ">=" if one.better == "higher" else "<="
        lines.append(
            f"{one.name:44} {one.ours:>12.4g} {one.bare:>12.4g} {one.ratio:>7.2f} "
            f"{sign}{one.bound:>6.2f}  {'kept' if one.kept else 'MISSED'}  {one.unit}"
            f"{'; ' + one.note if one.note else ''}"
        )
    return "\n".join(lines)
