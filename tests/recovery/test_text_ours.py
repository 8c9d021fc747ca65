"""Our own codes, whole and damaged: the token in them finds their payment, and no other's."""

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
    """The token is the payment's watch code; the whole text is kept for comparing."""
    found = read(CODE)

    assert (found.kind, found.is_whole, found.watch_code) == (Kind.OUR_CODE, True, TOKEN)
    assert (found.text, found.fault, found.payment_id) == (CODE, None, None)


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
def test_what_a_messenger_did_to_our_code_is_undone(text: str):
    """Line breaks, invisible marks, a sentence around it: the checksum says that it is whole."""
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
    """Cut at either end, changed, in capitals, with spaces: not to be paid, but found."""
    found = read(text)

    assert (found.kind, found.watch_code, found.is_whole) == (Kind.OUR_CODE, TOKEN, False)
    assert found.fault in ("tlv_malformed", "crc_missing", "crc_mismatch")


@pytest.mark.parametrize("length", range(31))
def test_a_part_of_a_token_finds_nothing(length: int):
    """Neither as it stands, nor filled up with the digits that happen to follow."""
    at = CODE.index(TOKEN) + length

    assert read(CODE[:at]).watch_code is None
    assert read(CODE[:at] + CODE[at + 32 - length :]).watch_code is None


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
    """The token alone proves nothing: anybody may write ours behind their own host."""
    found = read(text, base)

    assert (found.kind, found.watch_code, found.may_be_ours) == (Kind.OTHER_PIX, None, False)
    assert found.host == text[text.index("br.gov.bcb.pix") + 18 :].partition("/")[0]


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
def test_our_location_within_something_elses_is_not_ours(text: str):
    """Where host and path belong to another address, that one is meant."""
    assert read(text).watch_code is None


def test_a_host_is_compared_without_case_and_a_path_on_it_is_kept():
    """A base may have a path of its own, and a `cobv` location its own segment."""
    base = "Pix.Loja.example/balcao"
    code = encode_dynamic(f"pix.loja.EXAMPLE/balcao/qr/v2/cobv/{TOKEN}", "A", "B")

    assert read(code, base).watch_code == TOKEN
    assert read(code, "pix.loja.example").kind is Kind.OTHER_PIX


def test_a_service_on_this_machine_is_known_by_both_its_names():
    """Codes are written with the address, since a location's host needs a dot."""
    code = encode_dynamic(f"127.0.0.1:5000/qr/v2/{TOKEN}", "A", "B")

    assert read(code, "127.0.0.1:5000").watch_code == TOKEN
    assert read(f"http://localhost:5000/payments/pix/{ID}", "127.0.0.1:5000").payment_id == ID
    assert read(f"http://localhost:5001/payments/pix/{ID}", "127.0.0.1:5000").payment_id is None


@settings(max_examples=300)
@given(st.integers(0, 31), st.sampled_from(HEX), st.booleans())
def test_a_changed_character_in_a_token_never_gives_the_old_one(at: int, digit: str, sealed: bool):
    """The token is read as it stands; finding is by the exact token, so it finds no payment."""
    changed = TOKEN[:at] + digit + TOKEN[at + 1 :]
    text = CODE.replace(TOKEN, changed)
    if sealed:
        text = text[:-4] + crc16(text[:-4])

    found = read(text)

    assert found.watch_code == changed
    assert found.is_whole is (sealed or changed == TOKEN)


@settings(max_examples=300)
@given(st.integers(0, 32), st.sampled_from(HEX + "xyz "), st.booleans())
def test_an_inserted_or_lost_character_in_a_token_gives_none(at: int, character: str, lost: bool):
    """A token of 31 or 33 digits is not cut or filled to one of 32; a space is no digit."""
    changed = (
        TOKEN[:at] + TOKEN[at + 1 :] if lost and at < 32 else TOKEN[:at] + character + TOKEN[at:]
    )

    found = read(CODE.replace(TOKEN, changed)).watch_code

    assert found == (TOKEN if changed.replace(" ", "") == TOKEN else None)


@settings(max_examples=300)
@given(st.integers(0, len(CODE)), st.integers(0, len(CODE)), STORABLE | st.text(HEX, max_size=40))
def test_whatever_happens_to_our_code_finds_this_payment_or_none(start: int, end: int, put: str):
    """Any part of a code replaced by any text: what is named instead stands there to the letter."""
    start, end = sorted((start, end))
    text = CODE[:start] + put + CODE[end:]

    found = read(text).watch_code

    is_kept = end <= CODE.index(TOKEN) or start >= CODE.index(TOKEN) + 32
    if is_kept and TOKEN not in put:
        assert found in (TOKEN, None) or found in put
    else:
        assert found is None or found in "".join(text.split()).lower()
