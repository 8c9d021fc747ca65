"""Send stored orders to the payer's bank, by leases, until the bank answers.

A process that is killed between commit and answer loses nothing: the job of any process sends the
order again after the lease, and the bank executes an order with the same id once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import structlog

from core.errors import ConcurrentUpdate, DatabaseUnavailable
from db_models import OrderKind, PayerBankOrder
from payments.recurring.order_handlers import GIVEN_UP, HANDLERS, OrderHandler
from providers.accounts import signing_banks
from providers.port import BankAnswer, ProviderAway, SigningBank
from repository.database import Work, in_unit_of_work, now, reading
from repository.payer_bank_orders import PAUSE_MAX, PAUSE_MIN

log = structlog.get_logger()

SENT_FOR = timedelta(days=30)
"""How long an order is sent to a bank that does not answer; then it counts as refused."""
BATCH, PART_SECONDS, UNANSWERED_MAX = 50, 5.0, 3

_CODE = re.compile(r"[a-z0-9\-]{1,64}", re.ASCII)
_DETAIL_CHARACTERS_MAX = 200


def run(keep_going: Callable[[], bool] = lambda: True) -> int:
    """Send one batch of due orders to each signing bank; returns how many have ended.

    Any number of processes may run it: each order is leased to one process for 12 s.
    """
    return sum(_run_at(bank, keep_going) for bank in signing_banks())


def _run_at(bank: SigningBank, keep_going: Callable[[], bool]) -> int:
    deadline = time.monotonic() + PART_SECONDS
    with reading() as work:
        due_rows = work.payer_bank_orders.ids_due(work.now, BATCH, is_test=bank.is_test)
    ended = unanswered = 0
    for row in due_rows:
        if time.monotonic() > deadline or unanswered >= UNANSWERED_MAX or not keep_going():
            break
        try:
            ended += _work_on(bank, row)
            unanswered = 0
        except ProviderAway:
            unanswered += 1
    return ended


def _work_on(bank: SigningBank, row: int) -> bool:
    """Send an order, unless another process does; True if it has ended.

    Raises ProviderAway and DatabaseUnavailable. An order whose handler raises anything else waits
    as one that the bank has not answered, and stops no other order.
    """
    order: PayerBankOrder | None = None
    try:
        order, is_dropped = in_unit_of_work(lambda work: _claim(work, row))
        return is_dropped if order is None else _send(bank, order)
    except (ProviderAway, DatabaseUnavailable):
        raise
    except ConcurrentUpdate:
        log.info("orders.contended", order=row)
    except Exception:
        log.exception("orders.failed", order=row)
    if order is None:  # the handler raised in the transaction of the lease, which was rolled back
        order = in_unit_of_work(lambda work: _lease(work, row))
    if order is not None:
        _pause(order)
    return False


def _lease(work: Work, row: int) -> PayerBankOrder | None:
    """Acquire the lease; None if another process has it, or the order has ended."""
    if not work.payer_bank_orders.acquire(row, work.now):
        return None
    return work.payer_bank_orders.find(row)


def _claim(work: Work, row: int) -> tuple[PayerBankOrder | None, bool]:
    """Acquire the lease: the order to send, or None and whether the handler has dropped it."""
    order = _lease(work, row)
    if order is None:
        return None, False
    if _handler(order).before(work, order):
        return order, False
    log.info("orders.dropped", kind=order.kind, subject=order.subject)
    return None, work.payer_bank_orders.delete(row)


def _send(bank: SigningBank, order: PayerBankOrder) -> bool:
    """Send an order whose lease this process has, and end it. Raises ProviderAway."""
    try:
        answer = bank.order(f"order {order.kind}", _handler(order).path, order.body)
        refusal = _refusal_in(answer)
        if refusal is None:
            _check_subject(order, answer)
    except ProviderAway:
        _schedule_retry(order)
        raise
    if refusal is None:
        in_unit_of_work(lambda work: _end(work, order, answer.members))
    else:
        in_unit_of_work(lambda work: _refuse(work, order, *refusal))
    return True


def _refusal_in(answer: BankAnswer) -> tuple[str, str] | None:
    """Code and detail of a final refusal, None for 2xx. Raises ProviderAway."""
    if answer.status < 400:
        return None
    code = answer.members.get("code")
    # `not-found` means that the path is unknown, so the order may still be possible.
    if not isinstance(code, str) or not _CODE.fullmatch(code) or code == "not-found":
        raise ProviderAway(f"status-{answer.status}")
    return code, str(answer.members.get("detail", ""))[:_DETAIL_CHARACTERS_MAX]


def _check_subject(order: PayerBankOrder, answer: BankAnswer) -> None:
    """Raise ProviderAway if a 2xx names another subject: it says nothing about this order.

    An answer without a subject counts, because a bank need not repeat it.
    """
    member, name = _handler(order).repeats
    entry = answer.members.get(member)
    subject = entry.get(name) if isinstance(entry, dict) else None
    if subject is not None and subject != order.subject:
        raise ProviderAway("another-subject")


def _end(work: Work, order: PayerBankOrder, members: Mapping[str, Any]) -> None:
    if work.payer_bank_orders.delete(order.id):
        _handler(order).on_done(work, order, members)


def _refuse(work: Work, order: PayerBankOrder, code: str, detail: str) -> None:
    if work.payer_bank_orders.delete(order.id):
        log.warning("orders.refused", kind=order.kind, subject=order.subject, code=code)
        _handler(order).on_refused(work, order, code, detail)


def _schedule_retry(order: PayerBankOrder) -> None:
    """Set the next try of an order without an answer; give up an order too old."""
    if now() - order.created_at > SENT_FOR:
        in_unit_of_work(lambda work: _refuse(work, order, GIVEN_UP, "The bank has not answered."))
    else:
        _pause(order)


def _pause(order: PayerBankOrder) -> None:
    """Set the next try: the older the order, the longer the pause."""
    moment = now()
    at = moment + min(max((moment - order.created_at) / 2, PAUSE_MIN), PAUSE_MAX)
    in_unit_of_work(lambda work: work.payer_bank_orders.send_again(order, at))


def _handler(order: PayerBankOrder) -> OrderHandler:
    return HANDLERS[OrderKind(order.kind)]
