"""The audit log in sentences, for the merchant who did the actions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.audit import KEY, KEY_NAME
from db_models import AuditEntry
from web.pages import translate as _


@dataclass(frozen=True)
class Deed:
    """One action for the page: what was done, by whom, when, and in which request."""

    sentence: str
    subject: str
    at: datetime
    key_name: str | None
    """The API key that did it; None for the person, or for a program with a token."""
    address: str
    request_id: str


def deed_of(entry: AuditEntry) -> Deed:
    """An audit entry for the page."""
    return Deed(
        sentence=sentence_of(entry.action),
        subject=_subject_of(entry),
        at=entry.occurred_at,
        key_name=entry.details.get(KEY_NAME) or entry.details.get(KEY),
        address=entry.address,
        request_id=entry.request_id,
    )


def sentence_of(action: str) -> str:
    """What was done, in the language of the page; an action of a newer version as it is stored."""
    return _sentences().get(action, action)


def _subject_of(entry: AuditEntry) -> str:
    """What it was done to: a key, a till or a payment; nothing for the account itself."""
    for name in ("label", "name"):  # of an API key, of a till
        if isinstance(text := entry.details.get(name), str):
            return text
    return entry.subject if entry.action.startswith(("payment.", "refund.")) else ""


def _sentences() -> dict[str, str]:
    return {
        "account.created": _("Conta criada"),
        "account.disabled": _("Conta desativada"),
        "account.enabled": _("Conta ativada"),
        "account.erased": _("Conta apagada"),
        "session.started": _("Entrada com a senha"),
        "session.refused": _("Tentativa de entrar com a senha errada"),
        "session.ended": _("Sessão encerrada"),
        "sessions.ended": _("Outras sessões encerradas"),
        "password.changed": _("Senha trocada"),
        "password.refused": _("Tentativa de trocar a senha com a senha atual errada"),
        "key.created": _("Chave de API criada"),
        "key.revoked": _("Chave de API revogada"),
        "shop.changed": _("Dados da loja alterados"),
        "logo.changed": _("Logotipo alterado"),
        "pix-key.changed": _("Chave Pix alterada"),
        "receipt.attached": _("Dinheiro sem cobrança ligado a um pedido"),
        "till.opened": _("Caixa aberto"),
        "till.closed": _("Caixa fechado"),
        "mail.changed": _("E-mail da conta alterado"),
        "payment.created": _("Cobrança criada no portal"),
        "payment.cancelled": _("Cobrança cancelada"),
        "payment.renewed": _("Cobrança renovada"),
        "refund.asked": _("Devolução pedida"),
        "proof.verified": _("Comprovante aceito"),
        "proof.rejected": _("Comprovante recusado"),
        "proof.deleted": _("Comprovante apagado"),
        "proofs.cleaned": _("Comprovantes antigos apagados"),
        "payer.erased": _("Dados de um pagador apagados"),
        "signals.seen": _("Avisos marcados como vistos"),
        "signing-key.rotated": _("Chave de assinatura trocada"),
        "wallet.opened": _("Carteira aberta"),
        "payment.paid": _("Pagamento feito"),
        "payment.pin-refused": _("PIN errado"),
    }
