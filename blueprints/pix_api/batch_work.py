"""The job that carries out what waits in batches of charges with a due date.

A problem stays with its item, and every reader of the batch sees it. So it repeats no personal
data: only the values of amounts, dates and locations.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from flask import Flask

from blueprints.pix_api import due_changes
from blueprints.pix_api.problems import TYPES, PixProblem, Violation, problem_object, refuse
from config import current_parts, parts_of
from core.errors import BalcaoError, ConcurrentUpdate, DatabaseUnavailable
from db_models import Payment
from payments import charge_batches
from payments.charge_batches import ItemRefused
from repository.charge_batches import WaitingRequest
from repository.database import Work, reading

log = structlog.get_logger()

SHARE, PART_SECONDS = 10, 5.0
"""Requests of a merchant before the next merchant's turn, and how long one run may take."""
VIOLATIONS_MAX = 20
_SHOWN_VALUES = ("cobv.calendario", "cobv.valor", "cobv.loc", "cobv.status")

_worker = threading.BoundedSemaphore(1)
"""One worker in each process is enough: several would wait for the same rows."""


@dataclass
class _LastTurn:
    """Whose turn it is, from run to run."""

    merchant: int = 0


_last_turn = _LastTurn()


def announce_batch() -> None:
    """Call what the process has set to be called for new requests; a command has set nothing."""
    for listener in current_parts().batch_listeners:
        listener()


def work_soon(app: Flask, keep_going: Callable[[], bool]) -> None:
    """Begin to work in the background, unless this process works already."""
    if not _worker.acquire(blocking=False):
        return
    start: Any = parts_of(app).socketio.start_background_task  # its stubs are too narrow
    try:
        start(_work_in_background, app, keep_going)
    except RuntimeError:  # the system gives no thread: the job works
        _worker.release()


def _work_in_background(app: Flask, keep_going: Callable[[], bool]) -> None:
    try:
        with app.app_context():
            work_on_waiting(keep_going)
    except BalcaoError as error:
        log.warning("batches.postponed", code=error.code)
    finally:
        _worker.release()


def run(keep_going: Callable[[], bool] = lambda: True) -> int:
    """Work on what waits, unless this process works already; return how much was carried out."""
    if not _worker.acquire(blocking=False):
        return 0
    try:
        return work_on_waiting(keep_going)
    finally:
        _worker.release()


def work_on_waiting(keep_going: Callable[[], bool] = lambda: True) -> int:
    """Work on what waits, for PART_SECONDS; return how many requests were carried out.

    The merchants have turns, and a run begins where the last one stopped: thousands of requests of
    one merchant do not hold up the few of another.
    Any number of processes may work at once. Raises DatabaseUnavailable.
    """
    deadline = time.monotonic() + PART_SECONDS
    total = 0
    idle: set[int] = set()
    while True:
        with reading() as work:
            turn = work.charge_batches.next_turn(_last_turn.merchant, SHARE)
        _last_turn.merchant, ids, others_wait = turn
        before = total
        for request_id in ids:
            if time.monotonic() > deadline or not keep_going():
                return total
            total += _work_on(request_id)
            time.sleep(0)  # other greenlets have their turn
        if len(ids) < SHARE and not others_wait:
            return total
        if total > before:
            idle.clear()
        elif _last_turn.merchant in idle:
            return total
        idle.add(_last_turn.merchant)


def _work_on(request_id: int) -> bool:
    try:
        return charge_batches.carry_out(request_id, apply)
    except DatabaseUnavailable:
        raise
    except ConcurrentUpdate:
        return False  # the next run finds it again
    except Exception:
        # It would fail again and again, and the merchant would wait for ever.
        log.exception("batches.failed", request=request_id)
        kind = TYPES["ErroInternoDoServidor"]
        detail = "A cobrança não pôde ser processada: envie-a de novo."
        return charge_batches.refuse(request_id, problem_object(kind, kind.status, detail, ()))


def apply(work: Work, request: WaitingRequest) -> Payment:
    """Open, revise or remove the charge, as `/cobv/{txid}` does. Raises ItemRefused."""
    try:
        return _apply(work, request)
    except PixProblem as problem:
        violations = [_without_person(one) for one in problem.violations[:VIOLATIONS_MAX]]
        kind = problem.type
        raise ItemRefused(problem_object(kind, kind.status, problem.detail, violations)) from None


def _apply(work: Work, request: WaitingRequest) -> Payment:
    merchant, members = request.merchant, dict(request.body)
    if merchant.disabled_at is not None:
        raise PixProblem("AcessoNegado", "A conta foi desativada, e a cobrança não foi processada.")
    payment = work.charges.find(merchant, request.txid)
    if payment is not None and payment.id != request.payment_id:
        raise due_changes.used_txid(request.txid)
    removes = members.get("status") is not None
    if payment is None:
        if removes:
            reason = "A cobrança não foi criada: não pode ser removida."
            raise refuse(due_changes.INVALID, reason, "cobv.status")
        return due_changes.create(work, merchant, due_changes.body_from(members), request.txid)
    if removes:
        return due_changes.remove(work, payment, merchant, members)
    if request.is_revision:
        return due_changes.revise(work, payment, due_changes.revised_body(payment, members))
    return due_changes.revise(work, payment, due_changes.body_from(members))


def _without_person(violation: Violation) -> Violation:
    if violation.path.startswith(_SHOWN_VALUES):
        return violation
    return Violation(violation.reason, violation.path)
