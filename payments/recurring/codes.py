"""BR Codes that offer a recurrence, alone or beside a charge.

Source: API Pix 2.9.0, RecCompleta (`dadosQR`); Manual de Padrões para Iniciação do Pix, 2.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from core.pix import br_code
from core.pix.recurrence_rules import (
    JOURNEY_BESIDE_PAYMENT,
    JOURNEY_BY_CODE,
    JOURNEY_WITH_PAYMENT,
)
from db_models import Account, ChargeKind, Payment, PaymentStatus
from payments.lifecycle import status_at
from payments.location import location_text
from payments.recurring.locations import recurrence_location_text
from repository.recurrences import RecurrenceRecord

JOURNEY_OF = {
    None: JOURNEY_BY_CODE,
    ChargeKind.COB: JOURNEY_WITH_PAYMENT,
    ChargeKind.COBV: JOURNEY_BESIDE_PAYMENT,
}
"""The journey that a code without a charge, or with one of this kind, begins."""


@dataclass(frozen=True)
class RecurrenceCode:
    """A code, and the journey that it begins."""

    journey: int
    text: str


def journey_with(charge: Payment | None) -> int:
    """The journey of a code with this charge."""
    return JOURNEY_OF[None if charge is None else ChargeKind(charge.charge_kind)]


def fits(record: RecurrenceRecord, charge: Payment) -> bool:
    """Whether a code may offer this recurrence together with this charge of the same merchant.

    An immediate charge must be the one that accepts the recurrence when it is paid. A payer who
    has accepted it by another journey does not need the code. Source: RecConsultaInvalida.
    """
    recurrence, journey = record.recurrence, journey_with(charge)
    if recurrence.journey not in (None, journey):
        return False
    return charge.charge_kind == ChargeKind.COBV or charge.pix_txid == recurrence.activation_txid


def code_of_recurrence(
    merchant: Account,
    record: RecurrenceRecord,
    charge: Payment | None,
    location_base: str,
    now: datetime,
) -> RecurrenceCode | None:
    """The code that begins the journey with this charge, or with none.

    None if the recurrence or the charge has no location, or the charge cannot be paid at `now`.
    """
    if record.location is None or (charge is not None and not charge.has_location):
        return None
    if charge is not None and status_at(charge, now) is not PaymentStatus.PENDING:
        return None
    location = None
    if charge is not None:
        location = location_text(location_base, charge.charge_kind, charge.location)
    text = br_code.encode_recurring(
        recurrence_location_text(location_base, record.location),
        merchant.name,
        merchant.city,
        location=location,
    )
    return RecurrenceCode(journey_with(charge), text)
