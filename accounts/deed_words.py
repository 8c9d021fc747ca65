"""The audit log's actions as sentences, for merchants and administrators."""

from __future__ import annotations

from web.pages import translate as _


def sentence_of(action: str) -> str:
    """What was done, in the language of the page; an action of a newer version as it is stored."""
    return _sentences().get(action, action)


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
        "oauth-client.created": _("Credencial da API Pix criada"),
        "oauth-client.revoked": _("Credencial da API Pix revogada"),
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
        "signals.seen": _("Alertas marcados como vistos"),
        "signing-key.rotated": _("Chave de assinatura trocada"),
        "webhook.created": _("Webhook criado"),
        "webhook.changed": _("Webhook alterado"),
        "webhook.rotated": _("Segredo de webhook trocado"),
        "webhook.deleted": _("Webhook apagado"),
        "webhook.sent": _("Eventos enviados de novo ao webhook"),
        "wallet.opened": _("Carteira aberta"),
        "payment.paid": _("Pagamento feito"),
        "payment.pin-refused": _("Senha do cartão errada"),
        "provider.added": _("Conta em um banco adicionada"),
        "provider.renewed": _("Credenciais de uma conta em um banco trocadas"),
        "provider.chosen": _("Conta das novas cobranças escolhida"),
        "provider.removed": _("Conta em um banco removida"),
        "provider.registered": _("Endereço dos avisos registrado no banco"),
        "providers.reencrypted": _("Credenciais dos bancos cifradas de novo"),
    }
