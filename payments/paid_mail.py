"""*You were paid* by e-mail, for merchants who ask for it."""

from __future__ import annotations

from config import current_parts, current_settings
from core.money import plain
from db_models import MailKind, Payment
from mail.outgoing import can_send, write_mail
from repository.database import Work

_FOOTER = "Para não receber estes avisos: Ajustes, Avisos por e-mail."


def mail_merchant(work: Work, payment: Payment, payer_name: str | None) -> None:
    """Queue the message in the transaction of the confirmation.

    In Portuguese: a bank's request or a job has no language of the merchant.
    """
    if not can_send():
        return
    merchant = work.accounts.find(payment.merchant_id)
    if merchant is None or not merchant.mails_payments or not merchant.email:
        return
    amount = f"R$ {plain(payment.amount_centavos).replace('.', ',')}"
    facts = {
        "Valor": amount,
        "De": payer_name,
        "Pedido": payment.order_id,
        "Descrição": payment.description,
    }
    lines = [f"{name}: {value}" for name, value in facts.items() if value]
    address = f"{current_settings().public_url}/portal/payments/{payment.txid}"
    subject = f"Você recebeu {amount} por Pix"
    if not current_parts().presenter.is_payment_live(payment):
        subject = f"[Teste] {subject}"
        lines.insert(0, "Ambiente de teste: nenhum dinheiro real.")
    body = "\n".join([*lines, "", address, "", _FOOTER])
    write_mail(work, MailKind.PAYMENT_RECEIVED, merchant.email, subject, body)
