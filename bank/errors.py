"""What the bank refuses, and why: one type per reason, each with a sentence for the payer's screen.

BankError
├── CodeRefused                  the code, or what it points at, cannot be paid from (422)
│   ├── CodeUnreadable           not a BR Code, or a damaged one
│   ├── CodeNotPayableHere       a kind of code this bank does not pay yet
│   ├── UnknownParticipant       the location's host is no registered bank
│   ├── LocationUnreachable      nobody answered there (502)
│   ├── LocationNotFound / LocationGone / LocationRefused
│   ├── PayloadTypeWrong / PayloadTooLarge / PayloadMalformed
│   ├── KeySetRefused            the signer's keys are elsewhere or unreadable
│   ├── PayloadSignatureRefused
│   └── ChargePaid / ChargeRemoved / ChargeExpired / AmountChanged (409)
├── PinRefused / PinLocked / LoginRefused / CardRefused (403)
├── OverLimit (403) / InsufficientFunds (402)
├── InvalidInput (400) / StalePage (400)
├── UnknownPayer / UnknownTransfer / UnknownRefund / WalletNotFound (404)
├── WalletExists (409)
├── RequestKeyReused / RefundKeyReused (409)
├── RefundRefused (409)          RefundTooLarge / RefundTooLate / RefundNotPossible
├── ScanRefused (422)            ScanTooLarge (413)
├── ChaosIsOff (404) / BurstRefused (401) / ApiBroken (503)
└── ServiceSignatureRefused (401)
"""

from __future__ import annotations

from typing import ClassVar

from core.errors import BalcaoError, InvalidRequest


class BankError(BalcaoError):
    """The root; `status` is the HTTP status that says it, `title` heads the page."""

    status: ClassVar[int] = 400


class CodeRefused(BankError):
    """Nothing was paid: the code does not lead to a charge that this bank may pay."""

    code = "code-refused"
    title = "Este código não pode ser pago"
    status = 422


class CodeUnreadable(CodeRefused):
    """Not a BR Code, or a damaged one; `reason` is the decoder's own word for it."""

    code = "code-unreadable"
    title = "Não conseguimos ler este código"

    def __init__(self, detail: str, reason: str) -> None:
        """Keep the decoder's reason (`crc_mismatch`, …) beside the sentence."""
        self.reason = reason
        super().__init__(detail)


class CodeNotPayableHere(CodeRefused):
    """A good code of a kind this bank does not pay."""

    code = "code-not-payable-here"
    title = "Este banco ainda não paga este tipo de código"


class UnknownParticipant(CodeRefused):
    """The location's host belongs to no bank that this one knows."""

    code = "unknown-participant"
    title = "Não conhecemos o banco deste código"


class LocationUnreachable(CodeRefused):
    """The receiver's bank did not answer."""

    code = "location-unreachable"
    title = "O banco de quem recebe não respondeu"
    status = 502


class LocationNotFound(CodeRefused):
    """No charge is bound to the location."""

    code = "location-not-found"
    title = "Esta cobrança não existe"


class LocationGone(CodeRefused):
    """There was a charge, and it will not come back."""

    code = "location-gone"
    title = "Esta cobrança não está mais disponível"


class LocationRefused(CodeRefused):
    """The receiver's bank answered something that is no charge."""

    code = "location-refused"
    title = "O banco de quem recebe não entregou a cobrança"


class PayloadTypeWrong(CodeRefused):
    """The answer is not `application/jose`."""

    code = "payload-type-wrong"
    title = "A resposta do banco de quem recebe não é uma cobrança assinada"


class PayloadTooLarge(CodeRefused):
    """The answer is larger than a charge may be."""

    code = "payload-too-large"
    title = "A resposta do banco de quem recebe é grande demais"


class PayloadMalformed(CodeRefused):
    """The signed payload lacks something, or holds it in another form."""

    code = "payload-malformed"
    title = "Os dados da cobrança estão incompletos"


class KeySetRefused(CodeRefused):
    """The keys to check the signature with are elsewhere than at a known bank, or unreadable."""

    code = "key-set-refused"
    title = "Não foi possível conferir a assinatura da cobrança"


class PayloadSignatureRefused(CodeRefused):
    """The payload was not signed by the receiver's bank."""

    code = "payload-signature-refused"
    title = "A assinatura da cobrança não confere"


class ChargePaid(CodeRefused):
    """The charge was settled before."""

    code = "charge-paid"
    title = "Esta cobrança já foi paga"
    status = 409


