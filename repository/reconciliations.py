"""Queries for reconciliation: the lease, the progress through a list, and unpaid payments."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, bindparam, func, insert, or_, select, update
from sqlalchemy.orm import Session

from core.clock import latest_end
from db_models import Account, Payment, PaymentStatus, Receipt, Reconciliation
from repository.due import is_over, is_too_far
from repository.halves import of_half

_PAUSE_MAX = timedelta(seconds=300)
"""The longest RECONCILE_INTERVAL_SECONDS, which is longer than the lease."""
_NEWEST_MAX = 1000
"""Among how many newest payments those from before a jump of the clock are searched."""
NEAR_LIST, DAY_LIST = "near", "day"
"""The lists of Pix of an account at a real bank; each rests after the bank has refused it."""
_UNPAID = (PaymentStatus.PENDING, PaymentStatus.EXPIRED)


def lease_of_account(account_id: int) -> str:
    """The name of the lease under which an account at a real bank is visited."""
    return f"psp-{account_id}"


def list_of_account(list_name: str, account_id: int) -> str:
    """The name of the row with the progress through one of the account's lists."""
    return f"psp-{list_name}-{account_id}"


@dataclass(frozen=True)
class Mark:
    """The progress through a list; `held_until` is the end of the lease and proves its holder."""

    walked_to: datetime
    window_to: datetime | None
    cursor: str | None
    held_until: datetime


@dataclass(frozen=True)
class UnpaidPayment:
    """A payment without an accepted receipt."""

    id: int
    txid: str
    created_at: datetime
    expires_at: datetime


