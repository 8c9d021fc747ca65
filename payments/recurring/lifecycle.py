"""Which changes of a recurrence which status allows: plain functions, no database.

Source: API Pix 2.9.0, RecStatus, and error RecOperacaoInvalida.
"""

from __future__ import annotations

from core.merchant_errors import RecurrenceUnchangeable
from db_models import Recurrence, RecurrenceStatus

FROM_STATUSES = {
    RecurrenceStatus.APPROVED: (RecurrenceStatus.CREATED,),
    RecurrenceStatus.REJECTED: (RecurrenceStatus.CREATED,),
    RecurrenceStatus.EXPIRED: (RecurrenceStatus.CREATED,),
    RecurrenceStatus.CANCELLED: (RecurrenceStatus.CREATED, RecurrenceStatus.APPROVED),
}
"""The statuses from which each status can be reached."""

FINAL = (RecurrenceStatus.REJECTED, RecurrenceStatus.EXPIRED, RecurrenceStatus.CANCELLED)


def is_final(recurrence: Recurrence) -> bool:
    """Whether the recurrence never changes again, so that its location is free."""
    return recurrence.status in FINAL


def check_transition(recurrence: Recurrence, status: RecurrenceStatus) -> None:
    """Raise RecurrenceUnchangeable if the recurrence cannot get this status any more."""
    if recurrence.status not in FROM_STATUSES[status]:
        raise RecurrenceUnchangeable(
            f"The recurrence is {recurrence.status}, so it cannot become {status}."
        )


def check_open(recurrence: Recurrence) -> None:
    """Raise RecurrenceUnchangeable if the recurrence has ended."""
    if is_final(recurrence):
        raise RecurrenceUnchangeable(f"The recurrence is {recurrence.status}.")


def check_unaccepted(recurrence: Recurrence) -> None:
    """Raise RecurrenceUnchangeable if a payer has accepted the terms, or the recurrence ended."""
    if recurrence.status != RecurrenceStatus.CREATED:
        raise RecurrenceUnchangeable(
            f"The recurrence is {recurrence.status}: its first day and its location cannot change."
        )