class ChargeRemoved(CodeRefused):
    """The receiver or its bank withdrew the charge."""

    code = "charge-removed"
    title = "Esta cobrança foi cancelada"
    status = 409


class ChargeExpired(CodeRefused):
    """The charge's deadline has passed."""

    code = "charge-expired"
    title = "O prazo desta cobrança acabou"
    status = 409


class AmountChanged(CodeRefused):
    """The charge asks for another amount than the payer saw."""

    code = "amount-changed"
    title = "O valor mudou"
    status = 409


class PinRefused(BankError):
    """The PIN is wrong."""

    code = "pin-refused"
    title = "Senha incorreta"
    status = 403


class PinLocked(BankError):
    """Too many wrong PINs."""

    code = "pin-locked"
    title = "Senha bloqueada"
    status = 403


class LoginRefused(BankError):
    """No payer has this card and PIN."""

    code = "login-refused"
    title = "Não foi possível entrar"
    status = 403


class CardRefused(BankError):
    """The card is another client's, or nobody's: which of both is not said."""

    code = "card-refused"
    title = "Cartão recusado"
    status = 403


class WalletNotFound(BankError):
    """The service's account has no wallet here."""

    code = "wallet-not-found"
    title = "Não encontramos esta conta"
    status = 404


class WalletExists(BankError):
    """The service's account has a wallet whose PIN is in use."""

    code = "wallet-exists"
    title = "Esta conta já existe"
    status = 409


class OverLimit(BankError):
    """More than this payer may pay at once."""

    code = "over-limit"
    title = "Valor acima do seu limite"
    status = 403


class InsufficientFunds(BankError):
    """The account holds less than the amount."""

    code = "insufficient-funds"
    title = "Saldo insuficiente"
    status = 402


class InvalidInput(BankError, InvalidRequest):
    """Fields that are missing or not of their form."""

    code = "invalid-request"
    title = "Pedido inválido"


class StalePage(BankError):
    """The form's token is not this session's."""

    code = "stale-page"
    title = "Esta página ficou velha"


class UnknownPayer(BankError):
    """No payer has this handle."""

    code = "payer-not-found"
    title = "Não encontramos este cliente"
    status = 404


class UnknownTransfer(BankError):
    """No transfer has this identifier."""

    code = "transfer-not-found"
    title = "Não encontramos esta transferência"
    status = 404


class UnknownRefund(BankError):
    """No refund has this id."""

    code = "refund-not-found"
    title = "Não encontramos esta devolução"
    status = 404


class RefundRefused(BankError):
    """The payee may not give this back."""

    code = "refund-refused"
    title = "Esta devolução não pode ser feita"
    status = 409


class RefundTooLarge(RefundRefused):
    """More than is left of the payment."""

    code = "refund-exceeds-payment"


class RefundTooLate(RefundRefused):
    """More than 90 days after the payment."""

    code = "refund-too-late"


class RefundNotPossible(RefundRefused):
    """The payment's money went back already, since it was refused."""

    code = "payment-returned"


class RefundKeyReused(BankError):
    """One refund_id came with two different refunds."""

    code = "idempotency-conflict"
    title = "Este refund_id já é de outra devolução"
    status = 409


class ScanRefused(BankError):
    """Nothing that can be paid was found in a picture, or it is no picture."""

    code = "picture-refused"
    title = "Não achamos um código Pix"
    status = 422


class ScanTooLarge(ScanRefused):
    """Too many bytes or pixels."""

    code = "picture-too-large"
    title = "A imagem é grande demais"
    status = 413


class RequestKeyReused(BankError):
    """One request key came with two different payments."""

    code = "idempotency-conflict"
    title = "Esta chave já foi usada em outro pagamento"
    status = 409


class ChaosIsOff(BankError):
    """Scenarios exist in development only."""

    code = "chaos-is-off"
    title = "Este banco não faz cenários de teste"
    status = 404


class BurstRefused(BankError):
    """The burst's token is missing, too old, or of another bank."""

    code = "burst-refused"
    title = "A rajada não está aberta"
    status = 401


class ApiBroken(BankError):
    """The scenario *broken-api*: this answer fails on purpose."""

    code = "service-unavailable"
    title = "O banco está fora do ar por um instante"
    status = 503


class ServiceSignatureRefused(BankError):
    """The look-up was not signed by the service, or not now."""

    code = "bad-signature"
    title = "A assinatura foi recusada"
    status = 401
