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
from db_models import AuditAction, Payment, Receipt
from repository.batch_payers import BatchPayers
from repository.charge_payers import ChargePayers
from repository.database import Work, in_unit_of_work, now
from repository.payer_data import PayerData, Source
from repository.recurrence_payers import RecurrencePayers
from repository.request_payers import RequestPayers

BATCH = 1000
"""Rows per transaction."""
BATCHES_MAX = 500
"""Transactions per table and run, so that a run ends."""


class PayerDataEraser:
    """Erase the names and documents in old receipts and payments.

    Each process remembers how far it came, so that only the first run reads old rows again.
    """

    def __init__(self, settings: Settings) -> None:
        self._age = timedelta(days=settings.payer_data_days)
        self._done_up_to: dict[Source, int] = {Receipt: 0, Payment: 0}

    def run(self, keep_going: Callable[[], bool]) -> int:
        """Erase what is too old; return how many rows lost their payer."""
        before = now() - self._age
        total = in_unit_of_work(
            lambda work: PayerData(work.session).delete_signals_before(before, BATCH)
        )
        total += in_unit_of_work(lambda work: BatchPayers(work.session).erase_before(before))
        for source in self._done_up_to:
            total += self._erase_in(source, before, keep_going)
        for erase in (_erase_old_recurrences, _erase_old_requests):
            total += _repeat(partial(erase, before=before), keep_going)
        return total

    def _erase_in(self, source: Source, before: datetime, keep_going: Callable[[], bool]) -> int:
        total = 0
        for _ in range(BATCHES_MAX):
            if not keep_going():
                break
            after_id = self._done_up_to[source]
            erase = partial(_erase_next, source=source, after_id=after_id, before=before)
            erased, last_id = in_unit_of_work(erase)
            total += erased
            if last_id is None:
                break
            self._done_up_to[source] = last_id
        return total


def _erase_old_recurrences(work: Work, before: datetime) -> int:
    return RecurrencePayers(work.session).erase_old(before, BATCH)


def _erase_old_requests(work: Work, before: datetime) -> int:
    return RequestPayers(work.session).erase_old(before, BATCH)


def _repeat(erase: Callable[[Work], int], keep_going: Callable[[], bool]) -> int:
    """Erase batch after batch until one is not full; return how many rows lost their people."""
    total = 0
    for _ in range(BATCHES_MAX):
        if not keep_going():
            break
        erased = in_unit_of_work(erase)
        total += erased
        if erased < BATCH:
            break
    return total


def _erase_next(
    work: Work, source: Source, after_id: int, before: datetime
) -> tuple[int, int | None]:
    """Erase in the next rows; the last id is None where some of them are too young."""
    payer_data = PayerData(work.session)
    rows = payer_data.next_range(source, after_id, BATCH)
    if rows is None:
        return 0, None
    erased = payer_data.erase_range(source, after_id, rows.last_id, before)
    if source is Payment:
        erased += ChargePayers(work.session).erase_range(after_id, rows.last_id, before)
    return erased, rows.last_id if rows.newest_at < before else None


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
                "payer_message": receipt.payer_message,
                "verdict": receipt.verdict,
                "reason": receipt.reason,
            }
            for receipt, txid, merchant in payer_data.receipts_of(person)
        ],
        "payments": [
            {
                "payment_id": payment.txid,
                "merchant": merchant,
                "value": json_number(payment.amount_centavos),
                "created_at": rfc3339(payment.created_at),
                "payer_name": payment.payer_name,
                "payer_document": payment.payer_document,
                **({"charge_terms": payment.charge_terms} if payment.charge_terms else {}),
            }
            for payment, merchant in payer_data.payments_of(person)
        ],
        "revisions": [
            {
                "payment_id": txid,
                "revision": old.revision,
                "replaced_at": rfc3339(old.replaced_at),
                "payer_name": old.state.get("payer_name"),
                "payer_document": old.state.get("payer_document"),
                "charge_terms": old.state.get("charge_terms"),
            }
            for old, txid in ChargePayers(work.session).revisions_of(person)
        ],
        "waiting_charges": [
            {"batch": number, "txid": txid, "sent_at": rfc3339(request.sent_at), **request.body}
            for request, number, txid in BatchPayers(work.session).requests_of(person)
        ],
        **_agreements_of(work, person),
        "signals": [
            {"kind": signal.kind, "times": signal.times, "last_at": rfc3339(signal.last_at)}
            for signal in payer_data.signals_of(person)
        ],
    }


def _agreements_of(work: Work, person: str) -> dict[str, Any]:
    """Recurrences that name a person, and requests to that person."""
    return {
        "recurrences": [
            {
                "id_rec": recurrence.id_rec,
                "merchant": merchant,
                "status": recurrence.status,
                "created_at": rfc3339(recurrence.created_at),
                "contract": recurrence.contract,
                "subject": recurrence.subject,
                "debtor_name": recurrence.debtor_name,
                "debtor_document": recurrence.debtor_document,
                "payer_document": recurrence.payer_document,
            }
            for recurrence, merchant in RecurrencePayers(work.session).recurrences_of(person)
        ],
        "recurrence_requests": [
            {
                "id_solic_rec": request.id_solic_rec,
                "id_rec": id_rec,
                "merchant": merchant,
                "status": request.status,
                "created_at": rfc3339(request.created_at),
                "payer_document": request.payer_document,
                "ispb": request.payer_ispb,
                "account": request.payer_account,
                "branch": request.payer_branch,
            }
            for request, id_rec, merchant in RequestPayers(work.session).requests_of(person)
        ],
    }


def erase_payer(work: Work, person: str) -> int:
    """Erase a payer's name and document everywhere; return how many rows changed."""
    payer_data = PayerData(work.session)
    total = BatchPayers(work.session).erase_person(person)
    total += ChargePayers(work.session).erase_person(person)
    total += RequestPayers(work.session).erase_person(person)
    total += RecurrencePayers(work.session).erase_person(person)
    total += payer_data.erase_person(person) + payer_data.delete_signals_of(person)
    if total:
        subject = mask_document(person) if len(person) in (11, 14) else person
        audit.record(work, None, AuditAction.PAYER_ERASED, subject, {"rows": total})
    return total
