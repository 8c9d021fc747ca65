"""Order the simulated bank to give money back, and read its report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.money import plain
from core.runtime.bank_peer import BankPeer
from providers import fields
from providers.port import BankAnswer, BankReturn, ProviderRefusal, ReturnState
from providers.simulated import bank_client
from providers.simulated.bank_client import NoBankAnswer

_REASON = re.compile(r"[a-z0-9\-]{1,64}", re.ASCII)
_FAILED_AT_BANK = "refund-failed"
_STATES: Mapping[str, ReturnState] = {
    "processing": ReturnState.PROCESSING,
    "done": ReturnState.DONE,
    "failed": ReturnState.FAILED,
}


def give_back(
    bank: BankPeer, end_to_end_id: str, refund_id: str, amount_centavos: int, return_id: str
) -> BankReturn:
    """Send the order, which is safe to repeat; `return_id` is the `rtrId` that the bank may use.

    Raises ProviderRefusal, and NoBankAnswer if the answer does not report on this refund.
    """
    body = {
        "end_to_end_id": end_to_end_id,
        "refund_id": refund_id,
        "value": plain(amount_centavos),
        "return_id": return_id,
    }
    answer = bank_client.order(bank, "refund", "/api/refunds", body)
    members = answer.members
    if answer.status >= 400:
        code = members.get("code")
        # `not-found` means that the path is unknown, so the refund may still be possible.
        if not isinstance(code, str) or not _REASON.fullmatch(code) or code == "not-found":
            raise NoBankAnswer(f"HTTP status {answer.status} without a reason", answer.status)
        raise ProviderRefusal(code)
    _check_subject(answer, end_to_end_id, refund_id, amount_centavos)
    return _report(answer, refund_id, amount_centavos)


def _report(answer: BankAnswer, refund_id: str, amount_centavos: int) -> BankReturn:
    members = answer.members
    return_id = fields.return_id(members.get("return_id"))
    state = _STATES.get(str(members.get("status")).strip().lower())
    if state is None:
        raise NoBankAnswer("the status is unknown", answer.status)
    if state is ReturnState.DONE and return_id is None:
        raise NoBankAnswer("the refund is done but has no return_id", answer.status)
    return BankReturn(
        id=refund_id,
        return_id=return_id,
        amount_centavos=amount_centavos,
        state=state,
        reason=_FAILED_AT_BANK if state is ReturnState.FAILED else None,
        settled_at=fields.bank_instant(members.get("settled_at")),
    )


def _check_subject(
    answer: BankAnswer, end_to_end_id: str, refund_id: str, amount_centavos: int
) -> None:
    """Raise NoBankAnswer if the answer names another refund, another payment or another amount.

    The bank has to repeat `refund_id`; the others count if they are given.
    """
    members: Mapping[str, Any] = answer.members
    expected = {
        "refund_id": refund_id,
        "end_to_end_id": end_to_end_id,
        "amount_centavos": str(amount_centavos),
    }
    values = {name: fields.text_or_none(members.get(name)) for name in expected}
    values["end_to_end_id"] = fields.transfer_id(members.get("end_to_end_id"))
    is_other = any(values[name] not in (None, expected[name]) for name in expected)
    if values["refund_id"] is None or is_other:
        raise NoBankAnswer("the answer is about another refund", answer.status)
