"""How a payment stands, in words: one place for page, tab, portal, receipt and recovery."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import AmountMismatch, PaidTooLate, PaymentCancelled
from db_models import Payment
from payments.at_bank.drafts import awaits_code, had_no_code
from payments.standing import Action, PaymentState, State
from web.page_patterns import PageView
from web.pages import brl
from web.pages import translate as _
from web.zones import plain_when


@dataclass(frozen=True)
class StandingWords(PageView):
    """One state in words, in the request's language.

    `line` is the live line of the payment page, `title` a heading, `body` one to three sentences.
    """

    line: str
    title: str
    body: str


def words_of(payment_state: PaymentState) -> StandingWords:
    """The words for a payment's state."""
    match payment_state.state:
        case State.PAID | State.PART_REFUNDED | State.REFUNDED:
            return _paid(payment_state)
        case State.WAITING if awaits_code(payment_state.payment):
            return StandingWords(
                _("Gerando o código"),
                _("Estamos gerando o código Pix"),
                _(
                    "Esperamos a resposta do banco da loja. Costuma levar alguns segundos; esta "
                    "página se atualiza sozinha."
                ),
            )
        case State.WAITING:
            return StandingWords(
                _("Aguardando pagamento"),
                _("Este pagamento espera por você"),
                _("O banco ainda não avisou de um pagamento. Abra a página e pague até o prazo."),
            )
        case State.EXPIRED:
            return StandingWords(
                _("Prazo encerrado"),
                _("O prazo deste código acabou"),
                _(
                    "Nada foi cobrado até agora. Se você já pagou, não pague de novo: "
                    "conferimos e avisamos aqui."
                ),
            )
        case State.REFUSED:
            return _refused(payment_state)
        case State.CANCELLED if had_no_code(payment_state.payment):
            return StandingWords(
                _("Cancelado"),
                _("Este pagamento foi cancelado"),
                _("Ele não chegou a ter um código, e nada foi cobrado. Volte à loja."),
            )
        case State.CANCELLED:
            return StandingWords(
                _("Cancelado"),
                _("A loja cancelou este pagamento"),
                _("Se você pagou, o valor volta para a sua conta."),
            )
        case State.PAID_ELSEWHERE:
            return StandingWords(
                _("Código encerrado"),
                _("Este pedido já foi pago com outro código"),
                _(
                    "Não pague este código. Se você pagou os dois, o valor repetido volta para "
                    "a sua conta."
                ),
            )
        case State.REPLACED:
            return StandingWords(
                _("Código encerrado"),
                _("A loja gerou outro código para este pedido"),
                _("Não pague este. Peça o código novo à loja."),
            )


def label_of(mark: str) -> str:
    """The translated label of a mark."""
    return {
        "pending": _("Aguardando"),
        "confirmed": _("Pago"),
        "expired": _("Expirado"),
        "cancelled": _("Cancelado"),
        "refunded": _("Devolvido"),
        "part-refunded": _("Devolvido em parte"),
        "refused": _("Valor recusado"),
    }[mark]


def paid_line(payment: Payment) -> str:
    """`Pago`, `Pago · R$ 40,00 devolvidos`, or `Devolvido`."""
    refunded = payment.refunded_centavos
    if refunded == 0:
        return _("Pago")
    if refunded >= payment.amount_centavos:
        return _("Devolvido")
    return _("Pago · %(amount)s devolvidos") % {"amount": brl(refunded)}


def _paid(payment_state: PaymentState) -> StandingWords:
    payment, state = payment_state.payment, payment_state.state
    line = paid_line(payment)
    if state is State.PAID:
        body = _pending_refund(payment) or _("O banco confirmou. O recibo tem todos os dados.")
        return StandingWords(line, _("Pagamento confirmado"), body)
    body = " ".join(part for part in (_refund(payment_state), _pending_refund(payment)) if part)
    if state is State.REFUNDED:
        return StandingWords(line, _("Valor devolvido"), body)
    return StandingWords(line, _("Pagamento confirmado"), body)


def _refund(payment_state: PaymentState) -> str:
    words = {"amount": brl(payment_state.payment.refunded_centavos)}
    if payment_state.refunded_at is None:
        return _("A loja devolveu %(amount)s.") % words
    words["when"] = plain_when(payment_state.refunded_at)
    return _("A loja devolveu %(amount)s: o valor voltou para a sua conta (%(when)s).") % words


def _pending_refund(payment: Payment) -> str:
    if payment.refunding_centavos == 0:
        return ""
    amount = brl(payment.refunding_centavos)
    return _("Devolução em andamento: %(amount)s.") % {"amount": amount}


def _refused(payment_state: PaymentState) -> StandingWords:
    title = {
        PaidTooLate.code: _("Recebemos depois do prazo e o valor está voltando"),
        AmountMismatch.code: _("O valor pago não confere e está voltando"),
        PaymentCancelled.code: _("A loja cancelou este pagamento e o valor está voltando"),
    }.get(payment_state.refusal or "", _("O dinheiro que chegou está voltando"))
    back = _("O banco o devolve para a conta de onde saiu, e costuma levar poucos minutos.")
    then = {
        Action.PAY: _("Este código ainda pode ser pago com o valor certo."),
        Action.RENEW: _("Não pague este código de novo. Gere um novo."),
    }.get(payment_state.action, _("Não pague este código de novo."))
    return StandingWords(_("Valor a caminho de volta"), title, f"{back} {then}")


def not_yet(*, can_ask: bool) -> str:
    """What *Já paguei* answers while no money has come; `can_ask` says whether a bank is asked."""
    if can_ask:
        return _("Ainda não chegou, costuma levar menos de 10 s.")
    return _("Avisaremos aqui assim que o banco confirmar.")


def no_answer() -> str:
    """What *Já paguei* answers where the bank was asked and did not answer."""
    return _("Não conseguimos conferir agora; continuamos tentando.")
