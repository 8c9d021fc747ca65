"""The shopper's routes: the payment page, its receipt, and *Já paguei*."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from flask import Response, redirect, request
from flask_openapi import Tag
from werkzeug.wrappers import Response as BaseResponse

from accounts.access import is_merchant
from blueprints.checkout import views
from blueprints.checkout.page_answers import payment_read
from config import current_settings
from core.clock import rfc3339
from core.errors import PaymentNotFound
from core.money import json_number
from db_models import Payment, PaymentStatus, Refund, RefundStatus
from mail.outgoing import can_send
from payments import look_ups, traces
from payments.answers import CheckAnswer, PaymentAnswer, ReceiptAnswer
from payments.at_bank.facts import charges_of
from payments.look_ups import Inquiry
from payments.presenter import Presenter, receipt_refund
from payments.routes import PaymentPath, is_test, presenter
from payments.standing import PaymentState, state_at
from payments.standing_words import no_answer, not_yet
from repository.database import Work, reading
from web import request_counts
from web.answers import private_json
from web.api_docs import DocumentedBlueprint, declare, html_page, problems, reference
from web.compression import public_text
from web.merchant_view import merchant_view
from web.page_patterns import render_page
from web.pages import language_args

bp = DocumentedBlueprint(
    "pages", __name__, url_prefix="/payments/pix", abp_tags=[Tag(name="Shopper")]
)

declare(bp, PaymentAnswer, ReceiptAnswer)

TO_THE_PAGE = {"description": "To a browser's form: go and look at the page."}


def prefers_json() -> bool:
    """Whether the client asks for JSON before a page; `*/*` gets the page."""
    # A header without a JSON type gets the page, whatever weight it gives to `*/*`.
    accept = request.environ.get("HTTP_ACCEPT", "")
    if "json" not in accept and "application/*" not in accept:
        return False
    best = request.accept_mimetypes.best_match(("text/html", "application/json"))
    return best == "application/json"


@bp.get(
    "/<string:payment_id>",
    summary="The payment page, or the payment",
    responses={
        200: {
            "description": "The page; the payment as JSON for clients that prefer it.",
            "content": {
                **html_page("The page")["content"],
                "application/json": {"schema": reference(PaymentAnswer)},
            },
        },
        **problems(404, 503),
    },
)
@public_text
def payment_page(path: PaymentPath) -> BaseResponse:
    """The live payment page; JSON `{"payment": …}` for a client that prefers JSON.

    The payment's merchant sees the merchant's view, everybody else the public view.
    """
    read = payment_read(request.environ)
    with reading() as work:
        payment, elsewhere, receipt = (
            work.payments.by_txid_and_how_paid(path.payment_id)
            if read is None
            else work.payments.how_paid(read)
        )
        moment = work.now
        if prefers_json():
            to_merchant = is_merchant(work, payment.merchant_id)
            charge = charges_of(work, [payment]).get(payment.id) if to_merchant else None
            body = presenter().payment(payment, moment, charge, to_merchant=to_merchant)
            return _json_varying_by_accept({"payment": body})
        # Only a cancelled payment was read together with the payment that paid its order.
        is_cancelled = payment.status == PaymentStatus.CANCELLED
        is_order_paid = elsewhere is not None if is_cancelled else None
        payment_state = state_at(work, payment, is_order_paid=is_order_paid, receipt=receipt)
    template = "payment.html" if request.args.get("fragment") != "state" else "_state.html"
    page = render_page(
        f"checkout/{template}",
        payment=views.payment_view(payment_state, paid_elsewhere=elsewhere),
        merchant=merchant_view(payment.merchant, subject=views.mail_subject(payment)),
        check_note=_check_note(payment),
        test_strip=views.test_strip(
            current_settings(), payment, moment, is_live=not is_test(payment)
        ),
        refresh_seconds=views.REFRESH_SECONDS,
    )
    return Response(page, mimetype="text/html")


@bp.get(
    "/<string:payment_id>/receipt",
    summary="The receipt",
    responses={
        200: {
            "description": "The receipt as a page, or as JSON for clients that prefer it.",
            "content": {
                **html_page("The page")["content"],
                "application/json": {"schema": reference(ReceiptAnswer)},
            },
        },
        **problems(404, 503),
    },
)
def receipt_page(path: PaymentPath) -> BaseResponse:
    """The receipt of a confirmed payment, public by its unguessable link; 404 until it is paid."""
    with reading() as work:
        payment = work.payments.by_txid(path.payment_id)
        if payment.status != PaymentStatus.CONFIRMED:
            raise PaymentNotFound("This payment has no receipt: it was not paid.")
        refunds = _visible_refunds(work, payment)
        payment_state = state_at(work, payment)
    receipt = payment_state.receipt
    payer = views.masked_name(receipt.payer_name if receipt else None)
    if prefers_json():
        return _json_varying_by_accept(_receipt_object(presenter(), payment_state, payer, refunds))
    view = views.payment_view(payment_state, payer_name=payer)
    page = render_page(
        "checkout/receipt.html",
        payment=view,
        merchant=merchant_view(payment.merchant, subject=views.mail_subject(payment)),
        refunds=refunds,
        qr_svg_url=f"{request.script_root}/payments/pix/{payment.txid}/receipt/qr.svg",
        can_send_mail=can_send(),
        is_mailed=request.args.get("mailed") == "1",
        is_test=is_test(payment),
    )
    return Response(page, mimetype="text/html")


def _visible_refunds(work: Work, payment: Payment) -> list[Refund]:
    """Refunds that are requested or done; only the merchant sees the ones that failed."""
    if payment.refunded_centavos + payment.refunding_centavos == 0:
        return []
    refunds = work.refunds.of_payment(payment.id)
    return [refund for refund in refunds if refund.status != RefundStatus.FAILED]


def _receipt_object(
    present: Presenter, payment_state: PaymentState, payer: str | None, refunds: Sequence[Refund]
) -> dict[str, object]:
    payment, paid_at = payment_state.payment, payment_state.paid_at
    return {
        "receipt": {
            "payment_id": payment.txid,
            "value": json_number(payment.amount_centavos),
            "amount_centavos": payment.amount_centavos,
            "currency": "BRL",
            "payee": payment.merchant.name,
            "payer": payer,
            "order_id": payment.order_id,
            "description": payment.description,
            "paid_at": rfc3339(paid_at) if paid_at else None,
            "confirmed_at": rfc3339(payment.resolved_at) if payment.resolved_at else None,
            "end_to_end_id": payment.end_to_end_id,
            "refunds": [receipt_refund(refund) for refund in refunds],
            "receipt_url": f"{present.page_url(payment.txid)}/receipt",
            "issued_at": rfc3339(payment_state.at),
            "livemode": present.is_payment_live(payment),
        }
    }


@bp.post(
    "/<string:payment_id>/check",
    summary="Ask the bank whether it was paid",
    responses={200: CheckAnswer, 303: TO_THE_PAGE, **problems(404, 503)},
)
def check_payment(path: PaymentPath) -> BaseResponse:
    """*Já paguei*: ask the bank, at most once in 5 s per payment, and say how it stands."""
    request_counts.take(request_counts.CHECKS, current_settings().checks_per_minute)
    txid = path.payment_id
    with reading() as work:
        payment = work.payments.by_txid(txid)
    may_be_paid = payment.status in (PaymentStatus.PENDING, PaymentStatus.EXPIRED)
    inquiry = look_ups.inquire(txid) if may_be_paid else Inquiry.NOT_NEEDED
    if inquiry is Inquiry.ANSWERED:
        traces.record_look_up(txid)
    if not prefers_json() and "text/html" in request.accept_mimetypes.values():
        query = urlencode({"checked": str(inquiry), **language_args()})
        return redirect(f"{request.script_root}/payments/pix/{txid}?{query}", 303)
    with reading() as work:
        payment = work.payments.by_txid(txid)
        status = presenter().status(payment, work.now)
        return _json_varying_by_accept({**status, "inquiry": str(inquiry)})


def _check_note(payment: Payment) -> str:
    """What a page without JavaScript says after *Já paguei*; empty before."""
    asked_bank = request.args.get("checked")
    if asked_bank is None:
        return ""
    if asked_bank == Inquiry.NO_ANSWER:
        return no_answer()
    return not_yet(can_ask=views.can_ask_about(payment))


def _json_varying_by_accept(body: dict[str, object]) -> Response:
    """A JSON answer of an address that also answers with a page."""
    response = private_json(body)
    response.headers["Vary"] = "Accept"
    return response
