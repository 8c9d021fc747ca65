"""What people paste is cleaned before any field is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.typed import caseless, clean, name_key, with_plain_hyphens


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  demo\n", "demo"),
        ("\ufeffde\u200bmo\u2060", "demo"),
        ("\u202ademo\u202c", "demo"),
        ("a\u00a0b\u202fc", "a b c"),
        ("a\nb", "a\nb"),
        ("Ana\u00ad", "Ana"),
        ("José", "José"),
    ],
)
def test_what_nobody_sees_is_removed_and_the_rest_stays(text: str, cleaned: str) -> None:
    """Messengers add marks of direction, zero width spaces and no-break spaces."""
    assert clean(text) == cleaned


def test_every_hyphen_is_the_one_of_the_keyboard() -> None:
    """Word processors replace hyphens; a letter with an accent is no hyphen."""
    assert with_plain_hyphens("1\u20102\u20113\u20134\u20145\u22126\uff0dé_") == "1-2-3-4-5-6-é_"


@pytest.mark.parametrize("spelling", ["demo", "Demo", "DEMO ", "\tde\u200bmo", "\uff24emo"])
def test_a_login_has_one_spelling(spelling: str) -> None:
    """Phones write the first letter large and a space behind the word."""
    assert caseless(spelling) == "demo"


def test_names_that_look_the_same_have_the_same_key_and_accents_count() -> None:
    """Case, repeated spaces and invisible marks do not tell two shops apart."""
    assert name_key("  Feira\u00a0 da\u200b VILA") == name_key("feira da vila")
    assert name_key("Padaria do Jose\u0301") == name_key("PADARIA DO JOSÉ")
    assert name_key("Padaria do José") != name_key("Padaria do Jose")


@given(st.text())
def test_the_one_spelling_stays_as_it_is(text: str) -> None:
    """What is stored must be found by what is stored."""
    assert caseless(caseless(text)) == caseless(text)


@given(st.text())
def test_a_clean_text_stays_as_it_is(text: str) -> None:
    """Cleaning twice must not give another login or key than cleaning once."""
    assert clean(clean(text)) == clean(text)
