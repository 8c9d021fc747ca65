"""The verbs of requests to a payer: create, cancel, accept, reject, expire, and the bank's steps.

    created ── order claimed ──▶ sent ── bank has it ──▶ received ── payer ──▶ accepted, rejected
       └──────────── cancelled or expired, from each of the three ────────────┘

Each uses the unit of work of its caller and never commits. Each change of a status is one
conditional update, and in the same transaction a row of the history. A request is always changed
before its recurrence, so that two transactions do not wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from accounts import audit
from core.clock import rfc3339
from core.errors import ConcurrentUpdate
from core.merchant_errors import RequestEnded
from core.pix.business_days import brasilia_day
from core.pix.recurrence_rules import new_id_solic_rec
from db_models import (
    Account,
    OrderKind,
    PayerBankOrder,
    Recurrence,
    RecurrenceRequest,
    RecurrenceStatus,
    RequestStatus,
)
from payments.halves_wall import ispb_of
from payments.recurring import orders
from payments.recurring.objects import payload_object
from payments.recurring.row_jobs import change_each
from repository.database import Work, reading
from repository.recurrence_requests import OPEN, RequestRecord
from repository.recurrences import RecurrenceRecord

OPEN_FOR_MAX = timedelta(days=30)
"""How long after its creation a request may stay open (IN BCB 436)."""
AT_BANK = (RequestStatus.SENT, RequestStatus.RECEIVED)
"""The payer's bank may have the request."""
BATCH = 100


@dataclass(frozen=True)
class PayerAccount:
    """Who is asked: a payer's account, and the CPF or CNPJ of its owner."""

    document: str
    ispb: str
    account: str
    branch: str | None = None


def is_open(request: RecurrenceRequest, now: datetime) -> bool:
    """Whether the payer can still accept; a request ends by the clock, before a job stores it."""
    return request.status in OPEN and now < request.expires_at


def recipient_of(request: RecurrenceRequest) -> tuple[int, str | None, str]:
    """Who can answer: the recurrence's row id, the payer's document, and the payer's bank."""
    return request.recurrence_id, request.payer_document, request.payer_ispb


def create(
    work: Work,
    merchant: Account,
    record: RecurrenceRecord,
    recipient: PayerAccount,
    expires_at: datetime,
) -> RequestRecord:
    """Store a request, and the order that sends it. The values must be checked already.

    Raises ConcurrentUpdate if the recurrence has changed or has got another request meanwhile.
    """
    recurrence = record.recurrence
    # With the new `sequence` a transaction that ends the recurrence reads again, and sees this.
    if not work.recurrences.change(recurrence, (RecurrenceStatus.CREATED,), {}):
        raise ConcurrentUpdate
    ispb = ispb_of(merchant.id)
    request = work.recurrence_requests.insert(
        {
            "id_solic_rec": new_id_solic_rec(ispb, brasilia_day(work.now)),
            "recurrence_id": recurrence.id,
            "open_recurrence_id": recurrence.id,
            "status": RequestStatus.CREATED,
            "expires_at": expires_at,
            "payer_ispb": recipient.ispb,
            "payer_document": recipient.document,
            "payer_account": recipient.account,
            "payer_branch": recipient.branch,
            "created_at": work.now,
        }
    )
    payer = {
        "document": recipient.document,
        "ispb": recipient.ispb,
        "account": recipient.account,
        **({} if recipient.branch is None else {"branch": recipient.branch}),
    }
    members = {
        "id": request.id_solic_rec,
        "expires_at": rfc3339(expires_at),
        "recurrence": payload_object(record, merchant, ispb),
        "payer": payer,
    }
    orders.add(work, merchant.id, OrderKind.REQUEST, request.id_solic_rec, members)
    return _with_history(work, RequestRecord(request, recurrence.id_rec, ()))


def cancel(work: Work, merchant_id: int, record: RequestRecord) -> RequestRecord:
    """Take a request of this merchant back. Raises RequestEnded and ConcurrentUpdate."""
    _check_open(work, record.request)
    may_be_at_bank = record.request.status in AT_BANK
    record = _move(work, record, RequestStatus.CANCELLED)
    if may_be_at_bank:
        subject = record.request.id_solic_rec
        orders.add(work, merchant_id, OrderKind.REQUEST_CANCEL, subject, {"id": subject})
    return record


