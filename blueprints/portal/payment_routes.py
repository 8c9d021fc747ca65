"""The page of one payment: its state, its timeline, and the merchant's actions."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from accounts.access import page_guard, signed_in_merchant
from blueprints.portal.confirmation import (
    Question,
    comma_text,
    confirmation_page,
    is_confirmed,
)
from blueprints.portal.page import bp, merchant_and_queries, page
from blueprints.portal.timeline import timeline, was_created_by_client
from config import current_settings
from core.documents import mask_document
from core.errors import Conflict
from db_models import Account, ChargeKind, Payment, PaymentEvent, PaymentStatus, Verdict
from payments import refunds, renewals, service
from payments.at_bank.closing import BankQuestion
from payments.charge_terms import amount_text
from payments.lifecycle import sequence_at, status_at
from payments.location import location_text
from payments.opening import renewal_terms
from payments.presenter import QR_PREFIX
from payments.refusals import refusal_text
from payments.routes import is_test
from payments.schemas import NewRefund
from payments.standing import mark_of
from payments.standing_words import label_of
from repository.database import Work, in_unit_of_work, reading
from repository.traces import Traces
from web.form_fields import Form
from web.pages import brl, language_args
from web.pages import translate as _
from web.problems import status_of

NOTICES = frozenset({"created", "cancelled", "renewed", "refund-asked", "refunded"})
"""The values of `?done=`: each shows a notice on the page."""


@dataclass(frozen=True)
class Facts:
    """What the page of one payment shows."""

    payment: Payment
    mark: str
    label: str
    sequence: int
    entries: list[Any]
    refusals: list[str]
    payer: str | None
    paid_at: datetime | None
    """When the payer's bank took the money."""
    buyer: str
    """The payer as the shop named it when it created the payment; empty if it did not."""
    renewed_from: str | None
    renewed_by: str | None
    location: str
    """Of a charge of API Pix; empty for others, and while no location shows the charge."""
    refundable_centavos: int
    may_cancel: bool
    may_renew: bool
    page_url: str
    qr_svg_url: str
    whatsapp_url: str
    """Opens WhatsApp with the sum, the description and the link; the merchant chooses to whom."""


@bp.get("/portal/payments/<string:payment_id>")
@page_guard("merchant")
def payment(payment_id: str) -> ResponseReturnValue:
    """The payment's page; `?fragment=state` is the part that changes."""
    return _render_payment(payment_id)


def _render_payment(
    payment_id: str, status: int = 200, problem: str | None = None, form: Form | None = None
) -> ResponseReturnValue:
    is_fragment = request.args.get("fragment") == "state"
    with reading() as work:
        merchant, facts = _facts(work, payment_id)
        if not is_fragment:
            unseen, signals = work.signals.unseen_and_of_payment(merchant.id, facts.payment.txid)
    notice = request.args.get("done")
    values: dict[str, Any] = {
        "facts": facts,
        "notice": notice if notice in NOTICES else None,
        "problem": problem,
        "form": form or Form({}),
        "pay_url": _pay_url(facts),
        "refund_key": secrets.token_hex(16),
    }
    if is_fragment:
        return render_template("portal/_payment_state.html", **values)
    return page(
        "payment.html", merchant, "payments", status, unseen=unseen, signals=signals, **values
    )


def _buyer(payment: Payment) -> str:
    document = mask_document(payment.payer_document) if payment.payer_document else None
    return " · ".join(part for part in (payment.payer_name, document) if part)


def _location(payment: Payment, events: Sequence[PaymentEvent]) -> str:
    is_charge = (
        payment.charge_txid is not None
        or payment.location_token is not None
        or payment.charge_kind != ChargeKind.COB
        or was_created_by_client(events)
    )
    if not is_charge or not payment.has_location:
        return ""
    return location_text(current_settings().location_base, payment.charge_kind, payment.location)


