"""The token in our codes, complete or damaged, finds their payment and no other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blueprints.recovery.reading import Kind, Reading
from core.pix.br_code import crc16, encode_dynamic
from tests.recovery.texts import BASE, CODE, ID, TOKEN, read

HEX = "0123456789abcdef"
STORABLE = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def test_our_code_is_found_by_its_token():
    """The token is the payment's watch code."""
    reading = read(CODE)

    assert (reading.kind, reading.is_whole, reading.watch_code) == (Kind.OUR_CODE, True, TOKEN)
    assert (reading.text, reading.fault, reading.payment_id) == (CODE, None, None)


@pytest.mark.parametrize(
    "text",
    [
        f"  {CODE}\n",
        CODE[:60] + "\n" + CODE[60:],
        CODE[:30] + "\r\n   " + CODE[30:90] + "\r\n" + CODE[90:],
        CODE.replace("Loja da Alice", "Loja\nda Alice"),
        CODE[:50] + "\u200b\ufeff" + CODE[50:],
        f"Pix copia e cola: {CODE}",
        f"Pague o pedido 12 com este código:\n\n{CODE}\n\nObrigada! 6304",
        CODE[:-4] + CODE[-4:].lower(),
    ],
)
def test_a_messengers_changes_to_our_code_are_undone(text: str):
    """After line breaks, invisible marks or a sentence around it, the checksum is still right."""
    assert read(text) == Reading(Kind.OUR_CODE, text=read(text).text, watch_code=TOKEN)
    assert read(text).text.lower() == CODE.lower()


@pytest.mark.parametrize(
    "text",
    [
        CODE[:-1],
        CODE[:-8],
        CODE[: CODE.index(TOKEN) + 32],
        CODE[: CODE.index(TOKEN) + 33],
        CODE[: CODE.index(TOKEN) + 37],
        CODE[: CODE.index(TOKEN) + 32] + "…",
        CODE[:-4] + "0000",
        CODE.replace("SAO", "S4O"),
        CODE.upper(),
        CODE.lower(),
        " ".join(CODE),
        CODE[:50] + "  " + CODE[50:],
        CODE[6:],
        CODE[CODE.index(BASE) :],
        CODE[CODE.index(BASE) + 5 :],
        CODE[CODE.index("/qr/v2") :],
        CODE[CODE.index(TOKEN) :],
    ],
)
def test_a_damaged_code_is_found_by_the_token_that_survived(text: str):
    """A code that was cut, changed, capitalised or spaced cannot be paid, but is found."""
    reading = read(text)

    assert (reading.kind, reading.watch_code, reading.is_whole) == (Kind.OUR_CODE, TOKEN, False)
    assert reading.fault in ("tlv_malformed", "crc_missing", "crc_mismatch")


@pytest.mark.parametrize("length", range(31))
def test_a_part_of_a_token_finds_nothing(length: int):
    """The part is not completed with the digits that follow."""
    index = CODE.index(TOKEN) + length

    assert read(CODE[:index]).watch_code is None
    assert read(CODE[:index] + CODE[index + 32 - length :]).watch_code is None


@pytest.mark.parametrize(
    ("text", "base"),
    [
        (CODE, "other.example"),
        (CODE, "pix.loja.example.org"),
        (CODE, "loja.example"),
        (CODE, "pix.loja.example:5000"),
        (encode_dynamic(f"evil.example/{BASE}/qr/v2/{TOKEN}"[:77], "X", "Y"), BASE),
        (encode_dynamic(f"evil-{BASE}/qr/v2/{TOKEN}", "X", "Y"), BASE),
        (encode_dynamic(f"{BASE}/x/qr/v2/{TOKEN}", "X", "Y"), BASE),
        (encode_dynamic(f"{BASE}/qr/v2/{TOKEN}/more", "X", "Y"), BASE),
    ],
)
def test_a_location_elsewhere_is_another_shops(text: str, base: str):
    """Anybody can put our token behind another host."""
    reading = read(text, base)

    assert (reading.kind, reading.watch_code, reading.may_be_ours) == (Kind.OTHER_PIX, None, False)
    assert reading.host == text[text.index("br.gov.bcb.pix") + 18 :].partition("/")[0]


