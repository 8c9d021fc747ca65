"""The page of a charge of Pix Automático, where the client may cancel it."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bank.blueprints import forms
from bank.blueprints.sessions import current_payer, login_required
from bank.branch import current_branch
from bank.errors import BankError
from bank.mandates.collections import collection_of, may_be_cancelled
from bank.money.notices import NoticeVerdict
from bank.money.paying import payment_status

bp = Blueprint("collections", __name__, url_prefix="/collections")


@bp.get("/<end_to_end_id>")
@login_required
def show(end_to_end_id: str) -> ResponseReturnValue:
    """A charge of one of the client's mandates."""
    return _page(end_to_end_id, None)


@bp.post("/<end_to_end_id>/cancel")
@login_required
def cancel(end_to_end_id: str) -> ResponseReturnValue:
    """Cancel a scheduled charge and redirect to it; an error is shown above it."""
    try:
        forms.check_csrf_token(request.form)
        with current_branch().database.reading() as work:
            payer = current_payer(work)
        current_branch().collections.cancel_for_payer(payer, end_to_end_id)
    except BankError as refusal:
        return _page(end_to_end_id, refusal)
    return redirect(url_for("collections.show", end_to_end_id=end_to_end_id), 303)


@bp.post("/<end_to_end_id>/simulate")
@login_required
def simulate(end_to_end_id: str) -> ResponseReturnValue:
    """Play the charge's day now. Development only: 404 elsewhere."""
    branch = current_branch()
    if not branch.settings.demo:
        abort(404)
    forms.check_csrf_token(request.form)
    with branch.database.reading() as work:
        collection_of(work, current_payer(work), end_to_end_id)
    branch.collections.pay_now(end_to_end_id)
    return redirect(url_for("collections.show", end_to_end_id=end_to_end_id), 303)


def _page(end_to_end_id: str, refusal: BankError | None) -> ResponseReturnValue:
    branch = current_branch()
    with branch.database.reading() as work:
        payer = current_payer(work)
        collection = collection_of(work, payer, end_to_end_id)
    page = render_template(
        "bank/collection.html",
        collection=collection,
        mandate=collection.mandate,
        payer=payer,
        has_returned=collection.transfer is not None
        and payment_status(collection.transfer) == NoticeVerdict.RETURNED,
        may_be_cancelled=may_be_cancelled(collection, branch.clock.now()),
        is_demo=branch.settings.demo,
        refusal=refusal,
    )
    return page, refusal.status if refusal else 200
