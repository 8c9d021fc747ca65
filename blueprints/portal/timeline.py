"""The timeline of one payment, from the rows of four tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.audit import IS_CLIENT, KEY, KEY_NAME
from db_models import (
    EventName,
    PaymentEvent,
    PaymentTrace,
    Receipt,
    Refund,
    RefundStatus,
    TraceKind,
    Verdict,
)
from db_models.payment_event import BANK_REFUSED
from payments import snapshots
from payments.charges import ChangedPart
from payments.refusals import refusal_text
from web.pages import brl
from web.pages import translate as _


@dataclass(frozen=True)
class Entry:
    """One point of the timeline; `tone` is good, bad, warn or calm."""

    at: datetime
    title: str
    detail: str = ""
    tone: str = "calm"


def timeline(
    events: Sequence[PaymentEvent],
    traces: Sequence[PaymentTrace],
    receipts: Sequence[Receipt],
    refunds: Sequence[Refund],
) -> list[Entry]:
    """All entries, oldest first."""
    entries = [entry for event in events if (entry := _of_event(event)) is not None]
    entries += [_of_trace(trace) for trace in traces]
    entries += [_of_receipt(row) for row in receipts if row.verdict == Verdict.REFUSED]
    for refund in refunds:
        entries += _of_refund(refund)
    return sorted(entries, key=lambda entry: entry.at)


def was_created_by_client(events: Sequence[PaymentEvent]) -> bool:
    """Whether a client of API Pix created the payment of these events."""
    return any(
        IS_CLIENT in event.data.get("author", {})
        for event in events
        if event.name == EventName.PAYMENT_CREATED
    )


def _of_event(event: PaymentEvent) -> Entry | None:
    """None for events that receipts and refunds describe better."""
    at = event.occurred_at
    if event.name == EventName.PAYMENT_CREATED:
        return Entry(at, _("Cobrança criada"), _author_text(event))
    if event.name == EventName.PAYMENT_CONFIRMED:
        return Entry(at, _("Pagamento confirmado"), tone="good")
    if event.name == EventName.PAYMENT_EXPIRED:
        return Entry(at, _("O prazo acabou sem pagamento"), tone="warn")
    if event.name == EventName.PAYMENT_CANCELLED:
        detail = _("O pedido foi pago por outra cobrança.") if event.is_superseded else ""
        if event.data.get("reason") == BANK_REFUSED:
            detail = _("O banco recusou a cobrança.")
        return Entry(at, _("Cobrança cancelada"), detail)
    if event.name == EventName.PAYMENT_REVISED:
        return _of_revision(event)
    return None


def _of_revision(event: PaymentEvent) -> Entry:
    """What changed and who changed it; events without parts moved the deadline."""
    state = event.data.get("state") or {}
    parts = state.get(snapshots.CHANGED)
    if parts is None:
        return Entry(event.occurred_at, _("Prazo alterado"))
    names = _part_names(state)
    changes = ", ".join(names[part] for part in parts if part in names)
    author = (event.data.get("author") or {}).get(KEY_NAME)
    lines = [f"{changes[:1].upper()}{changes[1:]}."]
    if author:
        lines.append(_("Por %(name)s, pela API.") % {"name": author})
    if parts == [ChangedPart.NO_LOCATION]:
        title = _("Código retirado")
    elif parts == [ChangedPart.LOCATION]:
        title = _("Código trocado")
    else:
        title = _("Cobrança alterada")
    return Entry(event.occurred_at, title, " ".join(lines))


def _part_names(state: Mapping[str, Any]) -> dict[str, str]:
    """The parts of a charge in words; the amount is that after the change."""
    amount = state["amount_centavos"]
    return {
        ChangedPart.AMOUNT: _("valor: %(amount)s") % {"amount": brl(amount)}
        if amount
        else _("valor livre"),
        ChangedPart.AMOUNT_CHOICE: _("se o pagador pode mudar o valor"),
        ChangedPart.DEADLINE: _("prazo"),
        ChangedPart.PAYER: _("devedor"),
        ChangedPart.TEXT: _("texto para o pagador"),
        ChangedPart.INFO: _("informações adicionais"),
        ChangedPart.WITHDRAWAL: _("saque ou troco"),
        ChangedPart.DUE_TERMS: _("vencimento, multa, juros ou descontos"),
        ChangedPart.LOCATION: _("outra location mostra a cobrança; um código antigo não vale mais"),
        ChangedPart.NO_LOCATION: _("nenhuma location mostra a cobrança; o código não vale mais"),
    }


def _author_text(event: PaymentEvent) -> str:
    """The key or client that created the payment; empty if a person did or the row is older."""
    author = event.data.get("author", {})
    if KEY_NAME not in author:
        return ""
    if IS_CLIENT in author:
        return _("Pelo cliente da API Pix %(name)s") % {"name": author[KEY_NAME]}
    return _("Pela chave de API %(name)s") % {"name": author[KEY_NAME] or author[KEY]}


def _of_trace(trace: PaymentTrace) -> Entry:
    title = {
        TraceKind.OPENED: _("Página de pagamento aberta"),
        TraceKind.COPIED: _("Código Pix copiado"),
        TraceKind.ASKED: _("Consultamos o banco"),
    }[TraceKind(trace.kind)]
    detail = _("%(n)s vezes até agora") % {"n": trace.times} if trace.times > 1 else ""
    return Entry(trace.first_at, title, detail)


def _of_receipt(receipt: Receipt) -> Entry:
    words = {"amount": brl(receipt.amount_centavos), "reason": refusal_text(receipt.reason)}
    return Entry(
        receipt.told_at,
        _("Dinheiro recusado, volta ao pagador"),
        _("%(amount)s. %(reason)s") % words,
        "bad",
    )


def _of_refund(refund: Refund) -> list[Entry]:
    amount = brl(refund.amount_centavos)
    title = _("Devolução pedida")
    if refund.by_bank:
        title = _("Devolvido pelo banco")
    if refund.by_bank and _is_med(refund):
        title = _("Devolução feita pelo banco (MED)")
    entries = [Entry(refund.requested_at, title, amount)]
    if refund.status == RefundStatus.DONE and refund.settled_at:
        entries.append(Entry(refund.settled_at, _("Valor devolvido"), amount, "good"))
    if refund.status == RefundStatus.FAILED and refund.settled_at:
        detail = _("%(amount)s. O banco não devolveu (%(reason)s).") % {
            "amount": amount,
            "reason": refund.reason or "?",
        }
        entries.append(Entry(refund.settled_at, _("A devolução não foi feita"), detail, "bad"))
    return entries


def _is_med(refund: Refund) -> bool:
    """Whether the bank gave the money back by MED, the special procedure against fraud."""
    return (refund.nature or "").upper().startswith("MED")