def _facts(work: Work, payment_id: str) -> tuple[Account, Facts]:
    merchant, queries = merchant_and_queries(work)
    payment = work.payments.own(merchant, payment_id)
    receipts = queries.receipts_of(payment.id)
    events = queries.events_of(payment.id)
    entries = timeline(
        events,
        Traces(work).of_payment(payment.id),
        receipts,
        work.refunds.of_payment(payment.id),
    )
    accepted_receipt = next((row for row in receipts if row.verdict == Verdict.ACCEPTED), None)
    status = status_at(payment, work.now)
    mark = mark_of(payment, work.now)
    renewed_by = queries.renewal_of(payment.id) if status is PaymentStatus.EXPIRED else None
    base = f"{request.script_root}/payments/pix"
    page_url = f"{current_settings().public_url}/payments/pix/{payment.txid}"
    return merchant, Facts(
        payment=payment,
        mark=mark,
        label=label_of(mark),
        sequence=sequence_at(payment, work.now),
        entries=entries,
        refusals=[refusal_text(row.reason) for row in receipts if row.verdict == Verdict.REFUSED],
        payer=accepted_receipt.payer_name if accepted_receipt else None,
        paid_at=accepted_receipt.paid_at if accepted_receipt else None,
        buyer=_buyer(payment),
        renewed_from=queries.txid_of(payment.renewed_from_id) if payment.renewed_from_id else None,
        renewed_by=renewed_by,
        location=_location(payment, events),
        refundable_centavos=payment.amount_centavos
        - payment.refunded_centavos
        - payment.refunding_centavos
        if status is PaymentStatus.CONFIRMED
        else 0,
        # A recurring charge is cancelled by API Pix alone, with an order to the payer's bank.
        may_cancel=status is PaymentStatus.PENDING and payment.charge_kind != ChargeKind.COBR,
        may_renew=status is PaymentStatus.EXPIRED
        and renewals.is_kind_renewable(payment)
        and renewals.is_young_enough(work, payment, renewal_terms()),
        page_url=page_url,
        whatsapp_url=_whatsapp_url(payment, page_url),
        qr_svg_url=f"{base}/qr_code/{QR_PREFIX}{payment.txid}.svg{payment.picture_query}",
    )


def _whatsapp_url(payment: Payment, page_url: str) -> str:
    lines = (
        _("Cobrança de %(amount)s") % {"amount": amount_text(payment)},
        payment.description,
        _("Pague com Pix: %(url)s") % {"url": page_url},
    )
    return "https://wa.me/?text=" + quote("\n".join(line for line in lines if line), safe="")


def _pay_url(facts: Facts) -> str | None:
    """The payment page, whose tools pay a test at the simulated bank; None for real money."""
    if not facts.may_cancel or not is_test(facts.payment):
        return None
    return f"{request.script_root}/payments/pix/{facts.payment.txid}"


@bp.post("/portal/payments/<string:payment_id>/cancel")
@page_guard("merchant")
def cancel(payment_id: str) -> ResponseReturnValue:
    """Cancel a pending payment; asks first."""
    if not is_confirmed():
        return _ask_to_cancel(payment_id)

    question = BankQuestion()

    def do(work: Work) -> str:
        merchant = signed_in_merchant(work, "payments:write")
        payment = work.payments.own(merchant, payment_id)
        question.before(work, payment)
        service.cancel(work, payment, merchant)
        return str(payment.txid)

    return _run_action(payment_id, do, "cancelled", _not_cancellable(), question.run)


def _ask_to_cancel(payment_id: str) -> ResponseReturnValue:
    with reading() as work:
        signed_in_merchant(work, "payments:write")
        merchant, facts = _facts(work, payment_id)
    if not facts.may_cancel:
        return _render_payment(payment_id, 409, problem=_not_cancellable())
    amount = amount_text(facts.payment)
    question = Question(
        _("Cancelar a cobrança de %(amount)s?") % {"amount": amount},
        _("Sim, cancelar a cobrança"),
        _question_facts(facts, amount),
        _("O QR e o link deixam de valer. Não dá para desfazer."),
    )
    return confirmation_page(merchant, "payments", question, _own_url(payment_id))


def _not_cancellable() -> str:
    return _("Só uma cobrança aberta pode ser cancelada.")


