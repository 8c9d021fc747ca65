"""Codes that a payer may see, and those that none may."""

from __future__ import annotations

import base64

import pytest

from core.pix.br_code import crc16, decode, encode_dynamic, encode_recurring, encode_static
from providers.api_pix.codes import CodeWrong, built_code, checked_code, code_from_base64

LOCATION = "pix.bank.example/qr/v2/AbC"
CODE = encode_dynamic(LOCATION, "Loja", "Recife")


def with_amount(text: str) -> str:
    body = CODE[:-4].replace("5802BR", f"54{len(text):02}{text}5802BR")
    return body + crc16(body)


@pytest.mark.parametrize(
    ("code", "location"),
    [
        (CODE, LOCATION),
        (f"  {CODE}\n", f"https://{LOCATION}"),
        (CODE, "PIX.Bank.example/qr/v2/AbC"),
        (CODE, None),
        (CODE[:-4] + CODE[-4:].lower(), LOCATION),
        (with_amount("12.34"), LOCATION),
    ],
)
def test_a_right_code_is_returned(code: str, location: str | None):
    assert checked_code(code, location=location, amount_centavos=1234) == code.strip()


@pytest.mark.parametrize(
    ("code", "location", "why"),
    [
        (CODE[:-4] + "0000", LOCATION, "crc_mismatch"),
        (CODE[:-9], LOCATION, "tlv_malformed"),
        (CODE, "pix.bank.example/qr/v2/abc", "other-location"),
        (CODE, "pix.other.example/qr/v2/AbC", "other-location"),
        (with_amount("12.35"), LOCATION, "other-amount"),
        (with_amount("1234"), LOCATION, "other-amount"),
        (encode_static("a@b.example", "Loja", "Recife"), LOCATION, "not-dynamic"),
        (
            encode_recurring("pix.bank.example/rec/1", "Loja", "Recife", location=LOCATION),
            LOCATION,
            "not-dynamic",
        ),
        ("<html>", LOCATION, "tlv_malformed"),
        ("", LOCATION, "crc_missing"),
    ],
)
def test_a_wrong_code_is_not(code: str, location: str, why: str):
    with pytest.raises(CodeWrong) as wrong:
        checked_code(code, location=location, amount_centavos=1234)

    assert str(wrong.value) == why


def test_a_code_is_built_from_the_location():
    code = built_code(f"https://{LOCATION}", payee_name="Padaria São João", payee_city="Brasília")

    assert decode(code, strict=True).url == LOCATION
    assert checked_code(code, location=LOCATION, amount_centavos=1) == code


@pytest.mark.parametrize("location", ["", "localhost/x", "pix.bank.example", "a.b/" + "x" * 90])
def test_no_code_is_built_from_a_wrong_location(location: str):
    with pytest.raises(CodeWrong):
        built_code(location, payee_name="Loja", payee_city="Recife")


def test_a_code_in_base64():
    assert code_from_base64(base64.b64encode(CODE.encode()).decode()) == CODE
    assert code_from_base64(CODE) == CODE
    for text in ("%%%", "gICA"):
        with pytest.raises(CodeWrong):
            code_from_base64(text)
