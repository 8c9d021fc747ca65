"""Deadlines nearer than the minimum of ten seconds, for tests that wait for a deadline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from core.clock import SystemClock
from db_models import Payment
from tests.db.tables import Tables
from tests.support.service import ServiceProcess


def bring_forward(
    service: ServiceProcess, seconds: float, *payments: Mapping[str, Any]
) -> datetime:
    """Set the deadline of these payments in the database; return the new deadline.

    Their creation moves with it, because a renewal lives as long as the payment it renews. At least
    one test of each kind waits for a deadline that the service itself has set.
    """
    usual = f"sqlite:///{service.instance / 'balcao.sqlite3'}"
    tables = Tables(service.environment.get("DATABASE_URL", usual))
    expires_at = SystemClock().now() + timedelta(seconds=seconds)
    for txid in (str(payment["id"]) for payment in payments):
        row = tables.payment(txid)
        created_at = expires_at - (row.expires_at - row.created_at)
        changed = sa.update(Payment.__table__).where(Payment.txid == txid)
        tables.change(changed.values(expires_at=expires_at, created_at=created_at))
    return expires_at
