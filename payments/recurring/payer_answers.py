"""What a payer has decided about a recurrence, as the payer's bank tells it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.errors import ConcurrentUpdate
from core.merchant_errors import (
    RecurrenceEnded,
    RecurrenceNotFound,
    RecurrenceTaken,
    RecurrenceUnchangeable,
    RequestNotFound,
)
from core.pix.recurrence_rules import JOURNEY_WITH_PAYMENT
from db_models import ClosingParty, Recurrence, RecurrenceStatus
from payments.halves_wall import may_touch
from payments.recurring import activations, lifecycle, recurrences, requests
from payments.recurring.closings import Closing
from payments.recurring.recurrences import Acceptance
from repository.database import Work
from repository.recurrences import RecurrenceRecord

REFUSED_BY_PAYER = Closing("AP13", "O pagador recusou a autorização")
CANCELLED_BY_PAYER = Closing(
    "SLDB", "Cancelamento solicitado pelo usuário pagador", ClosingParty.PAYER
)


class PayerVerdict(StrEnum):
    """What a payer can decide."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class PayerDecision:
    """One decision; `payer` names the journey, too, which counts for an acceptance only."""

    id_rec: str
    verdict: PayerVerdict
    payer: Acceptance
    txid: str | None = None
    """The charge that the payer has paid; the third journey needs it."""
    id_solic_rec: str | None = None
    """The request that the payer answers; the first journey needs it."""


@dataclass(frozen=True)
class DecisionResult:
    """The recurrence after the decision, and whether it was stored before."""

    record: RecurrenceRecord
    is_repeated: bool


def take(work: Work, decision: PayerDecision, *, is_test: bool = False) -> DecisionResult:
    """Store a payer's decision; a repeated one changes nothing.

    `is_test` tells whether the bank of test halves reports it.

    Raises RecurrenceNotFound, RecurrenceEnded, RecurrenceTaken, RecurrenceUnchangeable,
    ActivationUnpaid, ActivationWrong, RequestNotFound, RequestEnded, and ConcurrentUpdate.
    """
    record = work.recurrences.by_id_rec(decision.id_rec)
    if record is None or not may_touch(record.recurrence.merchant_id, is_test=is_test):
        raise RecurrenceNotFound("No recurrence has this id.")
    recurrence = record.recurrence
    if _is_repeated(recurrence, decision):
        return DecisionResult(record, is_repeated=True)
    if lifecycle.is_final(recurrence):
        raise RecurrenceEnded(f"The recurrence is {recurrence.status}.")
    is_accepted = recurrence.status == RecurrenceStatus.APPROVED
    if is_accepted and not _may_decide(recurrence, decision):
        raise RecurrenceTaken("Another payer has accepted the recurrence.")
    return DecisionResult(_apply(work, record, decision), is_repeated=False)


def _apply(work: Work, record: RecurrenceRecord, decision: PayerDecision) -> RecurrenceRecord:
    if decision.id_solic_rec is not None and decision.verdict is not PayerVerdict.CANCELLED:
        _close_request(work, record, decision)
    if decision.verdict is PayerVerdict.ACCEPTED:
        if decision.payer.journey == JOURNEY_WITH_PAYMENT:
            activations.check_paid(work, record.recurrence, decision.payer, decision.txid)
        return recurrences.approve(work, record, decision.payer)
    if decision.verdict is PayerVerdict.REFUSED:
        return recurrences.reject(work, record, REFUSED_BY_PAYER)
    if record.recurrence.status != RecurrenceStatus.APPROVED:
        raise RecurrenceUnchangeable("No payer has accepted the recurrence, so none can cancel it.")
    return recurrences.cancel(work, record, CANCELLED_BY_PAYER)


def _close_request(work: Work, record: RecurrenceRecord, decision: PayerDecision) -> None:
    """Store the answer in the payer's request.

    Raises RequestNotFound, RequestEnded and ConcurrentUpdate.
    """
    request = work.recurrence_requests.by_id(decision.id_solic_rec or "")
    payer = (record.recurrence.id, decision.payer.payer_document, decision.payer.payer_ispb)
    if request is None or requests.recipient_of(request.request) != payer:
        raise RequestNotFound("No request with this id asks this payer about this recurrence.")
    is_closed = not requests.is_open(request.request, work.now)
    # A closed request can have an open recurrence, for example if the payer's bank has rejected it.
    if is_closed and not work.recurrences.is_as_read(record.recurrence):
        # The same answer may have been stored after the recurrence was read: read it again. An
        # answer that names no request cancels the open one.
        raise ConcurrentUpdate
    if decision.verdict is PayerVerdict.ACCEPTED:
        requests.accept(work, request)
    else:
        requests.reject(work, request)


def _is_repeated(recurrence: Recurrence, decision: PayerDecision) -> bool:
    """Whether the recurrence is what the decision asks for, by the same payer.

    A refusal is stored without its payer. An acceptance does not count as repeated once the
    recurrence has ended: the bank must hear that.
    """
    if decision.verdict is PayerVerdict.REFUSED:
        return recurrence.status == RecurrenceStatus.REJECTED
    if not _is_same_payer(recurrence, decision.payer):
        return False
    if decision.verdict is PayerVerdict.ACCEPTED:
        return recurrence.status == RecurrenceStatus.APPROVED
    return recurrence.closing_party == ClosingParty.PAYER


def _may_decide(recurrence: Recurrence, decision: PayerDecision) -> bool:
    """Whether the decision is that of the payer who has accepted the recurrence.

    Without the document of an erased payer the bank alone is compared, for a cancellation only.
    """
    if decision.verdict is PayerVerdict.CANCELLED and recurrence.payer_document is None:
        return recurrence.payer_ispb == decision.payer.payer_ispb
    return _is_same_payer(recurrence, decision.payer)


def _is_same_payer(recurrence: Recurrence, payer: Acceptance) -> bool:
    theirs = (recurrence.payer_document, recurrence.payer_ispb)
    return theirs == (payer.payer_document, payer.payer_ispb)
