"""The pages of Pix Automático: review and authorise a recurrence, the client's mandates, cancel."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bank.blueprints import forms
from bank.blueprints.sessions import current_payer, login_required
from bank.branch import current_branch
from bank.codes.recurrence_reader import journey_of
from bank.errors import BankError, CodeRefused
from bank.mandates.collections import collections_of
from bank.mandates.desk import MandateOrder, check_open, has_mandate, mandate_of, mandates_of
from bank.mandates.requests import open_requests
from bank.money import ledger
from core.pix.recurrence_rules import JOURNEY_WITH_PAYMENT

bp = Blueprint("mandates", __name__, url_prefix="/mandates")


@bp.get("")
@login_required
def listing() -> ResponseReturnValue:
    """The requests that wait for the client's answer, and the client's mandates, newest first."""
    with current_branch().database.reading() as work:
        payer = current_payer(work)
        mandates = mandates_of(work, payer)
        requests = open_requests(work, payer, current_branch().clock.now())
    return render_template("bank/mandates.html", mandates=mandates, requests=requests)


@bp.get("/authorise")
@login_required
def review() -> ResponseReturnValue:
    """The terms of the recurrence in a code, as its bank signed them, and a field for the PIN."""
    return _review(request.args.get("code", ""), None)


@bp.post("/authorise")
@login_required
def authorise() -> ResponseReturnValue:
    """Accept the terms and redirect to the mandate; an error is shown above the terms."""
    try:
        order = _order_in_form()
        current_branch().mandates.authorise(order, request.form.get("pin", ""))
    except BankError as refusal:
        return _review(request.form.get("code", ""), refusal)
    return redirect(url_for("mandates.show", id_rec=order.id_rec), 303)


@bp.post("/refuse")
@login_required
def refuse() -> ResponseReturnValue:
    """Refuse the terms and redirect to the mandate; an error is shown above the terms."""
    try:
        order = _order_in_form()
        current_branch().mandates.refuse(order)
    except BankError as refusal:
        return _review(request.form.get("code", ""), refusal)
    return redirect(url_for("mandates.show", id_rec=order.id_rec), 303)


@bp.get("/<id_rec>")
@login_required
def show(id_rec: str) -> ResponseReturnValue:
    """A client's mandate and its charges; the page refreshes until the service has answered."""
    with current_branch().database.reading() as work:
        payer = current_payer(work)
        mandate = mandate_of(work, payer, id_rec)
        collections = collections_of(work, mandate)
    return render_template(
        "bank/mandate.html", mandate=mandate, payer=payer, collections=collections
    )


@bp.get("/<id_rec>/cancel")
@login_required
def confirm_cancel(id_rec: str) -> ResponseReturnValue:
    """Ask before the mandate is cancelled; a mandate that is not active is shown instead."""
    with current_branch().database.reading() as work:
        mandate = mandate_of(work, current_payer(work), id_rec)
    if mandate.status != "active":
        return redirect(url_for("mandates.show", id_rec=id_rec), 303)
    return render_template("bank/mandate_cancel.html", mandate=mandate)


@bp.post("/<id_rec>/cancel")
@login_required
def cancel(id_rec: str) -> ResponseReturnValue:
    """Cancel the mandate and redirect to it."""
    forms.check_csrf_token(request.form)
    with current_branch().database.reading() as work:
        payer = current_payer(work)
    current_branch().mandates.cancel(payer, id_rec)
    return redirect(url_for("mandates.show", id_rec=id_rec), 303)


def _order_in_form() -> MandateOrder:
    """The order in the review's form. Raises StalePage."""
    form = request.form
    forms.check_csrf_token(form)
    with current_branch().database.reading() as work:
        payer = current_payer(work)
    return MandateOrder(
        code=form.get("code", "")[: forms.CODE_CHARACTERS_MAX],
        id_rec=form.get("id_rec", ""),
        agreed=form.get("agreed", ""),
        payer=payer,
    )


def _review(code: str, refusal: BankError | None) -> ResponseReturnValue:
    """Render the terms with an error, if any; a client who has decided sees the mandate instead.

    Raises CodeRefused for a code that offers nothing.
    """
    if not code.strip():
        return redirect(url_for("pages.home"), 303)
    branch = current_branch()
    if refusal is None and journey_of(code) == JOURNEY_WITH_PAYMENT:
        return redirect(url_for("pages.review", code=code), 303)
    try:
        offer = branch.mandates.read(code)
        with branch.database.reading() as work:
            payer = current_payer(work)
            is_decided = has_mandate(work, payer, offer.terms.id_rec)
            balance = ledger.balance_centavos(work, payer.account_id)
        if not is_decided:
            check_open(offer)
    except CodeRefused as code_error:
        # Of two errors the client sees the first one.
        raise (refusal or code_error) from None
    if is_decided:
        return redirect(url_for("mandates.show", id_rec=offer.terms.id_rec), 303)
    page = render_template(
        "bank/authorise.html",
        code=code,
        terms=offer.terms,
        payer=payer,
        balance_centavos=balance,
        refusal=refusal,
    )
    return page, refusal.status if refusal else 200
