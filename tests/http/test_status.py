"""The poll is small, cheap while nothing changes, and never late."""

from __future__ import annotations

from contextlib import suppress

from core.errors import DatabaseUnavailable, TooManyRequests
from core.runtime.parts import EXTENSION
from payments import unchanged_polls
from repository import page_rows
from tests.http.checks import problem
from web.request_counts import REQUESTS


def poll(client, payment, etag=None):
    """Poll, with the last ETag."""
    headers = {"If-None-Match": etag} if etag else {}
    return client.get(f"/payments/pix/{payment['id']}/status", headers=headers)


def test_a_poll_has_the_status_and_the_remaining_time(make_payment, client, clock):
    """By the server's clock, so that a browser with a wrong clock counts right."""
    payment = make_payment(expires_in=60)
    clock.advance(seconds=20, milliseconds=1)
    answer = poll(client, payment)
    assert answer.status_code == 200
    assert {"id", "status", "sequence", "remaining_ms", "checked_at"} <= set(answer.json)
    assert answer.json["id"] == payment["id"]
    assert (answer.json["status"], answer.json["sequence"]) == ("pending", 1)
    assert answer.json["remaining_ms"] == 39_999
    assert answer.json["checked_at"] == "2026-11-20T15:00:20.001Z"


def test_an_unchanged_payment_is_a_304_without_a_body(make_payment, client, clock):
    """A page polls every few seconds for half an hour."""
    payment = make_payment()
    etag = poll(client, payment).headers["ETag"]
    clock.advance(seconds=5)
    answer = poll(client, payment, etag)
    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["ETag"] == etag


def test_the_passing_of_the_deadline_is_a_change(make_payment, client, clock):
    """No row changed, but a cached `pending` would be wrong."""
    payment = make_payment(expires_in=60)
    etag = poll(client, payment).headers["ETag"]
    clock.advance(seconds=60)
    assert poll(client, payment, etag).status_code == 304
    clock.advance(milliseconds=1)
    answer = poll(client, payment, etag)
    assert (answer.status_code, answer.json["status"]) == (200, "expired")
    assert answer.json["remaining_ms"] == 0


def test_the_sweep_of_an_expired_payment_is_no_second_change(make_payment, client, clock, app):
    """Sequence and ETag stay the same."""
    payment = make_payment(expires_in=60)
    clock.advance(seconds=61)
    etag = poll(client, payment).headers["ETag"]
    assert "Expired: 1" in app.test_cli_runner().invoke(args=["sweep"]).output
    assert poll(client, payment, etag).status_code == 304


def test_every_change_has_a_number_and_an_etag_of_its_own(make_payment, client, clock, bank):
    """A poller sees each of: pending, expired, money refused, money that was in time."""
    payment = make_payment(expires_in=60)
    in_time = bank.body(payment)
    answers = [poll(client, payment)]
    clock.advance(seconds=61)
    answers.append(poll(client, payment))
    problem(bank.confirm(payment), 409, "paid-too-late")
    answers.append(poll(client, payment))
    assert bank.tell(in_time).status_code == 200
    answers.append(poll(client, payment))
    assert [answer.json["status"] for answer in answers] == [
        "pending",
        "expired",
        "expired",
        "confirmed",
    ]
    numbers = [answer.json["sequence"] for answer in answers]
    assert numbers == sorted(set(numbers))
    assert len({answer.headers["ETag"] for answer in answers}) == 4
    assert answers[2].json["refusal"] == "paid-too-late"


def test_a_confirmation_is_a_change(make_payment, client, bank):
    """Sequence and ETag change."""
    payment = make_payment()
    etag = poll(client, payment).headers["ETag"]
    bank.confirm(payment)
    answer = poll(client, payment, etag)
    assert (answer.status_code, answer.json["status"]) == (200, "confirmed")


def test_an_unchanged_answer_has_the_same_headers_above_and_before_flask(make_payment, client):
    """A poll of the usual form is answered before Flask sees it; a list of tags is not."""
    payment = make_payment()
    etag = poll(client, payment).headers["ETag"]
    quick, usual = poll(client, payment, etag), poll(client, payment, f'"x", {etag}')
    assert (quick.status_code, usual.status_code) == (304, 304)
    changing = {"X-Request-ID", "Date"}
    headers = [
        sorted((name, "" if name in changing else value) for name, value in answer.headers)
        for answer in (quick, usual)
    ]
    assert headers[0] == headers[1]


