"""The login with card (or handle) and PIN, and the logout."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bank.blueprints import forms, sessions
from bank.branch import current_branch
from bank.errors import BankError, LoginRefused, PinRefused, UnknownPayer
from bank.languages import translate as _
from bank.models import FAILED_PINS_MAX, BankPayer
from bank.money import payers

bp = Blueprint("login", __name__)


@bp.get("/login")
def show() -> ResponseReturnValue:
    """The login form; a payer who is logged in is redirected to `next`, a path of this bank."""
    next_path = sessions.local_path(request.args.get("next", "/"))
    if sessions.is_logged_in():
        return redirect(request.script_root + next_path, 303)
    return _form(next_path, None)


@bp.post("/login")
def log_in() -> ResponseReturnValue:
    """Check card and PIN. Wrong PINs count as they do at a payment: five in a row lock the card."""
    next_path = sessions.local_path(request.form.get("next", "/"))
    try:
        forms.check_csrf_token(request.form)
        payer = _authenticated_payer()
    except BankError as refusal:
        return _form(next_path, refusal)
    sessions.start(payer)
    return redirect(request.script_root + next_path, 303)


@bp.post("/logout")
def log_out() -> ResponseReturnValue:
    """End the session."""
    forms.check_csrf_token(request.form)
    sessions.end()
    return redirect(url_for("login.show"), 303)


def _authenticated_payer() -> BankPayer:
    branch = current_branch()
    try:
        with branch.database.reading() as work:
            payer = payers.payer_by_login(work, request.form.get("login", ""))
        payers.check_pin(branch.database, payer, request.form.get("pin", ""))
        with branch.database.writing() as work:
            payers.reset_failed_pins(work, payer)
    except (UnknownPayer, PinRefused):
        # One error for both, so that it does not reveal which cards exist.
        raise LoginRefused(
            _(
                "Cartão ou senha não conferem. "
                "Depois de %(num)s senhas erradas seguidas o cartão é bloqueado."
            )
            % {"num": FAILED_PINS_MAX}
        ) from None
    return payer


def _form(next_path: str, refusal: BankError | None) -> ResponseReturnValue:
    branch = current_branch()
    clients: Sequence[BankPayer] = ()
    if branch.settings.demo:
        with branch.database.reading() as work:
            clients = payers.demo_payers(work)
    page = render_template(
        "bank/login.html",
        back=next_path,
        refusal=refusal,
        clients=clients,
        login=request.form.get("login", "")[:40],
        is_paying=next_path.startswith("/pay?"),
    )
    return page, refusal.status if refusal else 200
