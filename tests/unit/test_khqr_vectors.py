"""Published KHQR codes of Bakong are read or refused as their sources say.

`tests/data/khqr-vectors.json` holds them with their fields, verdicts and sources.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.pix.br_code import crc16
from core.pix.khqr import KHQR_ERROR_CODES, KhqrError, decode_khqr, md5_of

_FILE = Path(__file__).parent.parent / "data" / "khqr-vectors.json"
VECTORS: list[dict[str, Any]] = json.loads(_FILE.read_text(encoding="utf-8"))["vectors"]
VALID = [vector for vector in VECTORS if vector["verdict"] == "valid"]
INVALID = [vector for vector in VECTORS if vector["verdict"] == "invalid"]


def sealed(text: str) -> str:
    """The text with a right CRC."""
    return f"{text}6304{crc16(f'{text}6304')}"


def test_there_are_vectors_of_both_verdicts():
    """With an empty list, the tests below would always pass."""
    assert VALID
    assert INVALID
    assert len(VALID) + len(INVALID) == len(VECTORS)


@pytest.mark.parametrize("vector", VALID, ids=lambda vector: vector["id"])
def test_a_valid_code_is_read_field_by_field(vector: dict[str, Any]):
    """Including its MD5, by which Bakong finds a payment."""
    read = decode_khqr(vector["payload"])

    assert {name: getattr(read, name) for name in vector["fields"]} == vector["fields"]
    assert json.loads(json.dumps(read.tlv)) == vector["tlv"]


@pytest.mark.parametrize("vector", INVALID, ids=lambda vector: vector["id"])
def test_an_invalid_code_is_refused_with_its_own_error(vector: dict[str, Any]):
    """The error names the first fault."""
    with pytest.raises(KhqrError) as error:
        decode_khqr(vector["payload"])
    assert error.value.code in vector["errors_accepted"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_the_crc_is_computed_over_the_bytes(vector: dict[str, Any]):
    """Khmer names have more bytes than characters."""
    payload: str = vector["payload"]

    assert (crc16(payload[:-4]) == payload[-4:].upper()) is vector["crc_ok"]


_HEAD = "00020101021229180014your_name@bank52045999"
_TAIL = "5802KH5909Your Name6010Phnom Penh"
_AT = "9917001317738946030190113177389477581"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "crc_missing"),
        ("0002", "tlv_malformed"),
        ("000201" + "5303116" + _TAIL, "crc_missing"),
        (sealed("000202"), "payload_format_invalid"),
        (sealed("000201010213"), "poi_invalid"),
        (sealed("000201010211" + "52045999" + "5303116" + _TAIL), "account_missing"),
        (sealed(_HEAD[:34] + "30060002ab" + "52045999" + "5303116" + _TAIL), "account_invalid"),
        (sealed("000201290400025204599953031165802KH"), "tlv_malformed"),
        (sealed("00020129100006nobank" + "52045999" + "5303116" + _TAIL), "account_invalid"),
        (sealed(_HEAD + "5303986" + _TAIL), "currency_invalid"),
        (sealed(_HEAD + "5303116" + "54041.50" + _TAIL), "amount_invalid"),
        (sealed(_HEAD + "5303840" + "54051.505" + _TAIL), "amount_invalid"),
        (sealed(_HEAD + "5303116" + _TAIL.replace("KH", "TH")), "country_invalid"),
        (sealed(_HEAD + "5303116" + "5802KH" + "6010Phnom Penh"), "name_invalid"),
        (sealed(_HEAD + "5303116" + "5802KH" + "5909Your Name"), "city_invalid"),
        (
            sealed(_HEAD + "5303116" + _TAIL + "62300126" + "x" * 26),
            "bill_number_label_invalid",
        ),
        (sealed(_HEAD + "5303116" + _TAIL + "64080004khme"), "language_label_invalid"),
        (sealed(_HEAD + "5303116" + "54049800" + _TAIL), "timestamp_missing"),
        (sealed(_HEAD + "5303116" + _TAIL + "99170113" + "1773894603019"), "timestamp_missing"),
        (sealed(_HEAD + "5303116" + _TAIL + "99160012" + "177389460301"), "timestamp_invalid"),
        (
            sealed(_HEAD + "5303116" + _TAIL + "9934" + "00131773894775819" + "01131773894603019"),
            "timestamp_invalid",
        ),
    ],
)
def test_each_fault_has_its_own_code(text: str, code: str):
    """A page can name the fault, and the list of codes is complete."""
    with pytest.raises(KhqrError) as error:
        decode_khqr(text)
    assert (error.value.code, code in KHQR_ERROR_CODES) == (code, True)


def test_an_older_code_with_its_creation_alone_is_read():
    """Codes made before guideline 1.4 have no expiry."""
    text = sealed(_HEAD + "5303116" + "54049800" + _TAIL + "9917" + "00131773894603019")
    read = decode_khqr(text)

    assert (read.amount, read.created_at_ms, read.expires_at_ms) == ("9800", 1773894603019, None)
    assert read.md5 == md5_of(text)


@settings(max_examples=300)
@given(st.text(max_size=300) | st.text("0123456789@KHa", max_size=200))
def test_any_text_is_read_or_refused(text: str):
    """A scanned text comes from strangers: it raises only KhqrError."""
    try:
        outcome = decode_khqr(text).country
    except KhqrError as error:
        outcome = error.code

    assert outcome in (*KHQR_ERROR_CODES, "KH")


@settings(max_examples=200)
@given(st.sampled_from(VALID), st.integers(min_value=0), st.characters(codec="utf-8"))
def test_a_changed_character_is_noticed(vector: dict[str, Any], at: int, character: str):
    """Sixteen bits of checksum notice every change of one ASCII character."""
    payload: str = vector["payload"]
    at %= len(payload) - 4
    if not payload[at].isascii() or not character.isascii() or character == payload[at]:
        return
    with pytest.raises(KhqrError):
        decode_khqr(payload[:at] + character + payload[at + 1 :])