def _question_facts(facts: Facts, amount: str) -> tuple[tuple[str, str], ...]:
    """The sum, whose money it is, and which charge: only what is known."""
    payment = facts.payment
    lines = (
        (_("Valor"), amount),
        (_("Pagador"), facts.payer),
        (_("Descrição"), payment.description),
        (_("Pedido"), payment.order_id),
    )
    return tuple((label, text) for label, text in lines if text)


@bp.post("/portal/payments/<string:payment_id>/renew")
@page_guard("merchant")
def renew(payment_id: str) -> ResponseReturnValue:
    """Create a new payment for the same order and amount."""

    def do(work: Work) -> str:
        merchant = signed_in_merchant(work, "payments:write")
        expired_payment = work.payments.own(merchant, payment_id)
        renewal = renewals.renew(
            work,
            expired_payment,
            renewal_terms(),
            by=merchant,
        )
        return str(renewal.txid)

    problem = _(
        "Só uma cobrança expirada há pouco pode ser renovada, e só se o pedido não tiver outra."
    )
    return _run_action(payment_id, do, "renewed", problem)


@bp.post("/portal/payments/<string:payment_id>/refund")
@page_guard("merchant")
def refund(payment_id: str) -> ResponseReturnValue:
    """Refund `value`, or all that remains if empty; asks first, with the sum and the payer.

    Also takes a `description`, and a `refund_id` that makes a repetition safe.
    """
    form = Form(request.form)
    value = form.money("value", required=False)
    description = form.text("description", 140)
    if form.errors:
        return _render_payment(payment_id, 400, form=form)
    if not is_confirmed():
        return _ask_to_refund(payment_id, value, description)
    refund_id = request.form.get("refund_id", "")
    is_refund_id = refund_id.isascii() and refund_id.isalnum() and len(refund_id) <= 35
    new_refund = NewRefund.model_construct(
        value=value,
        refund_id=refund_id if is_refund_id else None,
        description=description,
    )
    refund_rows: list[int] = []

    def do(work: Work) -> str:
        merchant = signed_in_merchant(work, "refunds:write")
        payment = work.payments.own(merchant, payment_id)
        refund, _is_repeat = refunds.request_refund(work, payment, new_refund, merchant)
        refund_rows[:] = [refund.id]
        return str(payment.txid)

    answer = _run_action(
        payment_id,
        do,
        "refund-asked",
        _not_refundable(),
    )
    for refund_row in refund_rows:
        refunds.tell_bank(refund_row)
    return answer


def _ask_to_refund(
    payment_id: str, value: int | None, description: str | None
) -> ResponseReturnValue:
    with reading() as work:
        signed_in_merchant(work, "refunds:write")
        merchant, facts = _facts(work, payment_id)
    remaining = facts.refundable_centavos
    centavos = remaining if value is None else value
    if not 0 < centavos <= remaining:
        return _render_payment(payment_id, 409, problem=_not_refundable())
    words = {"amount": brl(centavos), "payer": facts.payer or _("quem pagou")}
    lines = _question_facts(facts, words["amount"])
    if description:
        lines += ((_("Motivo"), description),)
    question = Question(
        _("Devolver %(amount)s a %(payer)s?") % words,
        _("Sim, devolver %(amount)s") % words,
        lines,
        _("O dinheiro sai da sua conta. Não dá para desfazer."),
    )
    # The sum that the page shows is the sum that is refunded, also if more arrived meanwhile.
    sum_shown = comma_text(centavos)
    return confirmation_page(merchant, "payments", question, _own_url(payment_id), value=sum_shown)


def _not_refundable() -> str:
    return _("Este valor não pode ser devolvido: confira o que resta e o prazo de 90 dias.")


def _own_url(payment_id: str) -> str:
    return url_for("portal.payment", payment_id=payment_id, **language_args())


def _run_action(
    payment_id: str,
    do: Callable[[Work], str],
    notice: str,
    problem: str,
    run: Callable[[Callable[[Work], str]], str] = in_unit_of_work,
) -> ResponseReturnValue:
    """Run `do` and redirect to the payment it returns; show `problem` on a conflict."""
    try:
        txid = run(do)
    except Conflict as error:
        return _render_payment(payment_id, status_of(type(error)), problem=problem)
    return redirect(url_for("portal.payment", payment_id=txid, done=notice, **language_args()), 303)
