"""The pages of a company's request: its terms, authorise it, refuse it."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bank.blueprints import forms
from bank.blueprints.sessions import current_payer, login_required
from bank.branch import current_branch
from bank.errors import BankError
from bank.mandates.desk import has_mandate
from bank.mandates.errors import MandateRequestClosed
from bank.mandates.requests import RequestAnswer, check_open, request_of
from bank.mandates.tables import terms_in
from bank.money import ledger

bp = Blueprint("requests", __name__, url_prefix="/requests")


@bp.get("/<request_id>")
@login_required
def show(request_id: str) -> ResponseReturnValue:
    """The terms of a request, and a field for the PIN; the mandate once the client has decided."""
    return _review(request_id, None)


@bp.post("/<request_id>/authorise")
@login_required
def authorise(request_id: str) -> ResponseReturnValue:
    """Accept the terms and redirect to the mandate; an error is shown above the terms."""
    try:
        answer = _answer_in_form(request_id)
        current_branch().requests.authorise(answer, request.form.get("pin", ""))
    except BankError as refusal:
        return _review(request_id, refusal)
    return redirect(url_for("requests.show", request_id=request_id), 303)


@bp.post("/<request_id>/refuse")
@login_required
def refuse(request_id: str) -> ResponseReturnValue:
    """Refuse the terms and redirect to the mandate; an error is shown above the terms."""
    try:
        answer = _answer_in_form(request_id)
        current_branch().requests.refuse(answer)
    except BankError as refusal:
        return _review(request_id, refusal)
    return redirect(url_for("requests.show", request_id=request_id), 303)


def _answer_in_form(request_id: str) -> RequestAnswer:
    """The answer in the review's form. Raises StalePage."""
    forms.check_csrf_token(request.form)
    with current_branch().database.reading() as work:
        payer = current_payer(work)
    return RequestAnswer(request_id, request.form.get("agreed", ""), payer)


def _review(request_id: str, refusal: BankError | None) -> ResponseReturnValue:
    """Render the terms with an error, if any; a client who has decided sees the mandate instead.

    Raises UnknownMandateRequest, and MandateRequestClosed for a request that ended.
    """
    branch = current_branch()
    with branch.database.reading() as work:
        payer = current_payer(work)
        mandate_request = request_of(work, payer, request_id)
        is_decided = has_mandate(work, payer, mandate_request.id_rec)
        balance = ledger.balance_centavos(work, payer.account_id)
    if is_decided:
        return redirect(url_for("mandates.show", id_rec=mandate_request.id_rec), 303)
    try:
        check_open(mandate_request, branch.clock.now())
    except MandateRequestClosed as closed:
        # Of two errors the client sees the first one.
        raise (refusal or closed) from None
    page = render_template(
        "bank/authorise.html",
        mandate_request=mandate_request,
        terms=terms_in(mandate_request),
        payer=payer,
        balance_centavos=balance,
        refusal=refusal,
    )
    return page, refusal.status if refusal else 200
