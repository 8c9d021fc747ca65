"""Pix keys: which texts are keys, and which key a typed text means (API DICT 2.12)."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidRequest
from core.pix.pix_key import InvalidPixKey, KeyKind, kind_of, normalise

EVP = "123e4567-e12b-12d1-a456-426655440000"


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("12345678909", KeyKind.CPF),
        ("12345678000195", KeyKind.CNPJ),
        ("00038166000105", KeyKind.CNPJ),
        ("12ABC34501DE35", KeyKind.CNPJ),
        ("+5561912345678", KeyKind.PHONE),
        ("+556134141414", KeyKind.PHONE),
        ("+14155552671", KeyKind.PHONE),
        ("fulano_da.silva-recebedor@example.com", KeyKind.EMAIL),
        ("a@" + "b" * 63 + ".example.co", KeyKind.EMAIL),
        (EVP, KeyKind.EVP),
        ("11111111-1111-1111-1111-111111111111", KeyKind.EVP),
    ],
)
def test_the_form_of_a_canonical_key_says_its_kind(key: str, kind: KeyKind) -> None:
    """The five kinds never overlap, so the form alone names the directory entry."""
    assert kind_of(key) is kind
    assert normalise(key) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12345678900",
        "11111111111",
        "1234567890",
        "123.456.789-09",
        "12345678909\n",
        " 12345678909",
        "١٢٣٤٥٦٧٨٩٠٩",
        "12345678000196",
        "00000000000000",
        "12abc34501de35",
        "12ABC34501DE36",
        "12.ABC.345/01DE-35",
        "12ABC34501DEX5",
        "+0011999999999",
        "5511999999999",
        "+55119999",
        "+551199999999999",
        "+1234567890123456",
        "+",
        "+55 11999999999",
        "alice@example",
        "alice",
        "alice@@example.com",
        "alice@example.com@example.com",
        "Alice@example.com",
        "alice&bob@example.com",
        "alice@-example.com",
        "alice@example..com",
        "álice@example.com",
        "a" * 66 + "@example.com",
        EVP.upper(),
        EVP.replace("-", ""),
        "{" + EVP + "}",
        "\ud800",
    ],
)
def test_a_text_in_another_form_is_no_canonical_key(text: str) -> None:
    """Codes and API paths contain canonical keys only: two spellings would be two accounts."""
    assert kind_of(text) is None


def test_an_email_may_have_77_characters_and_no_more() -> None:
    """DICT's limit, which is also the room in a BR Code."""
    longest = "a" * 65 + "@example.com"
    assert len(longest) == 77
    assert kind_of(longest) is KeyKind.EMAIL
    assert kind_of("a" + longest) is None


@pytest.mark.parametrize("index", range(11))
def test_each_digit_of_a_cpf_is_under_its_check_digits(index: int) -> None:
    """One mistyped digit must not name another person.

    The scheme promises it for check digits other than 0, which stands for remainders 0 and 10.
    """
    cpf = "52998224725"
    assert kind_of(cpf) is KeyKind.CPF
    for digit in set("0123456789") - {cpf[index]}:
        assert kind_of(cpf[:index] + digit + cpf[index + 1 :]) is None


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("123.456.789-09", "12345678909"),
        (" 12345678909\n", "12345678909"),
        ("12.345.678/0001-95", "12345678000195"),
        ("12.abc.345/01de-35", "12ABC34501DE35"),
        ("(61) 91234-5678", "+5561912345678"),
        ("61 3414 1414", "+556134141414"),
        ("+55 (61) 91234-5678", "+5561912345678"),
        ("+1 415-555-2671", "+14155552671"),
        ("  Alice.Sells@Example.COM ", "alice.sells@example.com"),
        (EVP.upper(), EVP),
    ],
)
def test_a_key_as_people_type_it_becomes_canonical(text: str, key: str) -> None:
    """People type keys with masks and capitals, as printed on documents."""
    assert normalise(text) == key
    assert kind_of(normalise(text)) is not None


