"""Payments that the merchant creates by a form, and test payments in development."""

from __future__ import annotations

import re
import secrets
from datetime import datetime

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from accounts import audit
from accounts.access import development_only, page_guard, signed_in_merchant
from blueprints.portal.page import bp, key_missing_page, merchant_and_queries, page
from config import current_settings
from core.errors import OrderAlreadyHasPayment
from core.merchant_errors import PixKeyMissing
from core.provider_errors import ProviderUnsupported
from db_models import AuditAction, Payment
from payments.opening import open_payment
from payments.schemas import EXPIRES_IN_MAX, NewPayment
from repository.database import reading
from web.form_fields import Form
from web.idempotency import CreatedAnswer, KeyedRequest
from web.pages import language_args
from web.pages import translate as _

TEST_CENTAVOS = 100
_FORM_KEY = re.compile(r"[A-Za-z0-9_\-]{16,64}", re.ASCII)
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def lifetimes() -> list[tuple[int, str]]:
    """How long a payment may stay open: the choices, in seconds, with their labels."""
    return [
        (10 * _MINUTE, _("10 minutos")),
        (30 * _MINUTE, _("30 minutos")),
        (2 * _HOUR, _("2 horas")),
        (_DAY, _("1 dia")),
        (3 * _DAY, _("3 dias")),
        (7 * _DAY, _("7 dias")),
        (EXPIRES_IN_MAX, _("30 dias")),
    ]


@bp.get("/portal/payments/new")
@page_guard("merchant")
def new_payment() -> ResponseReturnValue:
    return _form_page(Form({}))


def _form_page(
    form: Form, status: int = 200, taken_order: str | None = None
) -> ResponseReturnValue:
    with reading() as work:
        merchant, _queries = merchant_and_queries(work)
    if merchant.pix_key is None:
        return key_missing_page(merchant, "new", status)
    return page(
        "new.html",
        merchant,
        "new",
        status,
        form=form,
        lifetimes=lifetimes(),
        form_key=secrets.token_urlsafe(24),
        taken_order=taken_order,
        ttl=current_settings().payment_ttl_seconds,
    )


@bp.post("/portal/payments/new")
@page_guard("merchant")
def create_payment() -> ResponseReturnValue:
    """Create the payment and redirect to its page; a form sent twice creates one payment."""
    form = Form(request.form)
    value = form.money("value")
    description = form.text("description", 140)
    order_id = form.text("order_id", 64)
    lifetime = form.whole("expires_in", 10, EXPIRES_IN_MAX)
    if form.errors or value is None:
        return _form_page(form, 400)
    terms = NewPayment.of(value, description=description, order_id=order_id, expires_in=lifetime)
    try:
        txid = create_once(terms, request.form.get("form_key", ""))
    except PixKeyMissing:
        return _form_page(form, 409)
    except ProviderUnsupported:
        form.refuse("value", _("Nenhuma conta recebe cobranças novas: escolha uma em Recebimento."))
        return _form_page(form, 409)
    except OrderAlreadyHasPayment:
        form.refuse("order_id", _("Este pedido já tem uma cobrança aberta ou paga."))
        return _form_page(form, 409, order_id)
    return redirect(
        url_for("portal.payment", payment_id=txid, done="created", **language_args()), 303
    )


@bp.post("/portal/payments/test")
@development_only
@page_guard("merchant")
def test_payment() -> ResponseReturnValue:
    """Create a payment of R$ 1,00, to try the simulated bank."""
    terms = NewPayment.of(TEST_CENTAVOS, description=_("Pagamento de teste"))
    txid = create_once(terms, "")
    return redirect(
        url_for("portal.payment", payment_id=txid, done="created", **language_args()), 303
    )


def create_once(terms: NewPayment, form_key: str) -> str:
    """Create a payment; return its txid, or the txid that the same form created before.

    Without a valid `form_key` each call creates a payment. Raises PixKeyMissing and
    OrderAlreadyHasPayment.
    """
    key = f"portal-{form_key}" if _FORM_KEY.fullmatch(form_key) else None
    keyed = KeyedRequest(key, "create in portal", terms.model_dump(mode="json"))
    created = open_payment(
        terms,
        keyed,
        lambda work: signed_in_merchant(work, "payments:write"),
        _created_answer,
        also=lambda work, payment: audit.record(
            work, signed_in_merchant(work), AuditAction.PAYMENT_CREATED, payment.txid
        ),
        waits=False,
    )
    return str(created.answer["id"])


def _created_answer(payment: Payment, _now: datetime) -> CreatedAnswer:
    return CreatedAnswer(f"/portal/payments/{payment.txid}", {"id": payment.txid})
