"""Wait for the code of a payment, so that a request can answer with it; bounded, then 503."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime

from flask import has_request_context, request

from config import current_parts
from core.provider_errors import (
    ProviderAccountNotFound,
    ProviderRefused,
    ProviderSecretsUnreadable,
    ProviderUnavailable,
)
from core.runtime.turns import IN_ENVIRON, Turn
from db_models import Payment, ProviderCharge, ProviderChargeStatus
from payments.at_bank.calls import Call, LeftAlone, own_call
from providers.port import AccountRefusal, ProviderAway, ProviderRefusal
from repository.database import Work, in_unit_of_work, reading
from web.idempotency import CreatedAnswer, KeyedRequest

WAIT_SECONDS = 6.0
"""How long a request waits for the bank."""
AGAIN_SECONDS = 1.0
"""The pause before a second try while the request still waits."""
RETRY_AFTER_SECONDS = 5
RETRY_AFTER_MAX = 60
_AT_ONCE = frozenset({"breaker-open", "rate-limit"})
"""Nothing was sent: the bank, or its account, wants to be left alone."""
_TICK_SECONDS = 0.2


def finish_answer(
    created: CreatedAnswer,
    keyed: KeyedRequest,
    answer_of: Callable[[Payment, datetime], CreatedAnswer],
) -> CreatedAnswer:
    """The final answer to a creation, once the bank has given the code; stored under its key.

    Every request with the key gets the same answer. Returns other answers as they are. Raises
    ProviderUnavailable and ProviderRefused.
    """
    if not created.awaits:
        return created
    wait_for_code(created.awaits)

    def finish(work: Work) -> CreatedAnswer:
        payment = work.payments.by_txid(created.awaits)
        return keyed.finish(work, payment.merchant_id, answer_of(payment, work.now))

    if keyed.key is None:  # nothing is stored, so no transaction is needed
        with reading() as work:
            payment = work.payments.by_txid(created.awaits)
            return answer_of(payment, work.now)
    return replace(in_unit_of_work(finish), is_replay=created.is_replay)


def wait_for_code(txid: str) -> None:
    """Wait until the payment has its code, or can get none any more.

    Shares the call that this process makes already, and makes one if nobody does. The request that
    has created the payment is answered by its first call, even if that has ended. Raises
    ProviderUnavailable and ProviderRefused.
    """
    with turn_interrupted():
        _wait(txid, own_call(txid), time.monotonic() + WAIT_SECONDS)


def turn_interrupted() -> AbstractContextManager[object]:
    """Give the client's turn to its other requests while the block waits for a bank.

    A request that decides something after the block calls `accounts.access.forget_caller` first.
    """
    turn = request.environ.get(IN_ENVIRON) if has_request_context() else None
    return turn.interrupted() if isinstance(turn, Turn) else nullcontext()


def _wait(txid: str, call: Call | None, end: float) -> None:
    calls = current_parts().charge_calls
    while True:
        call = call or calls.call_of(txid)
        if call is None:
            with reading() as work:
                payment = work.payments.by_txid(txid)
                charge = work.provider_charges.of_payment(payment.id)
            if charge is None or _is_decided(charge):
                return
            away = None if charge.fault is None else calls.left_alone(charge.account_id)
            if away is not None:  # a call would not be sent
                raise _unavailable(txid, away)
            call = _begin(charge)
        left = end - time.monotonic()
        if call is None:
            if left <= 0:
                raise _unavailable(txid, None)
            time.sleep(min(_TICK_SECONDS, left))
            continue
        if not call.wait(left):
            raise _unavailable(txid, None)
        if call.error is None:
            if call.is_decided:
                return
        elif not _is_worth_another_try(call.error, end - time.monotonic()):
            raise _as_answer(txid, call.error) from call.error
        else:
            time.sleep(AGAIN_SECONDS)
        call = None


def _is_decided(charge: ProviderCharge) -> bool:
    """Whether the bank has answered. Raises ProviderRefused if it refused."""
    if charge.status == ProviderChargeStatus.REFUSED:
        raise ProviderRefused(f"The bank refused the charge of this payment: {charge.fault}.")
    return charge.status != ProviderChargeStatus.OPENING


def _begin(charge: ProviderCharge) -> Call | None:
    """Call the bank before the job does; None if another process does."""
    row, lease = charge.id, charge.attempts
    if not in_unit_of_work(lambda work: work.provider_charges.acquire_early(row, lease, work.now)):
        return None
    return current_parts().charge_calls.open(charge.account_id, charge.txid, lease + 1)


def _is_worth_another_try(error: Exception, left: float) -> bool:
    return (
        isinstance(error, ProviderAway)
        and error.code not in _AT_ONCE
        and error.retry_after is None
        and left > AGAIN_SECONDS
    )


def _as_answer(txid: str, error: Exception) -> Exception:
    if isinstance(error, ProviderRefusal) and not isinstance(error, AccountRefusal):
        reason = error.detail or error.code
        return ProviderRefused(f"The bank refused the charge of this payment: {reason}")
    return _unavailable(txid, error)


def _unavailable(txid: str, error: Exception | LeftAlone | None) -> ProviderUnavailable:
    """503: the payment exists, and the same request with its key finishes it."""
    least = getattr(error, "retry_after", None)
    seconds = RETRY_AFTER_SECONDS if least is None else math.ceil(least.total_seconds())
    reason = "The bank has not given the code of this payment yet."
    if isinstance(error, (AccountRefusal, ProviderAccountNotFound, ProviderSecretsUnreadable)):
        reason = "The merchant's account at the bank does not work: its owner must look at it."
    unavailable = ProviderUnavailable(
        f"{reason} Repeat the request with the same Idempotency-Key, or open the page: the code "
        "appears there.",
        retry_after_seconds=min(max(seconds, 1), RETRY_AFTER_MAX),
    )
    page_url = current_parts().presenter.page_url(txid)
    unavailable.members = {"payment_id": txid, "page_url": page_url}
    return unavailable
