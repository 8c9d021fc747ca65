"""Queries on the people in recurrences: the debtor whom the merchant names, and the payer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from core.pix.business_days import brasilia_day
from db_models import Account, Recurrence, RecurrenceStatus
from repository.charge_payers import EXPORT_MAX
from repository.connections import rows_changed

_NO_DEBTOR = {"debtor_name": None, "debtor_document": None, "subject": None}
"""The subject is free text for the payer, often an address (`vinculo.objeto`)."""
_NO_PAYER = {"payer_document": None, "payer_municipality": None}
_NAMES_SOMEBODY = or_(
    Recurrence.debtor_document.is_not(None), Recurrence.payer_document.is_not(None)
)


class RecurrencePayers:
    """Queries on people in recurrences. `person` is a document."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def erase_old(self, before: datetime, limit: int) -> int:
        """Erase the people in recurrences that ended before an instant, at most so many rows.

        An accepted recurrence ends with its last day; one without a last day keeps its people,
        because it is charged until somebody cancels it. One that nobody accepted counts from its
        creation.
        """
        status = Recurrence.status
        has_ended = or_(
            Recurrence.closed_at < before,
            and_(status == RecurrenceStatus.CREATED, Recurrence.created_at < before),
            and_(status == RecurrenceStatus.APPROVED, Recurrence.last_day < brasilia_day(before)),
        )
        query = select(Recurrence.id).where(_NAMES_SOMEBODY, has_ended).limit(limit)
        old = self._session.scalars(query).all()
        if not old:
            return 0
        # A payer may have accepted one of them meanwhile.
        return self._erase(and_(Recurrence.id.in_(old), has_ended), {**_NO_DEBTOR, **_NO_PAYER})

    def erase_person(self, person: str) -> int:
        """Erase a person from all recurrences; return how many rows changed."""
        rows = 0
        for column, values in (
            (Recurrence.debtor_document, _NO_DEBTOR),
            (Recurrence.payer_document, _NO_PAYER),
        ):
            rows += self._erase(column == person, values)
        return rows

    def recurrences_of(self, person: str) -> Sequence[tuple[Recurrence, str]]:
        """The recurrences that name a person, oldest first, with the merchant's name."""
        query = (
            select(Recurrence, Account.name)
            .join(Account, Account.id == Recurrence.merchant_id)
            .where(or_(Recurrence.debtor_document == person, Recurrence.payer_document == person))
            .order_by(Recurrence.id)
            .limit(EXPORT_MAX)
        )
        return [(recurrence, merchant) for recurrence, merchant in self._session.execute(query)]

    def _erase(self, rule: ColumnElement[bool], values: Mapping[str, None]) -> int:
        """Empty these columns. A change by a transaction that has read the row before fails."""
        statement = update(Recurrence).where(rule)
        statement = statement.values(**values, sequence=Recurrence.sequence + 1)
        return rows_changed(self._session, statement)
