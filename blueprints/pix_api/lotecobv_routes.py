"""Batches of charges with a due date: `/lotecobv` (API Pix 2.9.0, tag LoteCobV).

A batch is stored and answered at once; `batch_work` carries it out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Blueprint, Response
from werkzeug.wrappers import Response as BaseResponse

from blueprints.pix_api.access import count_change, merchant_for
from blueprints.pix_api.batch_bodies import ITEMS, BatchBody, batch_body
from blueprints.pix_api.batch_work import announce_batch
from blueprints.pix_api.charge_bodies import merged
from blueprints.pix_api.fields import batch_number, json_object
from blueprints.pix_api.lists import read_window
from blueprints.pix_api.problems import PixProblem, Violation, refuse
from core.clock import rfc3339
from db_models import Account, BatchItemStatus, ChargeBatch
from payments import charge_batches
from payments.charge_batches import WAITING_MAX
from repository.charge_batches import ListedBatch, ListedItem
from repository.database import LostRace, Work, in_unit_of_work, reading
from web.answers import private_json
from web.bodies import body_limit

bp = Blueprint("pix_api_lotecobv", __name__)

INVALID, UNREADABLE = "LoteCobVOperacaoInvalida", "LoteCobVConsultaInvalida"
MISSING = "LoteCobVNaoEncontrado"
BODY_BYTES_MAX = 1_048_576
PAGE_MAX = 10
"""Batches in one page, each with up to a thousand items."""
VIOLATIONS_MAX = 100

_STATUSES = {
    BatchItemStatus.WAITING: "EM_PROCESSAMENTO",
    BatchItemStatus.CREATED: "CRIADA",
    BatchItemStatus.REFUSED: "NEGADA",
}


@bp.put("/lotecobv/<batch_id>")
@body_limit(BODY_BYTES_MAX)
def put_lotecobv(batch_id: str) -> BaseResponse:
    """Create a batch with this id, or replace what all of its charges ask."""

    def write(work: Work) -> None:
        merchant = merchant_for(work, "lotecobv.write")
        number = batch_number(batch_id)
        if number is None:
            reason = "O id do lote não respeita o schema: um inteiro de 64 bits, a partir de 0."
            raise refuse(INVALID, reason, "id", batch_id)
        body = batch_body(json_object(), is_revision=False)
        count_change(merchant)
        batch = work.charge_batches.lock(merchant.id, number)
        if batch is None:
            _store(work, merchant, number, body)
        else:
            _replace(work, merchant, batch, body)

    in_unit_of_work(write)
    announce_batch()
    return _accepted()


@bp.patch("/lotecobv/<batch_id>")
@body_limit(BODY_BYTES_MAX)
def patch_lotecobv(batch_id: str) -> BaseResponse:
    """Change members of some charges of a batch, or remove some."""

    def write(work: Work) -> None:
        merchant = merchant_for(work, "lotecobv.write")
        members = json_object()
        number = batch_number(batch_id)
        batch = None if number is None else work.charge_batches.lock(merchant.id, number)
        if batch is None:
            raise PixProblem(MISSING, "Não há lote de cobranças com este id.")
        body = batch_body(members, is_revision=True)
        count_change(merchant)
        positions = work.charge_batches.positions(batch.id)
        _raise_any(
            [
                *body.violations,
                *_additions(body, positions),
                *_overflow(work, merchant, batch, body),
            ]
        )
        _describe(work, batch, body)
        changes = {positions[txid]: charge for txid, charge in body.charges.items()}
        if changes:
            charge_batches.revise(work, merchant, batch, changes, _merge)

    in_unit_of_work(write)
    announce_batch()
    return _accepted()


@bp.get("/lotecobv/<batch_id>")
def get_lotecobv(batch_id: str) -> BaseResponse:
    """A batch, and what became of each of its charges."""
    number = batch_number(batch_id)
    with reading() as work:
        merchant = merchant_for(work, "lotecobv.read")
        batch = None if number is None else work.charge_batches.find(merchant.id, number)
    if batch is None:
        raise PixProblem(MISSING, "Não há lote de cobranças com este id.")
    return private_json(presented(batch))


@bp.get("/lotecobv")
def list_lotecobv() -> BaseResponse:
    """The batches that were created within a window, oldest first."""
    with reading() as work:
        merchant = merchant_for(work, "lotecobv.read")
        window = read_window(UNREADABLE)
        window = replace(window, size=min(window.size, PAGE_MAX))
        total, page = work.charge_batches.page(merchant.id, window.span, window.offset, window.size)
    body = {"parametros": window.parameters(total), "lotes": [presented(one) for one in page]}
    return private_json(body)


def presented(batch: ListedBatch) -> dict[str, Any]:
    """The JSON object of the batch."""
    return {
        "id": batch.number,
        "descricao": batch.description,
        "criacao": rfc3339(batch.created_at),
        "cobsv": [_item(item) for item in batch.items],
    }


def _item(item: ListedItem) -> dict[str, Any]:
    members: dict[str, Any] = {
        "txid": item.txid,
        "status": _STATUSES[BatchItemStatus(item.status)],
    }
    if item.problem is not None:
        members["problema"] = item.problem
    if item.charge_created_at is not None:
        members["criacao"] = rfc3339(item.charge_created_at)
    return members


def _store(work: Work, merchant: Account, number: int, body: BatchBody) -> None:
    used = work.charge_batches.txids_in_use(merchant.id, [*body.charges]) if body.charges else ()
    if used and work.charge_batches.lock(merchant.id, number) is not None:
        raise LostRace  # the same batch was stored meanwhile: the next attempt revises it
    violations = [
        Violation("O txid já foi usado em outra cobrança ou em outro lote.", ITEMS, txid)
        for txid in body.charges
        if txid in used
    ]
    _raise_any([*body.violations, *violations, *_overflow(work, merchant, None, body)])
    description = body.description or ""
    charge_batches.store(work, merchant, number, description, body.charges)


def _replace(work: Work, merchant: Account, batch: ChargeBatch, body: BatchBody) -> None:
    positions = work.charge_batches.positions(batch.id)
    violations = [*body.violations, *_additions(body, positions)]
    if not body.violations:
        violations += [
            Violation(f"O lote já existe, e falta a sua cobrança {txid}.", ITEMS, txid)
            for txid in positions
            if txid not in body.charges
        ]
    _raise_any([*violations, *_overflow(work, merchant, batch, body)])
    _describe(work, batch, body)
    bodies = {positions[txid]: charge for txid, charge in body.charges.items()}
    charge_batches.replace(work, merchant, batch, bodies)


def _additions(body: BatchBody, positions: dict[str, int]) -> list[Violation]:
    return [
        Violation(f"O lote já existe, e não tem a cobrança {txid}.", ITEMS, txid)
        for txid in body.charges
        if txid not in positions
    ]


def _overflow(
    work: Work, merchant: Account, batch: ChargeBatch | None, body: BatchBody
) -> list[Violation]:
    if charge_batches.has_room(work, merchant, batch, len(body.charges)):
        return []
    reason = (
        f"No máximo {WAITING_MAX} cobranças podem estar EM_PROCESSAMENTO: envie este lote de novo "
        "quando as anteriores estiverem criadas."
    )
    return [Violation(reason, ITEMS)]


def _describe(work: Work, batch: ChargeBatch, body: BatchBody) -> None:
    if body.description is not None and body.description != batch.description:
        work.charge_batches.describe(batch.id, body.description)


def _merge(waiting: Any, change: Any) -> dict[str, Any]:
    """A change joined to what waits; a removal replaces it."""
    return dict(change) if change.get("status") is not None else merged(waiting, change)


def _raise_any(violations: list[Violation]) -> None:
    if violations:
        raise PixProblem(INVALID, violations[0].reason, violations[:VIOLATIONS_MAX])


def _accepted() -> Response:
    return Response(status=202, headers={"Cache-Control": "no-store"})
