"""Money: reais become integer centavos through Decimal, or are refused: no float, no rounding."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidMoney
from core.money import CENTAVOS_MAX, centavos_from, json_number, plain, reais, typed_centavos

CENTAVOS = st.integers(min_value=1, max_value=CENTAVOS_MAX)


@pytest.mark.parametrize(
    ("value", "centavos"),
    [
        (1, 100),
        (Decimal("0.01"), 1),
        (Decimal("54.90"), 5490),
        (Decimal("54.9"), 5490),
        (Decimal("35.57"), 3557),
        (Decimal("1E+2"), 10_000),
        (Decimal("1E-2"), 1),
        (Decimal("100.000"), 10_000),
        ("100", 10_000),
        ("100.50", 10_050),
        ("1e2", 10_000),
        ("1E-2", 1),
        ("0.10", 10),
        ("00.10", 10),
        ("9999999999.99", CENTAVOS_MAX),
    ],
)
def test_an_amount_in_whole_centavos_is_read(value, centavos):
    """Every way in which a client may write an amount."""
    assert centavos_from(value) == centavos


@pytest.mark.parametrize(
    "value",
    [
        0, -1, True, False, None, 1.5, 0.1, float("nan"), [], {}, b"1", 10_000_000_000,
        Decimal("0"), Decimal("-0.01"), Decimal("0.001"), Decimal("0.005"), Decimal("1E-3"),
        Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity"),
        Decimal("1E+400"), Decimal("1E-400"), Decimal("1E+999999"), Decimal("9999999999.991"),
        Decimal("9999999999.995"), Decimal("10000000000.00"), 10**400, -(10**400),
        "", " ", " 1", "1 ", "1\n", "+1", "1,50", "1.", ".5", "1e", "e5", "0x10", "1_000", "NaN",
        "inf", "-Infinity", "\u0661", "\uff11", "1e400", "1e-400", "1e99999", "-1", "-0", "0.00",
        "9" * 5000, "0." + "0" * 5000 + "1", "1" + "0" * 41, "R$ 1",
    ],
)  # fmt: skip
def test_an_amount_not_in_whole_centavos_is_refused(value):
    """One exception for all, with a fragment that reads after the field's name."""
    with pytest.raises(InvalidMoney) as caught:
        centavos_from(value)
    assert caught.value.detail.startswith("must ")


@given(CENTAVOS)
def test_every_amount_survives_each_way_of_writing_it(centavos):
    """Decimal, text, text without trailing zeros, and exponents mean the same amount."""
    exact = reais(centavos)
    for text in (exact, exact.normalize(), plain(centavos), str(exact.normalize())):
        assert centavos_from(text) == centavos
    assert centavos_from(f"{centavos}e-2") == centavos


@given(CENTAVOS)
def test_the_number_in_json_is_exactly_the_amount(centavos):
    """The shortest form of a double has the right two decimals, even for the largest amount."""
    assert centavos_from(Decimal(repr(json_number(centavos)))) == centavos


@given(CENTAVOS, st.integers(min_value=1, max_value=9))
def test_a_third_decimal_is_never_rounded_away(centavos, digit):
    """Whatever the digit is."""
    with pytest.raises(InvalidMoney):
        centavos_from(f"{plain(centavos)}{digit}")
    with pytest.raises(InvalidMoney):
        centavos_from(Decimal(f"{plain(centavos)}{digit}"))


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_any_decimal_is_read_exactly_or_refused(value):
    """An accepted text means exactly that number of centavos."""
    try:
        centavos = centavos_from(value)
    except InvalidMoney:
        return
    assert Decimal(centavos) == value * 100
    assert 1 <= centavos <= CENTAVOS_MAX


@given(st.text() | st.from_regex(r"-?\d{0,12}\.?\d{0,4}([eE][+-]?\d{1,3})?", fullmatch=True))
def test_any_text_is_read_exactly_or_refused(text):
    """No text raises any other exception."""
    try:
        centavos = centavos_from(text)
    except InvalidMoney:
        return
    assert Decimal(centavos) == Decimal(text) * 100


@given(
    st.none() | st.booleans() | st.floats() | st.lists(st.integers()) | st.dictionaries(
        st.text(), st.integers()
    ) | st.binary()
)  # fmt: skip
def test_other_types_are_no_amount(value):
    """Above all `true` and floats, which Python counts as numbers."""
    with pytest.raises(InvalidMoney):
        centavos_from(value)


