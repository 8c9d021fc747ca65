"""Reading BR Codes: checks in a fixed order, each with its own error code.

Lenient reading takes what payers' banks meet in the wild and warns; strict reading takes only what
the manuals allow. Nothing may be paid from a code whose CRC fails, so both refuse that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from core.pix.br_code.location import check_location, check_same_host
from core.pix.br_code.model import GUI, NO_TXID, BrCode, BrCodeError, BrCodeKind, Objects, Tlv
from core.pix.br_code.tlv import CHARACTERS_MAX, crc16, ends_with_crc, read_objects
from core.pix.pix_key import KeyKind, kind_of

_AMOUNT = re.compile(r"[0-9]+(?:\.[0-9]{0,2})?")
_AMOUNT_WITHOUT_REAIS = re.compile(r"\.[0-9]{1,2}")
_AMOUNT_MAX, _NAME_MAX, _CITY_MAX, _TXID_MAX, _ADDITIONAL_INFO_MAX = 13, 25, 15, 25, 72
_POSTAL_CODE_MAX, _POSTAL_CODE_MAX_OF_EMV = 8, 10
_TXID = re.compile(r"[A-Za-z0-9]{1,25}")
_ISPB = re.compile(r"[0-9A-Z]{8}")
_FOUR_DIGITS = re.compile(r"[0-9]{4}")


@dataclass(frozen=True)
class _PixAccount:
    """The Pix template among the merchant accounts, and the recurrence beside it."""

    account_id: str
    gui: str
    key: str | None
    additional_info: str | None
    fss: str | None
    url: str | None
    recurrence_url: str | None

    @property
    def kind(self) -> BrCodeKind:
        """What the code offers; `_account` has refused the other combinations."""
        if self.key is not None:
            return BrCodeKind.COMPOSITE_STATIC if self.recurrence_url else BrCodeKind.STATIC
        if self.url is not None:
            return BrCodeKind.COMPOSITE_DYNAMIC if self.recurrence_url else BrCodeKind.DYNAMIC
        return BrCodeKind.RECURRENCE_ONLY


class _FaultCollector:
    """Collects what lenient reading tolerates; strict reading raises it at once."""

    def __init__(self, strict: bool) -> None:
        self._strict = strict
        self.warnings: list[str] = []

    def tolerate(self, code: str, detail: str) -> None:
        """Add a warning, or raise BrCodeError when reading strictly."""
        if self._strict:
            raise BrCodeError(code, detail)
        self.warnings.append(code)


def decode(text: str, strict: bool = False) -> BrCode:
    """Read a BR Code; surrounding white space is no part of it.

    Raises BrCodeError with the first fault found, and nothing else, for any text of any length.
    """
    code = text.strip()
    try:
        return _decode(code, strict)
    except BrCodeError as error:
        error.is_whole = ends_with_crc(code)
        raise


def _decode(code: str, strict: bool) -> BrCode:
    verdict = _FaultCollector(strict)
    objects = read_objects(code)
    tlv: Tlv = tuple(
        (object_id, read_objects(value) if _is_template(object_id) else value)
        for object_id, value in objects
    )
    crc = _crc(code, objects)
    values = dict(objects)
    templates = {name: dict(value) for name, value in tlv if isinstance(value, tuple)}
    if objects[0] != ("00", "01"):
        raise BrCodeError("payload_format_invalid", "The text does not begin with 000201.")
    initiation = values.get("01")
    if initiation not in (None, "11", "12"):
        raise BrCodeError("poi_invalid", "Object 01 is neither 11 nor 12.")
    account = _account(templates)
    key_type = _key_type(account, verdict)
    _check_account_extras(account)
    mcc, currency = values.get("52", ""), values.get("53", "")
    if not _FOUR_DIGITS.fullmatch(mcc):
        raise BrCodeError("mcc_invalid", "Object 52 is not four digits.")
    if currency != "986":
        raise BrCodeError("currency_invalid", "The currency is not 986, the real.")
    amount = values.get("54")
    amount_centavos = None if amount is None else _centavos(amount, account, verdict)
    country = values.get("58", "")
    if country != "BR":
        raise BrCodeError("country_invalid", "The country is not BR.")
    name = _merchant_text(values.get("59", ""), _NAME_MAX, "name_invalid", verdict)
    city = _merchant_text(values.get("60", ""), _CITY_MAX, "city_invalid", verdict)
    postal_code = values.get("61")
    _check_postal_code(postal_code, verdict)
    txid = _txid(templates.get("62", {}), account, verdict)
    if len(code) > CHARACTERS_MAX:
        raise BrCodeError("too_long", f"The text is over {CHARACTERS_MAX} characters.")
    return BrCode(
        kind=account.kind,
        payload_format="01",
        point_of_initiation=initiation,
        **vars(account),
        key_type=key_type,
        mcc=mcc,
        currency=currency,
        amount=amount,
        country=country,
        merchant_name=name,
        merchant_city=city,
        postal_code=postal_code,
        txid=txid,
        crc=crc,
        tlv=tlv,
        warnings=tuple(verdict.warnings),
        amount_centavos=None if account.key is None else amount_centavos,
    )


def _is_template(object_id: str) -> bool:
    return "26" <= object_id <= "51" or object_id in ("62", "64") or object_id >= "80"


def _crc(code: str, objects: Objects) -> str:
    """Check that the last object is the right CRC, and return it."""
    if not objects or objects[-1][0] != "63" or len(objects[-1][1]) != 4:
        raise BrCodeError("crc_missing", "The last object is not a CRC.")
    crc = objects[-1][1]
    try:
        computed = crc16(code[:-4])
    except UnicodeEncodeError:
        raise BrCodeError("crc_mismatch", "The text has no UTF-8 form to check.") from None
    if not crc.isascii() or crc.upper() != computed:
        raise BrCodeError("crc_mismatch", "The CRC does not match: the text was changed.")
    return crc


def _account(templates: Mapping[str, Mapping[str, str]]) -> _PixAccount:
    """Find the Pix account and check that it holds a key or locations, not both.

    Two Pix accounts are refused, because readers could pay either one.
    """
    pix = [name for name, value in templates.items() if value.get("00", "").lower() == GUI]
    accounts = [name for name in pix if name <= "51"]
    recurrences = [name for name in pix if name >= "80"]
    if not accounts:
        raise BrCodeError("pix_account_missing", "No object 26 to 51 is of br.gov.bcb.pix.")
    if len(accounts) > 1 or len(recurrences) > 1:
        raise BrCodeError("pix_account_invalid", "There are two Pix accounts or recurrences.")
    template = templates[accounts[0]]
    recurrence = templates[recurrences[0]].get("25") if recurrences else None
    key, url = template.get("01"), template.get("25")
    if recurrences and recurrence is None:
        raise BrCodeError("pix_account_invalid", "The recurrence has no location.")
    if key is not None and url is not None:
        raise BrCodeError("pix_account_invalid", "There are both a key and a location.")
    if key is None and url is None and recurrence is None:
        raise BrCodeError("pix_account_invalid", "There is no key, location or recurrence.")
    for location in (url, recurrence):
        if location is not None:
            check_location(location)
    if url is not None and recurrence is not None:
        check_same_host(url, recurrence)
    return _PixAccount(
        account_id=accounts[0],
        gui=template["00"],
        key=key,
        additional_info=template.get("02"),
        fss=template.get("03"),
        url=url,
        recurrence_url=recurrence,
    )


def _key_type(account: _PixAccount, verdict: _FaultCollector) -> KeyKind | None:
    if account.key is None:
        return None
    kind = kind_of(account.key)
    if kind is None:
        verdict.tolerate("key_invalid", "The key has no form that DICT knows.")
    return kind


def _check_account_extras(account: _PixAccount) -> None:
    if len(account.additional_info or "") > _ADDITIONAL_INFO_MAX:
        raise BrCodeError("additional_info_invalid", "Object 26-02 is over 72 characters.")
    if account.fss is not None and not _ISPB.fullmatch(account.fss):
        raise BrCodeError("fss_invalid", "Object 26-03 is not an ISPB of eight characters.")


def _centavos(amount: str, account: _PixAccount, verdict: _FaultCollector) -> int:
    """Object 54 in centavos; checked even in a dynamic code, where payers must ignore it."""
    lacks_reais = _AMOUNT_WITHOUT_REAIS.fullmatch(amount) is not None
    if len(amount) > _AMOUNT_MAX or not (lacks_reais or _AMOUNT.fullmatch(amount)):
        raise BrCodeError("amount_invalid", "Object 54 is not reais with at most two decimals.")
    if lacks_reais:
        verdict.tolerate("amount_invalid", "Object 54 begins with the decimal point.")
    reais, _, decimals = amount.partition(".")
    centavos = int(reais or "0") * 100 + int(decimals.ljust(2, "0"))
    if centavos == 0 and account.fss is None and account.url is None:
        raise BrCodeError("amount_invalid", "The amount is zero.")
    return centavos


def _merchant_text(text: str, characters_max: int, code: str, verdict: _FaultCollector) -> str:
    """A name or city; characters that no screen shows are refused in either mode."""
    if not 1 <= len(text) <= characters_max:
        raise BrCodeError(code, f"The text is absent or over {characters_max} characters.")
    if not text.isprintable():
        raise BrCodeError(code, "The text holds characters that cannot be shown.")
    if not text.isascii():
        verdict.tolerate(code, "The text is not printable ASCII.")
    return text


def _check_postal_code(postal_code: str | None, verdict: _FaultCollector) -> None:
    if postal_code is None or len(postal_code) <= _POSTAL_CODE_MAX:
        return
    if len(postal_code) > _POSTAL_CODE_MAX_OF_EMV:
        raise BrCodeError("postal_code_invalid", "Object 61 is over 10 characters.")
    verdict.tolerate("postal_code_invalid", "Object 61 is over 8 characters.")


def _txid(template: Mapping[str, str], account: _PixAccount, verdict: _FaultCollector) -> str:
    """Object 62-05; meaningless in a dynamic code, whose payload names the txid."""
    txid = template.get("05", "")
    if not 1 <= len(txid) <= _TXID_MAX:
        raise BrCodeError("txid_invalid", "Object 62-05 is absent or over 25 characters.")
    if txid != NO_TXID and (account.key is None or not _TXID.fullmatch(txid)):
        verdict.tolerate("txid_invalid", "Object 62-05 is not allowed in this kind of code.")
    return txid
