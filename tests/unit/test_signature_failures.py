"""When wrong signatures become a problem, and when they stop being one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.signing.failures import FAILURES_MIN, SPREAD_MIN, WINDOW, SignatureFailures

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def fail(failures: SignatureFailures, times: int, spread: timedelta) -> list[bool]:
    """Failures from NOON on, evenly over `spread`."""
    step = spread / (times - 1)
    return [failures.record_failure(NOON + number * step) for number in range(times)]


def test_enough_failures_over_a_minute_are_a_problem_reported_once():
    """Both sides of both limits."""
    few, burst, enough = SignatureFailures(), SignatureFailures(), SignatureFailures()
    assert not any(fail(few, FAILURES_MIN - 1, SPREAD_MIN))
    assert not any(fail(burst, 50, SPREAD_MIN - timedelta(seconds=1)))
    assert fail(enough, FAILURES_MIN, SPREAD_MIN) == [False] * (FAILURES_MIN - 1) + [True]
    assert not enough.record_failure(NOON + SPREAD_MIN)
    now = NOON + SPREAD_MIN
    assert few.problem(now) is None
    assert burst.problem(now) is None
    assert "BANK_WEBHOOK_SECRET" in str(enough.problem(now))


def test_one_right_signature_ends_the_problem():
    """The secret was repaired; nobody has to restart anything."""
    failures = SignatureFailures()
    assert failures.record_success() is False
    fail(failures, FAILURES_MIN, SPREAD_MIN)
    assert failures.record_success() is True
    assert failures.problem(NOON + SPREAD_MIN) is None
    assert failures.record_success() is False


def test_a_problem_ends_by_itself_and_may_come_again():
    """A stranger who has gone leaves nothing behind."""
    failures = SignatureFailures()
    fail(failures, FAILURES_MIN, SPREAD_MIN)
    assert failures.problem(NOON + WINDOW - timedelta(seconds=1)) is not None
    assert failures.problem(NOON + WINDOW) is None
    later = NOON + WINDOW * 2
    reports = [failures.record_failure(later + number * SPREAD_MIN) for number in range(6)]
    assert reports.count(True) == 1


def test_any_number_of_failures_needs_little_memory():
    """Strangers can cause them."""
    failures = SignatureFailures()
    fail(failures, 5000, WINDOW / 2)
    assert len(failures._failed_at) < 200
    assert failures.problem(NOON + WINDOW / 2) is not None
