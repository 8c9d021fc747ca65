"""Read the identifiers of a payment in a text that was scanned, pasted or typed.

Line breaks, added spaces, a missing end, a wrong checksum and changed case do not hide an
identifier that is complete. Tokens and ids are copied exactly and never repaired, so that a damaged
one cannot find another payment. Nothing is looked up here, and nothing is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from blueprints.recovery.reading.described import read_described
from blueprints.recovery.reading.foreign import name_foreign
from blueprints.recovery.reading.kinds import Kind, Reading
from blueprints.recovery.reading.ours import (
    addresses_in,
    location_token,
    own_address,
    surviving_token,
)
from core.errors import InvalidRequest
from core.ids import END_TO_END_ID
from core.pix import br_code
from core.pix.br_code import BrCode, BrCodeError
from core.pix.br_code.pasted import parts_with_code, repairs
from core.pix.br_code.tlv import read_objects
from core.pix.khqr import Khqr, KhqrError, decode_khqr
from core.typed import clean, identifier

TEXT_MAX = 4096
"""Characters; every kind of code that is read here is shorter."""

_LINE_BREAKS = re.compile(r"[\r\n\t\v\f\u2028\u2029]+[ \u00a0]*")
_SPACES = re.compile(r"\s+")
_TYPED_ID = re.compile(r"(?:qr_code_payment_)?([0-9A-Fa-f]{32})(?:\.png|\.svg)?", re.I | re.A)
_COUNTRY = re.compile(r"5802([A-Z]{2})", re.A)
_BAKONG_MARKS = re.compile(r"(?:29|30)[0-9]{2}00[0-9]{2}[^\s@]{1,30}@|KHQR", re.I)
_PIX_GUI = "br.gov.bcb.pix"
_PIX_OF_OTHERS = (
    Kind.OTHER_PIX,
    Kind.STATIC_PIX,
    Kind.PIX_RECURRENCE,
    Kind.FAULTY_PIX,
    Kind.DAMAGED_PIX,
)
# Six characters tell another GUI from Pix's, which begins with `br.gov`; fewer may be a cut one.
_OTHER_ARRANGEMENT = re.compile(
    r"000201(?:01021[12])?[0-9]{4}(?:[0-9]{4})?(?!br\.gov|00|$)[^\s]{6}", re.I | re.A
)


def read_text(text: str, *, location_base: str) -> Reading:
    """The kind of the text and its identifiers. `location_base` is `host/path` of our locations.

    Raises InvalidRequest for a text over TEXT_MAX or one that cannot be stored (NUL, lone
    surrogates), and nothing else for any text.
    """
    _check(text)
    cleaned = clean(text)
    for read in (_read_described_forms, _read_emv, _read_own_id):
        if (reading := read(cleaned, location_base)) is not None:
            return reading
    return name_foreign(cleaned)


def read_texts(texts: Iterable[str], *, location_base: str) -> tuple[Reading, ...]:
    """The distinct readings of one picture's texts, in order, but ours first.

    A text that `read_text` refuses becomes an empty plain text, so that the page can say that the
    picture has a code.
    """
    readings: dict[Reading, None] = {}
    for text in texts:
        try:
            readings[read_text(text, location_base=location_base)] = None
        except InvalidRequest:
            readings[Reading(Kind.PLAIN_TEXT, "", is_whole=False)] = None
    return tuple(sorted(readings, key=_rank))


def is_ours(text: str, *, location_base: str) -> bool:
    """Whether the text may name a payment of ours; never raises."""
    try:
        return read_text(text, location_base=location_base).may_be_ours
    except InvalidRequest:
        return False


def _rank(reading: Reading) -> int:
    """The sort key: our codes, texts that may be ours, other Pix, anything else."""
    if reading.kind in (Kind.OUR_CODE, Kind.OUR_ADDRESS):
        return 0
    if reading.may_be_ours:
        return 1
    return 2 if reading.kind in _PIX_OF_OTHERS else 3


def _check(text: str) -> None:
    if len(text) > TEXT_MAX:
        raise InvalidRequest(detail=f"The text must have at most {TEXT_MAX} characters.")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidRequest(detail="The text contains characters that no code has.")


def _read_described_forms(text: str, _base: str) -> Reading | None:
    """Read the described forms; they encode spaces as %20, so a space in one was added later."""
    reading = read_described(_LINE_BREAKS.sub("", text))
    if reading is not None and not reading.is_whole:
        return read_described(_SPACES.sub("", text)) or reading
    return reading


def _read_emv(text: str, base: str) -> Reading | None:
    """Read EMV codes (ours, other Pix, Bakong, others), complete before damaged ones."""
    parts = parts_with_code(text)
    if not parts:
        return None
    damaged: Reading | None = None
    for part in parts:
        for candidate in repairs(part):
            reading, fault = _read_whole_code(candidate, base)
            if reading is not None:
                return reading
            # With fault `crc_mismatch` all lengths add up: of this text, nothing is missing.
            if damaged is None or (fault == "crc_mismatch" and damaged.kind is Kind.DAMAGED_PIX):
                damaged = _read_damaged_code(part, base, fault)
    return damaged if damaged and damaged.may_be_ours else (_read_own_id(text, base) or damaged)


def _read_whole_code(code: str, base: str) -> tuple[Reading | None, str]:
    """The reading of a code with a right checksum, else None and the fault."""
    try:
        return _read_pix(code, br_code.decode(code), base), ""
    except BrCodeError as error:
        fault, is_whole = error.code, error.is_whole
    try:
        return _read_bakong(code, decode_khqr(code)), ""
    except KhqrError:
        pass
    if not is_whole or surviving_token(_SPACES.sub("", code), base):
        return None, fault
    if _PIX_GUI in code.lower():
        return Reading(Kind.FAULTY_PIX, code, fault=fault), fault
    country = _country_of(code)
    kind = Kind.BAKONG if country == "KH" else Kind.OTHER_EMV
    return Reading(kind, code, fault=fault, country=country), fault


def _country_of(code: str) -> str | None:
    try:
        return dict(read_objects(code)).get("58")
    except BrCodeError:
        match = _COUNTRY.search(code)
        return match[1] if match else None


def _read_pix(code: str, pix: BrCode, base: str) -> Reading:
    """A BR Code with a right CRC; only its location says whose code it is."""
    if pix.url is not None:
        token = location_token(pix.url, base)
        if token is not None:
            return Reading(Kind.OUR_CODE, code, watch_code=token)
        return Reading(Kind.OTHER_PIX, code, host=pix.url.partition("/")[0].lower())
    if pix.key is not None:
        return Reading(Kind.STATIC_PIX, code, pix_key=pix.key, amount_centavos=pix.amount_centavos)
    return Reading(Kind.PIX_RECURRENCE, code)


def _read_bakong(code: str, khqr: Khqr) -> Reading:
    return Reading(Kind.BAKONG, code, country="KH", bill_number=khqr.bill_number)


def _read_damaged_code(text: str, base: str, fault: str) -> Reading:
    """Read what is left of a code with a wrong checksum."""
    compact = _SPACES.sub("", text)
    token = surviving_token(compact, base)
    if token is not None:
        return Reading(Kind.OUR_CODE, text, is_whole=False, fault=fault, watch_code=token)
    country = _COUNTRY.search(compact)
    code = country[1] if country else None
    if _PIX_GUI in compact.lower() or code == "BR":
        return Reading(Kind.DAMAGED_PIX, text, is_whole=False, fault=fault)
    if code == "KH" or _BAKONG_MARKS.search(compact):
        return Reading(Kind.BAKONG, text, is_whole=False, fault=fault, country=code)
    # If the code is cut before it names its arrangement, it is most likely a Pix.
    kind = Kind.OTHER_EMV if code or _OTHER_ARRANGEMENT.match(compact) else Kind.DAMAGED_PIX
    return Reading(kind, text, is_whole=False, fault=fault, country=code)


def _read_own_id(text: str, base: str) -> Reading | None:
    """Read an id, a URL or a location of ours, alone or in a sentence."""
    compact = _SPACES.sub("", text)
    typed_id = _SPACES.sub("", identifier(text)) if "://" not in text else ""
    if END_TO_END_ID.fullmatch(typed_id):  # before ids, because it may consist of hex digits
        return Reading(Kind.END_TO_END_ID, compact, end_to_end_id=typed_id)
    if match := _TYPED_ID.fullmatch(typed_id):
        return Reading(Kind.PAYMENT_ID, compact, payment_id=match[1].lower())
    own_page = None
    without_scheme = () if "://" in compact else (f"https://{compact}", f"http://{compact}")
    in_text = (*addresses_in(text), *addresses_in(_LINE_BREAKS.sub("", text)))
    for address in (compact, *without_scheme, *in_text):
        own = own_address(address, base)
        if own is None:
            continue
        if own.payment_id or own.watch_code:
            return Reading(
                Kind.OUR_ADDRESS,
                address,
                payment_id=own.payment_id,
                watch_code=own.watch_code,
            )
        own_page = own_page or Reading(Kind.OUR_OTHER_PAGE, address)
    for candidate in (text, compact):
        if token := surviving_token(candidate, base):
            kind = Kind.OUR_CODE if "5204" in candidate else Kind.OUR_ADDRESS
            return Reading(kind, text, is_whole=False, fault="tlv_malformed", watch_code=token)
    return own_page
