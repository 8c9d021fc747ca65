"""Codes of municipalities: seven digits, a state that exists, and a check digit."""

from __future__ import annotations

import pytest

from core.pix.municipality import OTHER_CHECK_DIGITS, STATES, is_municipality_code, state_of

CAPITALS = {
    "1100205": "RO", "1200401": "AC", "1302603": "AM", "1400100": "RR", "1501402": "PA",
    "1600303": "AP", "1721000": "TO", "2111300": "MA", "2211001": "PI", "2304400": "CE",
    "2408102": "RN", "2507507": "PB", "2611606": "PE", "2704302": "AL", "2800308": "SE",
    "2927408": "BA", "3106200": "MG", "3205309": "ES", "3304557": "RJ", "3550308": "SP",
    "4106902": "PR", "4205407": "SC", "4314902": "RS", "5002704": "MS", "5103403": "MT",
    "5208707": "GO", "5300108": "DF",
}  # fmt: skip


def test_every_capital_has_its_state():
    """All 27 states, each by a real code."""
    assert {code: state_of(code) for code in CAPITALS} == CAPITALS
    assert set(STATES.values()) == set(CAPITALS.values())


@pytest.mark.parametrize("code", ["1504752", "4212650", "4220000", "4314548", "5006275", "5101837"])
def test_the_newest_municipalities_pass(code):
    """IBGE gave them their codes from 2013 on."""
    assert is_municipality_code(code)


@pytest.mark.parametrize("code", sorted(OTHER_CHECK_DIGITS))
def test_nine_codes_break_the_rule_of_the_check_digit(code):
    """They are real, and no other last digit is."""
    assert is_municipality_code(code)
    by_rule = [digit for digit in "0123456789" if is_municipality_code(code[:6] + digit)]
    assert len(by_rule) == 2, "the digit of the rule, and the one that IBGE gave"


@pytest.mark.parametrize("code", sorted(CAPITALS))
def test_one_mistyped_digit_is_seen(code):
    """Each of the seven digits, replaced by each other digit."""
    for place in range(7):
        for digit in set("0123456789") - {code[place]}:
            other = code[:place] + digit + code[place + 1 :]
            assert not is_municipality_code(other) or other in OTHER_CHECK_DIGITS


@pytest.mark.parametrize(
    "code",
    ["", "355030", "35503080", "355030a", " 3550308", "3550308\n", "\u0663550308", "3400000",
     "0000000", "9999999"],
)  # fmt: skip
def test_other_texts_are_refused(code):
    """Wrong lengths, no digits, digits of other scripts, states that do not exist."""
    assert not is_municipality_code(code)
    with pytest.raises(ValueError, match="7 digits"):
        state_of(code)