def test_eleven_digits_with_right_check_digits_are_a_cpf_else_a_mobile() -> None:
    """CPFs and mobile numbers both have eleven digits."""
    assert normalise("12345678909") == "12345678909"
    assert normalise("11987654321") == "+5511987654321"


def test_a_mistyped_cpf_never_becomes_a_phone() -> None:
    """A typing mistake in a CPF must not pay a stranger's phone."""
    masked_as_cpf = "119.876.543-21"
    assert normalise(masked_as_cpf.replace(".", "").replace("-", "")) == "+5511987654321"
    with pytest.raises(InvalidPixKey):
        normalise(masked_as_cpf)
    with pytest.raises(InvalidPixKey):
        normalise("12345678900")


@pytest.mark.parametrize("text", ["", "  ", "alice", "alice@shop", "999", "x" * 10_000, "\ud800"])
def test_a_text_that_cannot_be_a_key_is_refused(text: str) -> None:
    """The error is an invalid field, so that every route answers 400 by the one error table."""
    with pytest.raises(InvalidPixKey) as error:
        normalise(text)
    assert isinstance(error.value, InvalidRequest)
    assert error.value.code == "invalid-request"
    assert error.value.detail.startswith("must ")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("5571999990000", "+5571999990000"),
        ("+55 71 9999\u200b9\u20110000\u202c", "+5571999990000"),
        ("+55 71 99999\u20130000", "+5571999990000"),
        ("+55\u00a071\u00a099999\u22120000", "+5571999990000"),
        ("0 71 99999-0000", "+5571999990000"),
        ("071999990000", "+5571999990000"),
        ("(071) 3333-4444", "+557133334444"),
        ("0055 71 99999-0000", "+5571999990000"),
        ("+55 (0) 71 99999-0000", "+5571999990000"),
        ("tel:+5571999990000", "+5571999990000"),
        ("Celular: 71 99999-0000", "+5571999990000"),
        ("529.982.247\u201125", "52998224725"),
        ("CPF 529.982.247-25", "52998224725"),
        ("Chave Pix: 529.982.247-25", "52998224725"),
        ("CNPJ: 12.345.678/0001-95", "12345678000195"),
        ("mailto:ana@loja.example", "ana@loja.example"),
        ("\u200bana@loja.example\ufeff", "ana@loja.example"),
        ("<Ana@loja.example>", "ana@loja.example"),
        ("pix@loja.example", "pix@loja.example"),
        (EVP.replace("-", ""), EVP),
        ("{" + EVP.upper() + "}", EVP),
    ],
)
def test_a_key_as_people_paste_it_becomes_canonical(text: str, key: str) -> None:
    """Phones, web pages and messengers add labels, hyphens and characters that nobody sees."""
    assert normalise(text) == key


@pytest.mark.parametrize(
    "text",
    [
        "CPF 11987654321",
        "tel: 529.982.247-25",
        "e-mail: 52998224725",
        "CPF",
        "119 876 543 21",
        "119.876.543\u201121",
        "07133334444",
        "55 07133334444 9",
        EVP.replace("-", "")[:31],
        EVP.replace("-", "") + "0",
    ],
)
def test_a_key_that_contradicts_its_label_or_mask_is_refused(text: str) -> None:
    """A wrong guess pays a stranger; asking again takes a moment."""
    with pytest.raises(InvalidPixKey):
        normalise(text)


@settings(deadline=None)
@given(st.uuids())
def test_every_uuid_is_a_random_key_in_lower_case(value: uuid.UUID) -> None:
    """DICT has issued several UUID versions, so none is preferred."""
    assert kind_of(str(value)) is KeyKind.EVP
    assert normalise(str(value).upper()) == str(value)


@settings(deadline=None)
@given(st.text(st.characters(codec=None), max_size=90))
def test_any_text_becomes_a_canonical_key_or_is_refused(text: str) -> None:
    """Whatever a form sends, the result is a key or InvalidPixKey."""
    if kind_of(text) is not None:
        assert normalise(text) == text
    try:
        key = normalise(text)
    except InvalidPixKey:
        return
    assert kind_of(key) is not None
    assert normalise(key) == key
