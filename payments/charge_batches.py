"""Batches of charges with a due date: store what a client asks, and carry it out item by item.

    store, revise ── the request waits ──▶ carry out ─┬─ accepted ──▶ created
                                                      └─ refused ───▶ refused, with the problem

A request waits as a row of its own. Carrying it out is one transaction: it deletes the row, opens
or revises the charge, and writes the item's status. So a crash at any time leaves a request that
waits or one that is carried out, and of two processes only one finds the row. A refusal rolls
everything back, and a second transaction writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from accounts import audit
from db_models import Account, BatchItemStatus, ChargeBatch, Payment
from repository.charge_batches import WaitingRequest
from repository.database import Work, in_unit_of_work

ITEMS_MAX = 1000
"""The items of one batch."""
WAITING_MAX = 5000
"""The requests of one merchant that may wait; some more if batches arrive together."""
DESCRIPTION_CHARACTERS_MAX = 255

Body = Mapping[str, Any]
Merge = Callable[[Body, Body], Body]
Apply = Callable[[Work, WaitingRequest], Payment]
"""Opens or revises the charge of a request. Raises ItemRefused."""


class ItemRefused(Exception):
    """A request for an item was refused; `problem` is a `Problema` without personal data."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        """`problem` is what the merchant reads."""
        self.problem = dict(problem)
        super().__init__(str(problem.get("detail", "")))


def has_room(work: Work, merchant: Account, batch: ChargeBatch | None, number: int) -> bool:
    """Whether this many requests for the batch may wait; older ones of the batch are replaced."""
    but_batch = None if batch is None else batch.id
    waiting = work.charge_batches.count_waiting(merchant.id, WAITING_MAX, but_batch)
    return waiting + number <= WAITING_MAX


def store(
    work: Work, merchant: Account, number: int, description: str, bodies: Mapping[str, Body]
) -> None:
    """Store a new batch; `bodies` are its charges by txid.

    Raises LostRace if the merchant has a batch of this number, or another use of a txid.
    """
    batch_id = work.charge_batches.insert(merchant.id, number, description, bodies, work.now)
    rows = [
        _row(work, merchant, position, body, is_revision=False)
        for position, body in enumerate(bodies.values())
    ]
    work.charge_batches.insert_requests(batch_id, rows)


def replace(work: Work, merchant: Account, batch: ChargeBatch, bodies: Mapping[int, Body]) -> None:
    """Let whole charges, by position, replace what the batch's items ask."""
    rows = [
        _row(work, merchant, position, body, is_revision=False) for position, body in bodies.items()
    ]
    work.charge_batches.replace_requests(batch.id, rows)


def revise(
    work: Work, merchant: Account, batch: ChargeBatch, changes: Mapping[int, Body], merge: Merge
) -> None:
    """Let changes of charges, by position, wait; they join what waits for the same item."""
    waiting = work.charge_batches.waiting_bodies(batch.id, [*changes])
    rows = []
    for position, change in changes.items():
        body, is_revision = waiting.get(position, ({}, True))
        rows.append(_row(work, merchant, position, merge(body, change), is_revision=is_revision))
    work.charge_batches.replace_requests(batch.id, rows)


def _row(
    work: Work, merchant: Account, position: int, body: Body, *, is_revision: bool
) -> dict[str, Any]:
    return {
        "position": position,
        "merchant_id": merchant.id,
        "body": dict(body),
        "is_revision": is_revision,
        "author": audit.author(),
        "sent_at": work.now,
    }


def carry_out(request_id: int, apply: Apply) -> bool:
    """Carry out a request that waits; False if it does not wait any more.

    Raises DatabaseUnavailable and ConcurrentUpdate: then it waits on.
    """
    try:
        return in_unit_of_work(lambda work: _accept(work, request_id, apply))
    except ItemRefused as refusal:
        return refuse(request_id, refusal.problem)


def _accept(work: Work, request_id: int, apply: Apply) -> bool:
    request = work.charge_batches.claim(request_id)
    if request is None:
        return False
    with audit.on_behalf_of(request.author):
        payment = apply(work, request)
    work.charge_batches.end(
        request, status=BatchItemStatus.CREATED, problem=None, payment_id=payment.id
    )
    return True


def refuse(request_id: int, problem: Mapping[str, Any]) -> bool:
    """Refuse a request that waits; False if it does not wait any more."""

    def write(work: Work) -> bool:
        request = work.charge_batches.claim(request_id)
        if request is None:
            return False
        work.charge_batches.end(request, status=BatchItemStatus.REFUSED, problem=dict(problem))
        return True

    return in_unit_of_work(write)
