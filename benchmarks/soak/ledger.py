"""The ledger of a soak: what clients were told against what the database has."""

from __future__ import annotations

import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from benchmarks.soak.shoppers import SoakPayments
from db_models import EventName, Payment, PaymentEvent, Receipt, Refund
from tests.db.tables import Tables
from tests.webhooks.shops import Shop

STATUS_OF_FATE = {
    "confirmed": "confirmed",
    "paid twice": "confirmed",
    "refunded": "confirmed",
    "cancelled": "cancelled",
    "expired": "expired",
}
FAULTS_SHOWN = 5
_LOGGED = re.compile(r"level=(warning|error|critical) event=(\S+)")


@dataclass
class SoakReport:
    """The lines for a person, and the sentences of what is wrong."""

    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def check(self, is_right: bool, fault: str) -> None:
        """Note a fault unless it is right."""
        if not is_right:
            self.faults.append(fault)


@dataclass(frozen=True)
class SoakRows:
    """The tables at the end."""

    statuses: dict[str, str]
    """By payment id."""
    refunded: dict[str, int]
    """Centavos by payment id."""
    amounts: dict[str, int]
    receipts: list[tuple[str | None, str | None, str]]
    """Payment id, end_to_end_id, verdict."""
    refunds: dict[str, tuple[str, str]]
    """Payment id and status by refund id."""
    events: dict[str, list[str]]
    """Names of the events in the feed, by payment id, in order."""


def read_rows(tables: Tables) -> SoakRows:
    """Read all tables of the ledger."""
    payments = tables.rows(
        sa.select(Payment.txid, Payment.status, Payment.refunded_centavos, Payment.amount_centavos)
    )
    events: dict[str, list[str]] = defaultdict(list)
    query = (
        sa.select(Payment.txid, PaymentEvent.name)
        .join(Payment, Payment.id == PaymentEvent.payment_id)
        .order_by(PaymentEvent.id)
    )
    for txid, name in tables.rows(query):
        if EventName(name).is_in_feed:
            events[txid].append(str(EventName(name).value))
    refunds = sa.select(Refund.refund_id, Payment.txid, Refund.status).join(
        Payment, Payment.id == Refund.payment_id
    )
    receipts = sa.select(Receipt.bank_payment_id, Receipt.end_to_end_id, Receipt.verdict)
    return SoakRows(
        {row.txid: str(row.status) for row in payments},
        {row.txid: row.refunded_centavos for row in payments},
        {row.txid: row.amount_centavos for row in payments},
        [(row[0], row[1], str(row[2])) for row in tables.rows(receipts)],
        {row[0]: (row[1], str(row[2])) for row in tables.rows(refunds)},
        dict(events),
    )


def deliveries_of(shop: Shop) -> dict[str, list[str]]:
    """The types of the delivered events by payment id, in the order of their first arrival."""
    first: dict[str, list[str]] = defaultdict(list)
    event_ids: set[str] = set()
    for event in list(shop.events):
        if event["type"] != "ping" and event["id"] not in event_ids:
            event_ids.add(event["id"])
            # The data of money that was refused is the receipt.
            data = event["data"]
            first[data.get("payment_id") or data["id"]].append(event["type"])
    return dict(first)


def unsettled(tables: Tables, acknowledged: SoakPayments, shop: Shop) -> list[str]:
    """What the service has still to do before the ledger can be closed."""
    rows = read_rows(tables)
    due = [
        txid for txid, fate in acknowledged.created.items()
        if fate == "expired" and rows.statuses.get(txid) == "pending"
    ]  # fmt: skip
    open_refunds = [key for key, (_, status) in rows.refunds.items() if status == "processing"]
    query = "SELECT COUNT(*) FROM payment_events WHERE relay_at IS NOT NULL"
    unannounced = int(tables.rows(query)[0][0])
    delivered = deliveries_of(shop)
    missing = [
        txid for txid, names in rows.events.items() if len(names) > len(delivered.get(txid, ()))
    ]
    counts = {
        "expiries": len(due),
        "refunds": len(open_refunds),
        "announcements": unannounced,
        "deliveries": len(missing),
    }
    return [f"{count} {what}" for what, count in counts.items() if count]


