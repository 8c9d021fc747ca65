"""The verbs of recurrences: create, revise, approve, reject, expire, cancel.

Each uses the unit of work of its caller and never commits. Each change of a status is one
conditional update, and in the same transaction a row of the history and the callback's delivery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any

from accounts import audit
from core.errors import ConcurrentUpdate
from core.merchant_errors import LocationUnusable, RecurrenceUnchangeable
from core.pix.business_days import brasilia_day
from core.pix.recurrence_rules import (
    CANCELLATION_CODES,
    CANCELLED_BY_PAYEE,
    JOURNEY_WITH_PAYMENT,
    REASON_CHARACTERS_MAX,
    REJECTION_CODES,
    Periodicity,
    RecurrenceTerms,
    new_id_rec,
)
from db_models import Account, ClosingParty, OrderKind, Recurrence, RecurrenceStatus
from payments.halves_wall import ispb_of
from payments.payees import document_of
from payments.recurring import charges, lifecycle, orders, requests
from payments.recurring.closings import Closing
from payments.recurring.objects import activation_state
from repository.database import Work
from repository.recurrences import BoundLocation, RecurrenceRecord

CHANGED = "changed"
"""The member of a history row's details that names what a revision changed."""


@dataclass(frozen=True)
class NewRecurrence:
    """What a merchant offers."""

    terms: RecurrenceTerms
    contract: str
    debtor_name: str
    debtor_document: str
    subject: str | None = None
    agreement_name: str | None = None
    activation_txid: str | None = None


@dataclass(frozen=True)
class Acceptance:
    """A payer's agreement, as the payer's bank tells it."""

    journey: int
    """1 to 4; the third is the payment of the charge with the recurrence's `activation_txid`."""
    payer_document: str
    payer_ispb: str
    payer_municipality: str | None = None


BY_PAYEE = Closing(
    CANCELLED_BY_PAYEE, "Cancelamento solicitado pelo usuário recebedor", ClosingParty.PAYEE
)


EXPIRY_CODE, EXPIRY_TEXT = "expired", "O prazo para autorizar acabou"
"""What the order to the payer's bank says: the standard has no code for an expiry."""


class TermsPart(StrEnum):
    """What a revision changed, as the history remembers it: words without a person's data."""

    DEBTOR_NAME = "debtor-name"
    FIRST_DAY = "first-day"
    ACTIVATION = "activation"
    LOCATION = "location"
    NO_LOCATION = "no-location"


@dataclass(frozen=True)
class Revision:
    """What a merchant changes; None leaves a value as it is."""

    debtor_name: str | None = None
    first_day: date | None = None
    activation_txid: str | None = None
    location: BoundLocation | None = None


def terms_of(recurrence: Recurrence) -> RecurrenceTerms:
    """The terms of a stored recurrence."""
    return RecurrenceTerms(
        first_day=recurrence.first_day,
        periodicity=Periodicity(recurrence.periodicity),
        allows_retries=recurrence.allows_retries,
        last_day=recurrence.last_day,
        fixed_centavos=recurrence.fixed_centavos,
        minimum_centavos=recurrence.minimum_centavos,
    )


def create(
    work: Work, merchant: Account, offer: NewRecurrence, location: BoundLocation | None
) -> RecurrenceRecord:
    """Store a new recurrence. The terms and the txid must be checked already.

    Raises LocationUnusable, and ConcurrentUpdate if another one took the location meanwhile.
    """
    if location is not None:
        take_location(work, location)
    terms = offer.terms
    day = brasilia_day(work.now)
    ispb = ispb_of(merchant.id)
    recurrence = work.recurrences.insert(
        {
            "id_rec": new_id_rec(ispb, day, allows_retries=terms.allows_retries),
            "merchant_id": merchant.id,
            "status": RecurrenceStatus.CREATED,
            "contract": offer.contract,
            "subject": offer.subject,
            "debtor_name": offer.debtor_name,
            "debtor_document": offer.debtor_document,
            "payee_document": document_of(merchant),
            "agreement_name": offer.agreement_name,
            "first_day": terms.first_day,
            "last_day": terms.last_day,
            "periodicity": terms.periodicity,
            "allows_retries": terms.allows_retries,
            "fixed_centavos": terms.fixed_centavos,
            "minimum_centavos": terms.minimum_centavos,
            "location_id": None if location is None else location.location.id,
            "activation_txid": offer.activation_txid,
            "sequence": 1,
            "created_at": work.now,
            "updated_at": work.now,
        }
    )
    record = RecurrenceRecord(recurrence, (), None if location is None else location.location)
    return _with_history(work, record, {})


