"""The body of a batch of charges with a due date (API Pix 2.9.0, LoteCobVBody).

Only the frame is checked before the answer: the rest of an item is checked like the body of
`/cobv/{txid}` when the item is worked on, and what is wrong with it is the item's own problem.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from blueprints.pix_api.due_bodies import CobVBody
from blueprints.pix_api.fields import INT64_MAX, TXID_OF_CHARGE
from blueprints.pix_api.problems import Violation
from payments.charge_batches import DESCRIPTION_CHARACTERS_MAX, ITEMS_MAX

DESCRIPTION, ITEMS = "loteCobV.descricao", "loteCobV.cobsV"
_NO_NUMBER = 0.5
"""Stands for numbers that no member of a charge can be, and that not every database stores."""


@dataclass
class BatchBody:
    """A batch as a client sent it, and what is wrong with its frame."""

    description: str | None = None
    charges: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The members of each charge, by txid, in the order of the request."""
    violations: list[Violation] = field(default_factory=list)


def batch_body(members: dict[str, Any], *, is_revision: bool) -> BatchBody:
    """Read a batch; in a revision `descricao` and `cobsv` may be missing."""
    body = BatchBody()
    _read_description(body, members.get("descricao"), is_required=not is_revision)
    items = members.get("cobsv")
    if items is None and is_revision:
        return body
    if not isinstance(items, list) or not 1 <= len(items) <= ITEMS_MAX:
        reason = f"O objeto {ITEMS} não respeita o schema: deve ter de 1 a {ITEMS_MAX} elementos."
        body.violations.append(Violation(reason, ITEMS))
        return body
    names = [*CobVBody.model_fields, *(["status"] if is_revision else ())]
    for position, item in enumerate(items):
        _read_item(body, item, f"{ITEMS}.{position}", names)
    return body


def _read_description(body: BatchBody, description: object, *, is_required: bool) -> None:
    if description is None:
        if is_required:
            body.violations.append(Violation(f"O campo {DESCRIPTION} é obrigatório.", DESCRIPTION))
        return
    if isinstance(description, str) and len(description) <= DESCRIPTION_CHARACTERS_MAX:
        body.description = description
        return
    reason = (
        f"O campo {DESCRIPTION} não respeita o schema: deve ser um texto de no máximo "
        f"{DESCRIPTION_CHARACTERS_MAX} caracteres."
    )
    body.violations.append(Violation(reason, DESCRIPTION, description))


def _read_item(body: BatchBody, item: object, path: str, names: list[str]) -> None:
    if not isinstance(item, dict):
        reason = f"O objeto {path} não respeita o schema: deve ser um objeto."
        body.violations.append(Violation(reason, path))
        return
    txid = item.get("txid")
    path = f"{path}.txid"
    if txid is None:
        body.violations.append(Violation(f"O campo {path} é obrigatório.", path))
    elif not isinstance(txid, str) or not TXID_OF_CHARGE.fullmatch(txid):
        reason = f"O campo {path} não respeita o schema: 26 a 35 letras e dígitos."
        body.violations.append(Violation(reason, path, txid))
    elif txid in body.charges:
        reason = f"O campo {path} repete o txid de outra cobrança do lote."
        body.violations.append(Violation(reason, path, txid))
    else:
        body.charges[txid] = {name: _storable(item[name]) for name in names if name in item}


def _storable(value: Any) -> Any:
    """The value with numbers that every database stores in JSON; see `_NO_NUMBER`."""
    if isinstance(value, dict):
        return {name: _storable(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_storable(member) for member in value]
    is_too_large = isinstance(value, int) and not -INT64_MAX <= value <= INT64_MAX
    return _NO_NUMBER if isinstance(value, Decimal) or is_too_large else value
