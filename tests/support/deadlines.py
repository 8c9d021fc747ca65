"""Deadlines nearer than the ten seconds that can be asked for, where a test has to see one pass."""

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
    """Let these payments end so many seconds from now, past the service; gives when that is.

    At least one test of each kind waits for a deadline as the service itself has set it.
    """
    usual = f"sqlite:///{service.instance / 'balcao.sqlite3'}"
    expires_at = SystemClock().now() + timedelta(seconds=seconds)
    txids = [str(payment["id"]) for payment in payments]
    changed = sa.update(Payment.__table__).where(Payment.txid.in_(txids))
    Tables(service.environment.get("DATABASE_URL", usual)).change(
        changed.values(expires_at=expires_at)
    )
    return expires_at
