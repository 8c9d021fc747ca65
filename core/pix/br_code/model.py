"""What a BR Code says, and the one way in which reading or writing it fails."""

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
"""Pairs of id and value in the order written; templates hold pairs themselves."""


class BrCodeError(Exception):
    """A text that is no BR Code that may be paid, or values of which none can be made.

    `code` is one of ERROR_CODES, `detail` one sentence for people.
    """

    def __init__(self, code: str, detail: str) -> None:
        """Keep the code, which is stable and for machines, and the sentence."""
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}")


class Kind(StrEnum):
    """What a code offers, by the presence of key, location and recurrence."""

    STATIC = "static"
    DYNAMIC = "dynamic"
    COMPOSITE_STATIC = "composite_static"
    COMPOSITE_DYNAMIC = "composite_dynamic"
    RECURRENCE_ONLY = "composite_recurrence_only"


@dataclass(frozen=True)
class BrCode:
    """One code as read: values as they are written in it, None for what is absent.

    `warnings` holds the codes with which strict reading would have refused, in order.
    Names for the payer come from DICT and the signed payload, never from `merchant_name`.
    """

    kind: Kind
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
    """The amount to pay, of static codes alone: in a dynamic one only the payload binds."""

    @property
    def is_single_use(self) -> bool:
        """Whether the code asks to be paid once only."""
        return self.point_of_initiation == "12"
