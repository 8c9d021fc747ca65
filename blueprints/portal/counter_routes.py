"""The counter page: type the amount, show a QR on the whole screen, see that it is paid."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from accounts.access import page_guard, signed_in_merchant
from blueprints.portal.confirmation import Question, confirmation_page, is_confirmed
from blueprints.portal.new_payment_routes import create_once
from blueprints.portal.page import bp, key_missing_page, page
from core.clock import parse_rfc3339
from core.errors import NotCancellable
from core.money import plain
from core.provider_errors import ProviderRefused, ProviderUnavailable
from db_models import Account, PaymentStatus, Receipt
from payments import service, tills
from payments.at_bank.closing import BankQuestion
from payments.at_bank.drafts import awaits_code
from payments.at_bank.waiting import wait_for_code
from payments.charge_terms import amount_text
from payments.lifecycle import status_at
from payments.presenter import QR_PREFIX
from payments.schemas import NewPayment
from payments.service import CLOCK_SKEW
from repository.database import Work, reading
from web.form_fields import Form
from web.pages import brl, language_args
from web.pages import translate as _

SHOWN_FOR = timedelta(hours=12)
"""An address of a till's code waits for money from its `since` on, for this long."""

SECONDS_TO_PAY = 600
"""The lifetime of a payment made at the counter: its customer stands there."""


@bp.get("/portal/counter")
@page_guard("merchant")
def counter() -> ResponseReturnValue:
    """The keypad; `?till=` names the till."""
    return _keypad(Form({}), request.args.get("till") or None)


@bp.post("/portal/counter")
@page_guard("merchant")
def show_code() -> ResponseReturnValue:
    """Show a code for `value`: a new payment, or with `way=static` the till's own code."""
    till_txid = request.form.get("till") or None
    is_static = request.form.get("way") == "static"
    form = Form(request.form)
    centavos = form.money("value", required=not is_static)
    if form.errors:
        return _keypad(form, till_txid, 400)
    if is_static or centavos is None:
        return redirect(_till_url(till_txid, centavos), 303)
    terms = NewPayment.of(centavos, expires_in=SECONDS_TO_PAY)
    txid = create_once(terms, request.form.get("form_key", ""))
    address = url_for("portal.counter_payment", payment_id=txid, till=till_txid, **language_args())
    return redirect(address, 303)


@bp.get("/portal/counter/payments/<string:payment_id>")
@page_guard("merchant")
def counter_payment(payment_id: str) -> ResponseReturnValue:
    """The QR of a payment; once it is paid, *Pago*. One without a QR has its own page."""
    with reading() as work:
        merchant = signed_in_merchant(work)
        payment = work.payments.own(merchant, payment_id)
        status = status_at(payment, work.now)
        receipt = None
        if status is PaymentStatus.CONFIRMED:
            receipt = work.receipts.accepted_of(payment.id)
    if awaits_code(payment):
        with suppress(ProviderUnavailable, ProviderRefused):
            wait_for_code(payment_id)
        with reading() as work:
            payment = work.payments.own(merchant, payment_id)
            status = status_at(payment, work.now)
    if not payment.has_location:
        # No QR to show: a charge of a recurrence, one whose location was taken, or no code yet.
        address = url_for("portal.payment", payment_id=payment.txid, **language_args())
        return redirect(address, 303)
    picture = f"{QR_PREFIX}{payment.txid}.svg{payment.picture_query}"
    stages = {PaymentStatus.PENDING: "waiting", PaymentStatus.CONFIRMED: "paid"}
    return _stage(
        merchant,
        stages.get(status, "ended"),
        amount=amount_text(payment),
        is_open=payment.amount_centavos == 0,
        qr_url=f"{request.script_root}/payments/pix/qr_code/{picture}",
        payer=receipt.payer_name if receipt else None,
        cancel_url=url_for("portal.cancel_at_counter", payment_id=payment.txid, **language_args()),
    )


