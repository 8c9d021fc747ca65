"""The forms of the described system and of Bakong find a payment, or contradict it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blueprints.recovery.reading import Kind, khqr_text, order_text
from core.errors import InvalidRequest
from tests.recovery.texts import CODE, ID, read

VECTORS = Path(__file__).resolve().parents[1] / "data" / "khqr-vectors.json"
KHQR = [
    vector
    for vector in json.loads(VECTORS.read_text("utf-8"))["vectors"]
    if vector["verdict"] == "valid"
]


def test_the_described_forms_are_read_with_their_fields():
    """The examples come from the described system's documentation."""
    khqr = read("KHQR:order_id=123:transaction_id=abc123def456789:amount=50.00")
    order = read("ORDER_123_abc123def456_50.00")

    assert (khqr.kind, khqr.order_id, khqr.transaction_id, khqr.amount_centavos) == (
        Kind.KHQR_ORDER,
        "123",
        "abc123def456789",
        5000,
    )
    assert (order.kind, order.order_id, order.transaction_id, order.amount_centavos) == (
        Kind.ORDER,
        "123",
        "abc123def456",
        5000,
    )
    assert (khqr.is_whole, order.is_whole) == (True, True)
    assert (khqr.payment_id, order.payment_id) == (None, None)


ORDERS = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=64
)


CHARACTERS_MAX = len(khqr_text("x", ID, 999_999_999_999)) - 1 + 64 * len("%F0%90%80%80")
"""An order has 64 characters of any script, and each of their four bytes becomes three."""


@settings(max_examples=300)
@given(ORDERS, st.integers(1, 999_999_999_999))
@example("a:b_c=d%41 \u00e9", 1)
@example("_" * 64, 999_999_999_999)
@example("ORDER_1_" + ID, 5)
@example("\U00010000" * 64, 999_999_999_999)
def test_what_we_write_in_the_described_forms_can_be_read(order: str, centavos: int):
    """For any name of an order, and with a line break."""
    order = order.strip() or "x"
    for form in (khqr_text(order, ID, centavos), order_text(order, ID, centavos)):
        assert form.isascii()
        assert len(form) <= CHARACTERS_MAX
        for text in (form, form[:40] + "\n" + form[40:]):
            reading = read(text)
            assert (
                reading.order_id,
                reading.payment_id,
                reading.amount_centavos,
                reading.is_whole,
            ) == (
                order,
                ID,
                centavos,
                True,
            )


@pytest.mark.parametrize("write", [khqr_text, order_text])
@pytest.mark.parametrize(
    ("order", "transaction"),
    [("", ID), ("x" * 65, ID), ("\ud800", ID), ("1", ""), ("1", "a_b"), ("1", "x" * 65)],
)
def test_a_value_that_no_form_can_contain_is_refused(write, order: str, transaction: str):
    """We must not write an ambiguous text."""
    with pytest.raises(InvalidRequest):
        write(order, transaction, 100)


@pytest.mark.parametrize("write", [khqr_text, order_text])
def test_a_cut_form_never_yields_part_of_an_id_or_amount(write):
    """An id needs 32 digits, and an amount two decimals."""
    whole = write("pedido_7:8", ID, 123456)
    for length in range(6, len(whole)):
        reading = read(whole[:length])
        assert reading.payment_id in (None, ID), length
        assert reading.amount_centavos in (None, 123456), length
        assert reading.is_whole is False, length


def test_a_form_of_another_system_with_underscores_in_its_order_is_read_from_the_right():
    """The parts are unambiguous if the amount is at the end."""
    reading = read(f"ORDER_2026_11_{ID}_50.00")

    assert (reading.order_id, reading.payment_id) == ("2026_11", ID)
    assert read(f"ORDER_2026_11_{ID}").payment_id is None


@pytest.mark.parametrize(
    "text",
    [
        f"KHQR:order_id=1:transaction_id={ID}:amount=0",
        f"KHQR:order_id=1:transaction_id={ID}:amount=1e3",
        f"KHQR:order_id=1:transaction_id={ID}:amount=10.001",
        f"KHQR:order_id=1:order_id=2:transaction_id={ID}:amount=1.00",
        f"KHQR:order_id=1:transaction_id={ID}:amount=1.00:x=1",
        f"khqr:ORDER_ID=1:TRANSACTION_ID={ID.upper()}",
    ],
)
def test_a_faulty_form_is_not_whole_but_still_names_its_payment(text: str):
    """Correct fields are used; faulty fields are left out."""
    reading = read(text)

    assert (reading.kind, reading.payment_id, reading.is_whole) == (Kind.KHQR_ORDER, ID, False)


def test_a_form_that_names_another_order_or_amount_contradicts_the_payment():
    """Such a text was composed with the id of another payment."""
    reading = read(khqr_text("7", ID, 500))

    assert not reading.contradicts("7", 500)
    assert reading.contradicts("8", 500)
    assert reading.contradicts("7", 501)
    assert reading.contradicts(None, 500)
    assert not read(ID).contradicts("7", 500)


# --- Bakong --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", KHQR, ids=lambda vector: vector["id"])
def test_bakongs_codes_are_read_with_their_md5(vector):
    """Bakong's systems find a payment by the MD5 of the whole text."""
    reading = read(vector["payload"] + "\n")

    assert (reading.kind, reading.is_whole, reading.country) == (Kind.BAKONG, True, "KH")
    assert reading.md5 == vector["fields"]["md5"]
    assert reading.bill_number == vector["fields"]["bill_number"]
    assert read(vector["payload"][:-3]).kind is Kind.BAKONG
    assert not read(vector["payload"][:-3]).is_whole


def test_the_described_bakong_example_is_read_as_bakong():
    """The example is cut off and has no checksum."""
    reading = read("00020101021238570010A0000007270127000697040401080408KHQR0104...")

    assert (reading.kind, reading.is_whole) == (Kind.BAKONG, False)


@pytest.mark.parametrize("text", [CODE, "olá", khqr_text("1", ID, 5)])
def test_a_reading_has_the_md5_of_its_text(text: str):
    """The described system stores sessions under this MD5."""
    assert read(text).md5 == hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
