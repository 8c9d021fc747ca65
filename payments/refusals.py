"""Why money was refused, in the words that merchants and administrators read."""

from __future__ import annotations

from web.pages import spoken as _


def refusal_text(code: str | None) -> str:
    """The sentence for a receipt's reason; an unknown reason as it is."""
    texts = {
        "amount-mismatch": _("O valor pago não era o da cobrança."),
        "already-paid": _("A cobrança, ou o pedido, já estava paga."),
        "payment-cancelled": _("A cobrança estava cancelada."),
        "paid-too-late": _("O pagamento foi feito depois do prazo."),
        "payment-not-found": _("Nenhuma cobrança daqui tem este identificador."),
    }
    return texts.get(code or "", code or "")
