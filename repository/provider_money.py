"""Queries for learning of money at real banks: hints, due look-ups, and what is booked already."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from db_models import (
    Payment,
    PaymentStatus,
    ProviderAccount,
    ProviderCharge,
    ProviderChargeStatus,
    ProviderHint,
    Receipt,
    Reconciliation,
    Refund,
    Verdict,
)
from repository.due import EVER, is_over
from repository.reconciliations import Mark

_COUNTED_MAX = 10_000
_LISTED_LATE = timedelta(days=1)


@dataclass(frozen=True)
class DueLookUp:
    """A payment of an account whose charge should be looked up."""

    payment_id: int
    txid: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class BookedMoney:
    """What is stored of a Pix."""

    end_to_end_id: str
    account_id: int | None
    txid: str | None
    """What the bank named: the txid of a charge, or of a static code."""
    amount_centavos: int
    payment_id: int | None


class ProviderMoney:
    """Queries for learning of money at real banks."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    # -- hints ---------------------------------------------------------------------------------

    def insert_hints(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store hints of callbacks."""
        if rows:
            self._session.connection().execute(_INSERT_HINT, [dict(row) for row in rows])

    def hints_due(self, account_id: int, now: datetime, limit: int) -> Sequence[ProviderHint]:
        """The account's hints that are due, the oldest first."""
        query = select(ProviderHint).where(
            ProviderHint.account_id == account_id, ProviderHint.due_at <= now
        )
        ordered = query.order_by(ProviderHint.due_at, ProviderHint.id)
        return self._session.scalars(ordered.limit(limit)).all()

    def has_hint(self, account_id: int, end_to_end_id: str) -> bool:
        """Whether the Pix will be asked about anyway."""
        query = select(ProviderHint.id).where(
            ProviderHint.account_id == account_id, ProviderHint.end_to_end_id == end_to_end_id
        )
        return self._session.scalars(query.limit(1)).first() is not None

    def count_hints(self, account_id: int, limit: int) -> int:
        """How many hints of the account are stored, counted to `limit`."""
        some = select(ProviderHint.id).where(ProviderHint.account_id == account_id).limit(limit)
        return int(self._session.scalar(select(func.count()).select_from(some.subquery())) or 0)

    def delete_hints(self, rows: Collection[int]) -> None:
        """Delete hints that were followed."""
        if rows:
            self._session.execute(delete(ProviderHint).where(ProviderHint.id.in_(rows)), **_PLAIN)

    def postpone_hints(
        self, rows: Collection[int], due_at: datetime, misfit: Mapping[str, Any]
    ) -> None:
        """Ask again later; `misfit` has the columns of a return that does not fit, or nothing."""
        if rows:
            later = update(ProviderHint).where(ProviderHint.id.in_(rows))
            values = {"due_at": due_at, "attempts": ProviderHint.attempts + 1, **misfit}
            self._session.execute(later.values(**values), **_PLAIN)

    def unfit_returns(self, account_id: int, limit: int) -> Sequence[ProviderHint]:
        """The hints of returns that exceed what is left of their payments, the oldest first."""
        query = select(ProviderHint).where(
            ProviderHint.account_id == account_id, ProviderHint.misfit.is_not(None)
        )
        return self._session.scalars(query.order_by(ProviderHint.id).limit(limit)).all()

    # -- look-ups ------------------------------------------------------------------------------

    def due_look_ups(
        self, account_id: int, now: datetime, longest_pause: timedelta, limit: int
    ) -> Sequence[DueLookUp]:
        """The account's unpaid payments whose look-up is due, the oldest due time first."""
        columns = (Payment.id, Payment.txid, Payment.created_at, Payment.expires_at)
        query = select(*columns).where(
            Payment.provider_account_id == account_id,
            Payment.status.in_(_UNPAID),
            is_over(Payment.look_up_at, now, longest_pause),
        )
        ordered = query.order_by(Payment.look_up_at, Payment.id).limit(limit)
        return [DueLookUp(*row) for row in self._session.execute(ordered)]

    def schedule_look_ups(self, times: Mapping[int, datetime | None]) -> None:
        """Write the next look-up time of each payment that is still unpaid."""
        rows = [{"row": key, "next": times[key]} for key in sorted(times)]
        for status in _UNPAID:
            if rows:
                self._session.connection().execute(
                    _SCHEDULE, [{**row, "is": status.value} for row in rows]
                )

    def accounts_with_due_work(self, now: datetime, longest_pause: timedelta) -> frozenset[int]:
        """The accounts with hints, look-ups or refunds that are due, or a window that is wanted."""
        hints = select(ProviderHint.account_id).where(ProviderHint.due_at <= now).distinct()
        look_ups = (
            select(Payment.provider_account_id)
            .where(
                Payment.provider_account_id.is_not(None),
                Payment.status.in_(_UNPAID),
                is_over(Payment.look_up_at, now, longest_pause),
            )
            .distinct()
        )
        windows = select(ProviderAccount.id).where(ProviderAccount.window_wanted_at.is_not(None))
        refunds = (
            select(Receipt.provider_account_id)
            .join(Refund, Refund.payment_id == Receipt.settles_payment_id)
            .where(
                Refund.ask_at > EVER, Refund.ask_at <= now, Receipt.provider_account_id.is_not(None)
            )
            .distinct()
        )
        found_ids: set[int] = set()
        for query in (hints, look_ups, windows, refunds):
            found_ids.update(int(row) for row in self._session.scalars(query) if row is not None)
        return frozenset(found_ids)

    def walk_marks(self, names: Collection[str]) -> dict[str, Mark]:
        """How far each of these lists was read, by name; runs one statement, or none.

        `held_until` is until when the list rests.
        """
        if not names:
            return {}
        columns = (
            Reconciliation.name,
            Reconciliation.walked_to,
            Reconciliation.window_to,
            Reconciliation.cursor,
            Reconciliation.not_before,
        )
        rows = self._session.execute(select(*columns).where(Reconciliation.name.in_(names)))
        return {str(row[0]): Mark(row[1], row[2], row[3], row[4]) for row in rows}

    # -- what is booked ------------------------------------------------------------------------

    def booked(self, end_to_end_ids: Collection[str]) -> dict[str, BookedMoney]:
        """What is stored of these Pix, by id; runs one statement, or none."""
        if not end_to_end_ids:
            return {}
        columns = (
            Receipt.end_to_end_id,
            Receipt.provider_account_id,
            func.coalesce(Receipt.bank_payment_id, Receipt.reference),
            Receipt.amount_centavos,
            Receipt.payment_id,
        )
        query = select(*columns).where(Receipt.end_to_end_id.in_(end_to_end_ids))
        rows = [BookedMoney(*row) for row in self._session.execute(query)]
        return {row.end_to_end_id: row for row in rows}

    def refunds_of(self, payment_ids: Collection[int]) -> dict[int, list[Refund]]:
        """The refunds of these payments, by the payment's row id; runs one statement, or none."""
        refunds: dict[int, list[Refund]] = {}
        if payment_ids:
            query = select(Refund).where(Refund.payment_id.in_(payment_ids))
            for refund in self._session.scalars(query.order_by(Refund.id)):
                refunds.setdefault(refund.payment_id, []).append(refund)
        return refunds

    def charge_receipts(
        self, account: ProviderAccount, since: datetime, until: datetime, limit: int
    ) -> int:
        """How many Pix of the account's charges were booked in this time, counted to `limit`.

        Without those that were paid more than a day before it.
        """
        some = select(Receipt.id).where(
            # The first three are an index.
            Receipt.merchant_id == account.merchant_id,
            Receipt.verdict == Verdict.ACCEPTED,
            Receipt.paid_at > since - _LISTED_LATE,
            Receipt.provider_account_id == account.id,
            Receipt.bank_payment_id.is_not(None),
            Receipt.told_at > since,
            Receipt.told_at <= until,
        )
        return self._count(some, limit)

    def unknown_charges(self, before: datetime) -> int:
        """Charges older than this whose outcome at the bank is unknown; counted to 10,000."""
        return self._count(
            select(ProviderCharge.id).where(
                ProviderCharge.status == ProviderChargeStatus.OPENING,
                ProviderCharge.next_at > EVER,
                ProviderCharge.created_at < before,
            )
        )

    def open_misfits(self) -> int:
        """Money that does not fit and that nobody dealt with; counted to 10,000 each.

        Receipts that fit no payment, and returns of more than is left of their payments.
        """
        receipts = self._count(
            select(Receipt.id).where(
                # All three are one index.
                Receipt.misfit.is_not(None),
                Receipt.payment_id.is_(None),
                Receipt.provider_account_id.is_not(None),
            )
        )
        return receipts + self._count(
            select(ProviderHint.id).where(ProviderHint.misfit.is_not(None))
        )

    def _count(self, rows: Any, limit: int = _COUNTED_MAX) -> int:
        some = rows.limit(limit).subquery()
        return int(self._session.scalar(select(func.count()).select_from(some)) or 0)


_UNPAID = (PaymentStatus.PENDING, PaymentStatus.EXPIRED)
_PLAIN: Any = {"execution_options": {"synchronize_session": False}}
_INSERT_HINT = insert(ProviderHint.__table__)
_TABLE = Payment.__table__
_SCHEDULE = (
    update(_TABLE)
    .where(_TABLE.c.id == bindparam("row"), _TABLE.c.status == bindparam("is"))
    .values(look_up_at=bindparam("next"))
)
