"""What people paste is cleaned before any field is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.typed import caseless, clean, identifier, name_key, with_plain_hyphens


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


OURS, BANKS = "0123456789abcdef" * 2, "E12345678202611270158aBcDeF01234"


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        (OURS, OURS),
        (f"{OURS[:12].upper()}\n {OURS[12:]}\u200b", OURS),
        (f"https://pix.example/payments/pix/{OURS.upper()}?payment_id={'f' * 32}", OURS),
        (f"http://pix.example/watch/{OURS}", OURS),
        (f"\u201c{OURS}\u201d", OURS),
        ("01234567-89AB-CDEF-0123-456789abcdef", "01234567-89AB-CDEF-0123-456789abcdef"),
        (f"'{BANKS}'", BANKS),
        (f"{BANKS[:9]} {BANKS[9:]}\ufeff", BANKS),
        ("E99999999202611270158012345678ab", "E99999999202611270158012345678ab"),
        (" Pedido\u00a07 ", "Pedido 7"),
        (f"{OURS}0", f"{OURS}0"),
        (f"https://pix.example/{OURS}0", f"https://pix.example/{OURS}0"),
        (BANKS.lower(), BANKS.lower()),
    ],
)
def test_an_id_is_read_as_it_was_meant(text: str, spelling: str) -> None:
    """The last letters of an end-to-end id, and an order's id, differ by case."""
    assert identifier(text) == spelling


@given(st.text())
def test_the_one_spelling_stays_as_it_is(text: str) -> None:
    """What is stored must be found by what is stored."""
    assert caseless(caseless(text)) == caseless(text)
    assert identifier(identifier(text)) == identifier(text)


@given(st.text())
def test_a_clean_text_stays_as_it_is(text: str) -> None:
    """Cleaning twice must not give another login or key than cleaning once."""
    assert clean(clean(text)) == clean(text)