def revise(work: Work, record: RecurrenceRecord, revision: Revision) -> RecurrenceRecord:
    """Change the terms; the record as it is if nothing changes. The values must be checked already.

    Another first day ends the open request to a payer, who would accept the earlier one.
    Raises RecurrenceUnchangeable, LocationUnusable, and ConcurrentUpdate.
    """
    recurrence = record.recurrence
    lifecycle.check_open(recurrence)
    changes: dict[str, Any] = {}
    parts = []
    for name, part in _PARTS.items():
        value = getattr(revision, name)
        if value is not None and value != getattr(recurrence, name):
            changes[name] = value
            parts.append(part)
    location = record.location
    if revision.location is not None and revision.location.location.id != recurrence.location_id:
        location = revision.location.location
        changes["location_id"] = location.id
        parts.append(TermsPart.LOCATION)
    if not changes:
        return record
    if {"first_day", "location_id"} & changes.keys():
        lifecycle.check_unaccepted(recurrence)
    if "activation_txid" in changes and recurrence.journey not in (None, JOURNEY_WITH_PAYMENT):
        raise RecurrenceUnchangeable("The payer has accepted the recurrence without a payment.")
    if revision.location is not None and "location_id" in changes:
        take_location(work, revision.location)
    if "first_day" in changes:
        requests.close_open(work, recurrence)  # it shows the payer another first day
    _store(work, recurrence, (recurrence.status,), changes)
    return _with_history(work, replace(record, location=location), {CHANGED: parts})


def unbind(work: Work, bound: BoundLocation) -> BoundLocation:
    """Let a location show no recurrence; the recurrence keeps its status.

    Raises ConcurrentUpdate if the location shows another recurrence by now.
    """
    recurrence = bound.recurrence
    if recurrence is None:
        return bound
    _store(work, recurrence, tuple(RecurrenceStatus), {"location_id": None})
    details = {CHANGED: [TermsPart.NO_LOCATION]}
    _with_history(work, RecurrenceRecord(recurrence, (), None), details)
    return BoundLocation(bound.location, None)


def take_location(work: Work, bound: BoundLocation) -> None:
    """Free a location whose recurrence has ended; its history says so.

    Raises LocationUnusable if the recurrence has not ended, and ConcurrentUpdate.
    """
    if bound.recurrence is None:
        return
    if not lifecycle.is_final(bound.recurrence):
        raise LocationUnusable("Another recurrence uses this location.")
    unbind(work, bound)


def approve(work: Work, record: RecurrenceRecord, acceptance: Acceptance) -> RecurrenceRecord:
    """Store that a payer has accepted the recurrence. It may be charged from now on.

    The activation charge is forgotten unless its payment was the acceptance (API Pix 2.9.0,
    RecAtivacao). Raises RecurrenceUnchangeable, also for the third journey without such a charge,
    and ConcurrentUpdate.
    """
    txid = record.recurrence.activation_txid
    is_paid = acceptance.journey == JOURNEY_WITH_PAYMENT
    if is_paid and txid is None:
        raise RecurrenceUnchangeable("The recurrence names no charge that accepts it when paid.")
    values = {
        "journey": acceptance.journey,
        "activation_txid": txid if is_paid else None,
        "payer_document": acceptance.payer_document,
        "payer_ispb": acceptance.payer_ispb,
        "payer_municipality": acceptance.payer_municipality,
    }
    return _move(work, record, RecurrenceStatus.APPROVED, values)


