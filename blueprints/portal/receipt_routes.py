"""Money without a payment: the list, its CSV, and each receipt with what can be done with it."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from flask import Flask, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from accounts.access import page_guard, signed_in_merchant
from blueprints.portal.confirmation import Question, confirmation_page, is_confirmed
from blueprints.portal.csv_cells import (
    csv_lines,
    escape_formula,
    money_cell,
    time_cell,
    time_heading,
)
from blueprints.portal.export_routes import this_app
from blueprints.portal.filters import ORDER_MAX
from blueprints.portal.page import bp, page
from core import ids
from core.errors import Conflict, NotFound
from core.receipt_errors import ReceiptNotFound
from core.typed import identifier
from payments import attaching, refunds
from payments.receipt_schemas import Attachment
from payments.refusals import refusal_text
from payments.schemas import NewRefund
from providers import fields as bank_fields
from repository.database import Work, in_unit_of_work, now, reading
from repository.receipts import ListedReceipt, ReceiptFilters
from web import zones
from web.form_fields import Form
from web.pages import brl, language_args
from web.pages import translate as _

PAGE = 25
EXPORT_BATCH = 200
TARGET_MAX = 200
"""Characters: the address of a payment's page is longer than an order's id may be."""
FREE = ReceiptFilters("accepted", without_payment=True)


@bp.get("/portal/receipts")
@page_guard("merchant")
def receipts() -> ResponseReturnValue:
    """The receipts without a payment, newest first; `?fragment=rows` answers the newest alone."""
    after = request.args.get("after")
    with reading() as work:
        merchant = signed_in_merchant(work)
        receipt_page = work.receipts.of_merchant(merchant.id, FREE, after, PAGE)
    if request.args.get("fragment") == "rows":
        return render_template("portal/_receipt_rows.html", receipts=receipt_page.items)
    older_url = None
    if receipt_page.next is not None:
        older_url = url_for("portal.receipts", after=receipt_page.next, **language_args())
    return page(
        "receipts.html",
        merchant,
        "payments",
        receipts=receipt_page.items,
        is_newest=after is None,
        older_url=older_url,
        done=request.args.get("done"),
    )


@bp.get("/portal/receipts/<string:end_to_end_id>")
@page_guard("merchant")
def receipt(end_to_end_id: str) -> ResponseReturnValue:
    """One receipt: attach it to an order or a payment, or give it back."""
    return _receipt_page(end_to_end_id)


def _receipt_page(
    end_to_end_id: str, status: int = 200, form: Form | None = None, problem: str | None = None
) -> ResponseReturnValue:
    with reading() as work:
        merchant = signed_in_merchant(work)
        listed = _own(work, merchant.id, end_to_end_id)
    return page(
        "receipt.html",
        merchant,
        "payments",
        status,
        misfit_text=refusal_text(listed.receipt.misfit),
        listed=listed,
        receipt=listed.receipt,
        form=form or Form({}),
        problem=problem,
        refund_key=ids.new_public_id(),
    )


@bp.post("/portal/receipts/<string:end_to_end_id>/attach")
@page_guard("merchant")
def attach_receipt(end_to_end_id: str) -> ResponseReturnValue:
    """Attach the money to `target`, an order id or a payment's id; then show the payment."""
    form = Form(request.form)
    target = form.text("target", TARGET_MAX, required=True)
    if target is not None and len(identifier(target)) > ORDER_MAX:
        form.refuse("target", _("Use no máximo %(n)s caracteres.") % {"n": ORDER_MAX})
    if form.errors or target is None:
        return _receipt_page(end_to_end_id, 400, form)

    def attach(work: Work) -> str:
        merchant = signed_in_merchant(work, "payments:write")
        listed = _own(work, merchant.id, end_to_end_id)
        attachment = _attachment(work, merchant.id, target)
        return attaching.attach(work, merchant, listed.receipt, attachment).txid

    try:
        txid = in_unit_of_work(attach)
    except ReceiptNotFound:
        raise
    except NotFound:
        form.refuse("target", _("Não há cobrança com este identificador."))
        return _receipt_page(end_to_end_id, 404, form)
    except Conflict:
        form.refuse(
            "target", _("Não dá para ligar: confira se o valor é o mesmo e se ainda não foi pago.")
        )
        return _receipt_page(end_to_end_id, 409, form)
    return redirect(url_for("portal.payment", payment_id=txid, **language_args()), 303)


