"""The reasons of refused receipts, as sentences for merchants and administrators."""

from __future__ import annotations

from web.pages import translate as _


def refusal_text(code: str | None) -> str:
    """The sentence for a receipt's reason; an unknown code is returned unchanged."""
    texts = {
        "amount-mismatch": _("O valor pago não era o da cobrança."),
        "already-paid": _("A cobrança, ou o pedido, já estava paga."),
        "payment-cancelled": _("A cobrança estava cancelada."),
        "paid-too-late": _("O pagamento foi feito depois do prazo."),
        "payment-not-found": _("Nenhuma cobrança daqui tem este identificador."),
    }
    return texts.get(code or "", code or "")