def test_an_unchanged_answer_counts_and_repeats_the_requests_id(make_payment, client):
    """Operators see all polls in the metrics, and a proxy follows a request by its id."""
    payment = make_payment()
    etag = poll(client, payment).headers["ETag"]
    headers = {"If-None-Match": etag, "X-Request-ID": "from-the-proxy"}
    answer = client.get(f"/payments/pix/{payment['id']}/status", headers=headers)
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (304, "from-the-proxy")
    series = 'method="GET",route="/payments/pix/<string:payment_id>/status",status="304"'
    assert series in client.get("/metrics").text


def test_the_bound_of_requests_holds_for_unchanged_answers(make_payment, client, app):
    """They are the cheapest request, and a stranger can send them endlessly."""
    payment = make_payment()
    etag = poll(client, payment).headers["ETag"]
    counts = app.extensions[EXTENSION].request_counts
    most = app.config["BALCAO"].requests_per_minute
    statuses: set[int] = set()
    for _ in range(3):  # a minute may end between
        with suppress(TooManyRequests), app.test_request_context():
            for _ in range(most - 2):
                counts.take(REQUESTS, "127.0.0.1", most)
        statuses |= {poll(client, payment, etag).status_code for _ in range(3)}
    assert 429 in statuses


def test_a_precondition_comes_before_an_unchanged_state(make_payment, client):
    """RFC 9110, 13.2.2: `If-Match` first."""
    payment = make_payment()
    headers = {"If-None-Match": poll(client, payment).headers["ETag"], "If-Match": '"another"'}
    answer = client.get(f"/payments/pix/{payment['id']}/status", headers=headers)
    problem(answer, 412, "precondition-failed")


def test_the_bound_holds_for_requests_that_come_while_a_poll_reads(
    make_payment, client, app, monkeypatch
):
    """The last free place may be taken then; a refusal is an answer as usual."""
    payment = make_payment()
    etag = poll(client, payment).headers["ETag"]
    counts = app.extensions[EXTENSION].request_counts
    find_polled = page_rows.find_polled

    def find_late(ledger, txid):
        with suppress(TooManyRequests):
            while True:
                counts.take(REQUESTS, "127.0.0.1", app.config["BALCAO"].requests_per_minute)
        return find_polled(ledger, txid)

    monkeypatch.setattr(unchanged_polls, "find_polled", find_late)
    problem(poll(client, payment, etag), 429, "too-many-requests")


def test_the_bound_holds_for_polls_of_clients_beyond_the_counted_ones(
    make_payment, client, app, monkeypatch
):
    """They share one count, which may be full although their own is empty."""
    payment = make_payment()
    etag = poll(client, payment).headers["ETag"]
    counts = app.extensions[EXTENSION].request_counts
    monkeypatch.setattr("web.request_counts.CLIENTS_MAX", 0)
    with app.app_context(), suppress(TooManyRequests):
        while True:
            counts.take(REQUESTS, "192.0.2.1", app.config["BALCAO"].requests_per_minute)
    answer = client.get(
        f"/payments/pix/{payment['id']}/status",
        headers={"If-None-Match": etag},
        environ_base={"REMOTE_ADDR": "192.0.2.2"},
    )
    problem(answer, 429, "too-many-requests")


def test_an_unexpected_failure_of_a_poll_is_a_problem_as_everywhere(
    make_payment, client, app, monkeypatch
):
    """The server's own page for errors is no JSON, and has none of our headers."""
    payment = make_payment()
    etag = poll(client, payment).headers["ETag"]

    def fail(_ledger, _txid):
        raise RuntimeError

    monkeypatch.setattr(unchanged_polls, "find_polled", fail)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    problem(poll(client, payment, etag), 500, "internal-error")


def test_a_database_that_is_away_is_waited_for_once(make_payment, client, monkeypatch):
    """Each attempt may take seconds."""
    payment = make_payment()
    etag = poll(client, payment).headers["ETag"]
    attempts = []

    def refuse(_ledger, txid):
        attempts.append(txid)
        raise DatabaseUnavailable

    monkeypatch.setattr(unchanged_polls, "find_polled", refuse)
    problem(poll(client, payment, etag), 503, "service-unavailable")
    assert len(attempts) == 1


def test_a_strange_if_none_match_gets_the_state(make_payment, client):
    """An invalid conditional header is ignored."""
    payment = make_payment()
    for etag in ('"x"', "W/", "garbage", '"', "\xff", "W/" * 400):
        assert poll(client, payment, etag).status_code == 200


def test_an_unknown_payment_is_a_404(client):
    """Not an empty answer."""
    problem(client.get(f"/payments/pix/{'f' * 32}/status"), 404, "payment-not-found")