@pytest.mark.parametrize(
    ("centavos", "text"),
    [(1, "0.01"), (10, "0.10"), (5490, "54.90"), (CENTAVOS_MAX, "9999999999.99")],
)
def test_plain_always_has_two_decimals(centavos, text):
    """As BR Code and API Pix write amounts."""
    assert plain(centavos) == text
    assert reais(centavos) == Decimal(text)


@pytest.mark.parametrize(
    ("text", "centavos"),
    [
        ("12", 1200), ("12,5", 1250), ("12,50", 1250), ("12.5", 1250), ("12.50", 1250),
        ("0,01", 1), ("0.01", 1), ("00,10", 10), ("1234,56", 123_456), ("1234.56", 123_456),
        ("1.234", 123_400), ("1.234,5", 123_450), ("1.234,56", 123_456), ("1,234.56", 123_456),
        ("1.234.567", 123_456_700), ("1,234,567.89", 123_456_789), ("1 234", 123_400),
        ("1 234,56", 123_456), ("1 234.56", 123_456), ("1\u202f234,56", 123_456),
        ("R$ 12", 1200), ("r$ 12", 1200), ("R$12,50", 1250), ("R$\xa01.234,56", 123_456),
        ("R $ 12", 1200), ("  12,50\n", 1250), ("12 , 50", 1250), ("R$ 12 .50", 1250),
        ("9.999.999.999,99", CENTAVOS_MAX), ("9,999,999,999.99", CENTAVOS_MAX),
        ("9999999999,99", CENTAVOS_MAX), ("1\u200b2\ufeff", 1200),
    ],
)  # fmt: skip
def test_an_amount_is_read_as_people_type_it(text, centavos):
    """Portal, bank and terminal agree: a misread comma would charge a hundred times the amount."""
    assert typed_centavos(text) == centavos


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "R$", ",", "12,", ",50", ".50", "12.", "abc", "12 reais", "12 R$", "US$ 12",
        "R$ R$ 12", "-1", "+1", "-0", "\N{MINUS SIGN}1", "0", "0,00", "0.00", "1e3", "0x10",
        "1_000", "\x00", "1\x002", "\u0661", "\uff11",
        # Three decimals to one reader, thousands to another.
        "1,234", "12,345", "54,901", "0,500", "0.500", "0.123,45", "01.234", "1,234,567",
        # A space may be a mistyped mark.
        "54 90", "1 2", "1 23,45", "0 500", "12 34.56",
        "1,2,3", "12.34.56", "1.23.456", "1.2345", "1,2345.00", "12,34.56", "1.234.56",
        "1.234,567", "1,234.567", "1 234.567", "1.234 567", "1 234.567,89", "1.234,56,7",
        "10.000.000.000,00", "9999999999,991", "9" * 12, "9" * 13, "0" * 39 + "12", "1" * 10_000,
        "1" + ".000" * 9 + "," + "50" * 10,
    ],
)  # fmt: skip
def test_an_ambiguous_amount_is_refused(text):
    """Asking again takes a moment; a wrong guess costs money. A long text is not cut."""
    with pytest.raises(InvalidMoney) as caught:
        typed_centavos(text)
    assert caught.value.detail.startswith("must ")


@given(CENTAVOS)
def test_every_amount_survives_each_way_of_typing_it(centavos):
    """With points, commas, spaces or nothing between the thousands."""
    whole, cents = divmod(centavos, 100)
    english = f"{whole:,}.{cents:02d}"
    brazilian = english.translate(str.maketrans(",.", ".,"))
    for text in (
        plain(centavos),
        plain(centavos).replace(".", ","),
        english,
        brazilian,
        english.replace(",", " "),
        f"R$ {brazilian}",
    ):
        assert typed_centavos(text) == centavos


@given(st.text(alphabet="0123456789.,  R$r", max_size=16))
def test_the_last_mark_decides_which_digits_are_centavos(text):
    """Two digits after the last mark are centavos, three are thousands, others are refused."""
    try:
        centavos = typed_centavos(text)
    except InvalidMoney:
        return
    digits = "".join(filter(str.isdigit, text))
    behind = len("".join(text.split())) - 1 - max("".join(text.split()).rfind(m) for m in ",.")
    has_centavos = ("," in text or "." in text) and behind in (1, 2)
    assert centavos == int(digits) * (10 ** (2 - behind) if has_centavos else 100)
