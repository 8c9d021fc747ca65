"""The content of a BR Code, and the error of reading or writing one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.pix.pix_key import KeyKind

GUI = "br.gov.bcb.pix"
NO_TXID = "***"

ERROR_CODES = (
    "tlv_malformed",
    "crc_missing",
    "crc_mismatch",
    "payload_format_invalid",
    "poi_invalid",
    "pix_account_missing",
    "pix_account_invalid",
    "url_invalid",
    "key_invalid",
    "additional_info_invalid",
    "fss_invalid",
    "mcc_invalid",
    "currency_invalid",
    "amount_invalid",
    "country_invalid",
    "name_invalid",
    "city_invalid",
    "postal_code_invalid",
    "txid_invalid",
    "too_long",
)
"""Every code of a BrCodeError, in the order in which a reader checks."""


Objects = tuple[tuple[str, str], ...]
Tlv = tuple[tuple[str, str | Objects], ...]
"""Pairs of id and value in their written order; the value of a template is a tuple of pairs."""


class BrCodeError(Exception):
    """The text is not a valid BR Code, or the values do not fit into one.

    `code` is one of ERROR_CODES, `detail` one sentence for people. `is_whole` says that the text
    ends with its right CRC: nothing is missing, and the maker of the code wrote it wrongly.
    """

    is_whole = False

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}")


class BrCodeKind(StrEnum):
    """The kind of a code, decided by the presence of key, location and recurrence."""

    STATIC = "static"
    DYNAMIC = "dynamic"
    COMPOSITE_STATIC = "composite_static"
    COMPOSITE_DYNAMIC = "composite_dynamic"
    RECURRENCE_ONLY = "composite_recurrence_only"


@dataclass(frozen=True)
class BrCode:
    """One parsed code: values as written in the text, None for absent ones.

    `warnings` holds, in order, the error codes that strict reading would have raised. Show payers
    the names from DICT and the signed payload, never `merchant_name`.
    """

    kind: BrCodeKind
    payload_format: str
    point_of_initiation: str | None
    account_id: str
    gui: str
    key: str | None
    key_type: KeyKind | None
    additional_info: str | None
    fss: str | None
    url: str | None
    mcc: str
    currency: str
    amount: str | None
    country: str
    merchant_name: str
    merchant_city: str
    postal_code: str | None
    txid: str
    recurrence_url: str | None
    crc: str
    tlv: Tlv
    warnings: tuple[str, ...]
    amount_centavos: int | None
    """The amount to pay of a static code; None for a dynamic one, whose payload has the amount."""

    @property
    def is_single_use(self) -> bool:
        """Whether the code may be paid only once."""
        return self.point_of_initiation == "12"
