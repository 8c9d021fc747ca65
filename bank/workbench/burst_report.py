"""Compares the bank's ledger with the service's payments and receipts after a burst."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bank.chaos.scenarios import ENDINGS
from core.scenarios import Scenario


@dataclass(frozen=True)
class SentPayment:
    """A payment of a burst; `refused_by_bank` is the code of a refusal, None if it was paid."""

    txid: str
    scenario: Scenario
    amount_centavos: int
    refused_by_bank: str | None = None


@dataclass(frozen=True)
class BurstReport:
    """The report of a burst; latencies are milliseconds from the debit to the service's answer.

    `lost` lists payments whose money the bank holds and which the service has not confirmed, or the
    reverse. `doubled` lists payments that were debited or accepted more than once. `unexpected`
    maps payments that did not end as their scenario says to the difference. All by payment id.
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
        """Whether bank, payments and receipts add up to the same sum."""
        return (
            self.bank_kept_centavos
            == self.service_confirmed_centavos
            == self.service_receipts_centavos
        )

    @property
    def is_good(self) -> bool:
        """Whether no payment is lost, doubled or unexpected, and the sums are equal."""
        return not (self.lost or self.doubled or self.unexpected) and self.are_sums_equal

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {**asdict(self), "sums_equal": self.are_sums_equal, "good": self.is_good}


def compare(
    sent_payments: Sequence[SentPayment],
    ledger: Iterable[Mapping[str, Any]],
    payments: Iterable[Mapping[str, Any]],
    receipts: Iterable[Mapping[str, Any]],
) -> BurstReport:
    """Compare each payment in all three books; rows are those of the two sides' lists."""
    books = _Books(sent_payments, ledger, payments, receipts)
    lost: list[str] = []
    doubled: list[str] = []
    unexpected: dict[str, str] = {}
    for payment in sent_payments:
        debits, accepted = (
            books.unreturned_debits(payment.txid),
            books.accepted_receipts[payment.txid],
        )
        is_confirmed = books.statuses.get(payment.txid) == "confirmed"
        if len(debits) > 1 or len(accepted) > 1:
            doubled.append(payment.txid)
        elif bool(debits) != is_confirmed:
            lost.append(payment.txid)
        elif problem := books.problem_of(payment):
            unexpected[payment.txid] = problem
    confirmed = [
        payment.txid for payment in sent_payments if books.statuses.get(payment.txid) == "confirmed"
    ]
    latencies = sorted(
        row["answered_after_ms"]
        for rows in books.debits.values()
        for row in rows
        if row["answered_after_ms"] is not None and row["answered_after_ms"] >= 0
    )
    return BurstReport(
        sent=len(sent_payments),
        confirmed=len(confirmed),
        refused=dict(books.refusals()),
        unpaid=dict(
            Counter(payment.refused_by_bank for payment in sent_payments if payment.refused_by_bank)
        ),
        lost=lost,
        doubled=doubled,
        unexpected=unexpected,
        scenarios=dict(Counter(payment.scenario.value for payment in sent_payments)),
        bank_kept_centavos=sum(
            row["amount_centavos"]
            for payment in sent_payments
            for row in books.unreturned_debits(payment.txid)
        ),
        service_confirmed_centavos=sum(books.amounts[txid] for txid in confirmed),
        service_receipts_centavos=sum(
            row["amount_centavos"]
            for payment in sent_payments
            for row in books.accepted_receipts[payment.txid]
        ),
        p50_ms=_percentile(latencies, 50),
        p95_ms=_percentile(latencies, 95),
        p99_ms=_percentile(latencies, 99),
    )


class _Books:
    """The rows of the three books by payment id, without those of other payments."""

    def __init__(
        self,
        sent_payments: Sequence[SentPayment],
        ledger: Iterable[Mapping[str, Any]],
        payments: Iterable[Mapping[str, Any]],
        receipts: Iterable[Mapping[str, Any]],
    ) -> None:
        txids = {payment.txid for payment in sent_payments}
        self.debits: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self.accepted_receipts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self.refused_receipts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self.statuses: dict[str, str] = {}
        self.amounts: dict[str, int] = {}
        for row in ledger:
            if row["txid"] in txids:
                self.debits[row["txid"]].append(row)
        for row in payments:
            if row["id"] in txids:
                self.statuses[row["id"]] = row["status"]
                self.amounts[row["id"]] = row["amount_centavos"]
        for row in receipts:
            if row["bank_payment_id"] in txids:
                book = (
                    self.accepted_receipts
                    if row["verdict"] == "accepted"
                    else self.refused_receipts
                )
                book[row["bank_payment_id"]].append(row)

    def unreturned_debits(self, txid: str) -> list[Mapping[str, Any]]:
        """The bank's payments whose money did not go back in full."""
        rows = self.debits[txid]
        return [row for row in rows if row["returned_centavos"] != row["amount_centavos"]]

    def refusals(self) -> Counter[str]:
        """The numbers of returned payments by the service's code."""
        return Counter(
            row["answer_code"] or "unknown"
            for rows in self.debits.values()
            for row in rows
            if row["status"] == "returned"
        )

    def problem_of(self, payment: SentPayment) -> str | None:
        """How a payment differs from the ending of its scenario; None if it does not."""
        rows, status = self.debits[payment.txid], self.statuses.get(payment.txid)
        if payment.refused_by_bank:
            return f"refused by the bank and {len(rows)} times in its ledger" if rows else None
        if not rows:
            return "not in the bank's ledger"
        ending, row = ENDINGS[payment.scenario], rows[0]
        is_pending = ending.payment == "pending"
        # A payment that stays pending expires at its deadline.
        if status != ending.payment and not (is_pending and status == "expired"):
            return f"{status}, not {ending.payment}"
        if row["status"] != ending.bank_state:
            return f"{row['status']} at the bank, not {ending.bank_state}"
        if ending.reason and row["answer_code"] != ending.reason:
            return f"refused as {row['answer_code']}, not {ending.reason}"
        if bool(ending.reason and self.refused_receipts[payment.txid]) != bool(
            ending.reason and ending.is_receipt_stored
        ):
            return "the service's receipts do not show the refusal as they must"
        return None


def _percentile(values: Sequence[int], percent: int) -> int | None:
    """The nearest-rank percentile of values in ascending order."""
    if not values:
        return None
    return values[max(0, math.ceil(len(values) * percent / 100) - 1)]
