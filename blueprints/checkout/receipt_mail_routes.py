"""The receipt by e-mail, for shoppers who ask for it on its page."""

from __future__ import annotations

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from accounts.schemas import EMAIL
from config import current_settings
from core.errors import FieldError, InvalidRequest, NotFound, PaymentNotFound, TooManyRequests
from core.typed import caseless
from db_models import MailKind, Payment, PaymentStatus
from mail.outgoing import can_send, write_mail
from payments.routes import is_test
from repository.database import Work, in_unit_of_work
from web.forms import read_form
from web.limits import client_network, limits, per_seconds, register_limit
from web.pages import brl, language_query
from web.pages import translate as _

bp = Blueprint("receipt_mail", __name__)

LIMIT = register_limit("receipt-mail")
PER_NETWORK, PER_PAYMENT = per_seconds(10, 3600), per_seconds(3, 86_400)
PER_RECIPIENT = per_seconds(5, 86_400)
_EMAIL_CHARACTERS_MAX = 254


@bp.post("/payments/pix/<string:payment_id>/receipt/mail")
def mail_receipt(payment_id: str) -> BaseResponse:
    """Queue the receipt's address for one e-mail; the bounds keep this from sending spam."""
    if not can_send():
        raise NotFound("This service sends no e-mail.")
    recipient = caseless(read_form().get("email", ""))
    if len(recipient) > _EMAIL_CHARACTERS_MAX or not EMAIL.fullmatch(recipient):
        raise InvalidRequest([FieldError("email", "must be an e-mail address")])

    def write(work: Work) -> None:
        payment = work.payments.by_txid(payment_id)
        if payment.status != PaymentStatus.CONFIRMED:
            raise PaymentNotFound("This payment has no receipt: it was not paid.")
        _take_limits(payment_id, recipient)
        _write(work, payment, recipient)

    in_unit_of_work(write, attempts=1)
    query = f"{language_query()}&" if language_query() else "?"
    address = f"{request.script_root}/payments/pix/{payment_id}/receipt{query}mailed=1#mail"
    return redirect(address, 303)


def _take_limits(payment_id: str, recipient: str) -> None:
    """Raise TooManyRequests where a network, a payment or a recipient had enough."""
    for limit, name, value in (
        (PER_NETWORK, "network", client_network()),
        (PER_PAYMENT, "payment", payment_id),
        (PER_RECIPIENT, "recipient", recipient),
    ):
        if (wait := limits().take(limit, "receipt-mail", name, value)) is not None:
            limits().count(LIMIT)
            raise TooManyRequests(wait)


def _write(work: Work, payment: Payment, recipient: str) -> None:
    shop, amount = payment.merchant.name, brl(payment.amount_centavos)
    address = f"{current_settings().public_url}/payments/pix/{payment.txid}/receipt"
    subject = _("Recibo de %(amount)s de %(shop)s") % {"amount": amount, "shop": shop}
    body = _(
        "Você pagou %(amount)s a %(shop)s por Pix.\n\n"
        "O recibo está sempre neste endereço:\n%(url)s\n\n"
        "Alguém pediu este e-mail na página do recibo. Se não foi você, não faça nada."
    ) % {"amount": amount, "shop": shop, "url": f"{address}{language_query()}"}
    if is_test(payment):
        subject = f"[{_('Teste')}] {subject}"
        body = f"{_('Ambiente de teste: nenhum dinheiro real')}.\n\n{body}"
    write_mail(work, MailKind.RECEIPT, recipient, subject, body)