def reject(work: Work, record: RecurrenceRecord, closing: Closing) -> RecurrenceRecord:
    """Store that the payer has refused. Raises RecurrenceUnchangeable and ConcurrentUpdate."""
    if closing.code not in REJECTION_CODES or closing.party is not None:
        raise ValueError("must be a closing with a code of a rejection, and without a party")
    return _move(work, record, RecurrenceStatus.REJECTED, closing.columns)


def expire(work: Work, record: RecurrenceRecord) -> RecurrenceRecord:
    """Store that nobody has accepted in time. Raises RecurrenceUnchangeable, ConcurrentUpdate."""
    record = _move(work, record, RecurrenceStatus.EXPIRED, {})
    _tell_bank(work, record.recurrence, EXPIRY_CODE, EXPIRY_TEXT)
    return record


def cancel(work: Work, record: RecurrenceRecord, closing: Closing = BY_PAYEE) -> RecurrenceRecord:
    """End a recurrence, accepted or not. Raises RecurrenceUnchangeable and ConcurrentUpdate.

    The payer's bank gets an order, unless it or its client has cancelled.
    """
    if closing.code not in CANCELLATION_CODES or closing.party is None:
        raise ValueError("must be a closing with a code of a cancellation, and with a party")
    record = _move(work, record, RecurrenceStatus.CANCELLED, closing.columns)
    if closing.party in (ClosingParty.PAYEE, ClosingParty.PAYEES_BANK):
        _tell_bank(work, record.recurrence, closing.code, closing.text)
    return record


def _tell_bank(work: Work, recurrence: Recurrence, code: str, text: str) -> None:
    """Order the payer's bank to end its mandate and its requests for the recurrence.

    Also if nobody has accepted: an acceptance may be on its way. A bank that does not know the
    recurrence answers 2xx.
    """
    members = {"id_rec": recurrence.id_rec, "code": code, "text": text[:REASON_CHARACTERS_MAX]}
    orders.add(work, recurrence.merchant_id, OrderKind.MANDATE_CANCEL, recurrence.id_rec, members)


def _move(
    work: Work, record: RecurrenceRecord, status: RecurrenceStatus, values: Mapping[str, Any]
) -> RecurrenceRecord:
    """Give a recurrence another status: a conditional update, a row of the history, a callback.

    Its open request is closed, also if the payer accepts by a code.
    """
    lifecycle.check_transition(record.recurrence, status)
    was_accepted = record.recurrence.status == RecurrenceStatus.APPROVED
    requests.close_open(work, record.recurrence)
    closed_at = work.now if status in lifecycle.FINAL else None
    columns = {**values, "status": status, "closed_at": closed_at}
    _store(work, record.recurrence, lifecycle.FROM_STATUSES[status], columns)
    record = _with_history(work, record, activation_state(record.recurrence))
    work.call_back(record.recurrence, record.changes[-1])
    if was_accepted:  # only an accepted recurrence has charges
        charges.end_all_of(work, record.recurrence)
    return record


def _store(
    work: Work, recurrence: Recurrence, statuses: Sequence[str], values: Mapping[str, Any]
) -> None:
    columns = {**values, "updated_at": work.now}
    if not work.recurrences.change(recurrence, statuses, columns):
        raise ConcurrentUpdate


def _with_history(
    work: Work, record: RecurrenceRecord, details: Mapping[str, Any]
) -> RecurrenceRecord:
    """Store what has just changed; return the record with it."""
    recurrence = record.recurrence
    change = work.recurrences.insert_change(
        {
            "recurrence_id": recurrence.id,
            "status": recurrence.status,
            "details": {**details, **audit.author()},
            "changed_at": work.now,
        }
    )
    return replace(record, changes=(*record.changes, change))


_PARTS = {
    "debtor_name": TermsPart.DEBTOR_NAME,
    "first_day": TermsPart.FIRST_DAY,
    "activation_txid": TermsPart.ACTIVATION,
}