def wait_until_settled(
    tables: Tables, acknowledged: SoakPayments, shop: Shop, seconds: float
) -> list[str]:
    """Wait until nothing is left to do; return what is still left then."""
    limit = time.monotonic() + seconds
    while (left := unsettled(tables, acknowledged, shop)) and time.monotonic() < limit:
        time.sleep(0.5)
    return left


def compare_payments(acknowledged: SoakPayments, rows: SoakRows, report: SoakReport) -> None:
    """Payments, receipts and refunds."""
    created = acknowledged.created
    report.check(
        created.keys() == rows.statuses.keys(),
        f"acknowledged {len(created)} payments, stored {len(rows.statuses)}: "
        f"{_some(created.keys() ^ rows.statuses.keys())}",
    )
    by_status = Counter(rows.statuses.values())
    names_of_statuses = ("confirmed", "expired", "cancelled", "pending")
    report.lines.append(
        f"{len(created)} created = "
        + " + ".join(f"{by_status[status]} {status}" for status in names_of_statuses)
    )
    report.check(
        sum(by_status[status] for status in names_of_statuses) == len(created),
        f"statuses {dict(by_status)}",
    )
    _compare(report, "statuses told to clients", acknowledged.ended, rows.statuses)
    fates = {txid: STATUS_OF_FATE[fate] for txid, fate in created.items()}
    _compare(report, "statuses by intention", fates, rows.statuses)
    accepted = [(txid, e2e) for txid, e2e, verdict in rows.receipts if verdict == "accepted"]
    confirmed = {txid for txid, status in rows.statuses.items() if status == "confirmed"}
    report.lines.append(
        f"{len(accepted)} accepted receipts of {len(rows.receipts)}, {len(confirmed)} confirmed"
    )
    receipts = Counter(txid for txid, _ in accepted)
    report.check(
        receipts.keys() == confirmed and max(receipts.values(), default=1) == 1,
        "not one accepted receipt for each confirmed payment: "
        f"{_some(receipts.keys() ^ confirmed)}",
    )
    own = {txid: e2e for txid, e2e in accepted if txid in acknowledged.end_to_end_ids}
    _compare(report, "end_to_end_ids", acknowledged.end_to_end_ids, own)
    refunds = {key: txid for key, (txid, _) in rows.refunds.items()}
    ended = [txid for txid, status in rows.refunds.values() if status == "done"]
    report.lines.append(f"{len(acknowledged.refunds)} refunds told, {len(ended)} done")
    report.check(acknowledged.refunds == refunds, "refunds told and stored differ")
    report.check(len(ended) == len(refunds), f"refunds by status: {rows.refunds.values()}")
    amounts = {txid: rows.amounts[txid] for txid in ended}
    returned = {txid: centavos for txid, centavos in rows.refunded.items() if centavos}
    report.check(amounts == returned, "refunded amounts differ from the refunds")


@dataclass(frozen=True)
class BankMoney:
    """What the simulated bank has booked."""

    payments: set[str]
    """The end_to_end_ids of money that was sent to the service."""
    returned: set[str]
    """Those of them that went back because the service refused them."""
    refunded: dict[str, int]
    """Centavos of refunds by payment id."""


def read_bank(tables: Tables) -> BankMoney:
    """Read the bank's transfers."""
    sent = "SELECT identifier FROM bank_transfers WHERE kind = 'payment'"
    returned = (
        "SELECT p.identifier FROM bank_transfers r JOIN bank_transfers p ON p.id = r.reverses_id"
    )
    refunded = (
        "SELECT txid, SUM(amount_centavos) FROM bank_transfers WHERE kind = 'refund' GROUP BY txid"
    )
    return BankMoney(
        {row[0] for row in tables.rows(sent)},
        {row[0] for row in tables.rows(returned)},
        {row[0]: int(row[1]) for row in tables.rows(refunded)},
    )


