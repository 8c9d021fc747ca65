"""What became of a burst: the bank's ledger against the service's books, to the centavo."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bank.chaos.scenarios import ENDINGS, Scenario


@dataclass(frozen=True)
class SentPayment:
    """One payment of a burst as its sender knows it; `refused_by_bank` if it never was paid."""

    txid: str
    scenario: Scenario
    amount_centavos: int
    refused_by_bank: str | None = None


@dataclass(frozen=True)
class BurstReport:
    """The closing report. Sums are centavos, latencies milliseconds from debit to answer.

    `lost`: the bank keeps the money and the payment is not confirmed, or it is confirmed and the
    money went back. `doubled`: settled, or kept from the payer, more than once. `unexpected`:
    ended elsewhere than its scenario must. The lists hold payment ids.
    """

    sent: int
    confirmed: int
    refused: dict[str, int]
    unpaid: dict[str, int]
    lost: list[str]
    doubled: list[str]
    unexpected: dict[str, str]
    scenarios: dict[str, int]
    bank_kept_centavos: int
    service_confirmed_centavos: int
    service_receipts_centavos: int
    p50_ms: int | None
    p95_ms: int | None
    p99_ms: int | None
    seconds: float = 0.0

    @property
    def are_sums_equal(self) -> bool:
        """Whether the bank and the service count the same money."""
        return (
            self.bank_kept_centavos
            == self.service_confirmed_centavos
            == self.service_receipts_centavos
        )

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, doubled, or ended where it must not."""
        return not (self.lost or self.doubled or self.unexpected) and self.are_sums_equal

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {**asdict(self), "sums_equal": self.are_sums_equal, "good": self.is_good}


def compare(
    sent: Sequence[SentPayment],
    ledger: Iterable[Mapping[str, Any]],
    payments: Iterable[Mapping[str, Any]],
    receipts: Iterable[Mapping[str, Any]],
) -> BurstReport:
    """Judge each payment by all three books, rows as the two sides' lists give them."""
    books = _Books(sent, ledger, payments, receipts)
    lost: list[str] = []
    doubled: list[str] = []
    unexpected: dict[str, str] = {}
    for one in sent:
        kept, accepted = books.kept(one.txid), books.accepted[one.txid]
        is_confirmed = books.standing.get(one.txid) == "confirmed"
        if len(kept) > 1 or len(accepted) > 1:
            doubled.append(one.txid)
        elif bool(kept) != is_confirmed:
            lost.append(one.txid)
        elif problem := books.problem_of(one):
            unexpected[one.txid] = problem
    confirmed = [one.txid for one in sent if books.standing.get(one.txid) == "confirmed"]
    waits = sorted(
        row["answered_after_ms"]
        for rows in books.paid.values()
        for row in rows
        if row["answered_after_ms"] is not None and row["answered_after_ms"] >= 0
    )
    return BurstReport(
        sent=len(sent),
        confirmed=len(confirmed),
        refused=dict(books.refusals()),
        unpaid=dict(Counter(one.refused_by_bank for one in sent if one.refused_by_bank)),
        lost=lost,
        doubled=doubled,
        unexpected=unexpected,
        scenarios=dict(Counter(one.scenario.value for one in sent)),
        bank_kept_centavos=sum(
            row["amount_centavos"] for one in sent for row in books.kept(one.txid)
        ),
        service_confirmed_centavos=sum(books.asked[txid] for txid in confirmed),
        service_receipts_centavos=sum(
            row["amount_centavos"] for one in sent for row in books.accepted[one.txid]
        ),
        p50_ms=_percentile(waits, 50),
        p95_ms=_percentile(waits, 95),
        p99_ms=_percentile(waits, 99),
    )


class _Books:
    """The three books by payment; rows of other payments are left out."""

    def __init__(
        self,
        sent: Sequence[SentPayment],
        ledger: Iterable[Mapping[str, Any]],
        payments: Iterable[Mapping[str, Any]],
        receipts: Iterable[Mapping[str, Any]],
    ) -> None:
        ours = {one.txid for one in sent}
        self.paid: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self.accepted: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self.refused: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self.standing: dict[str, str] = {}
        self.asked: dict[str, int] = {}
        for row in ledger:
            if row["txid"] in ours:
                self.paid[row["txid"]].append(row)
        for row in payments:
            if row["id"] in ours:
                self.standing[row["id"]] = row["status"]
                self.asked[row["id"]] = row["amount_centavos"]
        for row in receipts:
            if row["bank_payment_id"] in ours:
                book = self.accepted if row["verdict"] == "accepted" else self.refused
                book[row["bank_payment_id"]].append(row)

    def kept(self, txid: str) -> list[Mapping[str, Any]]:
        """The payments whose money did not go back whole."""
        rows = self.paid[txid]
        return [row for row in rows if row["returned_centavos"] != row["amount_centavos"]]

    def refusals(self) -> Counter[str]:
        """Payments given back, by the reason the service gave."""
        return Counter(
            row["answer_code"] or "unknown"
            for rows in self.paid.values()
            for row in rows
            if row["status"] == "returned"
        )

    def problem_of(self, one: SentPayment) -> str | None:
        """How a payment that is neither lost nor doubled differs from its scenario's ending."""
        rows, status = self.paid[one.txid], self.standing.get(one.txid)
        if one.refused_by_bank:
            return f"refused by the bank and {len(rows)} times in its ledger" if rows else None
        if not rows:
            return "not in the bank's ledger"
        ending, row = ENDINGS[one.scenario], rows[0]
        wanted = {ending.payment, "expired"} if ending.payment == "pending" else {ending.payment}
        if status not in wanted:
            return f"{status}, not {ending.payment}"
        if row["status"] != ending.bank_state:
            return f"{row['status']} at the bank, not {ending.bank_state}"
        if ending.reason and row["answer_code"] != ending.reason:
            return f"refused as {row['answer_code']}, not {ending.reason}"
        if bool(ending.reason and self.refused[one.txid]) != bool(
            ending.reason and ending.is_receipt_stored
        ):
            return "the service's receipts do not show the refusal as they must"
        return None


def _percentile(values: Sequence[int], percent: int) -> int | None:
    """The nearest-rank percentile of sorted values."""
    if not values:
        return None
    return values[max(0, math.ceil(len(values) * percent / 100) - 1)]
