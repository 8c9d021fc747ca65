"""The bank's errors: one class per reason; `title` and `detail` are shown to the payer.

A `title` is Portuguese until it is shown; a `detail` is in the request's language.

BankError
├── CodeRefused                  the code, or the charge behind it, cannot be paid (422)
│   ├── CodeUnreadable           not a BR Code, or a damaged one
│   ├── CodeNotPayableHere       a kind of code that this bank does not pay
│   ├── UnknownParticipant       the location's host belongs to no known bank
│   ├── LocationUnreachable      the receiver's bank did not answer (502)
│   ├── LocationNotFound / LocationGone / LocationRefused
│   ├── PayloadTypeWrong / PayloadTooLarge / PayloadMalformed
│   ├── KeySetRefused            the signer's keys are at an unknown host, or unreadable
│   ├── PayloadSignatureRefused
│   ├── ChargePaid / ChargeRemoved / ChargeExpired / AmountChanged (409)
│   └── OfferNotFound / OfferEnded / OfferTaken / TermsChanged: bank.mandates.errors
├── PinRefused / PinLocked / LoginRefused / CardRefused (403)
├── OverLimit (403) / InsufficientFunds (402)
├── InvalidInput (400) / StalePage (400)
├── UnknownPayer / UnknownTransfer / UnknownRefund / WalletNotFound (404)
├── UnknownMandate (404) / MandateUnchangeable (409): bank.mandates.errors
├── WalletExists (409)
├── RequestKeyReused / RefundKeyReused (409)
├── RefundRefused (409)          RefundTooLarge / RefundTooLate / RefundNotPossible
├── ScanRefused (422)            ScanTooLarge (413)
├── ChaosIsOff (404) / BurstRefused (401) / ApiBroken (503)
├── BankBusy (503)             too many PINs or pictures wait to be checked
└── ServiceSignatureRefused (401)
"""

from __future__ import annotations

from typing import ClassVar

from bank.languages import translate as _
from core.errors import BalcaoError, Busy, InvalidRequest
from core.languages import N_


class BankError(BalcaoError):
    """The root of the bank's errors; `status` is the HTTP status of the response."""

    status: ClassVar[int] = 400


class CodeRefused(BankError):
    """The code does not lead to a charge that this bank may pay; nothing was paid."""

    code = "code-refused"
    title = N_("Este código não pode ser pago")
    status = 422


class CodeUnreadable(CodeRefused):
    """Not a BR Code, or a damaged one; `reason` is the decoder's code (`crc_mismatch`, …)."""

    code = "code-unreadable"
    title = N_("Não conseguimos ler este código")

    def __init__(self, detail: str, reason: str) -> None:
        self.reason = reason
        super().__init__(detail)


class CodeNotPayableHere(CodeRefused):
    """A valid code of a kind that this bank does not pay."""

    code = "code-not-payable-here"
    title = N_("Este banco ainda não paga este tipo de código")


class UnknownParticipant(CodeRefused):
    """The location's host belongs to no bank in `participant_hosts`."""

    code = "unknown-participant"
    title = N_("Não conhecemos o banco deste código")


class LocationUnreachable(CodeRefused):
    """The receiver's bank did not answer."""

    code = "location-unreachable"
    title = N_("O banco de quem recebe não respondeu")
    status = 502


class LocationNotFound(CodeRefused):
    """The receiver's bank has no charge at the location (404)."""

    code = "location-not-found"
    title = N_("Esta cobrança não existe")


class LocationGone(CodeRefused):
    """The charge at the location has ended (410)."""

    code = "location-gone"
    title = N_("Esta cobrança não está mais disponível")


class LocationRefused(CodeRefused):
    """The receiver's bank answered with another status than 200, 404 or 410."""

    code = "location-refused"
    title = N_("O banco de quem recebe não entregou os dados")

    def __init__(self, detail: str, answer_status: int) -> None:
        self.answer_status = answer_status
        super().__init__(detail)


class PayloadTypeWrong(CodeRefused):
    """The answer's content type is not `application/jose`."""

    code = "payload-type-wrong"
    title = N_("A resposta do banco de quem recebe não está assinada")


class PayloadTooLarge(CodeRefused):
    """The answer is larger than a charge may be."""

    code = "payload-too-large"
    title = N_("A resposta do banco de quem recebe é grande demais")


class PayloadMalformed(CodeRefused):
    """A field of the signed payload is missing or malformed."""

    code = "payload-malformed"
    title = N_("Os dados do banco de quem recebe estão incompletos")


class KeySetRefused(CodeRefused):
    """The key set is at a host that no known bank has, or it cannot be read."""

    code = "key-set-refused"
    title = N_("Não foi possível conferir a assinatura do banco de quem recebe")


class PayloadSignatureRefused(CodeRefused):
    """The signature or the certificate of the receiver's bank is not valid."""

    code = "payload-signature-refused"
    title = N_("A assinatura do banco de quem recebe não confere")


class ChargePaid(CodeRefused):
    """The charge is paid."""

    code = "charge-paid"
    title = N_("Esta cobrança já foi paga")
    status = 409


