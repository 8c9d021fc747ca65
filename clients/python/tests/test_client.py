"""Requests, retries, idempotency keys and errors, over real sockets."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from decimal import Decimal

import pytest

import balcao
from balcao import Balcao, Provider, Receipt, Refund, RetryPolicy, errors
from balcao.payments import reais
from balcao.transport import retry_after_seconds


def test_a_created_payment_has_exact_money_and_aware_times(script, shop):
    """A float of reais is one centavo off sooner or later, and a naive time some hours."""
    server = script(script.ok({"payment": script.payment}, 201))

    payment = shop(server).client.payments.create("100.10", order_id="1042")

    assert (payment.value, payment.amount_centavos) == (Decimal("100.10"), 10010)
    assert payment.created_at == datetime(2026, 11, 20, 15, 0, 0, 123000, tzinfo=timezone.utc)
    assert payment.raw["field_of_the_future"] == [1]
    method, path, headers, body = server.requests[0]
    assert (method, path) == ("POST", "/payments/pix")
    assert headers["authorization"] == "Bearer balcao_test_key"
    assert json.loads(body) == {"value": "100.10", "order_id": "1042"}


def test_the_bank_of_a_payment_is_named(script, shop):
    """A shop with a real bank looks the charge up there by its txid."""
    bank = {"name": "efi", "account": "0123abcd", "txid": "4f0c", "status": "open", "later": 1}
    answers = [script.payment, {**script.payment, "provider": bank}]
    server = script(*(script.ok({"payment": one}) for one in answers))
    client = shop(server).client
    assert client.payments.get("4f0c").provider is None  # a service from before
    assert client.payments.get("4f0c").provider == Provider("efi", "0123abcd", "4f0c", "open")


def test_a_return_of_the_banks_own_making_says_why():
    """The shop did not order it."""
    raw = {
        "id": "D1",
        "payment_id": "4f0c",
        "value": 1,
        "amount_centavos": 100,
        "status": "done",
        "requested_at": "2026-11-20T15:00:00Z",
    }
    assert (Refund.from_raw(raw).by_bank, Refund.from_raw(raw).nature) == (False, None)
    med = Refund.from_raw({**raw, "by_bank": True, "nature": "MED_FRAUDE"})
    assert (med.by_bank, med.nature) == (True, "MED_FRAUDE")


def test_a_receipt_says_why_its_money_fits_no_payment():
    """Such money is at the bank, and the shop attaches it or gives it back."""
    raw = {
        "end_to_end_id": "E1",
        "payment_id": None,
        "value": Decimal("99.9"),
        "amount_centavos": 9990,
        "paid_at": "2026-11-20T15:00:00Z",
        "verdict": "accepted",
        "misfit": "amount-mismatch",
    }
    receipt = Receipt.from_raw(raw)
    assert (receipt.value, receipt.misfit) == (Decimal("99.90"), "amount-mismatch")
    assert (receipt.payment_id, receipt.reason) == (None, None)
    with pytest.raises(errors.UnexpectedAnswer, match="receipt"):
        Receipt.from_raw({**raw, "misfit": 7})


def test_a_service_on_this_machine_is_reached_without_the_proxy(script, shop, monkeypatch):
    """The proxy of a company cannot reach the developer's machine."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = script(script.ok({"payment": script.payment}))

    assert shop(server).client.payments.get("a1").value == Decimal("100.10")

    with pytest.raises(errors.ConnectionFailed, match="refused"):
        Balcao("http://pay.example", "k", retries=RetryPolicy(attempts=1)).payments.get("a1")


@pytest.mark.parametrize("terms", [{}, {"scenario": "double", "pay_after": 3}])
def test_the_terms_of_a_test_are_sent_as_they_are(script, shop, terms):
    """An empty object means a payment that pays itself at once, and None one that does not."""
    server = script(script.ok({"payment": script.payment}, 201))
    client = shop(server).client

    client.payments.create(10, test=terms)
    client.payments.create(10)

    assert json.loads(server.requests[0][3]) == {"value": "10.00", "test": terms}
    assert json.loads(server.requests[1][3]) == {"value": "10.00"}


@pytest.mark.parametrize("failure", [None, 429, 502, 503, 504])
def test_a_retry_of_a_creation_carries_the_same_idempotency_key(script, shop, failure):
    """With another key, or none, an answer that got lost would create a second payment."""
    bad = None if failure is None else script.problem(failure, "busy")
    server = script(bad, bad, script.ok({"payment": script.payment}, 201))

    shop(server).client.payments.create(100)

    keys = [headers["idempotency-key"] for _, _, headers, _ in server.requests]
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_two_creations_have_different_keys(script, shop):
    """With one key the second customer would get the first one's payment."""
    server = script(script.ok({"payment": script.payment}, 201))
    client = shop(server).client

    client.payments.create(100)
    client.payments.create(100)

    first, second = (headers["idempotency-key"] for _, _, headers, _ in server.requests)
    assert first != second


