"""Personal data of payers (LGPD): kept for PAYER_DATA_DAYS, exported and erased on request.

Receipts keep amounts, times and ids, so that sums stay. See docs/privacy.md.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from accounts import audit
from config import Settings
from core.clock import rfc3339
from core.documents import mask_document
from core.money import json_number
from db_models import AuditAction
from repository.database import Work, in_unit_of_work, now
from repository.payer_data import PayerData

BATCH = 1000
"""Receipts per transaction."""
BATCHES_MAX = 500
"""Transactions per run, so that a run ends."""


class PayerDataEraser:
    """Erase the names and documents in old receipts.

    Each process remembers how far it came, so that only the first run reads old receipts again.
    """

    def __init__(self, settings: Settings) -> None:
        self._age = timedelta(days=settings.payer_data_days)
        self._done_up_to = 0

    def run(self, keep_going: Callable[[], bool]) -> int:
        """Erase what is too old; return how many receipts and signals lost their payer."""
        before = now() - self._age
        total = in_unit_of_work(
            lambda work: PayerData(work.session).delete_signals_before(before, BATCH)
        )
        for _ in range(BATCHES_MAX):
            if not keep_going():
                break
            erase = partial(_erase_next, after_id=self._done_up_to, before=before)
            erased, last_id = in_unit_of_work(erase)
            total += erased
            if last_id is None:
                break
            self._done_up_to = last_id
        return total


def _erase_next(work: Work, after_id: int, before: datetime) -> tuple[int, int | None]:
    """Erase in the next receipts; the last id is None where some of them are too young."""
    payer_data = PayerData(work.session)
    receipts = payer_data.next_range(after_id, BATCH)
    if receipts is None:
        return 0, None
    erased = payer_data.erase_range(after_id, receipts.last_id, before)
    return erased, receipts.last_id if receipts.newest_at < before else None


def export_payer(work: Work, person: str) -> dict[str, Any]:
    """All that is stored about a payer; `person` is a CPF, a CNPJ or an end-to-end id."""
    payer_data = PayerData(work.session)
    return {
        "person": person,
        "receipts": [
            {
                "end_to_end_id": receipt.end_to_end_id,
                "payment_id": txid,
                "merchant": merchant,
                "value": json_number(receipt.amount_centavos),
                "paid_at": rfc3339(receipt.paid_at),
                "payer_name": receipt.payer_name,
                "payer_document": receipt.payer_document,
                "verdict": receipt.verdict,
                "reason": receipt.reason,
            }
            for receipt, txid, merchant in payer_data.receipts_of(person)
        ],
        "signals": [
            {"kind": signal.kind, "times": signal.times, "last_at": rfc3339(signal.last_at)}
            for signal in payer_data.signals_of(person)
        ],
    }


def erase_payer(work: Work, person: str) -> int:
    """Erase a payer's name and document everywhere; return how many rows changed."""
    payer_data = PayerData(work.session)
    total = payer_data.erase_person(person) + payer_data.delete_signals_of(person)
    if total:
        subject = mask_document(person) if len(person) in (11, 14) else person
        audit.record(work, None, AuditAction.PAYER_ERASED, subject, {"rows": total})
    return total
