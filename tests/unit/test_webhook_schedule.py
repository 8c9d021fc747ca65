"""When a delivery is sent again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from db_models import DeliveryStatus
from webhooks.schedule import PAUSES, RETRY_AFTER_MAX, judge, parse_retry_after

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def outcome(status, attempts=1, refusals=0, retry_after=None, low=True):
    """Judge an attempt, with the shortest or longest jitter."""
    return judge(
        status,
        retry_after,
        attempts=attempts,
        refusals=refusals,
        now=NOON,
        uniform=lambda a, b: a if low else b,
    )


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_every_2xx_is_delivered(status):
    assert outcome(status).status is DeliveryStatus.DELIVERED


@pytest.mark.parametrize("status", [None, 100, 199, 300, 302, 408, 409, 425, 429, 500, 503, 599])
def test_what_may_pass_is_tried_by_the_whole_schedule(status):
    """Nine more attempts, each a tenth earlier or later at most; then it rests."""
    for attempt, pause in enumerate(PAUSES, start=1):
        assert outcome(status, attempt).pause == pause * 0.9
        assert outcome(status, attempt, low=False).pause == pause * 1.1
    last = outcome(status, len(PAUSES) + 1)
    assert (last.status, last.pause) == (DeliveryStatus.FAILED, None)


def test_the_pauses_are_those_that_the_document_promises():
    seconds = [int(pause.total_seconds()) for pause in PAUSES]
    assert seconds == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 451, 499])
def test_another_4xx_is_tried_twice_more(status):
    """Refusals count, not attempts: failures of the network in between do not."""
    assert outcome(status, 1, refusals=0).status is DeliveryStatus.PENDING
    assert outcome(status, 5, refusals=1).status is DeliveryStatus.PENDING
    assert outcome(status, 3, refusals=2).status is DeliveryStatus.FAILED
    assert outcome(500, 3, refusals=2).status is DeliveryStatus.PENDING


def test_410_ends_at_once():
    answer = outcome(410)
    assert (answer.status, answer.is_gone) == (DeliveryStatus.FAILED, True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("999999999", RETRY_AFTER_MAX.total_seconds()),
        ("Fri, 20 Nov 2026 12:01:00 GMT", 60),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_MAX.total_seconds()),
    ],
)
def test_retry_after_is_seconds_or_a_date(header, seconds):
    assert parse_retry_after(header, NOON) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "header", [None, "", "soon", "-5", "1.5", "١٢", "1" * 40, "Fri, 99 Nov 2026", "\x00"]
)
def test_an_unreadable_retry_after_counts_as_none(header):
    assert parse_retry_after(header, NOON) is None


def test_retry_after_makes_a_pause_longer_and_never_shorter():
    assert outcome(503, retry_after="60").pause == timedelta(seconds=60)
    assert outcome(503, attempts=2, retry_after="1").pause == PAUSES[1] * 0.9
