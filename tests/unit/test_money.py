"""Money: reais become integer centavos through Decimal, or are refused: no float, no rounding."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidMoney
from core.money import CENTAVOS_MAX, centavos_from, json_number, plain, reais

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
def test_what_lands_on_a_centavo_is_read(value, centavos):
    """All ways a client may write an amount."""
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
def test_what_does_not_is_refused(value):
    """One exception for all, with a fragment that reads after the field's name."""
    with pytest.raises(InvalidMoney) as caught:
        centavos_from(value)
    assert caught.value.detail.startswith("must ")


@given(CENTAVOS)
def test_every_amount_survives_each_way_of_writing_it(centavos):
    """Decimal, text, text without trailing zeros, exponents: one amount."""
    exact = reais(centavos)
    for written in (exact, exact.normalize(), plain(centavos), str(exact.normalize())):
        assert centavos_from(written) == centavos
    assert centavos_from(f"{centavos}e-2") == centavos


@given(CENTAVOS)
def test_the_wires_number_names_the_amount_exactly(centavos):
    """A double's shortest form has the two decimals back, also for the largest amount."""
    assert centavos_from(Decimal(repr(json_number(centavos)))) == centavos


@given(CENTAVOS, st.integers(min_value=1, max_value=9))
def test_a_third_decimal_is_never_rounded_away(centavos, digit):
    """Whatever its value."""
    with pytest.raises(InvalidMoney):
        centavos_from(f"{plain(centavos)}{digit}")
    with pytest.raises(InvalidMoney):
        centavos_from(Decimal(f"{plain(centavos)}{digit}"))


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_any_decimal_is_read_exactly_or_refused(value):
    """What is accepted is that number of centavos and no other."""
    try:
        centavos = centavos_from(value)
    except InvalidMoney:
        return
    assert Decimal(centavos) == value * 100
    assert 1 <= centavos <= CENTAVOS_MAX


@given(st.text() | st.from_regex(r"-?\d{0,12}\.?\d{0,4}([eE][+-]?\d{1,3})?", fullmatch=True))
def test_any_text_is_read_exactly_or_refused(text):
    """No text raises anything else."""
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
def test_nothing_else_is_money(value):
    """Least of all `true` and a float, which both are numbers to Python."""
    with pytest.raises(InvalidMoney):
        centavos_from(value)


@pytest.mark.parametrize(
    ("centavos", "text"),
    [(1, "0.01"), (10, "0.10"), (5490, "54.90"), (CENTAVOS_MAX, "9999999999.99")],
)
def test_plain_has_always_two_decimals(centavos, text):
    """As BR Code and API Pix write sums."""
    assert plain(centavos) == text
    assert reais(centavos) == Decimal(text)