def test_retries_end_and_the_last_error_is_raised(script, shop):
    """A service that is down must not hold a shop's request for ever."""
    server = script(script.problem(503, "service-unavailable"))
    shopkeeper = shop(server, retries=RetryPolicy(attempts=3, base=0.5))

    with pytest.raises(errors.ServiceUnavailable):
        shopkeeper.client.payments.get("a1")

    assert len(server.requests) == 3
    assert len(shopkeeper.pauses) == 2
    assert shopkeeper.pauses[0] <= 0.5
    assert shopkeeper.pauses[1] <= 1.0


@pytest.mark.parametrize("status", [400, 401, 404, 409, 500])
def test_what_a_retry_cannot_mend_is_asked_once(script, shop, status):
    """A refusal stays a refusal, and a 500 may have had an effect."""
    server = script(script.problem(status, "some-code"))

    with pytest.raises(errors.ApiError):
        shop(server).client.payments.get("a1")

    assert len(server.requests) == 1


def test_retry_after_is_waited_for_up_to_the_bound(script, shop):
    """Asking sooner is refused again; waiting for an hour inside a request helps nobody."""
    patient = script(
        script.problem(429, "too-many-requests", **{"Retry-After": "7"}),
        script.ok({"payment": script.payment}),
    )
    shopkeeper = shop(patient)
    shopkeeper.client.payments.get("a1")
    assert 7 <= shopkeeper.pauses[0] <= 7.5

    hour = script(script.problem(429, "too-many-requests", **{"Retry-After": "3600"}))
    with pytest.raises(errors.TooManyRequests) as refusal:
        shop(hour).client.payments.get("a1")
    assert refusal.value.retry_after == 3600
    assert len(hour.requests) == 1


def test_retry_after_is_seconds_or_a_date_and_garbage_is_nothing():
    """A proxy may write anything there."""
    assert retry_after_seconds("12") == 12
    assert retry_after_seconds("Thu, 01 Jan 1970 00:01:00 GMT", now=0) == 60
    assert retry_after_seconds("Thu, 01 Jan 1970 00:01:00 GMT", now=99) == 0
    for garbage in (None, "", "soon", "-1", "9" * 30, "Thu, 99 Jan 1970 00:01:00 GMT"):
        assert retry_after_seconds(garbage) is None


def test_an_error_is_a_class_by_its_code_and_has_what_the_service_said(script, shop):
    """A program decides by the class; a person reads the rest in the log."""
    server = script(script.problem(409, "order-already-has-payment"))

    with pytest.raises(errors.OrderAlreadyHasPayment) as caught:
        shop(server).client.payments.create(1, order_id="1042")

    error = caught.value
    assert isinstance(error, errors.Conflict)
    assert (error.code, error.status) == ("order-already-has-payment", 409)
    assert error.detail == "A sentence."
    assert error.request_id == "r1"
    assert error.errors == (errors.FieldProblem("value", "is wrong"),)


@pytest.mark.parametrize(
    ("status", "family"),
    [
        (400, errors.InvalidRequest),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (429, errors.TooManyRequests),
        (500, errors.ServiceUnavailable),
    ],
)
def test_a_code_of_a_newer_service_raises_its_family(script, shop, status, family):
    """A new code must not become another exception in an old client."""
    server = script(script.problem(status, "code-of-the-future"))

    with pytest.raises(family) as caught:
        shop(server, retries=RetryPolicy(attempts=1)).client.payments.get("a1")

    assert caught.value.code == "code-of-the-future"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff\xfe", b"[1]", b'"x"', b'{"code": 1, "detail": [], "errors": {}}'],
)
def test_an_error_that_is_no_problem_json_is_an_api_error_too(script, shop, body):
    """Proxies answer with pages of their own."""
    server = script((403, {}, body))

    with pytest.raises(errors.Forbidden) as caught:
        shop(server).client.payments.get("a1")

    assert caught.value.code == "http-403"


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"payment": {"id": 1}}',
        b"[" * 100_000,
        b'{"payment": ' + b"9" * 10_000 + b"}",
    ],
)
def test_a_success_that_is_not_the_services_is_an_unexpected_answer(script, shop, body):
    """A wrong address must say so, and not be an AttributeError somewhere else."""
    server = script((200, {}, body))

    with pytest.raises(balcao.UnexpectedAnswer):
        shop(server).client.payments.get("a1")


