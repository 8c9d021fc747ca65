"""The bodies of answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, RootModel

StatusName = Literal["pending", "confirmed", "expired", "cancelled"]


class PublicPayment(BaseModel):
    """A payment as everybody with its link sees it."""

    id: str
    bank_payment_id: str
    status: StatusName
    paid: bool
    value: float
    amount_centavos: int
    currency: Literal["BRL"]
    refunded_value: float
    pix_code: str
    qr_code: str
    qr_code_url: str
    payment_url: str
    watch_code: str
    description: str | None
    order_id: str | None
    created_at: str
    expiration_date: str
    remaining_ms: int
    confirmed_at: str | None
    end_to_end_id: str | None
    refusal: str | None
    sequence: int
    livemode: bool
    """Whether the money is real; false with the simulated bank."""


class ProviderOfPayment(BaseModel):
    """Whose charge a payment is: that of a bank where its merchant has an account."""

    name: str
    """`simulated`, or the name of the bank's profile."""
    account: str | None
    """The id of the merchant's account there; null with the simulated bank."""
    txid: str
    """The txid of the charge at that bank."""
    status: Literal["opening", "open", "refused", "closing", "closed", "paid"]
    """`opening` until the bank has given the code."""


class PaymentObject(PublicPayment):
    """A payment as its merchant sees it."""

    metadata: dict[str, str]
    return_url: str | None
    cancel_url: str | None
    payer: dict[Literal["name", "document"], str | None] | None
    """The payer as the shop sent it, with its document masked."""
    test: dict[Literal["scenario", "pay_after", "late_seconds"], str | int] | None
    """How the simulated bank pays this payment by itself; null if it does not."""
    provider: ProviderOfPayment


class PaymentAnswer(BaseModel):
    """One payment: the merchant's view with its credentials, otherwise the public view."""

    payment: PaymentObject | PublicPayment


class PaymentMessage(BaseModel):
    """A sentence on what was done, and the payment."""

    message: str
    payment: PaymentObject


class RenewalAnswer(PaymentAnswer):
    """A sentence on what was done, and the new payment."""

    message: str


class ConfirmationAnswer(BaseModel):
    """The answer to the bank; `duplicate` if the same notification was accepted before.

    `payment` is null for money without a payment.
    """

    message: str
    payment: PublicPayment | None
    duplicate: bool


class PaymentList(BaseModel):
    """A page of payments; `next` goes into `?after=`."""

    data: list[PaymentObject]
    next: str | None


class StatusAnswer(BaseModel):
    """The status of a payment, to poll."""

    id: str
    status: StatusName
    sequence: int
    remaining_ms: int
    refusal: str | None
    checked_at: str


class CheckAnswer(StatusAnswer):
    """The answer to *Já paguei*: the status, and what became of the question to the bank."""

    inquiry: Literal["answered", "no-answer", "recent", "nobody", "not-needed"]


class PaidReceipt(BaseModel):
    """The public receipt of a confirmed payment; `payer` is masked.

    `paid_at` is when the payer's bank took the money, `confirmed_at` when the service heard of it.
    """

    payment_id: str
    value: float
    amount_centavos: int
    currency: Literal["BRL"]
    payee: str
    payer: str | None
    order_id: str | None
    description: str | None
    paid_at: str | None
    confirmed_at: str | None
    end_to_end_id: str | None
    refunds: list[dict[str, Any]]
    receipt_url: str
    issued_at: str
    livemode: bool


class ReceiptAnswer(BaseModel):
    """The receipt of one payment."""

    receipt: PaidReceipt


class RefundObject(BaseModel):
    """A refund; `processing` until the bank has given a final answer."""

    id: str
    payment_id: str
    return_id: str | None
    value: float
    amount_centavos: int
    status: Literal["processing", "done", "failed"]
    reason: str | None
    by_bank: bool
    """Whether the bank gave the money back without an order of the merchant, such as by MED."""
    nature: str | None
    """Why the bank did (API Pix 2.9.0, `natureza`), such as MED_FRAUDE; null for an order."""
    description: str | None
    requested_at: str
    settled_at: str | None


class RefundsOfPayment(RootModel[list[RefundObject]]):
    """A payment's refunds, oldest first; at most 100."""
