"""The bank's pages: home, review, receipt."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bank.blueprints import forms
from bank.blueprints.sessions import current_payer, login_required
from bank.branch import current_branch
from bank.chaos.chaos_words import SCENARIO_TEXTS
from bank.codes.reader import Offer
from bank.codes.recurrence import RecurrenceOffer
from bank.codes.recurrence_reader import journey_of
from bank.errors import BankError, CodeRefused, InvalidInput
from bank.languages import language
from bank.mandates.desk import mandate_with
from bank.mandates.requests import open_requests
from bank.models import BankPayer
from bank.money import ledger
from bank.money.paying import payment_by_id, payment_status
from bank.money.refunds import refunds_of
from core.money import plain
from core.pix.recurrence_rules import (
    JOURNEY_BESIDE_PAYMENT,
    JOURNEY_BY_CODE,
    JOURNEY_WITH_PAYMENT,
)
from core.scenarios import Scenario

bp = Blueprint("pages", __name__)

_REQUESTS_ON_HOME_MAX = 3


@bp.get("/")
@login_required
def home() -> ResponseReturnValue:
    """Balance, a field for a code, and the statement."""
    limit, after = forms.page_params(request.args)
    with current_branch().database.reading() as work:
        payer = current_payer(work)
        page = ledger.statement(work, payer.account_id, limit, after)
        balance = ledger.balance_centavos(work, payer.account_id)
        requests = open_requests(work, payer, current_branch().clock.now())
    return render_template(
        "bank/home.html",
        payer=payer,
        requests=requests[:_REQUESTS_ON_HOME_MAX],
        has_more_requests=len(requests) > _REQUESTS_ON_HOME_MAX,
        balance_centavos=balance,
        statement=page,
        is_first_page=after is None,
    )


@bp.get("/pay")
@login_required
def review() -> ResponseReturnValue:
    """Payee and amount, as the receiver's bank signed them, and a field for the PIN.

    For a code without an amount the page first asks for one, which comes back here as `value`.
    A code that offers a recurrence and nothing to pay leads to the page that authorises it.
    """
    code = request.args.get("code", "")
    if not code.strip():
        return redirect(url_for("pages.home"), 303)
    scenario, late_seconds = forms.scenario_in(request.args), forms.late_seconds_in(request.args)
    if journey_of(code) == JOURNEY_BY_CODE:
        return redirect(url_for("mandates.review", code=code), 303)
    return _review(code, scenario, late_seconds, None)


@bp.post("/pay")
@login_required
def pay() -> ResponseReturnValue:
    """Pay and redirect to the receipt; an error is shown above the review.

    A code with a recurrence: pay and accept it, if the form has the terms that the page showed.
    """
    scenario, late_seconds = forms.scenario_in(request.form), forms.late_seconds_in(request.form)
    try:
        forms.check_csrf_token(request.form)
        with current_branch().database.reading() as work:
            payer = current_payer(work)
        order = forms.order_from_form(request.form, payer.handle)
        payment = current_branch().composite.pay(order, payer).transfer
    except BankError as refusal:
        return _review(request.form.get("code", ""), scenario, late_seconds, refusal)
    return redirect(url_for("pages.receipt", end_to_end_id=payment.identifier), 303)


@bp.get("/transfers/<end_to_end_id>")
@login_required
def receipt(end_to_end_id: str) -> ResponseReturnValue:
    """The receipt of one of the payer's payments; it refreshes until the service has answered."""
    with current_branch().database.reading() as work:
        payer = current_payer(work)
        payment = payment_by_id(work, end_to_end_id, payer.account_id)
        refunds = refunds_of(work, payment)
        mandate = mandate_with(work, payment)
    return render_template(
        "bank/receipt.html",
        payment=payment,
        payer=payer,
        refunds=refunds,
        mandate=mandate,
        state=payment_status(payment),
    )


def _proposed_amount(offer: Offer) -> str:
    """The amount of a charge that the payer may change, as the field shows it; else empty."""
    charge = offer.charge
    if charge is None or not charge.payer_sets_amount or charge.amount_centavos == 0:
        return ""
    amount = plain(charge.amount_centavos)
    return amount if language() == "en" else amount.replace(".", ",")


def _review(
    code: str, scenario: Scenario | None, late_seconds: int, refusal: BankError | None
) -> ResponseReturnValue:
    """Render the review with an error, if any. Raises CodeRefused for an unreadable code."""
    branch = current_branch()
    journey = None
    try:
        journey = journey_of(code)
        offer = branch.reader.read(code, branch.clock.now())
    except CodeRefused as code_error:
        if refusal is None and journey == JOURNEY_BESIDE_PAYMENT:
            # The charge cannot be paid, but its payment was never needed to accept.
            return redirect(url_for("mandates.review", code=code), 303)
        # Of two errors the payer sees the first one.
        raise (refusal or code_error) from None
    amount = offer.amount_centavos
    if amount is None and offer.is_payable:
        try:
            amount = forms.typed_amount(request.values)
        except InvalidInput as amount_error:
            refusal = refusal or amount_error
    with branch.database.reading() as work:
        payer = current_payer(work)
        balance = ledger.balance_centavos(work, payer.account_id)
    recurrence, recurrence_fault = None, None
    if journey is not None:
        recurrence, recurrence_fault = _recurrence(code, payer, journey, refusal)
    page = render_template(
        "bank/review.html",
        offer=offer,
        terms=recurrence and recurrence.terms,
        accepts_by_paying=journey == JOURNEY_WITH_PAYMENT,
        recurrence_fault=recurrence_fault,
        wants_recurrence=request.form.get("accepts") == "yes",
        amount_centavos=amount,
        typed=request.values.get("value", "")[:20] or _proposed_amount(offer),
        message=request.form.get("message", "")[: forms.MESSAGE_MAX],
        payer=payer,
        balance_centavos=balance,
        scenario=scenario,
        scenario_text=scenario and SCENARIO_TEXTS.get(scenario),
        late_seconds=late_seconds,
        refusal=refusal,
        request_key=forms.new_request_key(),
    )
    return page, refusal.status if refusal else 200


def _recurrence(
    code: str, payer: BankPayer, journey: int, refusal: BankError | None
) -> tuple[RecurrenceOffer | None, CodeRefused | None]:
    """The recurrence in a code, else why the client cannot accept it.

    Raises CodeRefused if the payment of the code would accept it.
    """
    try:
        return current_branch().composite.read(code, payer), None
    except CodeRefused as fault:
        if journey == JOURNEY_WITH_PAYMENT:
            raise (refusal or fault) from None
        return None, fault
