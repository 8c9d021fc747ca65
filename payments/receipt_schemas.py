"""The bodies of requests and answers on receipts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from payments.schemas import OrderId, Text140, has_member
from web.bodies import StrictBody


class Attachment(StrictBody):
    """`POST /payments/pix/receipts/<end_to_end_id>/attach`: a payment's id, or an order id."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [has_member("payment_id"), has_member("order_id")]}
    )

    payment_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    order_id: OrderId | None = Field(default=None, validate_default=True)
    description: Text140 | None = None
    """Of the new payment, if the order has no open one."""

    @field_validator("order_id")
    @classmethod
    def _require_target(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("payment_id", "") is None:
            raise PydanticCustomError("missing", "is required")
        return value

    def names(self, txid: str, order_id: str | None) -> bool:
        """Whether this names the payment with this id, or of this order."""
        return txid == self.payment_id if self.payment_id is not None else order_id == self.order_id


class ReceiptObject(BaseModel):
    """Money that arrived: accepted, or refused and returned.

    Money for a static code has no `bank_payment_id`. Its `payment_id` is null until the merchant
    attaches it or gives it back.
    """

    end_to_end_id: str
    bank_payment_id: str | None
    payment_id: str | None
    pix_key: str | None
    reference: str | None
    till: str | None
    value: float
    amount_centavos: int
    paid_at: str
    told_at: str
    payer: dict[str, Any] | None
    verdict: Literal["accepted", "refused"]
    reason: str | None
    misfit: str | None
    """Why money that a real bank keeps fits no payment, such as `amount-mismatch`; else null."""


class OneReceipt(BaseModel):
    """One receipt."""

    receipt: ReceiptObject


class ReceiptList(BaseModel):
    """A page of receipts; `next` goes into `?after=`."""

    data: list[ReceiptObject]
    next: str | None
