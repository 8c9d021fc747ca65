"""Leaving a bank alone: its rate limit, 429, the breaker; and what the log says of all that."""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from providers.api_pix import records
from providers.api_pix.breaker import Breaker, BreakerState
from providers.api_pix.budget import READS_AT_ONCE_MAX, CallBudget
from providers.api_pix.exchange import BankAddress, BankExchange
from providers.api_pix.tokens import TokenStyle
from providers.api_pix.wire import WireTimes
from providers.port import AccountRefusal, ProviderAway
from providers.secrets import AccountSecrets
from tests.providers.raw_bank import ANSWER_ENDS, RawBank, http
from web.bank_call_metrics import BankCallMetrics

SECRETS = AccountSecrets("the-client-id", "the-client-secret", "the-callback-token")
TXID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def bank():
    """A bank without TLS."""
    with RawBank() as bank:
        yield bank


class Time:
    """A clock that a test and a wait move."""

    def __init__(self) -> None:
        self.value = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.value

    def sleep(self, seconds: float) -> None:
        """Wait without waiting."""
        self.waits.append(seconds)
        self.value += seconds


def exchange_with(bank: RawBank, **options) -> BankExchange:
    """An exchange with this bank."""
    options.setdefault("address", BankAddress(bank.url, f"{bank.url}/token"))
    options.setdefault("token_style", TokenStyle())
    options.setdefault("times", WireTimes(connect=1.0, read=0.4, answer=0.6))
    options.setdefault("now", lambda: datetime.now(UTC))
    return BankExchange(label="efi-test", secrets=SECRETS, **options)


def call(exchange: BankExchange, *, is_read: bool = False, operation: str = "open-charge") -> int:
    """A call; returns its status."""
    return exchange.call(
        "PUT", "cob", f"/cob/{TXID}", body={}, operation=operation, is_read=is_read, txid=TXID
    ).status


def failure_of(exchange: BankExchange, **options) -> ProviderAway:
    """The failure of a call."""
    with pytest.raises(ProviderAway) as failure:
        call(exchange, **options)
    return failure.value


def spend_all(budget: CallBudget, *, is_read: bool) -> int:
    """How many calls the budget allows at once."""
    count = 0
    with suppress(ProviderAway):
        for count in range(1000):  # noqa: B007 - it is returned
            budget.spend(is_read=is_read)
        return 1000
    with pytest.raises(ProviderAway) as failure:
        budget.spend(is_read=is_read)
    assert (failure.value.code, failure.value.was_sent) == ("rate-limit", False)
    assert failure.value.retry_after is not None
    assert failure.value.retry_after > timedelta(0)
    return count


def test_a_published_limit_holds_in_every_minute():
    """120 calls in any 60 s, however they are distributed."""
    moment = Time()
    budget = CallBudget(120, seconds=moment, sleep=moment.sleep)
    sent: list[float] = []
    for _ in range(4000):
        try:
            budget.spend(is_read=False)
            sent.append(moment.value)
        except ProviderAway:
            moment.value += 0.3
    assert len(sent) > 240
    for index, start in enumerate(sent):
        assert sum(start <= one < start + 60 for one in sent[index : index + 200]) <= 120


def test_reads_leave_a_share_for_creates():
    """Polling must not keep a shop from selling."""
    moment = Time()
    budget = CallBudget(10, seconds=moment, sleep=moment.sleep)
    assert spend_all(budget, is_read=True) == 7
    assert spend_all(budget, is_read=False) == 3
    moment.value += 61
    assert spend_all(budget, is_read=False) == 10
    assert spend_all(CallBudget(1, seconds=moment), is_read=True) == 1
    with pytest.raises(ValueError, match="positive"):
        CallBudget(0)


def test_reads_are_sparse_at_a_bank_without_a_published_limit():
    """Twenty at once, then two a second; creates are not limited."""
    moment = Time()
    budget = CallBudget(None, seconds=moment, sleep=moment.sleep)
    assert spend_all(budget, is_read=True) == READS_AT_ONCE_MAX == 20
    assert spend_all(budget, is_read=False) == 1000
    moment.value += 5
    assert spend_all(budget, is_read=True) == 10
    assert moment.waits == []