def _attachment(work: Work, merchant_id: int, target: str) -> Attachment:
    """What `target` names: a payment of the merchant however its id was pasted, else an order.

    An id that is written as ours is never an order's: a new payment would be made for a wrong id.
    """
    target_id = identifier(target)
    payment = work.payments.find_by_txid(target_id)
    is_own = payment is not None and payment.merchant_id == merchant_id
    if is_own or ids.is_txid(target):
        return Attachment.model_validate({"payment_id": target_id})
    return Attachment.model_validate({"order_id": target})


@bp.post("/portal/receipts/<string:end_to_end_id>/refund")
@page_guard("merchant")
def give_receipt_back(end_to_end_id: str) -> ResponseReturnValue:
    """Give all of the money back to its payer, then show the payment made of it; asks first."""
    if not is_confirmed():
        return _ask_to_give_back(end_to_end_id)
    key = request.form.get("refund_id", "")
    refund_id = key if ids.is_txid(key) else None
    new_refund = NewRefund.model_construct(value=None, refund_id=refund_id, description=None)

    def give_back(work: Work) -> tuple[int, str]:
        merchant = signed_in_merchant(work, "refunds:write")
        listed = _own(work, merchant.id, end_to_end_id)
        refund, payment, _is_repeated = attaching.give_back(
            work, merchant, listed.receipt, new_refund
        )
        return refund.id, payment.txid

    try:
        refund_row, txid = in_unit_of_work(give_back)
    except Conflict:
        problem = _("Este dinheiro não pode ser devolvido: confira o prazo de 90 dias.")
        return _receipt_page(end_to_end_id, 409, problem=problem)
    refunds.tell_bank(refund_row)
    address = url_for("portal.payment", payment_id=txid, done="refund-asked", **language_args())
    return redirect(address, 303)


def _ask_to_give_back(end_to_end_id: str) -> ResponseReturnValue:
    with reading() as work:
        merchant = signed_in_merchant(work, "refunds:write")
        receipt_ = _own(work, merchant.id, end_to_end_id).receipt
    amount = brl(receipt_.amount_centavos)
    payer = receipt_.payer_name or _("quem pagou")
    question = Question(
        _("Devolver %(amount)s a %(payer)s?") % {"amount": amount, "payer": payer},
        _("Sim, devolver %(amount)s") % {"amount": amount},
        ((_("Valor"), amount), (_("Pagador"), payer)),
        _("O dinheiro sai da sua conta. Não dá para desfazer."),
    )
    address = url_for("portal.receipt", end_to_end_id=end_to_end_id, **language_args())
    return confirmation_page(merchant, "payments", question, address)


@bp.get("/portal/receipts.csv")
@page_guard("merchant")
def receipts_csv() -> Response:
    """All accepted receipts of static codes and payments, newest first, as CSV."""
    zone = zones.viewer_zone()
    with reading() as work:
        merchant_id = int(signed_in_merchant(work).id)
    app = this_app()
    names = [
        _("Identificador do Pix (E2E)"),
        time_heading(_("Recebido em"), zone),
        _("Valor (R$)"),
        _("Devolvido (R$)"),
        _("Líquido (R$)"),
        _("Pagador"),
        _("Caixa"),
        _("Cobrança"),
    ]
    name = f"recebimentos-{now().astimezone(zone):%Y-%m-%d}.csv"
    return Response(
        _csv_chunks(app, merchant_id, zone, names),
        content_type="text/csv; charset=utf-8; header=present",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        },
    )


def _csv_chunks(app: Flask, merchant_id: int, zone: ZoneInfo, names: list[str]) -> Iterator[bytes]:
    """The file's bytes, one batch at a time; each batch opens its own unit of work."""
    rows: list[list[str]] = [names]
    after: str | None = None
    while True:
        with app.app_context(), reading() as work:
            batch = work.receipts.of_merchant(
                merchant_id, ReceiptFilters("accepted"), after, EXPORT_BATCH
            )
        rows += [_csv_row(listed, zone) for listed in batch.items]
        yield csv_lines(rows)
        if batch.next is None:
            return
        rows, after = [], batch.next


def _csv_row(listed: ListedReceipt, zone: ZoneInfo) -> list[str]:
    receipt_ = listed.receipt
    return [
        escape_formula(receipt_.end_to_end_id),
        time_cell(receipt_.paid_at, zone),
        money_cell(receipt_.amount_centavos),
        money_cell(listed.refunded_centavos),
        money_cell(receipt_.amount_centavos - listed.refunded_centavos),
        escape_formula(receipt_.payer_name),
        escape_formula(listed.till_name),
        listed.txid or "",
    ]


def _own(work: Work, merchant_id: int, end_to_end_id: str) -> ListedReceipt:
    if bank_fields.transfer_id(end_to_end_id) != end_to_end_id:
        raise ReceiptNotFound
    return work.receipts.own(merchant_id, end_to_end_id)
