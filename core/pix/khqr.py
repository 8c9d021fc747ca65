"""KHQR: the text inside a QR of Bakong, Cambodia's instant payments; read, never written.

Rules are those of the KHQR Content Guideline 1.4 and of the National Bank of Cambodia's package
bakong-khqr 1.0.20. The grammar is EMV's, as in a BR Code: lengths count characters, the CRC runs
over the UTF-8 bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from core.pix.br_code import BrCodeError, Tlv, crc16
from core.pix.br_code.tlv import read_objects

RIEL, DOLLAR = "116", "840"

KHQR_ERROR_CODES = (
    "tlv_malformed",
    "crc_missing",
    "crc_mismatch",
    "payload_format_invalid",
    "poi_invalid",
    "account_missing",
    "account_invalid",
    "mcc_invalid",
    "currency_invalid",
    "amount_invalid",
    "country_invalid",
    "name_invalid",
    "city_invalid",
    "bill_number_label_invalid",
    "mobile_number_label_invalid",
    "store_label_invalid",
    "terminal_label_invalid",
    "purpose_label_invalid",
    "language_label_invalid",
    "timestamp_missing",
    "timestamp_invalid",
)
"""Every code of a KhqrError, in the order in which the text is checked."""

_TEMPLATES = ("29", "30", "62", "64", "99")
_INDIVIDUAL, _MERCHANT = "29", "30"
_ACCOUNT_PART_MAX, _LABEL_MAX, _NAME_MAX, _CITY_MAX, _AMOUNT_MAX = 32, 25, 25, 15, 13
_UNION_PAY_MAX = 99
_BAKONG_ID = re.compile(r"[^\s@]+@[^\s@]+")
_FOUR_DIGITS = re.compile(r"[0-9]{4}")
_AMOUNT_OF = {RIEL: re.compile(r"[0-9]+"), DOLLAR: re.compile(r"[0-9]+(?:\.[0-9]{0,2})?")}
_INSTANT = re.compile(r"[0-9]{13}")
_LABELS = (
    ("01", "bill_number"),
    ("02", "mobile_number"),
    ("03", "store_label"),
    ("07", "terminal_label"),
    ("08", "purpose"),
)


class KhqrError(Exception):
    """The text is not a valid KHQR: `code` is one of KHQR_ERROR_CODES, `detail` is for people."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}")


@dataclass(frozen=True)
class Khqr:
    """One parsed code: values as written in the text, None for absent ones.

    Instants are Unix milliseconds. The caller checks the expiry: a payer refuses the code after
    `expires_at_ms`. Bakong looks payments up by `md5`.
    """

    payload_format: str
    point_of_initiation: str | None
    merchant_type: Literal["individual", "merchant"]
    bakong_account_id: str
    account_information: str | None
    merchant_id: str | None
    acquiring_bank: str | None
    union_pay: str | None
    mcc: str
    currency: str
    amount: str | None
    country: str
    merchant_name: str
    merchant_city: str
    bill_number: str | None
    mobile_number: str | None
    store_label: str | None
    terminal_label: str | None
    purpose: str | None
    language: str | None
    alternate_name: str | None
    alternate_city: str | None
    created_at_ms: int | None
    expires_at_ms: int | None
    crc: str
    md5: str
    tlv: Tlv


def md5_of(text: str) -> str:
    """The hex MD5 of a whole text, by which Bakong and similar systems look a payment up.

    It identifies the text and protects nothing. Raises UnicodeEncodeError for text without a UTF-8
    form.
    """
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def decode_khqr(text: str) -> Khqr:
    """Read a KHQR; surrounding white space is no part of it.

    Raises KhqrError with the first fault found, and nothing else, for any text of any length.
    """
    code = text.strip()
    try:
        objects = read_objects(code)
        tlv: Tlv = tuple(
            (name, read_objects(value) if name in _TEMPLATES else value) for name, value in objects
        )
    except BrCodeError as malformed:
        raise KhqrError(malformed.code, malformed.detail) from None
    crc = _crc(code, objects)
    values = dict(objects)
    templates = {name: dict(value) for name, value in tlv if isinstance(value, tuple)}
    if objects[0] != ("00", "01"):
        raise KhqrError("payload_format_invalid", "The text does not begin with 000201.")
    initiation = values.get("01")
    if initiation not in (None, "11", "12"):
        raise KhqrError("poi_invalid", "Object 01 is neither 11 nor 12.")
    merchant_type, account = _account(templates)
    if len(values.get("15", "")) > _UNION_PAY_MAX:
        raise KhqrError("account_invalid", "Object 15 is over 99 characters.")
    mcc = values.get("52", "")
    if not _FOUR_DIGITS.fullmatch(mcc):
        raise KhqrError("mcc_invalid", "Object 52 is not four digits.")
    currency, amount = _money(values)
    if values.get("58") != "KH":
        raise KhqrError("country_invalid", "The country is not KH.")
    labels = _labels(templates.get("62", {}))
    language = _language(templates.get("64"))
    created_at_ms, expires_at_ms = _instants(templates.get("99"), amount)
    return Khqr(
        payload_format="01",
        point_of_initiation=initiation,
        merchant_type=merchant_type,
        bakong_account_id=account["00"],
        account_information=account.get("01") if merchant_type == "individual" else None,
        merchant_id=account.get("01") if merchant_type == "merchant" else None,
        acquiring_bank=account.get("02"),
        union_pay=values.get("15"),
        mcc=mcc,
        currency=currency,
        amount=amount,
        country="KH",
        merchant_name=_short(values.get("59"), _NAME_MAX, "name_invalid"),
        merchant_city=_short(values.get("60"), _CITY_MAX, "city_invalid"),
        **labels,
        **language,
        created_at_ms=created_at_ms,
        expires_at_ms=expires_at_ms,
        crc=crc,
        md5=md5_of(code),
        tlv=tlv,
    )