def test_a_create_waits_a_little_for_its_turn():
    """Up to 2 s, because somebody looks at the page; then it fails at once."""
    moment = Time()
    budget = CallBudget(5, seconds=moment, sleep=moment.sleep)
    assert spend_all(budget, is_read=False) == 5
    assert moment.waits == []
    moment.value += 59.5
    budget.spend(is_read=False)
    assert moment.waits == [pytest.approx(1.5)]
    budget.close(1.0)
    budget.close(0.5)
    with pytest.raises(ProviderAway):
        budget.spend(is_read=True)
    budget.spend(is_read=False)
    assert moment.waits[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date", "date of a wrong clock"])
def test_retry_after_is_obeyed_by_every_kind_of_call(bank, status, form):
    """A storm of 429 asks for silence; a date is read by the bank's own clock."""
    ahead = 3 * 3600 if form == "date of a wrong clock" else 0
    date = formatdate(time.time() + ahead, usegmt=True)
    text = "120" if form == "seconds" else formatdate(time.time() + ahead + 120, usegmt=True)
    bank.script.append(http(status, headers={"Retry-After": text, "Date": date}))
    moment = Time()
    exchange = exchange_with(bank, seconds=moment, sleep=moment.sleep)
    first = failure_of(exchange)
    assert first.code == {429: "rate-limit", 503: "status-503"}[status]
    assert first.was_sent
    assert first.retry_after is not None
    assert abs(first.retry_after - timedelta(seconds=120)) <= timedelta(seconds=1)
    for is_read in (False, True):
        later = failure_of(exchange, is_read=is_read)
        assert (later.code, later.was_sent) == ("rate-limit", False)
    assert len(bank.calls) == 1
    moment.value += 121
    assert call(exchange) == 200


@pytest.mark.parametrize(
    ("text", "seconds"), [("86400", 600), ("0", 0), ("1.5", 1.5), ("-5", None), ("soon", None),
                          ("9" * 400, None)],
)  # fmt: skip
def test_retry_after_has_bounds(bank, text, seconds):
    """Ten minutes at most, and nonsense counts as nothing."""
    bank.script.append(http(503, headers={"Retry-After": text}))
    pause = failure_of(exchange_with(bank)).retry_after
    assert pause == (None if seconds is None else timedelta(seconds=seconds))


def test_429_without_a_time_backs_off_up_to_a_minute(bank):
    """1, 2, 4 … 60 s, and one good answer begins anew."""
    moment = Time()
    exchange = exchange_with(bank, seconds=moment, sleep=moment.sleep)
    pauses = []
    for _ in range(9):
        bank.script.append(http(429))
        pause = failure_of(exchange).retry_after
        assert pause is not None
        pauses.append(pause.total_seconds())
        moment.value += 61
    for seconds, most in zip(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert 0.8 * most <= seconds <= most
    assert call(exchange) == 200
    bank.script.append(http(429))
    pause = failure_of(exchange).retry_after
    assert pause is not None
    assert pause <= timedelta(seconds=1)


FAILURES = {"500": http(500), "closed": ANSWER_ENDS, "redirect": http(302)}


@pytest.mark.parametrize("kind", FAILURES)
def test_five_failures_in_a_row_open_the_breaker_and_one_probe_closes_it(bank, kind):
    """While it is open, a call fails at once and the bank hears nothing."""
    moment = Time()
    exchange = exchange_with(bank, seconds=moment, sleep=moment.sleep)
    bank.answer = lambda _request: FAILURES[kind]
    for _ in range(5):
        assert failure_of(exchange).code != "breaker-open"
    calls = len(bank.calls)
    stopped = failure_of(exchange)
    assert (stopped.code, stopped.was_sent) == ("breaker-open", False)
    assert stopped.retry_after is not None
    assert timedelta(0) < stopped.retry_after <= timedelta(seconds=1)
    assert len(bank.calls) == calls
    moment.value += 1.0
    assert failure_of(exchange).code != "breaker-open"
    assert failure_of(exchange).code == "breaker-open"
    moment.value += 2.0
    bank.answer = lambda _request: http(200, {})
    assert call(exchange) == 200
    bank.script.extend([FAILURES[kind]] * 4)
    for _ in range(2):
        failure_of(exchange)
    bank.script.clear()
    assert call(exchange) == 200


def test_a_decision_of_the_bank_is_no_failure(bank):
    """Four failures, a 404, four failures: the bank is there."""
    exchange = exchange_with(bank)
    for _ in range(3):
        bank.script.extend([http(500)] * 4)
        assert {failure_of(exchange).code for _ in range(4)} == {"status-500"}
        bank.script.append(http(404, {}))
        assert call(exchange) == 404


def test_only_one_call_probes():
    """Hundreds of waiting calls must not fall upon a bank that has just come back."""
    moment = Time()
    states: list[BreakerState] = []
    breaker = Breaker(seconds=moment, on_change=states.append)
    late = breaker.begin()
    for _ in range(5):
        breaker.fail(breaker.begin())
    assert breaker.state is BreakerState.OPEN
    breaker.succeed(late)  # it began before the bank went away
    assert breaker.state is BreakerState.OPEN
    moment.value += 1.0
    assert breaker.begin()
    for _ in range(3):
        with pytest.raises(ProviderAway):
            breaker.begin()
    breaker.give_up(True)
    probe = breaker.begin()
    assert probe
    breaker.fail(probe)
    for pause in (2, 4, 8, 16, 32, 60, 60):
        moment.value += 0.7 * pause
        with pytest.raises(ProviderAway):
            breaker.begin()
        moment.value += 0.3 * pause
        breaker.fail(breaker.begin())
    moment.value += 60
    breaker.succeed(breaker.begin())
    assert breaker.begin() is False
    assert states[0] is BreakerState.OPEN
    assert states[-1] is BreakerState.CLOSED


def test_a_hundred_calls_at_once_are_quick(bank):
    """A bank that needs 50 ms, 32 connections, and no create waits for a read's budget."""

    def answer(_request):
        time.sleep(0.05)
        return http(200, {"ok": True})

    bank.answer = answer
    exchange = exchange_with(bank, times=WireTimes())

    def burst() -> float:
        threads = [threading.Thread(target=call, args=(exchange,)) for _ in range(100)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - began

    burst()
    seconds = min(burst() for _ in range(3))
    assert len(bank.calls) == 400
    assert bank.connections <= 33
    assert seconds < 1.2


def test_a_call_finds_no_connection_within_its_time(bank):
    """A bank that hangs must not collect all workers; nothing was sent."""

    def answer(_request):
        time.sleep(0.5)
        return http(200, {})

    bank.answer = answer
    exchange = exchange_with(bank, times=WireTimes(read=2.0, answer=2.0, place=0.1))
    codes: list[tuple[str, bool]] = []

    def note() -> None:
        try:
            call(exchange)
        except ProviderAway as error:
            codes.append((error.code, error.was_sent))

    threads = [threading.Thread(target=note) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [("busy", False)] * 8


@pytest.fixture
def closed():
    """An address that refuses connections: the port is bound, so nobody else can listen there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_logs_and_metrics_name_the_call_and_nothing_secret(bank, closed, monkeypatch, caplog):
    """All failures, at the lowest level, with the loggers of the libraries."""
    caplog.set_level(logging.DEBUG)
    metrics = BankCallMetrics(CollectorRegistry())
    monkeypatch.setattr(records, "_metrics", lambda: metrics)
    echo = "the-client-id the-client-secret bearer-1-of-the-test the-callback-token 12345678909"
    answers = [
        http(200, {"chave": "12345678909"}), http(404, {"detail": echo}), http(403, echo.encode()),
        http(403, {"detail": echo}), http(500, {"detail": echo}), ANSWER_ENDS, ANSWER_ENDS,
        http(200, b"<html>" + echo.encode()), http(302, headers={"Location": f"/?{echo}"}),
        http(429), http(401, {"detail": echo}), http(401, {"detail": echo}),
    ]  # fmt: skip
    early = echo.replace("bearer-1-of-the-test ", "")
    refusals = []
    with capture_logs() as logs:
        for answer in answers:
            bank.script.append(answer)
            bank.tokens = 0
            exchange = exchange_with(bank, query={"gw-dev-app-key": "the-app-key"},
                                     headers={"x-key": "{client_id}"})  # fmt: skip
            try:
                call(exchange)
            except (ProviderAway, AccountRefusal) as error:
                refusals.append(f"{error!r} {error} {vars(error)}")
        for token_answer in (http(401, {"error": "invalid_client", "error_description": early}),
                             http(500, early.encode()), http(200, early.encode())):  # fmt: skip
            bank.token_script.append(token_answer)
            try:
                call(exchange_with(bank))
            except (ProviderAway, AccountRefusal) as error:
                refusals.append(f"{error!r} {error} {vars(error)}")
        failure_of(exchange_with(bank, address=BankAddress(closed, f"{bank.url}/token")))
    text = f"{logs} {caplog.text} {refusals} {[r.args for r in caplog.records]}"
    for secret in ("the-client-id", "the-client-secret", "bearer-", "the-callback-token",
                   "the-app-key", "12345678909"):  # fmt: skip
        assert secret not in text
    lines = [line for line in logs if line.get("operation") == "open-charge"]
    assert {"bank": "efi-test", "txid": TXID, "status": 404}.items() <= lines[1].items()
    assert {"correlation", "ms", "failure"} <= lines[1].keys()
    assert "forbidden" in {line["failure"] for line in lines}
    results = {
        sample.labels["result"]
        for family in metrics.calls.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    assert results >= {"2xx", "4xx", "account-refused", "away-status-500", "away-rate-limit",
                       "away-connect"}  # fmt: skip


def test_a_failure_is_a_warning_once_until_it_ends(bank):
    """A bank that is away for a night must not fill the disk."""
    bank.script.extend([http(500), http(500), http(502), http(200, {}), http(500)])
    exchange = exchange_with(bank)
    with capture_logs() as logs:
        for _ in range(5):
            try:
                call(exchange)
            except ProviderAway:
                continue
    noted = [
        (line["log_level"], line["event"].partition(".")[2], line.get("failure"))
        for line in logs
        if line.get("operation") == "open-charge" and line["log_level"] != "debug"
    ]
    assert noted == [
        ("warning", "call_failed", "status-500"),
        ("warning", "call_failed", "status-502"),
        ("info", "call_works_again", None),
        ("warning", "call_failed", "status-500"),
    ]


def test_a_wrong_clock_is_a_warning_once_an_hour(bank):
    """Over 30 s; the bank's or ours."""
    bank.answer = lambda _request: http(
        200, {}, headers={"Date": formatdate(time.time() - 45, usegmt=True)}
    )
    exchange = exchange_with(bank)
    with capture_logs() as logs:
        for _ in range(4):
            call(exchange)
    warnings = [line for line in logs if line["event"] == "provider.clock_differs"]
    assert [(line["bank"], abs(line["seconds"] + 45) <= 2) for line in warnings] == [
        ("efi-test", True)
    ]


def test_the_breaker_is_counted_once_for_each_change(bank, monkeypatch):
    """A gauge of what is open now, for an alert."""
    metrics = BankCallMetrics(CollectorRegistry())
    monkeypatch.setattr(records, "_metrics", lambda: metrics)
    moment = Time()
    exchange = exchange_with(bank, seconds=moment, sleep=moment.sleep)
    bank.script.extend([http(500)] * 6)
    for _ in range(8):
        failure_of(exchange)
    assert metrics.open_breakers.labels("efi-test")._value.get() == 1
    moment.value += 60
    failure_of(exchange)
    moment.value += 60
    assert call(exchange) == 200
    assert metrics.open_breakers.labels("efi-test")._value.get() == 0
    assert metrics.breaker_changes.labels("efi-test", "open")._value.get() == 1
    bank.script.extend([http(500)] * 5)
    for _ in range(5):
        failure_of(exchange)
    exchange.close()  # the account was changed: another exchange takes its place
    assert metrics.open_breakers.labels("efi-test")._value.get() == 0