@pytest.mark.parametrize(
    "text",
    [
        f"000201evil-{BASE}/qr/v2/{TOKEN}52040000",
        f"https://evil.example/?u={BASE}/qr/v2/{TOKEN}",
        f"https://evil.example/{BASE}/qr/v2/{TOKEN}",
        f"https://{BASE}@evil.example/qr/v2/{TOKEN}",
        f"https://evil.example/https://{BASE}/qr/v2/{TOKEN}",
    ],
)
def test_our_location_within_another_url_is_not_ours(text: str):
    """The URL leads to the other host."""
    assert read(text).watch_code is None


def test_a_host_is_compared_without_case_and_with_its_path():
    """A base may have a path, and a `cobv` location an additional segment."""
    base = "Pix.Loja.example/balcao"
    code = encode_dynamic(f"pix.loja.EXAMPLE/balcao/qr/v2/cobv/{TOKEN}", "A", "B")

    assert read(code, base).watch_code == TOKEN
    assert read(code, "pix.loja.example").kind is Kind.OTHER_PIX


def test_a_service_on_this_machine_is_known_by_both_its_names():
    """Our codes contain 127.0.0.1, because a location's host needs a dot."""
    code = encode_dynamic(f"127.0.0.1:5000/qr/v2/{TOKEN}", "A", "B")

    assert read(code, "127.0.0.1:5000").watch_code == TOKEN
    assert read(f"http://localhost:5000/payments/pix/{ID}", "127.0.0.1:5000").payment_id == ID
    assert read(f"http://localhost:5001/payments/pix/{ID}", "127.0.0.1:5000").payment_id is None


@settings(max_examples=300)
@given(st.integers(0, 31), st.sampled_from(HEX), st.booleans())
def test_a_token_with_a_changed_character_is_not_repaired(
    index: int, digit: str, has_new_crc: bool
):
    """The changed token is copied exactly, so it finds no payment."""
    changed_token = TOKEN[:index] + digit + TOKEN[index + 1 :]
    text = CODE.replace(TOKEN, changed_token)
    if has_new_crc:
        text = text[:-4] + crc16(text[:-4])

    reading = read(text)

    assert reading.watch_code == changed_token
    assert reading.is_whole is (has_new_crc or changed_token == TOKEN)


@settings(max_examples=300)
@given(st.integers(0, 32), st.sampled_from(HEX + "xyz "), st.booleans())
def test_a_token_with_an_added_or_removed_character_is_not_read(
    index: int, character: str, is_removed: bool
):
    """A token of 31 or 33 digits is not cut or filled to 32; spaces do not count."""
    changed_token = (
        TOKEN[:index] + TOKEN[index + 1 :]
        if is_removed and index < 32
        else TOKEN[:index] + character + TOKEN[index:]
    )

    token = read(CODE.replace(TOKEN, changed_token)).watch_code

    assert token == (TOKEN if changed_token.replace(" ", "") == TOKEN else None)


@settings(max_examples=300)
@given(st.integers(0, len(CODE)), st.integers(0, len(CODE)), STORABLE | st.text(HEX, max_size=40))
def test_a_changed_code_finds_its_own_payment_or_none(start: int, end: int, replacement: str):
    """For any replaced part, another token is read only if it is in the text exactly."""
    start, end = sorted((start, end))
    text = CODE[:start] + replacement + CODE[end:]

    token = read(text).watch_code

    is_kept = end <= CODE.index(TOKEN) or start >= CODE.index(TOKEN) + 32
    if is_kept and TOKEN not in replacement:
        assert token in (TOKEN, None) or token in replacement
    else:
        assert token is None or token in "".join(text.split()).lower()
