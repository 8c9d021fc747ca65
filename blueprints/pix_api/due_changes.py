"""Create, revise and remove charges with a due date, for their own routes and for batches."""

from __future__ import annotations

from typing import Any

from blueprints.pix_api import charge_removal
from blueprints.pix_api.charge_bodies import merged
from blueprints.pix_api.cob_routes import as_violation
from blueprints.pix_api.due_bodies import CobVBody, due_members_of
from blueprints.pix_api.fields import checked
from blueprints.pix_api.loc_routes import location_for
from blueprints.pix_api.problems import PixProblem, refuse, refuse_any
from config import current_settings
from core.errors import Conflict
from db_models import Account, ChargeKind, Payment
from payments import charges
from repository.database import Work

INVALID = "CobVOperacaoInvalida"


def used_txid(txid: str) -> PixProblem:
    """The error of a txid that another charge has."""
    return refuse(INVALID, "O txid já foi usado em outra cobrança.", "txid", txid)


def body_from(members: dict[str, Any]) -> CobVBody:
    """A whole charge. Raises PixProblem."""
    return checked(CobVBody, members, "cobv", INVALID)


def revised_body(payment: Payment, changes: dict[str, Any]) -> CobVBody:
    """The present charge with these changes. Raises PixProblem."""
    return body_from(merged(due_members_of(payment), changes))


def create(work: Work, merchant: Account, body: CobVBody, txid: str) -> Payment:
    """Open a charge. Raises PixProblem."""
    refuse_any(INVALID, body.faults(merchant, work.now, work.now))
    location = location_for(work, merchant, body.loc, ChargeKind.COBV, INVALID)
    try:
        return charges.open_charge(
            work,
            merchant,
            body.values(),
            txid=txid,
            charge_kind=ChargeKind.COBV,
            location=location,
            location_base=current_settings().location_base,
        )
    except Conflict as error:
        raise as_violation(error, INVALID, "cobv") from None


def revise(work: Work, payment: Payment, body: CobVBody) -> Payment:
    """Replace what an active charge asks. Raises PixProblem."""
    faults = body.faults(payment.merchant, payment.created_at, work.now)
    refuse_any(INVALID, [*faults, *charge_removal.finality(payment)])
    location = location_for(work, payment.merchant, body.loc, ChargeKind.COBV, INVALID)
    try:
        charges.revise(work, payment, body.values())
        if location is not None:
            charges.bind(work, payment, location, current_settings().location_base)
    except Conflict as error:
        raise as_violation(error, INVALID, "cobv") from None
    return payment


def remove(work: Work, payment: Payment, merchant: Account, changes: dict[str, Any]) -> Payment:
    """Remove a charge, as `changes["status"]` asks. Raises PixProblem."""
    return charge_removal.remove(work, payment, merchant, changes, INVALID, CobVBody)