def accept(work: Work, record: RequestRecord) -> RequestRecord:
    """Store that the payer has accepted; the caller approves the recurrence in the transaction.

    Raises RequestEnded, also for an acceptance that comes too late, and ConcurrentUpdate.
    """
    _check_at_bank(work, record.request)
    return _move(work, record, RequestStatus.ACCEPTED)


def reject(work: Work, record: RequestRecord, reason: str | None = None) -> RequestRecord:
    """Store that the payer has refused, or with a reason, that the payer's bank has.

    Raises RequestEnded and ConcurrentUpdate.
    """
    _check_at_bank(work, record.request)
    return _move(work, record, RequestStatus.REJECTED, {} if reason is None else {"reason": reason})


def close_open(work: Work, recurrence: Recurrence) -> None:
    """Close the open request of a recurrence that changes. Raises ConcurrentUpdate."""
    record = work.recurrence_requests.open_of(recurrence.id)
    if record is None:
        return
    if is_open(record.request, work.now):
        cancel(work, recurrence.merchant_id, record)
    else:
        _move(work, record, RequestStatus.EXPIRED)


def end_late(work: Work, record: RequestRecord) -> bool:
    """Store the expiry of a request whose time has passed; False if there is nothing to store.

    Raises ConcurrentUpdate.
    """
    request = record.request
    if request.status not in OPEN or is_open(request, work.now):
        return False
    _move(work, record, RequestStatus.EXPIRED)
    return True


def expire_due(keep_going: Callable[[], bool] = lambda: True) -> int:
    """Store the expiry of the requests whose time has passed; returns how many."""
    with reading() as work:
        due = work.recurrence_requests.ids_due(work.now, BATCH)
    return change_each("request-expiries", due, _expire, keep_going)


def _expire(work: Work, id_solic_rec: str) -> bool:
    record = work.recurrence_requests.by_id(id_solic_rec)
    return record is not None and end_late(work, record)


def begin_sending(work: Work, order: PayerBankOrder) -> bool:
    """Give the order's request the status *sent*; False if the order must not be sent any more."""
    record = work.recurrence_requests.by_id(order.subject)
    if record is None or not is_open(record.request, work.now):
        return False
    if record.request.status == RequestStatus.CREATED:
        _move(work, record, RequestStatus.SENT)
    return True


def note_received(work: Work, order: PayerBankOrder, _answer: Mapping[str, Any]) -> None:
    """Store that the payer's bank has the request."""
    record = work.recurrence_requests.by_id(order.subject)
    if record is not None and record.request.status == RequestStatus.SENT:
        _move(work, record, RequestStatus.RECEIVED)


def note_refused(work: Work, order: PayerBankOrder, code: str, _detail: str) -> None:
    """Store that the payer's bank refuses the request: it has no such client, for example."""
    record = work.recurrence_requests.by_id(order.subject)
    if record is not None and is_open(record.request, work.now):
        reject(work, record, code)


def _check_open(work: Work, request: RecurrenceRequest) -> None:
    if not is_open(request, work.now):
        status = RequestStatus.EXPIRED if request.status in OPEN else request.status
        raise RequestEnded(f"The request is {status}.")


def _check_at_bank(work: Work, request: RecurrenceRequest) -> None:
    _check_open(work, request)
    if request.status not in AT_BANK:
        raise RequestEnded("The request was not sent yet.")


def _move(
    work: Work,
    record: RequestRecord,
    status: RequestStatus,
    details: Mapping[str, str] | None = None,
) -> RequestRecord:
    """Give a request another status: a conditional update and a row of the history."""
    closing = {} if status in OPEN else {"closed_at": work.now, "open_recurrence_id": None}
    if not work.recurrence_requests.change(record.request, {"status": status, **closing}):
        raise ConcurrentUpdate
    return _with_history(work, record, details or {})


def _with_history(
    work: Work, record: RequestRecord, details: Mapping[str, str] | None = None
) -> RequestRecord:
    request = record.request
    change = work.recurrence_requests.insert_change(
        {
            "request_id": request.id,
            "status": request.status,
            "details": {**(details or {}), **audit.author()},
            "changed_at": work.now,
        }
    )
    return replace(record, changes=(*record.changes, change))
