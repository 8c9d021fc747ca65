"""Checks of the tables after a storm."""

from __future__ import annotations

from collections import Counter

from tests.db.tables import Tables
from tests.faults.storm import Storm


def count_unannounced(tables: Tables) -> int:
    """The number of events that are not marked as announced."""
    query = "SELECT COUNT(*) FROM payment_events WHERE relay_at IS NOT NULL"
    return int(tables.rows(query)[0][0])


def check_settled(tables: Tables, storm: Storm) -> None:
    """Check that each payment was confirmed once, by one receipt, with one event."""
    txids = [payment["id"] for payment, _ in storm.notices]
    assert storm.refusals == []
    assert storm.confirmed() == set(txids)
    first = Counter(txid for txid, duplicate in storm.accepted if not duplicate)
    assert max(first.values()) == 1  # the answer to a settlement may be lost, but is never repeated
    receipts = tables.receipts(*txids)
    assert Counter(receipt.verdict for receipt in receipts) == {"accepted": len(txids)}
    end_to_end_ids = {payment["id"]: fields["end_to_end_id"] for payment, fields in storm.notices}
    assert {one.bank_payment_id: one.end_to_end_id for one in receipts} == end_to_end_ids
    names = Counter((event.txid, event.name) for event in tables.events(*txids))
    event_names = ("payment.created", "payment.confirmed")
    assert names == {(txid, name): 1 for txid in txids for name in event_names}
    for txid in txids:
        assert tables.payment(txid).status == "confirmed"