def compare_bank(
    acknowledged: SoakPayments, rows: SoakRows, bank: BankMoney, report: SoakReport
) -> None:
    """Money at the bank: each transfer is accepted or went back, and refunds left once."""
    accepted = {e2e for _, e2e, verdict in rows.receipts if verdict == "accepted"}
    refused = {str(e2e): str(txid) for txid, e2e, verdict in rows.receipts if verdict == "refused"}
    report.lines.append(
        f"{len(refused)} refused receipts: {len(acknowledged.refused)} told, "
        f"{len(bank.returned)} returned by the bank"
    )
    elsewhere = {e2e: txid for e2e, txid in refused.items() if e2e not in bank.payments}
    report.check(elsewhere == acknowledged.refused, "refusals told and stored differ")
    at_bank = refused.keys() & bank.payments
    report.check(
        at_bank == bank.returned,
        f"refused and returned money differ: {_some(at_bank ^ bank.returned)}",
    )
    lost = bank.payments - accepted - bank.returned
    report.check(not lost, f"money that was neither accepted nor returned: {_some(lost)}")
    returned = {txid: centavos for txid, centavos in rows.refunded.items() if centavos}
    report.check(bank.refunded == returned, "refunds at the bank differ from the refunded amounts")


def check_logs(logs: Mapping[str, str], report: SoakReport) -> None:
    """Count the warnings of each process; an error or a traceback is a fault."""
    for name, text in logs.items():
        counts = Counter(_LOGGED.findall(text))
        warnings = [f"{event} {n}" for (level, event), n in counts.most_common()
                    if level == "warning"]  # fmt: skip
        report.lines.append(f"warnings of {name}: {', '.join(warnings) or 'none'}")
        errors = [event for level, event in counts if level != "warning"]
        report.check(not errors, f"errors in the log of {name}: {_some(errors)}")
        report.check("Traceback" not in text, f"a traceback in the log of {name}")


def compare_deliveries(shop: Shop, rows: SoakRows, report: SoakReport) -> None:
    """Each event at least once, in order per payment, the same bytes each time."""
    delivered = deliveries_of(shop)
    expected = sum(len(names) for names in rows.events.values())
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for body in list(shop.bodies):
        bodies[json.loads(body)["id"]].add(body)
    arrived = sum(1 for event in list(shop.events) if event["type"] != "ping")
    report.lines.append(
        f"{expected} events, {arrived} deliveries, {arrived - expected} of them repeated"
    )
    wrong = {
        txid: (names, delivered.get(txid, []))
        for txid, names in rows.events.items()
        if names != delivered.get(txid, [])
    }
    report.check(not wrong, f"deliveries that miss or disorder events: {_some(wrong.items())}")
    changed = [key for key, own in bodies.items() if len(own) > 1]
    report.check(not changed, f"events delivered with two bodies: {_some(changed)}")


def compare_watchers(states: list[Mapping[str, str]], rows: SoakRows, report: SoakReport) -> None:
    """The last state of each watcher is that of the database."""
    for number, own_states in enumerate(states):
        _compare(report, f"states seen by watcher {number}", own_states, rows.statuses)
    report.lines.append(f"{sum(map(len, states))} payments watched by {len(states)} watchers")


def wait_for(is_there: Callable[[], bool], seconds: float) -> bool:
    """Wait until it is there; whether it came in time."""
    limit = time.monotonic() + seconds
    while not is_there():
        if time.monotonic() > limit:
            return False
        time.sleep(0.2)
    return True


def _compare(
    report: SoakReport, what: str, claims: Mapping[str, str], stored: Mapping[str, Any]
) -> None:
    wrong = [
        (key, value, stored.get(key)) for key, value in claims.items() if stored.get(key) != value
    ]
    report.check(not wrong, f"{len(wrong)} {what} differ: {_some(wrong)}")


def _some(values: Any) -> str:
    return ", ".join(str(value) for value in list(values)[:FAULTS_SHOWN])
