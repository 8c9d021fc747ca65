"""What pages say about the terms of a charge: its amount, a withdrawal, lines for the payer."""

from __future__ import annotations

from dataclasses import dataclass

from core.money import centavos_from
from db_models import Payment
from payments.due_charges import amount_due_now, original_of
from payments.location import INFO, WITHDRAWAL
from web.pages import brl
from web.pages import translate as _


@dataclass(frozen=True)
class CashWithdrawal:
    """How the amount is split: a purchase, and cash that the payer takes away."""

    purchase_centavos: int
    cash_centavos: int
    is_change: bool
    """Whether the cash is change of a purchase (`troco`), or only cash (`saque`)."""


def amount_text(payment: Payment) -> str:
    """The amount to pay today as a page writes it; the filter `amount_text`."""
    return centavos_text(payment, amount_due_now(payment))


def centavos_text(payment: Payment, centavos: int) -> str:
    """An amount of the payment as text; a charge that proposes none says so in words."""
    if centavos == 0 and payment.payer_sets_amount:
        return _("valor livre")
    return brl(centavos)


def info_lines(payment: Payment) -> list[tuple[str, str]]:
    """The merchant's lines for the payer: name and value (API Pix 2.9.0, InfoAdicional)."""
    lines = (payment.charge_terms or {}).get(INFO) or ()
    return [(line["nome"], line["valor"]) for line in lines]


def withdrawal_of(payment: Payment) -> CashWithdrawal | None:
    """The split of a charge with a withdrawal of cash; None without one."""
    withdrawal = (payment.charge_terms or {}).get(WITHDRAWAL)
    if not withdrawal:
        return None
    [(kind, members)] = withdrawal.items()
    return CashWithdrawal(
        purchase_centavos=original_of(payment),
        cash_centavos=centavos_from(members["valor"]),
        is_change=kind == "troco",
    )
