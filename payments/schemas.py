"""The bodies of requests."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from core.clock import parse_rfc3339
from core.errors import InvalidMoney
from core.money import centavos_from, plain
from payments.robot_fields import PaymentTest, whole_number
from payments.shop_fields import NewPayer, ShopUrl
from providers import fields as bank_fields
from providers.port import BankMoney
from web.bodies import StrictBody

EXPIRES_IN_MIN, EXPIRES_IN_MAX = 10, 2_592_000
METADATA_KEYS_MAX = 20

MONEY_TEXT = r"^(0\.0[1-9]|0\.[1-9][0-9]?|[1-9][0-9]{0,9}(\.[0-9]{1,2})?)$"
"""How to write an amount. Exponents such as 1e2 are accepted too if they give whole centavos."""

# MySQL compares `a ` and `a` as equal, so an order id may not begin or end with a space.
_WITHOUT_EDGES = r"^[^\u0000 \t\r\n\u00a0]([^\u0000]*[^\u0000 \t\r\n\u00a0])?$"


def _money(value: object) -> int:
    try:
        return centavos_from(value)
    except InvalidMoney as error:
        raise ValueError(error.detail) from None


def _instant(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("must be an RFC 3339 time with an offset")
    return parse_rfc3339(value)


def _trimmed(value: object) -> object:
    return bank_fields.storable(value) if isinstance(value, str) else value


def _trimmed_or_none(value: object) -> object:
    return _trimmed(value) or None if isinstance(value, str) else value


def has_member(name: str) -> dict[str, Any]:
    """The JSON Schema of an object with this member, not null."""
    return {"required": [name], "properties": {name: {"type": "string", "minLength": 1}}}


def _object_or_none(value: object) -> object:
    return value if isinstance(value, dict) else None


def _lenient(description: str) -> WithJsonSchema:
    """The schema of a bank's optional field: every value is accepted."""
    return WithJsonSchema({"description": f"{description} Anything else counts as not given."})


def _without_edges(value: str) -> str:
    if not re.fullmatch(_WITHOUT_EDGES[1:-1], value):
        raise ValueError("must not be blank, nor begin or end with a space")
    return value


Centavos = Annotated[
    int,
    BeforeValidator(_money),
    WithJsonSchema(
        {
            "description": "Reais with at most two decimals, as a number or a string.",
            "examples": [100, 54.9, "54.90"],
            "anyOf": [
                {
                    "type": "number",
                    "minimum": 0.01,
                    "maximum": 9999999999.99,
                    "multipleOf": 0.01,
                },
                {
                    "type": "string",
                    "pattern": MONEY_TEXT,
                },
            ],
        }
    ),
]
Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
# `web.bodies` refuses NUL characters; this pattern documents that for fields of free text.
_NO_NUL = {"pattern": r"^[^\u0000]*$"}
Text140 = Annotated[str, Field(max_length=140, json_schema_extra=_NO_NUL)]
OrderId = Annotated[
    str,
    Field(min_length=1, max_length=64),
    AfterValidator(_without_edges),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 64, "pattern": _WITHOUT_EDGES}),
]


class NewPayment(StrictBody):
    """`POST /payments/pix`."""

    value: Centavos
    description: Text140 | None = None
    order_id: OrderId | None = None
    expires_in: (
        Annotated[int, Field(ge=EXPIRES_IN_MIN, le=EXPIRES_IN_MAX), BeforeValidator(whole_number)]
        | None
    ) = None
    """Seconds until the deadline. Default: the setting PAYMENT_TTL_SECONDS."""
    metadata: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=64)],
            Annotated[str, Field(max_length=500, json_schema_extra=_NO_NUL)],
        ],
        Field(max_length=METADATA_KEYS_MAX),
    ] = Field(default_factory=dict)
    return_url: ShopUrl | None = None
    """Where the page leads once the payment is confirmed."""
    cancel_url: ShopUrl | None = None
    """Where the page leads once the payment cannot be paid any more."""
    payer: NewPayer | None = None
    test: PaymentTest | None = None
    """In test mode: the simulated bank pays this payment by itself."""

    @property
    def payer_name(self) -> str | None:
        """The name of the payer, if the shop sent one."""
        return self.payer.name if self.payer else None

    @property
    def payer_document(self) -> str | None:
        """The payer's CPF or CNPJ, if the shop sent one."""
        return self.payer.document if self.payer else None

    @property
    def robot_terms(self) -> dict[str, Any] | None:
        """How the bank's robot payer shall pay, as stored; None if it shall not."""
        return self.test.columns() if self.test else None

    @classmethod
    def of(cls, value_centavos: int, **fields: Any) -> Self:
        """Build a NewPayment from centavos and other fields of this class.

        Raises pydantic.ValidationError.
        """
        return cls.model_validate({"value": plain(value_centavos), **fields})


