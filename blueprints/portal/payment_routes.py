"""One payment: what it is, what happened to it, and what its merchant may do about it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from accounts.access import page_guard, signed_in_merchant
from blueprints.portal.page import (
    bp,
    merchant_and_queries,
    page,
)
from blueprints.portal.payment_rows import label_of, mark_of
from blueprints.portal.timeline import timeline
from config import current_settings
from core.errors import Conflict
from db_models import Account, Payment, PaymentStatus, Verdict
from payments import refunds, service
from payments.lifecycle import sequence_at, status_at
from payments.presenter import QR_PREFIX
from payments.refusals import refusal_text
from payments.schemas import NewRefund
from repository.database import Work, in_unit_of_work, reading
from repository.traces import Traces
from web.form_fields import Form
from web.pages import language_args
from web.pages import spoken as _
from web.problems import status_of

DONE = frozenset({"created", "cancelled", "renewed", "refund-asked", "refunded"})
"""What `?done=` may say was just done."""


@dataclass(frozen=True)
class Facts:
    """A payment as its page in the portal draws it."""

    payment: Payment
    mark: str
    label: str
    sequence: int
    entries: list[Any]
    refusals: list[str]
    payer: str | None
    renewed_from: str | None
    renewed_by: str | None
    left_centavos: int
    may_cancel: bool
    may_renew: bool
    page_url: str
    qr_svg_url: str


@bp.get("/portal/payments/<string:payment_id>")
@page_guard("merchant")
def payment(payment_id: str) -> ResponseReturnValue:
    """The payment's page; `?fragment=state` is the part that changes."""
    return _drawn(payment_id)


def _drawn(
    payment_id: str, status: int = 200, problem: str | None = None, form: Form | None = None
) -> ResponseReturnValue:
    is_fragment = request.args.get("fragment") == "state"
    with reading() as work:
        merchant, facts = _facts(work, payment_id)
        if not is_fragment:
            unseen, signals = work.signals.unseen_and_of_payment(merchant.id, facts.payment.txid)
    done = request.args.get("done")
    values: dict[str, Any] = {
        "facts": facts,
        "done": done if done in DONE else None,
        "problem": problem,
        "form": form or Form({}),
        "pay_url": _pay_url(facts) if current_settings().is_development else None,
        "refund_key": secrets.token_hex(16),
    }
    if is_fragment:
        return render_template("portal/_payment_state.html", **values)
    return page(
        "payment.html", merchant, "payments", status, unseen=unseen, signals=signals, **values
    )


def _facts(work: Work, payment_id: str) -> tuple[Account, Facts]:
    merchant, queries = merchant_and_queries(work)
    found = work.payments.own(merchant, payment_id)
    receipts = queries.receipts_of(found.id)
    entries = timeline(
        queries.events_of(found.id),
        Traces(work.session).of_payment(found.id),
        receipts,
        work.refunds.of_payment(found.id),
    )
    accepted = next((one for one in receipts if one.verdict == Verdict.ACCEPTED), None)
    status = status_at(found, work.now)
    mark = mark_of(found, work.now)
    renewed_by = queries.renewal_of(found.id) if status is PaymentStatus.EXPIRED else None
    base = f"{request.script_root}/payments/pix"
    return merchant, Facts(
        payment=found,
        mark=mark,
        label=label_of(mark),
        sequence=sequence_at(found, work.now),
        entries=entries,
        refusals=[refusal_text(one.reason) for one in receipts if one.verdict == Verdict.REFUSED],
        payer=accepted.payer_name if accepted else None,
        renewed_from=queries.txid_of(found.renewed_from_id) if found.renewed_from_id else None,
        renewed_by=renewed_by,
        left_centavos=found.amount_centavos - found.refunded_centavos - found.refunding_centavos
        if status is PaymentStatus.CONFIRMED
        else 0,
        may_cancel=status is PaymentStatus.PENDING,
        may_renew=status is PaymentStatus.EXPIRED,
        page_url=f"{current_settings().public_url}/payments/pix/{found.txid}",
        qr_svg_url=f"{base}/qr_code/{QR_PREFIX}{found.txid}.svg",
    )


def _pay_url(facts: Facts) -> str | None:
    """In development: where the simulated bank pays this payment."""
    if not facts.may_cancel:
        return None
    return f"{request.script_root}/payments/pix/{facts.payment.txid}"


@bp.post("/portal/payments/<string:payment_id>/cancel")
@page_guard("merchant")
def cancel(payment_id: str) -> ResponseReturnValue:
    """Cancel a pending payment."""

    def do(work: Work) -> str:
        merchant = signed_in_merchant(work, "payments:write")
        found = work.payments.own(merchant, payment_id)
        service.cancel(work, found, merchant)
        return str(found.txid)

    return _done(payment_id, do, "cancelled", _("Só uma cobrança aberta pode ser cancelada."))


@bp.post("/portal/payments/<string:payment_id>/renew")
@page_guard("merchant")
def renew(payment_id: str) -> ResponseReturnValue:
    """A new payment for the same order and amount."""

    def do(work: Work) -> str:
        merchant = signed_in_merchant(work, "payments:write")
        old = work.payments.own(merchant, payment_id)
        fresh = service.renew(
            work,
            old,
            ttl=timedelta(seconds=current_settings().payment_ttl_seconds),
            location_base=current_settings().location_base,
            by=merchant,
        )
        return str(fresh.txid)

    sentence = _("Só uma cobrança expirada pode ser renovada, e só se o pedido não tiver outra.")
    return _done(payment_id, do, "renewed", sentence)


@bp.post("/portal/payments/<string:payment_id>/refund")
@page_guard("merchant")
def refund(payment_id: str) -> ResponseReturnValue:
    """Give money back: `value` (all that is left when empty), `description`, `refund_id`."""
    form = Form(request.form)
    value = form.money("value", required=False)
    description = form.text("description", 140)
    if form.errors:
        return _drawn(payment_id, 400, form=form)
    name = request.form.get("refund_id", "")
    asked = NewRefund.model_construct(
        value=value,
        refund_id=name if name.isascii() and name.isalnum() and len(name) <= 35 else None,
        description=description,
    )
    rows: list[int] = []

    def do(work: Work) -> str:
        merchant = signed_in_merchant(work, "refunds:write")
        found = work.payments.own(merchant, payment_id)
        made, _known = refunds.refund(work, found, asked, merchant)
        rows[:] = [made.id]
        return str(found.txid)

    answer = _done(
        payment_id,
        do,
        "refund-asked",
        _("Este valor não pode ser devolvido: confira o que resta e o prazo de 90 dias."),
    )
    for row in rows:
        refunds.tell_bank(row)
    return answer


def _done(
    payment_id: str, do: Callable[[Work], str], done: str, sentence: str
) -> ResponseReturnValue:
    """Do it and go to the payment it is about, or say on its page why it cannot be done."""
    try:
        txid = in_unit_of_work(do)
    except Conflict as error:
        return _drawn(payment_id, status_of(type(error)), problem=sentence)
    return redirect(url_for("portal.payment", payment_id=txid, done=done, **language_args()), 303)