@bp.post("/portal/counter/payments/<string:payment_id>/cancel")
@page_guard("merchant")
def cancel_at_counter(payment_id: str) -> ResponseReturnValue:
    """Cancel the payment and show the keypad; a payment that was paid meanwhile is shown.

    The page of the QR has the second step itself, so that the QR stays on the screen meanwhile.
    """
    if not is_confirmed():
        return _ask_to_cancel(payment_id)

    question = BankQuestion()

    def cancel(work: Work) -> None:
        merchant = signed_in_merchant(work, "payments:write")
        payment = work.payments.own(merchant, payment_id)
        question.before(work, payment)
        service.cancel(work, payment, merchant)

    try:
        question.run(cancel)
    except NotCancellable:
        address = url_for("portal.counter_payment", payment_id=payment_id, **language_args())
        return redirect(address, 303)
    return redirect(url_for("portal.counter", **language_args()), 303)


def _ask_to_cancel(payment_id: str) -> ResponseReturnValue:
    with reading() as work:
        merchant = signed_in_merchant(work, "payments:write")
        amount = amount_text(work.payments.own(merchant, payment_id))
    question = Question(
        _("Cancelar a cobrança de %(amount)s?") % {"amount": amount},
        _("Sim, cancelar a cobrança"),
        warning=_("O QR e o link deixam de valer. Não dá para desfazer."),
    )
    address = url_for("portal.counter_payment", payment_id=payment_id, **language_args())
    return confirmation_page(merchant, "counter", question, address)


@bp.get("/portal/counter/tills/<string:till_txid>")
@page_guard("merchant")
def counter_till(till_txid: str) -> ResponseReturnValue:
    """The static code of a till; *Pago* once money arrived for it after `?since=`."""
    with reading() as work:
        merchant = signed_in_merchant(work)
        till = tills.own_till(work, merchant, till_txid)
        moment = work.now
    form = Form(request.args)
    centavos = form.money("value", required=False)
    since = _since(moment)
    if form.errors or since is None:
        return redirect(_till_url(till_txid, centavos), 303)
    with reading() as work:
        receipt = work.receipts.newest_of_till(till.id, since, centavos)
    value = plain(centavos) if centavos else None
    shown_centavos = receipt.amount_centavos if receipt else centavos
    return _stage(
        merchant,
        "waiting" if receipt is None else "paid",
        amount=brl(shown_centavos) if shown_centavos else None,
        qr_url=url_for("portal.poster_file", name="qr.svg", till=till_txid, value=value, show=1),
        payer=receipt.payer_name if receipt else None,
        till=till,
        next_url=_next_of_till(till_txid, centavos, receipt),
    )


def _since(moment: datetime) -> datetime | None:
    """The instant in `?since=`; None if it is missing, malformed, too old or in the future."""
    try:
        since = parse_rfc3339(request.args.get("since", ""))
    except ValueError:
        return None
    return since if moment - SHOWN_FOR <= since <= moment + CLOCK_SKEW else None


def _till_url(
    till_txid: str | None, centavos: int | None, shown_receipt: Receipt | None = None
) -> str:
    """The page of the till's code, which waits for money from now on.

    `shown_receipt` was shown as paid already; another process with another clock may have stored
    it.
    """
    with reading() as work:
        merchant = signed_in_merchant(work)
        since = work.now if shown_receipt is None else max(work.now, shown_receipt.told_at)
    return url_for(
        "portal.counter_till",
        till_txid=tills.shown_till(merchant, till_txid).txid,
        value=plain(centavos) if centavos else None,
        since=since.isoformat(),
        **language_args(),
    )


def _next_of_till(till_txid: str, centavos: int | None, receipt: Receipt | None) -> str | None:
    """A code without an amount stays for the next customer; else None, for the keypad."""
    if receipt is None or centavos is not None:
        return None
    return _till_url(till_txid, None, receipt)


def _keypad(form: Form, till_txid: str | None, status: int = 200) -> ResponseReturnValue:
    with reading() as work:
        merchant = signed_in_merchant(work)
    if merchant.pix_key is None:
        return key_missing_page(merchant, "counter")
    till = tills.shown_till(merchant, till_txid)
    with reading() as work:
        all_tills = work.tills.of_merchant(merchant.id)
    return page(
        "counter.html",
        merchant,
        "counter",
        status,
        stage="keypad",
        form=form,
        till=till,
        open_tills=[one for one in all_tills if one.closed_at is None],
        form_key=secrets.token_urlsafe(24),
    )


def _stage(merchant: Account, stage: str, **values: Any) -> ResponseReturnValue:
    given_next = values.pop("next_url", None)
    return page(
        "counter.html",
        merchant,
        "counter",
        stage=stage,
        next_url=given_next or url_for("portal.counter", **language_args()),
        **values,
    )
