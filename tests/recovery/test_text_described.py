"""Forms of the described system and of Bakong: they find a payment, or contradict it."""

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
    """The very examples of the described system."""
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


@settings(max_examples=300)
@given(ORDERS, st.integers(1, 999_999_999_999))
@example("a:b_c=d%41 \u00e9", 1)
@example("_" * 64, 999_999_999_999)
@example("ORDER_1_" + ID, 5)
def test_what_we_write_in_the_described_forms_is_read_again(order: str, centavos: int):
    """Whatever an order is called, and however an upload's text is wrapped."""
    order = order.strip() or "x"
    for written in (khqr_text(order, ID, centavos), order_text(order, ID, centavos)):
        assert written.isascii()
        assert len(written) <= 350
        for text in (written, written[:40] + "\n" + written[40:]):
            found = read(text)
            assert (found.order_id, found.payment_id, found.amount_centavos, found.is_whole) == (
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
def test_what_no_form_can_hold_is_refused(write, order: str, transaction: str):
    """A text that could be read in two ways must not be made."""
    with pytest.raises(InvalidRequest):
        write(order, transaction, 100)


@pytest.mark.parametrize("write", [khqr_text, order_text])
def test_a_cut_form_never_gives_part_of_an_id_or_amount(write):
    """An id has 32 digits or is none; an amount has two decimals or is none."""
    whole = write("pedido_7:8", ID, 123456)
    for length in range(6, len(whole)):
        found = read(whole[:length])
        assert found.payment_id in (None, ID), length
        assert found.amount_centavos in (None, 123456), length
        assert found.is_whole is False, length


def test_a_form_of_another_system_with_underscores_in_its_order_is_read_from_the_right():
    """Its parts are clear while the amount stands at the end."""
    found = read(f"ORDER_2026_11_{ID}_50.00")

    assert (found.order_id, found.payment_id) == ("2026_11", ID)
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
def test_a_form_with_a_fault_is_not_whole_but_still_names_its_payment(text: str):
    """What is clear is used; what is not is left out."""
    found = read(text)

    assert (found.kind, found.payment_id, found.is_whole) == (Kind.KHQR_ORDER, ID, False)


def test_a_form_that_names_another_order_or_amount_contradicts_the_payment():
    """Somebody put a strange id into a text of their own."""
    found = read(khqr_text("7", ID, 500))

    assert not found.contradicts("7", 500)
    assert found.contradicts("8", 500)
    assert found.contradicts("7", 501)
    assert found.contradicts(None, 500)
    assert not read(ID).contradicts("7", 500)


# --- Bakong --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", KHQR, ids=lambda vector: vector["id"])
def test_bakongs_codes_are_read_with_their_md5(vector):
    """The MD5 of the whole text is what its systems find a payment by."""
    found = read(vector["payload"] + "\n")

    assert (found.kind, found.is_whole, found.country) == (Kind.BAKONG, True, "KH")
    assert found.md5 == vector["fields"]["md5"]
    assert found.bill_number == vector["fields"]["bill_number"]
    assert read(vector["payload"][:-3]).kind is Kind.BAKONG
    assert not read(vector["payload"][:-3]).is_whole


def test_the_described_bakong_example_is_named_as_such():
    """It is cut off, as the description shows it, and of no checksum."""
    found = read("00020101021238570010A0000007270127000697040401080408KHQR0104...")

    assert (found.kind, found.is_whole) == (Kind.BAKONG, False)


@pytest.mark.parametrize("text", [CODE, "olá", khqr_text("1", ID, 5)])
def test_a_reading_has_the_md5_of_its_text(text: str):
    """Sessions are kept under it, whatever form their text has."""
    assert read(text).md5 == hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