def _crc(code: str, objects: tuple[tuple[str, str], ...]) -> str:
    if not objects or objects[-1][0] != "63" or len(objects[-1][1]) != 4:
        raise KhqrError("crc_missing", "The last object is not a CRC.")
    crc = objects[-1][1]
    try:
        computed = crc16(code[:-4])
    except UnicodeEncodeError:
        raise KhqrError("crc_mismatch", "The text has no UTF-8 form to check.") from None
    if not crc.isascii() or crc.upper() != computed:
        raise KhqrError("crc_mismatch", "The CRC does not match: the text was changed.")
    return crc


def _account(
    templates: Mapping[str, Mapping[str, str]],
) -> tuple[Literal["individual", "merchant"], Mapping[str, str]]:
    """The account in object 29 or 30. Both at once are refused: readers could pay either one."""
    individual, merchant = templates.get(_INDIVIDUAL), templates.get(_MERCHANT)
    if individual is not None and merchant is not None:
        raise KhqrError("account_invalid", "There are both an individual and a merchant.")
    account = merchant if individual is None else individual
    if account is None:
        raise KhqrError("account_missing", "There is neither object 29 nor 30.")
    if not _BAKONG_ID.fullmatch(account.get("00", "")):
        raise KhqrError("account_invalid", "The Bakong id is not of the form name@bank.")
    if any(len(account.get(part, "")) > _ACCOUNT_PART_MAX for part in ("00", "01", "02")):
        raise KhqrError("account_invalid", "A part of the account is over 32 characters.")
    return "merchant" if individual is None else "individual", account


def _money(values: Mapping[str, str]) -> tuple[str, str | None]:
    """Currency and amount as written; an amount of zero means that the payer types it."""
    currency, amount = values.get("53", ""), values.get("54")
    if currency not in _AMOUNT_OF:
        raise KhqrError("currency_invalid", "The currency is neither 116 (riel) nor 840 (dollar).")
    if amount is not None and (
        len(amount) > _AMOUNT_MAX or not _AMOUNT_OF[currency].fullmatch(amount)
    ):
        raise KhqrError("amount_invalid", "Object 54 is not an amount in this currency.")
    return currency, amount


def _short(text: str | None, characters_max: int, code: str) -> str:
    if text is None or len(text) > characters_max or not text.isprintable():
        raise KhqrError(code, f"The text is absent or over {characters_max} characters.")
    return text


def _labels(template: Mapping[str, str]) -> dict[str, str | None]:
    labels: dict[str, str | None] = {}
    for name, field in _LABELS:
        value = template.get(name)
        if len(value or "") > _LABEL_MAX:
            code = f"{field.removesuffix('_label')}_label_invalid"
            raise KhqrError(code, f"Object 62-{name} is over {_LABEL_MAX} characters.")
        labels[field] = value
    return labels


def _language(template: Mapping[str, str] | None) -> dict[str, str | None]:
    """Language, name and city in another script; only the city may be absent."""
    if template is None:
        return {"language": None, "alternate_name": None, "alternate_city": None}
    language, name, city = (template.get(part) for part in ("00", "01", "02"))
    if (
        len(language or "") != 2
        or not 1 <= len(name or "") <= _NAME_MAX
        or len(city or "") > _CITY_MAX
    ):
        raise KhqrError("language_label_invalid", "Object 64 lacks its language or its name.")
    return {"language": language, "alternate_name": name, "alternate_city": city}


def _instants(
    template: Mapping[str, str] | None, amount: str | None
) -> tuple[int | None, int | None]:
    """Creation and expiry in Unix milliseconds; codes before guideline 1.4 have creation alone."""
    if template is None:
        if amount is not None and amount.strip("0."):
            raise KhqrError("timestamp_missing", "A code with an amount needs its creation time.")
        return None, None
    created, expires = template.get("00"), template.get("01")
    if created is None:
        raise KhqrError("timestamp_missing", "Object 99 lacks the creation time.")
    if any(text is not None and not _INSTANT.fullmatch(text) for text in (created, expires)):
        raise KhqrError("timestamp_invalid", "An instant of object 99 is not 13 digits.")
    if expires is not None and int(expires) < int(created):
        raise KhqrError("timestamp_invalid", "The code expires before it was made.")
    return int(created), None if expires is None else int(expires)
