"""What an audit of an account at a bank has found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

LISTED_MAX = 1000
"""Findings that are listed one by one; further ones are only counted."""


class AuditRule(StrEnum):
    """The rule that a finding breaks, or the note that it is."""

    CHARGE_UNKNOWN = "charge-unknown"
    """The bank has a charge with a txid of our form, and no payment here has it."""
    CHARGE_MISSING = "charge-missing"
    CHARGE_DIFFERS = "charge-differs"
    CHARGE_UNFINISHED = "charge-unfinished"
    """The bank has it, but its answer was not stored."""
    MONEY_UNKNOWN = "money-unknown"
    MONEY_MISSING = "money-missing"
    MONEY_DIFFERS = "money-differs"
    CONFIRMED_WITHOUT_MONEY = "confirmed-without-money"
    RETURN_UNKNOWN = "return-unknown"
    RETURN_MISSING = "return-missing"
    RETURN_DIFFERS = "return-differs"
    SECRET_IN_LOG = "secret-in-log"  # noqa: S105
    CHARGE_OF_ANOTHER_SYSTEM = "charge-of-another-system"
    NOT_ALL_COMPARED = "not-all-compared"


NOTES = frozenset({AuditRule.CHARGE_OF_ANOTHER_SYSTEM})
"""They break no rule: another system may use the same account."""


@dataclass(frozen=True)
class AuditFinding:
    """One line of an audit's table; `subject` is a txid, an end_to_end_id or a line of a file."""

    rule: AuditRule
    subject: str
    detail: str


@dataclass
class Findings:
    """The findings of an audit: all are counted, the first LISTED_MAX are listed."""

    listed: list[AuditFinding] = field(default_factory=list)
    counts: Counter[AuditRule] = field(default_factory=Counter)

    def add(self, rule: AuditRule, subject: str, detail: str) -> None:
        """Count a finding, and list it if there is room."""
        self.counts[rule] += 1
        if len(self.listed) < LISTED_MAX:
            self.listed.append(AuditFinding(rule, subject[:128], detail))

    @property
    def violations(self) -> int:
        """How many findings break a rule."""
        return sum(count for rule, count in self.counts.items() if rule not in NOTES)