class Reconciliations:
    """Queries for reconciliation with the bank."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def acquire(
        self, name: str, now: datetime, until: datetime, first: datetime, *, by_force: bool
    ) -> Mark | None:
        """Acquire the lease until `until`; None if its `not_before` has not passed.

        That is so while another process holds the lease, and before the next run is due.
        A `not_before` that lies too far ahead is ignored: someone set the clock back since.
        A list that was never read begins at `first`. `by_force` takes the lease from its holder.
        """
        row = self._session.get(Reconciliation, name)
        if row is None:
            values = {"name": name, "walked_to": first, "not_before": until}
            self._session.execute(insert(Reconciliation).values(**values))
            return Mark(first, None, None, until)
        if now < row.not_before <= latest_end(now, _PAUSE_MAX) and not by_force:
            return None
        mark = Mark(row.walked_to, row.window_to, row.cursor, until)
        return mark if self._move(name, row.not_before, {"not_before": until}) else None

    def release(self, name: str, mark: Mark, not_before: datetime) -> bool:
        """Write the progress; nobody can acquire the lease again before `not_before`.

        Writes nothing and returns False if the lease was lost.
        """
        values = {
            "walked_to": mark.walked_to,
            "window_to": mark.window_to,
            "cursor": mark.cursor,
            "not_before": not_before,
        }
        return self._move(name, mark.held_until, values)

    def end_rests(self, account_id: int, now: datetime) -> None:
        """Let the account at a real bank be visited, and its lists be read, at once.

        A process that holds one of these leases has lost it.
        """
        lists = [list_of_account(name, account_id) for name in (NEAR_LIST, DAY_LIST)]
        rows = Reconciliation.name.in_([lease_of_account(account_id), *lists])
        self._session.execute(
            update(Reconciliation)
            .where(rows)
            .values(not_before=now)
            .execution_options(synchronize_session=False)
        )

    def _move(self, name: str, held_until: datetime, values: Mapping[str, Any]) -> bool:
        result = self._session.execute(
            update(Reconciliation)
            .where(Reconciliation.name == name, Reconciliation.not_before == held_until)
            .values(**values)
            .execution_options(synchronize_session=False)
        )
        return cast("CursorResult[Any]", result).rowcount == 1

    def due_look_ups(
        self, now: datetime, longest_pause: timedelta, limit: int, half: bool | None = None
    ) -> Sequence[UnpaidPayment]:
        """Unpaid payments whose look-up is due, the oldest due time first.

        Here and below: payments at the simulated bank of this half, see `halves.of_half`;
        `repository.provider_money` has the others.
        """
        query = self._unpaid(half).where(is_over(Payment.look_up_at, now, longest_pause))
        return self._first(query.order_by(Payment.look_up_at, Payment.id), limit)

    def from_future(
        self, now: datetime, longest_pause: timedelta, limit: int, half: bool | None = None
    ) -> Sequence[UnpaidPayment]:
        """Unpaid payments created before the clock was set back, whose look-up would wait for it.

        `longest_pause` is that of a new payment. Searches the newest payments only.
        """
        newest = select(func.coalesce(func.max(Payment.id), 0) - _NEWEST_MAX).scalar_subquery()
        query = self._unpaid(half).where(
            Payment.id > newest,
            Payment.created_at > now,
            is_too_far(Payment.look_up_at, now, longest_pause),
        )
        return self._first(query.order_by(Payment.id), limit)

    def about_to_expire(
        self, now: datetime, limit: int, half: bool | None = None
    ) -> Sequence[UnpaidPayment]:
        """Pending payments whose deadline has passed and which the sweep has not expired yet."""
        query = self._unpaid(half).where(
            Payment.status == PaymentStatus.PENDING, Payment.expires_at < now
        )
        return self._first(query.order_by(Payment.expires_at), limit)

    def _unpaid(self, half: bool | None) -> Any:
        columns = (Payment.id, Payment.txid, Payment.created_at, Payment.expires_at)
        return select(*columns).where(
            Payment.status.in_(_UNPAID), Payment.provider_account_id.is_(None), of_half(half)
        )

    def _first(self, query: Any, limit: int) -> Sequence[UnpaidPayment]:
        return [UnpaidPayment(*row) for row in self._session.execute(query.limit(limit))]

    def schedule_look_ups(self, times: Mapping[int, datetime | None]) -> None:
        """Write the next look-up time of each payment that is still unpaid."""
        if not times:
            return
        table = Payment.__table__
        statement = (
            update(table)
            .where(
                table.c.id == bindparam("row"),
                # Not `IN`: an executemany statement takes no list.
                or_(*(table.c.status == status for status in _UNPAID)),
            )
            .values(look_up_at=bindparam("next"))
        )
        # In the order of row ids, so that two writers of the same rows do not deadlock.
        rows = [{"row": key, "next": times[key]} for key in sorted(times)]
        self._session.connection().execute(statement, rows)

    def without_receipt(
        self, transfers: Collection[tuple[str | None, str | None, str]], half: bool | None = None
    ) -> frozenset[str]:
        """The end_to_end_ids of our transfers for which no receipt is stored.

        A transfer is (txid, Pix key, end_to_end_id). It is ours if we have a payment with its txid,
        or, for a static code, a merchant with its key.
        """
        txids = {txid for txid, _, _ in transfers if txid is not None}
        keys = {key for txid, key, _ in transfers if txid is None and key is not None}
        ids = {end_to_end_id for _, _, end_to_end_id in transfers}
        here = select(Payment.txid).where(Payment.provider_account_id.is_(None), of_half(half))
        ours = set(self._session.scalars(here.where(Payment.txid.in_(txids))))
        if keys:
            merchants = select(Account.pix_key).where(Account.pix_key.in_(keys))
            if half is not None:
                merchants = merchants.where(Account.test_of_id.is_not(None) == half)
            ours |= set(self._session.scalars(merchants))
        receipts = select(Receipt.end_to_end_id).where(Receipt.end_to_end_id.in_(ids))
        receipt_ids = set(self._session.scalars(receipts))
        return frozenset(
            end_to_end_id
            for txid, key, end_to_end_id in transfers
            if (txid or key) in ours and end_to_end_id not in receipt_ids
        )
