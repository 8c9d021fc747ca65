"""The requests and answers of recovery's API."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from blueprints.recovery.reading import TEXT_MAX
from payments.schemas import Centavos, OrderId
from web.bodies import StrictBody
from web.page_query import PageQuery, QueryText

SessionStatus = Literal["pending", "completed", "failed", "expired"]
ProofVerdict = Literal["pending", "verified", "rejected"]
NAME_MAX = 64
NUMBER_MAX = 2**53
"""The largest integer that every JSON reader keeps exactly."""


def _text_of_number(value: Any) -> Any:
    """The described system numbers its orders and customers: 123 is the order "123"."""
    # Check the size first, because int(1e999999) never ends. JSON Schema takes 123.0 as an integer.
    if isinstance(value, Decimal) and value.adjusted() < 16 and value == value.to_integral_value():
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number and 0 <= value <= NUMBER_MAX else value


def _text_or_number_schema(pattern: str | None = None) -> WithJsonSchema:
    text: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": NAME_MAX}
    if pattern is not None:
        text["pattern"] = pattern
    return WithJsonSchema(
        {"anyOf": [text, {"type": "integer", "minimum": 0, "maximum": NUMBER_MAX}]}
    )


_PATTERN = r"^[^ \t\r\n\u00a0]([\s\S]*[^ \t\r\n\u00a0])?$"
NumberedOrderId = Annotated[
    OrderId, BeforeValidator(_text_of_number), _text_or_number_schema(_PATTERN)
]
CustomerId = Annotated[
    str,
    Field(min_length=1, max_length=NAME_MAX),
    BeforeValidator(_text_of_number),
    _text_or_number_schema(),
]


class QrData(StrictBody):
    """`POST /api/payment/verify-qr` and `/recover-from-qr`."""

    qr_data: Annotated[str, Field(min_length=1, max_length=TEXT_MAX)]
    """The QR's text, or another text that names a payment, such as its URL or id."""


class PictureForm(BaseModel):
    """`POST /api/payment/upload-screenshot-with-qr`, as a form."""

    model_config = ConfigDict(extra="forbid")

    file: Annotated[str, Field(json_schema_extra={"format": "binary"})]
    qr_data: Annotated[str, Field(max_length=TEXT_MAX)] | None = None


class NextStep(BaseModel):
    """The payer's next step."""

    name: Literal["receipt", "pay", "renew", "open"]
    label: str
    method: Literal["GET", "POST"]
    url: str


class RecoveryAnswer(BaseModel):
    """The state of the payment, and the next step."""

    success: bool
    message: str
    title: str
    state: Literal[
        "paid", "waiting", "expired", "refused", "cancelled", "paid-elsewhere", "replaced"
    ]
    status: SessionStatus
    settled_now: bool
    action: NextStep
    kind: str
    session_id: str
    payment_id: str
    transaction_id: str
    bill_number: str
    order_id: str | None
    payee: str
    amount: float
    value: float
    amount_centavos: int
    currency: Literal["BRL"]
    refunded_value: float
    created_at: str
    expires_at: str
    remaining_ms: int
    completed_at: str | None
    reference_id: str | None
    refused_at: str | None
    payment_url: str
    receipt_url: str | None


class NewSession(StrictBody):
    """`POST /api/payment/create-session`."""

    order_id: NumberedOrderId
    amount: Centavos
    currency: Literal["BRL"] = "BRL"
    customer_id: CustomerId | None = None


class SessionObject(BaseModel):
    """A payment as a session."""

    session_id: str
    payment_id: str
    transaction_id: str
    order_id: str | None
    customer_id: str | None
    amount: float
    amount_centavos: int
    currency: Literal["BRL"]
    qr_data: str
    khqr_data: str | None
    md5_hash: str
    bill_number: str
    reference_id: str | None
    status: SessionStatus
    created_at: str
    expires_at: str
    completed_at: str | None
    payment_screenshot_path: str | None
    screenshot_uploaded_at: str | None
    payment_verification_status: ProofVerdict | None
    notes: str | None
    qr_code_url: str
    payment_url: str


class SessionCreated(SessionObject):
    """A new session."""

    success: bool
    message: str


class SessionQuery(PageQuery):
    """The filter of the merchant's sessions."""

    status: SessionStatus | None = None
    order_id: QueryText | None = None


class SessionList(BaseModel):
    """A page of sessions, newest first."""

    data: list[SessionObject]
    next: str | None


class ProofForm(BaseModel):
    """`POST /api/payment/upload-screenshot`, as a form."""

    model_config = ConfigDict(extra="forbid")

    file: Annotated[str, Field(json_schema_extra={"format": "binary"})]
    session_id: Annotated[str, Field(json_schema_extra={"pattern": "^[0-9a-f]{32}$"})]


class ProofAnswer(BaseModel):
    """A proof that is stored for the merchant."""

    success: bool
    message: str
    session_id: str
    payment_id: str
    transaction_id: str
    status: SessionStatus
    payment_verification_status: ProofVerdict
    screenshot_uploaded_at: str
    width: int
    height: int


class CleanupAnswer(BaseModel):
    """How many pictures were deleted."""

    success: bool
    message: str
    deleted: int
