"""The outcome of a comparison, and the table of outcomes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Outcome:
    """Two medians from interleaved rounds, and the bound on their ratio, if there is one."""

    name: str
    ours: float
    bare: float
    unit: str
    bound: float | None
    better: Literal["higher", "lower"]
    rounds: int
    note: str = ""
    ratios: Sequence[float] = field(default_factory=list)
    """The ratio of each round."""

    @property
    def ratio(self) -> float:
        """The service's median divided by the bare app's; NaN if that is zero."""
        return self.ours / self.bare if self.bare else float("nan")

    @property
    def is_met(self) -> bool:
        """Whether the ratio is within the bound; without a bound it is."""
        if self.bound is None:
            return True
        if self.better == "higher":
            return self.ratio >= self.bound
        return self.ratio <= self.bound


def compare(
    name: str,
    ours: Sequence[float],
    bare: Sequence[float],
    unit: str,
    bound: float | None,
    better: Literal["higher", "lower"],
    note: str = "",
) -> Outcome:
    """The outcome of rounds in which both were measured."""
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True) if theirs]
    medians = median(ours), median(bare)
    return Outcome(name, *medians, unit, bound, better, len(ours), note, ratios)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as a text table."""
    width = max([44, *(len(row.name) for row in outcomes)])
    title = (
        f"{'measured':{width}} {'ours':>10} {'bare':>10} {'ratio':>6} {'min-max':>11} {'bound':>8}"
    )
    return "\n".join([title, *(_line(row, width) for row in outcomes)])


def _line(row: Outcome, width: int) -> str:
    sign = ">=" if row.better == "higher" else "<="
    bound = "" if row.bound is None else f"{sign}{row.bound:.2f}"
    spread = f"{min(row.ratios):.2f}-{max(row.ratios):.2f}" if row.ratios else ""
    verdict = "" if row.bound is None else "met" if row.is_met else "MISSED"
    note = f"; {row.note}" if row.note else ""
    return (
        f"{row.name:{width}} {row.ours:>10.4g} {row.bare:>10.4g} {row.ratio:>6.2f} {spread:>11} "
        f"{bound:>8}  {verdict:6}  {row.unit}{note}"
    )
