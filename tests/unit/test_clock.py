"""Times are written in UTC with `Z`, and are refused without an offset."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import (
    LEAD_SECONDS_MAX,
    ShiftedClock,
    SystemClock,
    outside_now,
    parse_rfc3339,
    rfc3339,
)
from tests.support.clocks import FrozenClock


def test_the_machines_clock_is_aware_and_in_utc():
    """A naive time would be wrong when the clocks change."""
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert now.utcoffset() == timedelta(0)
    assert before <= now <= datetime.now(UTC)


def lead_of(clock) -> timedelta:
    """By how many whole seconds a clock is ahead of the machine's."""
    return timedelta(seconds=round((clock.now() - SystemClock().now()).total_seconds()))


def test_a_file_moves_the_clock_ahead_and_never_back(tmp_path):
    """A test of a shop lets days pass; nothing in the service expects them to return."""
    file = tmp_path / "clock"
    clock = ShiftedClock(file)
    assert lead_of(clock) == timedelta(0)

    for text, seconds in [("7776000\n", 7776000), ("", 7776000), ("10", 7776000), ("x", 7776000),
                          ("7776001.0", 7776001), ("-5", 7776001)]:  # fmt: skip
        file.write_text(text, "utf-8")
        assert lead_of(clock) == timedelta(seconds=seconds), text
    file.unlink()
    assert lead_of(clock) == timedelta(seconds=7776001)
    file.mkdir()
    assert lead_of(clock) == timedelta(seconds=7776001)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    """Each question for the time would wait for a writer, and the service would stand still."""
    file = tmp_path / "clock"
    os.mkfifo(file)
    with pytest.raises(ValueError, match="must be a regular file"):
        ShiftedClock(file)
    file.unlink()
    file.write_text("10", "utf-8")
    clock = ShiftedClock(file)
    file.unlink()
    os.mkfifo(file)
    assert lead_of(clock) == timedelta(seconds=10)


def test_bytes_that_are_no_text_are_no_number_of_seconds(tmp_path):
    """The error says what the file should hold, and not how it was decoded."""
    (tmp_path / "clock").write_bytes(b"\xff1")
    with pytest.raises(ValueError, match="must hold a number of seconds"):
        ShiftedClock(tmp_path / "clock")


@pytest.mark.parametrize("text", ["", "x", "-1", "1e9", "nan", "\u0661", str(LEAD_SECONDS_MAX + 1)])
def test_a_file_without_a_number_of_seconds_is_refused_at_the_start(tmp_path, text):
    """Later such a file counts as being written; at the start it is a mistake."""
    file = tmp_path / "clock"
    file.write_text(text, "utf-8")
    with pytest.raises(ValueError, match="must hold a number of seconds"):
        ShiftedClock(file)


def test_the_latest_lead_that_is_allowed_is_a_time(tmp_path):
    """Sums with the longest pauses must not leave the calendar."""
    file = tmp_path / "clock"
    file.write_text(str(LEAD_SECONDS_MAX), "utf-8")
    assert ShiftedClock(file).now() + timedelta(days=36_500) < datetime(2500, 1, 1, tzinfo=UTC)


def test_programs_outside_read_the_machines_time(tmp_path):
    """A shop's server verifies the timestamp of a webhook by its own clock."""
    (tmp_path / "clock").write_text("864000", "utf-8")
    outside = outside_now(ShiftedClock(tmp_path / "clock"))
    assert abs(outside - SystemClock().now()) < timedelta(seconds=30)
    frozen = FrozenClock()
    assert outside_now(frozen) == frozen.now()


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
