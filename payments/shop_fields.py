"""Fields of a new payment that a shop writes for its buyer: addresses to lead to, and the payer."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from config import current_settings
from core.documents import plain_document
from web.bodies import StrictBody

SHOP_COLUMNS = (
    "description",
    "order_id",
    "return_url",
    "cancel_url",
    "payer_name",
    "payer_document",
)
"""The columns that the shop fills, and that a renewal takes from the old payment."""
URL_CHARACTERS_MAX = 500
_PORT = (
    r"(:(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}))?"
)
# A host allows no `@`, so no user and no password. Browsers read `\` as `/`, so it is not allowed.
SHOP_URL = (
    r"^(https:\/\/[A-Za-z0-9]([A-Za-z0-9.\-]*[A-Za-z0-9])?"
    r"|http:\/\/(localhost|127\.0\.0\.1|\[::1\]))"
    rf"{_PORT}([\/?#][!-\[\]-~]*)?$"
)
DOCUMENT = (
    r"^([0-9]{3}\.?[0-9]{3}\.?[0-9]{3}-?[0-9]{2}"
    r"|[0-9A-Z]{2}\.?[0-9A-Z]{3}\.?[0-9A-Z]{3}\/?[0-9A-Z]{4}-?[0-9]{2})$"
)


def _shop_url(value: str) -> str:
    if not re.fullmatch(SHOP_URL[1:-1], value):
        raise ValueError(
            "must be an https address without user and password, in which all but ASCII letters, "
            "digits and punctuation is percent-encoded"
        )
    if value.startswith("http:") and not current_settings().is_development:
        raise ValueError("must begin with https://")
    return value


def _document(value: str) -> str:
    document = plain_document(value) if re.fullmatch(DOCUMENT[1:-1], value) else None
    if document is None:
        raise ValueError("must be a CPF or a CNPJ")
    return document


ShopUrl = Annotated[
    str,
    Field(max_length=URL_CHARACTERS_MAX),
    AfterValidator(_shop_url),
    WithJsonSchema(
        {
            "description": "An https address; in development also http on this computer.",
            "type": "string",
            "maxLength": URL_CHARACTERS_MAX,
            "pattern": SHOP_URL,
        }
    ),
]


class NewPayer(StrictBody):
    """The buyer, as the shop knows them; only the shop reads it."""

    name: (
        Annotated[
            str,
            Field(min_length=1, max_length=140, json_schema_extra={"pattern": r"^[^\u0000]*$"}),
        ]
        | None
    ) = None
    document: (
        Annotated[
            str,
            AfterValidator(_document),
            WithJsonSchema(
                {
                    "description": "CPF or CNPJ with right check digits, with or without dots.",
                    "type": "string",
                    "pattern": DOCUMENT,
                }
            ),
        ]
        | None
    ) = None
