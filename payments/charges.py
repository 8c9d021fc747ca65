"""Charges of API Pix: open, revise and remove them, and move the locations that show them.

A charge is a payment. It stays revisable after its deadline, because API Pix has no status
*expired* (API Pix 2.9.0, CobrancaStatus); a later deadline makes it payable again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from accounts import audit
from core import ids
from core.errors import ConcurrentUpdate, OrderAlreadyHasPayment
from core.merchant_errors import LocationUnusable
from core.provider_errors import ProviderUnsupported
from db_models import Account, AuditAction, Payment, PaymentStatus
from payments import lifecycle, renewals, service, snapshots
from payments.due_charges import DEBTOR, DUE
from payments.location import INFO, ORIGINAL, WITHDRAWAL, location_text
from repository.database import Work
from repository.locations import NO_LOCATION, ListedLocation
from repository.payments import payment_from


@dataclass(frozen=True)
class ChargeValues:
    """What a merchant may set and revise; the names are columns of `Payment`."""

    amount_centavos: int
    expires_at: datetime
    description: str | None = None
    payer_name: str | None = None
    payer_document: str | None = None
    payer_sets_amount: bool = False
    charge_terms: Mapping[str, Any] | None = None
    """Further members that only API Pix has; None without any."""


class ChangedPart(StrEnum):
    """What a revision changed, as its event remembers it: words without a person's data."""

    AMOUNT = "amount"
    AMOUNT_CHOICE = "amount-choice"
    DEADLINE = "deadline"
    PAYER = "payer"
    TEXT = "text"
    INFO = "info"
    WITHDRAWAL = "withdrawal"
    DUE_TERMS = "due-terms"
    LOCATION = "location"
    NO_LOCATION = "no-location"


_PARTS = {
    "amount_centavos": ChangedPart.AMOUNT,
    "payer_sets_amount": ChangedPart.AMOUNT_CHOICE,
    "expires_at": ChangedPart.DEADLINE,
    "payer_name": ChangedPart.PAYER,
    "payer_document": ChangedPart.PAYER,
    "description": ChangedPart.TEXT,
}
_PARTS_OF_TERMS = {
    ORIGINAL: ChangedPart.AMOUNT,
    INFO: ChangedPart.INFO,
    WITHDRAWAL: ChangedPart.WITHDRAWAL,
    DUE: ChangedPart.DUE_TERMS,
    DEBTOR: ChangedPart.PAYER,
}
_NAMES = tuple(field.name for field in fields(ChargeValues))


def values_of(payment: Payment) -> ChargeValues:
    """The present values of a charge."""
    return ChargeValues(**{name: getattr(payment, name) for name in _NAMES})


def open_charge(
    work: Work,
    merchant: Account,
    values: ChargeValues,
    *,
    txid: str | None,
    charge_kind: str,
    location: ListedLocation | None,
    location_base: str,
) -> Payment:
    """Insert a charge. Without a txid it gets one; without a location, its own.

    Raises PixKeyMissing, LocationUnusable, ConcurrentUpdate if another charge took the location
    meanwhile, and LostRace if a charge of the merchant has this txid.
    """
    columns = asdict(values)
    lifetime = columns.pop("expires_at") - work.now
    amount_centavos = columns.pop("amount_centavos")
    if location is not None:
        _check_location(location, charge_kind)
        if location.row_id is None:
            location = _detach(work, merchant, location)
        columns |= _columns_of(location)
    payment = service.insert_payment(
        work,
        merchant,
        amount_centavos=amount_centavos,
        lifetime=lifetime,
        location_base=location_base,
        charge_txid=txid,
        charge_kind=charge_kind,
        details={},
        **columns,
    )
    if location is not None:
        _take(work, location, payment)
    return payment


