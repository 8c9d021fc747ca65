"""What is read of MySQL's answers, and written for it, is what PyMySQL would read and write."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pymysql import converters

from db_models import EventName, PaymentStatus
from repository.mysql_connections import (
    _datetime_of,
    _keys_in,
    _literal_of,
    _plain_literal,
)

KEYS = [0, 1, 250, 251, 252, 65_535, 65_536, 2**24 - 1, 2**24, 2**63 - 1]


TIMES = [
    datetime.fromisoformat(text)
    for text in (
        "2026-11-30 20:01:02.000003",
        "2026-11-30 00:00:00",
        "2026-01-02 03:04:05.600000",
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59.999999",
    )
]


def integer(number):
    """An integer of MySQL's variable length."""
    if number < 251:
        return bytes([number])
    for mark, size in ((252, 2), (253, 3), (254, 8)):
        if number < 256**size:
            return bytes([mark]) + number.to_bytes(size, "little")
    raise ValueError(number)


def answer(key, number, *, matched=1, message=b"", first=0):
    """An answer without rows, as a packet."""
    body = bytes([first]) + integer(matched) + integer(key) + struct.pack("<HH", 8, 0) + message
    return len(body).to_bytes(3, "little") + bytes([number % 256]) + body


@pytest.mark.parametrize("key", KEYS)
def test_ids_of_any_size_are_read(key):
    """Rows are numbered for years."""
    data = answer(7, 255, message=b"(Rows matched: 1", matched=300) + answer(key, 256)
    assert _keys_in(data, 255, 5) == ([7, key], len(data))


def test_only_whole_answers_are_read_in_their_order_and_no_more_than_are_due():
    """The rest is PyMySQL's: it waits for more, and raises errors."""
    one, two = answer(1, 2), answer(2, 3)
    for cut in range(len(two)):
        assert _keys_in(one + two[:cut], 2, 5) == ([1], len(one))
    assert _keys_in(one + two, 2, 1) == ([1], len(one))
    assert _keys_in(one + answer(2, 3, first=0xFF), 2, 5) == ([1], len(one))
    assert _keys_in(one + answer(2, 9), 2, 5) == ([1], len(one))
    assert _keys_in(b"", 2, 5) == ([], 0)


@pytest.mark.parametrize(
    "value", [None, 0, -7, 2**63 - 1, "pending", "E00038166202611301200abc", "0", "9"]
)
def test_plain_values_are_written_as_pymysql_does(value):
    """Ids, numbers and statuses are most of what is stored."""
    assert _plain_literal(value) == converters.escape_item(value, mapping=converters.encoders)


@pytest.mark.parametrize(
    "value",
    [
        *("", "it's", "a\\b", 'say "x"', "é", "٣", "²", "a b", "%s", "a;b", "a\0", "\n", "\u2028"),
        *(True, False, 1.5, Decimal("1.50"), b"bytes"),
        *(PaymentStatus.PENDING, EventName.PAYMENT_CREATED),
    ],
)
def test_all_other_values_are_left_to_pymysql(value):
    """Only letters and digits of ASCII need no escape for sure."""
    assert _plain_literal(value) is None


@pytest.mark.parametrize("instant", TIMES)
def test_times_are_written_and_read_as_pymysql_does(instant):
    """With and without parts of a second; an offset is left out."""
    literal = _literal_of(instant, None)
    assert literal == converters.escape_datetime(instant)
    assert _literal_of(instant.replace(tzinfo=UTC), None) == literal
    assert _datetime_of(literal.strip("'")) == instant


@pytest.mark.parametrize(
    "text", ["0000-00-00 00:00:00", "2026-02-31 10:00:00", "2026-11-30 20:01:02.5"]
)
def test_times_that_are_none_are_read_as_pymysql_does(text):
    """MySQL has days that no calendar has."""
    assert _datetime_of(text) == converters.convert_datetime(text)