class BankBody(BaseModel):
    """What a bank sends: unknown fields are left out, and null means not given."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)


class Payer(BankBody):
    """The payer, as reported by the bank."""

    name: Annotated[str | None, BeforeValidator(bank_fields.payer_name)] = None
    document: Annotated[str | None, BeforeValidator(bank_fields.payer_document)] = None
    """CPF (11 digits), CNPJ (14 characters, letters allowed since July 2026), or a masked CPF."""


class Confirmation(BankBody):
    """`POST /payments/pix/confirmation`: the bank's report of money that arrived.

    `bank_payment_id` names the payment. Money for a static code has no payment: then `pix_key`
    names the payee, and `reference` is the txid in the code, if the code has one. Only one of the
    two and `value` are needed. What cannot be read in other fields is left out.
    """

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [has_member("bank_payment_id"), has_member("pix_key")]}
    )

    pix_key: Annotated[
        str | None,
        BeforeValidator(bank_fields.pix_key),
        _lenient("The payee's Pix key."),
    ] = None
    reference: Annotated[
        str | None,
        BeforeValidator(bank_fields.reference),
        _lenient("The txid in a static code: 1 to 25 letters and digits."),
    ] = None
    bank_payment_id: Annotated[
        Annotated[str, Field(min_length=1, max_length=64)] | None,
        BeforeValidator(_trimmed_or_none),
    ] = Field(default=None, validate_default=True)
    value: Annotated[Centavos, BeforeValidator(_trimmed)]
    end_to_end_id: Annotated[
        str | None,
        BeforeValidator(bank_fields.transfer_id),
        _lenient("E + ISPB + UTC minute + 11 characters (API Pix 2.9.0), or another unique id."),
    ] = None
    paid_at: Annotated[
        datetime | None,
        BeforeValidator(bank_fields.bank_instant),
        _lenient("When the bank took the money: ISO 8601 with an offset."),
    ] = None
    payer: Annotated[
        Payer | None,
        BeforeValidator(_object_or_none),
        _lenient("An object with `name` and `document` (CPF or CNPJ)."),
    ] = None
    payer_message: Annotated[
        str | None,
        BeforeValidator(bank_fields.payer_message),
        _lenient("What the payer wrote to the payee: at most 140 characters."),
    ] = None

    @field_validator("bank_payment_id")
    @classmethod
    def _require_target(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("pix_key") is None:
            raise PydanticCustomError("missing", "is required")
        return value

    @property
    def target(self) -> tuple[str | None, str | None]:
        """The payment's id, else the payee's key: what a repeated notification must repeat."""
        if self.bank_payment_id is not None:
            return self.bank_payment_id, None
        return None, self.pix_key

    @classmethod
    def of_money(cls, money: BankMoney) -> Confirmation:
        """The report of this money, which the provider has read and checked already."""
        return cls.model_construct(
            pix_key=money.pix_key,
            reference=money.reference,
            bank_payment_id=money.txid,
            value=money.amount_centavos,
            end_to_end_id=money.end_to_end_id,
            paid_at=money.paid_at,
            payer=Payer.model_construct(name=money.payer_name, document=money.payer_document),
            payer_message=money.payer_message,
        )


class NewRefund(StrictBody):
    """`POST /payments/pix/<id>/refunds`."""

    value: Centavos | None = None
    """Default: everything that is left of the payment."""
    refund_id: (
        Annotated[str, Field(min_length=1, max_length=35, pattern=r"^[a-zA-Z0-9]+$")] | None
    ) = None
    """The merchant's id of the refund, unique within the payment (API Pix 2.9.0, devolução)."""
    description: Text140 | None = None
