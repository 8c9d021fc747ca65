"""Times are written in UTC with `Z`, and are refused without an offset."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import SystemClock, parse_rfc3339, rfc3339


def test_the_machines_clock_is_aware_and_in_utc():
    """A naive time would be wrong when the clocks change."""
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert now.utcoffset() == timedelta(0)
    assert before <= now <= datetime.now(UTC)


def test_an_instant_is_written_in_utc_with_milliseconds():
    """All instants on the wire have the same form."""
    brasilia = timezone(timedelta(hours=-3))
    assert rfc3339(datetime(2026, 1, 31, 9, 0, tzinfo=brasilia)) == "2026-01-31T12:00:00.000Z"
    assert rfc3339(datetime(2026, 1, 1, 0, 0, 0, 999, tzinfo=UTC)) == "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31 12:00:00+00:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T09:00:00-03:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00.5Z", datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-31T12:00:00.123456789Z", datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC)),
        ("2024-02-29T23:59:59-00:00", datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read_with_its_offset(text, instant):
    """Every form that RFC 3339 allows."""
    parsed = parse_rfc3339(text)
    assert parsed == instant
    assert parsed.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31T12:00Z", "2026-01-31T12:00:00+0300",
        "2026-02-30T12:00:00Z", "2026-13-01T00:00:00Z", "2026-01-31T24:00:00Z",
        "2026-01-31T23:59:60Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00", "2026-01-31T12:00:00+99:99", "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00.1234567890Z", " 2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z\n",
        "\u0662\u0660\u0662\u0666-01-31T12:00:00Z", "1763650800", "2026-W05-6T12:00:00Z", "now",
        "2026-01-31T12:00:00Z" * 1000,
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_one_kind_of_error(text):
    """Local time read as UTC would let a payer pay three hours late."""
    with pytest.raises(ValueError, match=r"^must be "):
        parse_rfc3339(text)


@given(
    st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - a bound
    st.integers(min_value=-14 * 60, max_value=14 * 60),
)
def test_what_is_written_is_read_back_to_the_millisecond(instant, minutes):
    """From any time zone."""
    try:
        elsewhere = instant.astimezone(timezone(timedelta(minutes=minutes)))
    except OverflowError:
        return
    to_the_millisecond = instant.replace(microsecond=instant.microsecond // 1000 * 1000)
    assert parse_rfc3339(rfc3339(elsewhere)) == to_the_millisecond


@given(st.text())
def test_any_text_is_read_or_raises_value_error(text):
    """The text comes from outside."""
    try:
        assert parse_rfc3339(text).tzinfo is not None
    except ValueError as error:
        assert str(error).startswith("must be ")  # noqa: PT017 - most texts are refused, not all
