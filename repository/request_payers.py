"""Queries on the payers whom requests of Pix Automático ask."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from db_models import Account, OrderKind, PayerBankOrder, Recurrence, RecurrenceRequest
from repository.charge_payers import EXPORT_MAX
from repository.connections import rows_changed

_NO_PAYER = {"payer_document": None, "payer_account": None, "payer_branch": None}


class RequestPayers:
    """Queries on payers in requests. `person` is a document."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def erase_old(self, before: datetime, limit: int) -> int:
        """Erase the payers in requests that ended before an instant, at most so many rows."""
        query = select(RecurrenceRequest.id).where(
            RecurrenceRequest.payer_document.is_not(None), RecurrenceRequest.closed_at < before
        )
        old = self._session.scalars(query.limit(limit)).all()
        if not old:
            return 0
        rows = update(RecurrenceRequest).where(RecurrenceRequest.id.in_(old))
        return rows_changed(self._session, rows.values(**_NO_PAYER))

    def erase_person(self, person: str) -> int:
        """Erase a payer from all requests and from the orders that wait; return how many rows.

        An open request stays open, but nobody can accept it any more. An order names the debtor of
        the recurrence, too, so call this before the debtor is erased there.
        """
        about_person = (
            select(RecurrenceRequest.id_solic_rec)
            .join(Recurrence, Recurrence.id == RecurrenceRequest.recurrence_id)
            .where(
                or_(
                    RecurrenceRequest.payer_document == person,
                    Recurrence.debtor_document == person,
                )
            )
        )
        # A cancellation names nobody, and the payer's bank must still get it.
        orders = delete(PayerBankOrder).where(
            PayerBankOrder.kind == OrderKind.REQUEST, PayerBankOrder.subject.in_(about_person)
        )
        rows = update(RecurrenceRequest).where(RecurrenceRequest.payer_document == person)
        count = rows_changed(self._session, orders.execution_options(synchronize_session=False))
        return count + rows_changed(self._session, rows.values(**_NO_PAYER))

    def requests_of(self, person: str) -> Sequence[tuple[RecurrenceRequest, str, str]]:
        """The requests to a payer, oldest first, with the recurrence's id and the merchant."""
        query = (
            select(RecurrenceRequest, Recurrence.id_rec, Account.name)
            .join(Recurrence, Recurrence.id == RecurrenceRequest.recurrence_id)
            .join(Account, Account.id == Recurrence.merchant_id)
            .where(RecurrenceRequest.payer_document == person)
            .order_by(RecurrenceRequest.id)
            .limit(EXPORT_MAX)
        )
        return [(request, id_rec, name) for request, id_rec, name in self._session.execute(query)]
