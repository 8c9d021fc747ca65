"""Logging in with card (or handle) and PIN, and leaving."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bank.blueprints import forms, sessions
from bank.branch import current_branch
from bank.errors import BankError, LoginRefused, PinRefused, UnknownPayer
from bank.models import FAILED_PINS_MAX, BankPayer
from bank.money import payers

bp = Blueprint("login", __name__)


@bp.get("/login")
def show() -> ResponseReturnValue:
    """The form; whoever is logged in already goes on. Query: next (a path of this bank's)."""
    back = sessions.local_path(request.args.get("next", "/"))
    if sessions.is_logged_in():
        return redirect(request.script_root + back, 303)
    return _form(back, None)


@bp.post("/login")
def log_in() -> ResponseReturnValue:
    """Check card and PIN; five wrong ones in a row lock the card, here as at a payment."""
    back = sessions.local_path(request.form.get("next", "/"))
    try:
        forms.check_csrf_token(request.form)
        payer = _payer_told()
    except BankError as refusal:
        return _form(back, refusal)
    sessions.enter(payer)
    return redirect(request.script_root + back, 303)


@bp.post("/logout")
def log_out() -> ResponseReturnValue:
    """End the session."""
    forms.check_csrf_token(request.form)
    sessions.leave()
    return redirect(url_for("login.show"), 303)


def _payer_told() -> BankPayer:
    branch = current_branch()
    try:
        with branch.database.reading() as work:
            payer = payers.payer_by_login(work, request.form.get("login", ""))
        payers.check_pin(branch.database, payer, request.form.get("pin", ""))
        with branch.database.writing() as work:
            payers.reset_failed_pins(work, payer)
    except (UnknownPayer, PinRefused):
        # One sentence for both: it does not tell whose cards exist.
        raise LoginRefused(
            "Cartão ou senha não conferem. "
            f"Depois de {FAILED_PINS_MAX} senhas erradas seguidas o cartão é bloqueado."
        ) from None
    return payer


def _form(back: str, refusal: BankError | None) -> ResponseReturnValue:
    branch = current_branch()
    clients: Sequence[BankPayer] = ()
    if branch.settings.demo:
        with branch.database.reading() as work:
            clients = payers.demo_payers(work)
    page = render_template(
        "bank/login.html",
        back=back,
        refusal=refusal,
        clients=clients,
        login=request.form.get("login", "")[:40],
        is_paying=back.startswith("/pay?"),
    )
    return page, refusal.status if refusal else 200
