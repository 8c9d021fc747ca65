"""A bank's answer about one refund."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from db_models import RefundStatus
from providers.port import BankReturn, ReturnState

FAILED_AT_BANK = "refund-failed"
_RETURN_ID_MAX, _REASON_MAX, _ID_MAX = 64, 64, 35
_NO_LETTER = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class RefundReport:
    """The bank's answer about one refund."""

    status: RefundStatus
    return_id: str | None
    reason: str | None
    settled_at: datetime | None


def report_of(answer: BankReturn) -> RefundReport:
    """What a real bank's return means for a refund; its sentence becomes a code.

    A bank may leave out `rtrId`; then the id of the order is the id of the money.
    """
    is_done = answer.state is ReturnState.DONE
    return RefundReport(
        RefundStatus(answer.state.value),
        (answer.return_id or answer.id)[:_RETURN_ID_MAX] if is_done else None,
        reason_code(answer.reason) if answer.state is ReturnState.FAILED else None,
        answer.settled_at,
    )


def foreign_ids(id_: str) -> tuple[str, str]:
    """The ids that a refund of the bank's making may have here, by the bank's own id for it.

    The first is the bank's id as it is if it fits, else a hash of it. The second is for a payment
    that has a refund with the first one already: of a merchant who chose the same id, or one that
    failed and was done later.
    """
    first, second = (hashlib.sha256((text + id_).encode()).hexdigest()[:32] for text in ("", "2 "))
    fits = len(id_) <= _ID_MAX and id_.isascii() and id_.isalnum()
    return id_ if fits else first, second


def reason_code(sentence: str | None) -> str:
    """A bank's sentence as a code of 64 small letters, digits and hyphens at most."""
    plain = unicodedata.normalize("NFKD", sentence or "").encode("ascii", "ignore").decode()
    code = _NO_LETTER.sub("-", plain.lower()).strip("-")[:_REASON_MAX].strip("-")
    return code or FAILED_AT_BANK


def report_of_order(answer: BankReturn) -> RefundReport:
    """The report of a signing bank, whose ids and reasons are read and checked already."""
    return RefundReport(
        RefundStatus(answer.state.value), answer.return_id, answer.reason, answer.settled_at
    )
