"""Payments that pay themselves: the service orders the bank's robot payer to pay them.

    order ── insert the row with the payment ──▶ sent to the bank ──▶ paid by the bank's own clock

The request only inserts a row. After its commit a serving process sends the order in the
background; if the process dies or the bank is away, the job of any process sends it again. Each
order has one id at the bank, which pays each id once. For money that is not real alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog
from flask import Flask

from config import current_parts, parts_of
from core.clock import rfc3339
from core.errors import BalcaoError, FieldError, InvalidRequest, TooManyRequests
from core.provider_errors import ProviderUnsupported
from db_models import Payment, PaymentStatus, RobotPayment
from payments.lifecycle import status_at
from payments.robot_fields import REAL_MONEY, RobotTerms
from providers.accounts import signing_bank_of
from providers.port import ProviderAway
from repository.database import Work, in_unit_of_work, now, reading
from repository.robot_payments import PAUSE_MAX, PAUSE_MIN

log = structlog.get_logger()

WAITING_MAX = 1000
"""How many payments of one merchant may wait for the robot at once."""
SENT_FOR = timedelta(hours=1)
"""How long an order is sent to a bank that does not answer; then it is given up."""
SENDERS_MAX = 8
"""How many orders a process sends in the background at once; the job sends the others."""
BATCH, PART_SECONDS, UNANSWERED_MAX = 50, 5.0, 3

_RETRY_AFTER_SECONDS = 60
_senders = threading.BoundedSemaphore(SENDERS_MAX)


def order(work: Work, payment: Payment, terms: RobotTerms) -> None:
    """Store the order for a payment without one. Call `announce_order` after the commit.

    Raises InvalidRequest for a payment of real money, TooManyRequests if WAITING_MAX payments of
    the merchant wait, and ProviderUnsupported for a payment at a real bank.
    """
    if current_parts().presenter.is_payment_live(payment):
        raise InvalidRequest([FieldError("test", REAL_MONEY)])
    if payment.provider_account_id is not None:
        raise ProviderUnsupported("The robot payer pays at the simulated bank only.")
    merchant_id = payment.merchant_id
    if work.robot_payments.count_of(merchant_id, WAITING_MAX) >= WAITING_MAX:
        raise TooManyRequests(
            _RETRY_AFTER_SECONDS,
            f"{WAITING_MAX} of your payments wait for the robot payer. Create payments with `test` "
            "again when it has paid some, or without `test` now.",
        )
    work.robot_payments.insert(
        {
            "payment_id": payment.id,
            "merchant_id": merchant_id,
            "pay_at": payment.created_at + timedelta(seconds=terms.pay_after),
            "next_at": work.now,
        }
    )


def announce_order(txid: str) -> None:
    """Call what the process has set to be called for a new order; a command has set nothing."""
    for listener in current_parts().robot_listeners:
        listener(txid)


def send_soon(app: Flask, txid: str) -> None:
    """Send the order for this payment in the background; the caller does not wait for the bank."""
    if not _senders.acquire(blocking=False):
        return  # the job sends it within a second
    start: Any = parts_of(app).socketio.start_background_task  # its stubs are too narrow
    try:
        start(_send_in_background, app, txid)
    except RuntimeError:  # the system gives no thread: the job sends it
        _senders.release()


def _send_in_background(app: Flask, txid: str) -> None:
    try:
        with app.app_context():
            with reading() as work:
                row = work.robot_payments.row_of(txid)
            if row is not None and _acquire_lease(row):
                _work_on(row)
    except ProviderAway as error:
        log.info("robot.unanswered", payment=txid, why=str(error)[:200])
    except BalcaoError as error:
        log.warning("robot.postponed", payment=txid, code=error.code)
    finally:
        _senders.release()


def run(keep_going: Callable[[], bool] = lambda: True) -> int:
    """Work on one batch of due rows; returns how many the bank accepted or were deleted.

    Any number of processes may run it: each row is leased to one process for 12 s.
    """
    deadline = time.monotonic() + PART_SECONDS
    with reading() as work:
        due_rows = work.robot_payments.ids_due(work.now, BATCH)
    finished = unanswered = 0
    for row in due_rows:
        if time.monotonic() > deadline or unanswered >= UNANSWERED_MAX or not keep_going():
            break
        if not _acquire_lease(row):
            continue
        try:
            _work_on(row)
            finished += 1
            unanswered = 0
        except ProviderAway:
            unanswered += 1
    return finished


def _acquire_lease(row: int) -> bool:
    return in_unit_of_work(lambda work: work.robot_payments.acquire(row, work.now))


def _work_on(row: int) -> None:
    """Send the order, or delete the row if there is nothing to send. Raises ProviderAway."""
    with reading() as work:
        row_and_payment = work.robot_payments.with_payment(row)
        moment = work.now
    if row_and_payment is None:
        return
    robot_payment, payment = row_and_payment
    is_payable = status_at(payment, moment) is PaymentStatus.PENDING
    if robot_payment.is_at_bank or not is_payable:
        in_unit_of_work(lambda work: work.robot_payments.delete(row))
        return
    try:
        is_accepted = _send(robot_payment, payment)
    except ProviderAway:
        _schedule_retry(row, payment)
        raise
    if is_accepted:
        until = max(robot_payment.pay_at, moment)
        in_unit_of_work(lambda work: work.robot_payments.keep_until(row, until))
    else:
        in_unit_of_work(lambda work: work.robot_payments.delete(row))


def _send(robot_payment: RobotPayment, payment: Payment) -> bool:
    """Send the order; False if the bank refuses it for good. Raises ProviderAway."""
    terms = RobotTerms.model_validate(payment.robot_terms or {})
    # If the clock was set back since, the payment is from the future.
    pay_at = min(robot_payment.pay_at, now() + timedelta(seconds=terms.pay_after))
    body = {
        "order_id": payment.txid,
        "code": payment.br_code,
        "pay_at": rfc3339(pay_at),
        "scenario": terms.scenario.value,
        "late_seconds": terms.late_seconds,
    }
    bank = signing_bank_of(payment.merchant_id)
    if bank is None:
        log.warning("robot.without_bank", payment=payment.txid)
        return False
    answer = bank.order("robot", "/api/robot-orders", body)
    if answer.status < 400:
        return True
    code = answer.members.get("code")
    if not isinstance(code, str) or code == "not-found":
        raise ProviderAway(f"status-{answer.status}")
    log.warning("robot.refused", payment=payment.txid, code=code[:64])
    return False


def _schedule_retry(row: int, payment: Payment) -> None:
    """Set the next try, or give the order up if it is too old."""
    moment = now()
    age = moment - payment.created_at
    if age > SENT_FOR:
        log.warning("robot.given_up", payment=payment.txid)
        in_unit_of_work(lambda work: work.robot_payments.delete(row))
        return
    pause = min(max(age / 2, PAUSE_MIN), PAUSE_MAX)
    in_unit_of_work(lambda work: work.robot_payments.send_again(row, moment + pause))
