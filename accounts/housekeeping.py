"""Forgetting what nobody needs any more about people: ended sign-ins, old audit entries."""

from __future__ import annotations

from datetime import timedelta

from accounts import sign_ins
from config import Settings
from repository.database import in_unit_of_work, now

_FORGET_BATCH = 500


def forget_old(settings: Settings) -> int:
    """Drop a bounded batch of each; gives how many rows went."""
    before = now() - timedelta(days=settings.audit_days)
    dropped = in_unit_of_work(lambda work: work.audit.forget_before(before, _FORGET_BATCH))
    return dropped + sign_ins.forget_old(now())