class ChargeRemoved(CodeRefused):
    """The receiver or its bank cancelled the charge."""

    code = "charge-removed"
    title = N_("Esta cobrança foi cancelada")
    status = 409


class ChargeExpired(CodeRefused):
    """The charge's deadline has passed."""

    code = "charge-expired"
    title = N_("O prazo desta cobrança acabou")
    status = 409


class AmountChanged(CodeRefused):
    """The charge asks for another amount than the payer saw."""

    code = "amount-changed"
    title = N_("O valor mudou")
    status = 409


class PinRefused(BankError):
    """The PIN is wrong."""

    code = "pin-refused"
    title = N_("Senha incorreta")
    status = 403


class PinLocked(BankError):
    """Too many wrong PINs."""

    code = "pin-locked"
    title = N_("Senha bloqueada")
    status = 403


class LoginRefused(BankError):
    """Card and PIN do not match; the error does not say whether the card exists."""

    code = "login-refused"
    title = N_("Não foi possível entrar")
    status = 403


class CardRefused(BankError):
    """The card is not the wallet's; the error does not say whether the card exists."""

    code = "card-refused"
    title = N_("Cartão recusado")
    status = 403


class WalletNotFound(BankError):
    """The service's account has no wallet at this bank."""

    code = "wallet-not-found"
    title = N_("Não encontramos esta conta")
    status = 404


class WalletExists(BankError):
    """The service's account has a wallet whose PIN was entered right."""

    code = "wallet-exists"
    title = N_("Esta conta já existe")
    status = 409


class OverLimit(BankError):
    """The amount is above the payer's limit for one payment."""

    code = "over-limit"
    title = N_("Valor acima do seu limite")
    status = 403


class InsufficientFunds(BankError):
    """The account holds less than the amount."""

    code = "insufficient-funds"
    title = N_("Saldo insuficiente")
    status = 402


class InvalidInput(BankError, InvalidRequest):
    """Fields are missing or malformed."""

    code = "invalid-request"
    title = N_("Pedido inválido")


class StalePage(BankError):
    """The form's CSRF token is not the session's."""

    code = "stale-page"
    title = N_("Esta página ficou velha")


class UnknownPayer(BankError):
    """No payer has this handle or card."""

    code = "payer-not-found"
    title = N_("Não encontramos este cliente")
    status = 404


class UnknownTransfer(BankError):
    """No transfer has this identifier."""

    code = "transfer-not-found"
    title = N_("Não encontramos esta transferência")
    status = 404


class UnknownRefund(BankError):
    """No refund has this id."""

    code = "refund-not-found"
    title = N_("Não encontramos esta devolução")
    status = 404


class RefundRefused(BankError):
    """The payment cannot be refunded, or not by this amount."""

    code = "refund-refused"
    title = N_("Esta devolução não pode ser feita")
    status = 409


class RefundTooLarge(RefundRefused):
    """The amount is larger than what is left of the payment."""

    code = "refund-exceeds-payment"


class RefundTooLate(RefundRefused):
    """The payment is older than 90 days."""

    code = "refund-too-late"


class RefundNotPossible(RefundRefused):
    """The service refused the payment, so its money went back already."""

    code = "payment-returned"


class RefundKeyReused(BankError):
    """The refund_id belongs to a different refund."""

    code = "idempotency-conflict"
    title = N_("Este refund_id já é de outra devolução")
    status = 409


class ScanRefused(BankError):
    """The picture holds no Pix code, or several, or it is not a picture."""

    code = "picture-refused"
    title = N_("Não achamos um código Pix")
    status = 422


class ScanTooLarge(ScanRefused):
    """The picture has too many bytes or pixels."""

    code = "picture-too-large"
    title = N_("A imagem é grande demais")
    status = 413


class RequestKeyReused(BankError):
    """The request key belongs to a different payment."""

    code = "idempotency-conflict"
    title = N_("Esta chave já foi usada em outro pagamento")
    status = 409


class ChaosIsOff(BankError):
    """The request needs a bank in development: scenarios and test wallets exist there only."""

    code = "chaos-is-off"
    title = N_("Este banco não faz cenários de teste")
    status = 404


class BurstRefused(BankError):
    """The burst's token is missing, expired, or signed by another bank."""

    code = "burst-refused"
    title = N_("A rajada não está aberta")
    status = 401


class ApiBroken(BankError):
    """The scenario *broken-api* makes this look-up fail."""

    code = "service-unavailable"
    title = N_("O banco está fora do ar por um instante")
    status = 503


class BankBusy(Busy, BankError):
    """Too many PINs or pictures wait to be checked; nothing was done."""

    code = "busy"
    title = N_("Há muita gente no banco agora")
    status = 503

    def __init__(self) -> None:
        super().__init__(_("Nada foi feito. Tente de novo em alguns segundos."))


class ServiceSignatureRefused(BankError):
    """The service's signature of the request is wrong or too old."""

    code = "bad-signature"
    title = N_("A assinatura foi recusada")
    status = 401