def revise(work: Work, payment: Payment, values: ChargeValues) -> bool:
    """Change a charge and keep its old revision; False, and no revision, if nothing changes.

    Raises NotRevisable; OrderAlreadyHasPayment if a later deadline would give an order, or a
    payment that was renewed, a second live payment.
    """
    lifecycle.check_revisable(payment)
    changes = _changes(payment, values)
    if not changes:
        return False
    _check_simulated(payment)
    revives = payment.status == PaymentStatus.EXPIRED and values.expires_at > work.now
    if revives and payment.order_id is not None:
        service.explain_live_order(work, payment.merchant, payment.order_id)
    parts = _changed_parts(payment, changes)
    _keep_revision(work, payment)
    change = lifecycle.revise(payment, {**changes, "revision": payment.revision + 1}, work.now)
    about = {snapshots.CHANGED: parts}
    service.apply_change(work, payment, change, about, audit.author())
    if revives:  # after the change, which no renewal passes: it waits, or is seen here
        _check_no_renewal(work, payment)
    return True


def _check_simulated(payment: Payment) -> None:
    """Raise ProviderUnsupported for a charge at a real bank: a payer may hold its code already."""
    if payment.provider_account_id is not None:
        raise ProviderUnsupported("A charge at a real bank does not change. Make a new one.")


def _check_no_renewal(work: Work, payment: Payment) -> None:
    """Raise OrderAlreadyHasPayment if the payer already has another code for the same thing."""
    successor = work.payments.successor_of(payment.id)
    renewal = renewals.newest_renewal(work, successor) if successor is not None else None
    if renewal is not None and not _has_ended(work, renewal):
        raise OrderAlreadyHasPayment(f"The payment {renewal.txid} has renewed this one.")


def _has_ended(work: Work, payment: Payment) -> bool:
    """Whether nobody has paid a payment, and nobody can."""
    status = lifecycle.status_at(payment, work.now)
    return status in (PaymentStatus.EXPIRED, PaymentStatus.CANCELLED)


def remove(work: Work, payment: Payment, by: Account) -> None:
    """Cancel a charge, also after its deadline; `by` is the merchant. Raises NotRevisable."""
    change = lifecycle.remove(payment, work.now)
    _keep_revision(work, payment)
    values = {**change.values, "revision": payment.revision + 1}
    service.apply_change(work, payment, replace(change, values=values))
    audit.record(work, by, AuditAction.PAYMENT_CANCELLED, payment.txid)


def _changes(payment: Payment, values: ChargeValues) -> dict[str, Any]:
    columns = asdict(values)
    return {name: value for name, value in columns.items() if getattr(payment, name) != value}


def _changed_parts(payment: Payment, changes: Mapping[str, Any]) -> list[ChangedPart]:
    """The parts that these changes touch, in the order of `ChangedPart`."""
    parts = {_PARTS[name] for name in changes if name in _PARTS}
    if "charge_terms" in changes:
        old, new = payment.charge_terms or {}, changes["charge_terms"] or {}
        names = {name for name in {*old, *new} if old.get(name) != new.get(name)}
        parts |= {_PARTS_OF_TERMS[name] for name in names if name in _PARTS_OF_TERMS}
    return [part for part in ChangedPart if part in parts]


def _keep_revision(work: Work, payment: Payment) -> None:
    state = {name: getattr(payment, name) for name in _NAMES}
    state["expires_at"] = payment.expires_at.isoformat()
    work.charges.keep_revision(payment, state, work.now)


def at_revision(work: Work, payment: Payment, revision: int) -> Payment | None:
    """The charge as it stood at a revision, active unless it is the newest; None for no such one.

    Source: API Pix 2.9.0, Revisao.
    """
    if revision == payment.revision:
        return payment
    state = work.charges.state_at(payment, revision)
    if state is None:
        return None
    values = {
        **state,
        "expires_at": datetime.fromisoformat(state["expires_at"]),
        "status": PaymentStatus.PENDING,
        "revision": revision,
    }
    return payment_from(payment, values)


