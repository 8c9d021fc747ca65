"""Remove charges of both kinds: `PATCH` with the status of a removed charge."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from blueprints.pix_api import presenter
from blueprints.pix_api.charge_reading import REMOVED
from blueprints.pix_api.problems import Violation, refuse_any
from db_models import Account, Payment
from payments import charges
from repository.database import Work


def remove(
    work: Work,
    payment: Payment,
    merchant: Account,
    changes: dict[str, Any],
    kind: str,
    body: type[BaseModel],
) -> Payment:
    """Remove a charge, as `changes["status"]` asks; `body` has the members of its kind.

    Raises PixProblem of this kind with every violation.
    """
    head, faults = payment.charge_kind, []
    if changes["status"] != REMOVED:
        reason = f"O campo {head}.status não respeita o schema."
        faults.append(Violation(reason, f"{head}.status", changes["status"]))
    others = [name for name in body.model_fields if changes.get(name) is not None]
    if others:
        reason = "A cobrança não pode ser removida e alterada na mesma requisição."
        faults.append(Violation(reason, f"{head}.{others[0]}"))
    faults += finality(payment)
    refuse_any(kind, faults)
    charges.remove(work, payment, merchant)
    return payment


def finality(payment: Payment) -> list[Violation]:
    """The violation of changing a charge that is paid or removed."""
    if not charges.is_final(payment.status):
        return []
    reason = "A cobrança não está ATIVA, e a presente requisição busca alterá-la."
    return [Violation(reason, f"{payment.charge_kind}.status", presenter.status_of(payment))]
