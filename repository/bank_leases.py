"""The leases of calls to real banks, renewed by the process that makes the calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, update
from sqlalchemy.orm import Session

from db_models import ProviderCharge, ProviderChargeStatus, Refund, RefundStatus
from repository.connections import rows_changed

LEASE = timedelta(seconds=15)
"""How long a charge or refund waits for a process that died, or did not renew its lease."""


@dataclass(frozen=True)
class BankLease:
    """The lease of a charge or of a refund; lost as soon as its row has other `attempts`."""

    attempts: int
    account_id: int = 0
    """With `txid`, the charge."""
    txid: str = ""
    refund_row: int = 0


class BankLeases:
    """Updates that renew leases."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def renew(self, leases: Collection[BankLease], now: datetime) -> int:
        """Renew those that are still held, by one statement for each table; returns their number.

        A charge whose call has failed has a fault and a pause, which is not a lease.
        """
        charges: dict[tuple[int, int], list[str]] = defaultdict(list)
        refunds: dict[int, list[int]] = defaultdict(list)
        for lease in leases:
            if lease.refund_row:
                refunds[lease.attempts].append(lease.refund_row)
            else:
                charges[lease.account_id, lease.attempts].append(lease.txid)
        count = 0
        if charges:
            is_held = or_(
                *(
                    and_(
                        ProviderCharge.account_id == account_id,
                        ProviderCharge.txid.in_(txids),
                        ProviderCharge.attempts == attempts,
                    )
                    for (account_id, attempts), txids in charges.items()
                )
            )
            statuses = (ProviderChargeStatus.OPENING, ProviderChargeStatus.CLOSING)
            rows = update(ProviderCharge).where(
                is_held, ProviderCharge.status.in_(statuses), ProviderCharge.fault.is_(None)
            )
            count += rows_changed(self._session, rows.values(next_at=now + LEASE))
        if refunds:
            is_held = or_(
                *(
                    and_(Refund.id.in_(ids), Refund.attempts == attempts)
                    for attempts, ids in refunds.items()
                )
            )
            rows = update(Refund).where(is_held, Refund.status == RefundStatus.PROCESSING)
            count += rows_changed(self._session, rows.values(ask_at=now + LEASE))
        return count