def reserve_location(work: Work, merchant: Account, charge_kind: str) -> ListedLocation:
    """A new location that waits for a charge of this kind."""
    token = ids.new_watch_code()
    return work.locations.insert(merchant.id, token, charge_kind, work.now)


def bind(work: Work, payment: Payment, location: ListedLocation, location_base: str) -> None:
    """Let a location show this charge; the charge's old location is free then. No new revision.

    Raises LocationUnusable, NotRevisable, and ConcurrentUpdate if another charge was faster.
    """
    if location.payment_id == payment.id:
        return
    lifecycle.check_revisable(payment)
    _check_simulated(payment)
    _check_location(location, payment.charge_kind)
    merchant = payment.merchant
    if location.row_id is None:
        location = _detach(work, merchant, location)
    if payment.has_location:
        _free_location(work, payment)
    text = location_text(location_base, payment.charge_kind, location.token)
    columns = {**_columns_of(location), "has_location": True}
    code = service.code_of(merchant, text)
    _store(work, payment, {**columns, "br_code": code}, ChangedPart.LOCATION)
    _take(work, location, payment)


def unbind(work: Work, location: ListedLocation) -> ListedLocation:
    """Let a location show no charge; the charge keeps its status. No new revision.

    Raises ConcurrentUpdate if the location shows another charge by now.
    """
    if location.payment_id is None:
        return location
    payment = work.payments.by_row_ids([location.payment_id])[location.payment_id]
    if not payment.has_location or payment.location != location.token:
        raise ConcurrentUpdate
    _check_simulated(payment)
    _free_location(work, payment)
    if is_final(payment.status):
        if not work.locations.release(payment.id, location.token):
            raise ConcurrentUpdate
    else:
        _store(work, payment, NO_LOCATION, ChangedPart.NO_LOCATION)
    return replace(location, payment_id=None, pix_txid=None, payment_status=None)


def is_final(status: str | None) -> bool:
    """Whether a charge with this status never changes again, so that its location is free."""
    return status in (PaymentStatus.CONFIRMED, PaymentStatus.CANCELLED)


def _columns_of(location: ListedLocation) -> dict[str, Any]:
    return {"location_token": location.token, "location_created_at": location.created_at}


def _check_location(location: ListedLocation, charge_kind: str) -> None:
    if location.charge_kind != charge_kind:
        raise LocationUnusable(
            f"A location of type {location.charge_kind} cannot show a {charge_kind}."
        )
    if location.payment_id is not None and not is_final(location.payment_status):
        raise LocationUnusable("Another active charge uses this location.")


def _free_location(work: Work, payment: Payment) -> None:
    """Give the location of a charge a row that waits for the next charge."""
    if payment.location_token is None:
        work.locations.insert(
            payment.merchant_id, payment.watch_code, payment.charge_kind, payment.created_at
        )
    elif not work.locations.unbind(payment.location_token, payment.id):
        raise ConcurrentUpdate


def _detach(work: Work, merchant: Account, location: ListedLocation) -> ListedLocation:
    """Take its own location from a final charge, and give it a row."""
    if location.payment_id is None or not work.locations.release(
        location.payment_id, location.token
    ):
        raise ConcurrentUpdate
    return work.locations.insert(
        merchant.id, location.token, location.charge_kind, location.created_at
    )


def _take(work: Work, location: ListedLocation, payment: Payment) -> None:
    """Bind a stored location; its old charge, which is final, keeps no location."""
    if location.payment_id is not None and not work.locations.release(
        location.payment_id, location.token
    ):
        raise ConcurrentUpdate
    if not work.locations.bind(location, payment.id):
        raise ConcurrentUpdate


def _store(work: Work, payment: Payment, columns: Mapping[str, Any], part: ChangedPart) -> None:
    """Change columns that pages read; the new sequence tells them to read again."""
    change = lifecycle.revise(payment, columns, work.now)
    about = {snapshots.CHANGED: [part]}
    service.apply_change(work, payment, change, about, audit.author())
