"""The requests and answers of the transactions API."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from blueprints.transactions.presenter import State
from payments.answers import RefundObject, StatusName
from payments.schemas import Centavos, OrderId, Text140
from web.bodies import StrictBody
from web.page_query import PageQuery


class NewTransaction(StrictBody):
    """`POST /transactions/`."""

    amount: Centavos
    description: Text140 | None = None
    order_id: OrderId | None = None


class StartedPayment(StrictBody):
    """`POST /api/start_payment`."""

    amount: Centavos
    description: Text140 | None = None


class StatusChange(StrictBody):
    """`PUT /transactions/<id>`: only `cancelled` and `refunded` can be set."""

    status: str
    """Any other status is a conflict (409), whether it exists or not."""


class TransactionPath(BaseModel):
    """The path of a transaction."""

    transaction_id: str = Field(
        description="The payment's id: 32 hex digits.",
        json_schema_extra={
            "pattern": "^[0-9a-f]{32}$"
        },  # documented, not checked: another id gets 404
    )


class WatchPath(BaseModel):
    """The path of a watched payment."""

    watch_code: str = Field(
        description="The payment's watch code: 32 hex digits.",
        json_schema_extra={"pattern": "^[0-9a-f]{32}$"},
    )


class TransactionQuery(PageQuery):
    """The filter of the merchant's transactions."""

    state: State | None = None


class TransactionObject(BaseModel):
    """A payment as a transaction."""

    id: str
    transaction_id: str
    code: str
    amount: float
    amount_centavos: int
    currency: Literal["BRL"]
    status: State
    state: State
    payment_status: StatusName
    description: str | None
    order_id: str | None
    created_at: str
    expires_at: str
    completed_at: str | None
    refunded_amount: float
    pix_code: str
    payment_url: str
    pay_url: str
    qr_code_url: str
    watch_code: str
    watch_url: str
    sequence: int


class TransactionDetail(TransactionObject):
    """A transaction with its newest refund."""

    refund: RefundObject | None


class TransactionList(BaseModel):
    """A page of transactions; `next` goes into `?after=`."""

    data: list[TransactionObject]
    next: str | None


class WatchAnswer(BaseModel):
    """A payment's state."""

    state: State
    status: StatusName
    sequence: int
    amount: float
    amount_centavos: int
    currency: Literal["BRL"]
    expires_at: str
    remaining_ms: int
    completed_at: str | None
    checked_at: str