@pytest.mark.parametrize("value", [1e999, 10**60, "1e5", True, None])
def test_an_amount_in_an_answer_that_is_none_is_refused(script, shop, value):
    """Everything after it would be wrong."""
    body = json.dumps({"payment": {**script.payment, "value": value}}).encode()
    server = script((200, {}, body.replace(b"Infinity", b"1e999999")))

    with pytest.raises(balcao.UnexpectedAnswer):
        shop(server).client.payments.get("a1")


def test_the_key_does_not_follow_a_redirect(script, shop):
    """The other host would get the merchant's API key."""
    thief = script(script.ok({"payment": script.payment}))
    server = script((302, {"Location": f"{thief.url}/payments/pix/a1"}, b""))

    with pytest.raises(balcao.UnexpectedAnswer, match="redirects"):
        shop(server).client.payments.get("a1")

    assert thief.requests == []


def test_nobody_listening_is_a_connection_failure(script):
    """The address is in the message, because a wrong one is the usual cause."""
    server = script(None)
    server.close()
    client = Balcao(server.url, retries=RetryPolicy(attempts=1))

    with pytest.raises(balcao.ConnectionFailed, match=server.url):
        client.payments.get("a1")


def test_a_rotation_is_not_repeated_after_a_lost_answer(script, shop):
    """A second rotation would end the secret that the receiver still uses."""
    lost = script(None)
    with pytest.raises(balcao.ConnectionFailed):
        shop(lost).client.webhooks.rotate("w1")
    assert len(lost.requests) == 1

    webhook = {"id": "w1", "url": "https://a.example", "enabled": True, "secret": "whsec_x"}
    busy = script(script.problem(503, "busy"), script.ok(webhook))
    assert shop(busy).client.webhooks.rotate("w1").secret == "whsec_x"


def test_a_cancellation_whose_answer_got_lost_succeeds(script, shop):
    """The retry finds a payment that is cancelled already, by the first attempt."""
    cancelled = {**script.payment, "status": "cancelled"}
    server = script(None, script.problem(409, "not-cancellable"), script.ok({"payment": cancelled}))

    assert shop(server).client.payments.cancel("a1").status == "cancelled"


def test_a_paid_payment_is_not_cancellable(script, shop):
    """The same refusal must be raised when somebody has paid in between."""
    paid = {**script.payment, "status": "confirmed", "paid": True}
    server = script(script.problem(409, "not-cancellable"), script.ok({"payment": paid}))

    with pytest.raises(errors.NotCancellable):
        shop(server).client.payments.cancel("a1")


def test_a_list_is_followed_to_its_end_over_short_pages(script, shop):
    """A page may be short or empty before the end: only `next` says that it is the last."""
    pages = [
        {"data": [script.payment], "next": "c1"},
        {"data": [], "next": "c2"},
        {"data": [script.payment], "next": None},
    ]
    server = script(*map(script.ok, pages))

    payments = list(shop(server).client.payments.list(status="pending"))

    assert len(payments) == 2
    assert [path for _, path, _, _ in server.requests] == [
        "/payments/pix?status=pending",
        "/payments/pix?status=pending&after=c1",
        "/payments/pix?status=pending&after=c2",
    ]


@pytest.mark.parametrize("identifier", ["", "../../users", "a/b", "a?x=1", "a#b", "a" * 65, "é"])
def test_an_id_never_becomes_another_address(script, shop, identifier):
    """An id from a form could otherwise call any route with the merchant's key."""
    server = script(script.ok({}))

    with pytest.raises(errors.PaymentNotFound):
        shop(server).client.payments.get(identifier)

    assert server.requests == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(100, "100.00"), ("54.9", "54.90"), (Decimal("0.01"), "0.01"), ("1E+2", "100.00")],
)
def test_amounts_are_written_in_reais(value, text):
    """The service reads a text without rounding it."""
    assert reais(value) == text


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (54.9, TypeError),
        (True, TypeError),
        (None, TypeError),
        ("1.001", ValueError),
        ("x", ValueError),
        ("NaN", ValueError),
        ("Infinity", ValueError),
        ("1e99", ValueError),
    ],
)
def test_amounts_that_are_no_money_are_refused_before_anything_is_sent(value, error):
    """54.9 as a float is not 54.90."""
    with pytest.raises(error):
        reais(value)


@pytest.mark.parametrize(
    "url", ["", "pay.example", "ftp://a", "file:///etc/passwd", "http://u:p@a", "http://", "//a"]
)
def test_an_address_that_is_none_is_refused_at_once(url, monkeypatch):
    """urllib would open a file."""
    monkeypatch.delenv("BALCAO_URL", raising=False)
    with pytest.raises(ValueError, match="address"):
        Balcao(url or " ")


def test_an_api_key_with_a_line_break_is_refused_at_once():
    """A key pasted with its line break would be a header of its own."""
    with pytest.raises(ValueError, match="API key"):
        Balcao("http://a.example", "balcao_test_x\n")
