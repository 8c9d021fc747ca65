"""One exchange with a bank: what a usable answer is, and what every bad one becomes."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import formatdate

import pytest

from core.runtime import lookups
from providers.api_pix.exchange import BankAddress, BankExchange
from providers.api_pix.tokens import TokenStyle
from providers.api_pix.wire import ERROR_BYTES_MAX, WireTimes
from providers.port import AccountRefusal, ProviderAway
from providers.secrets import AccountSecrets
from tests.providers.raw_bank import ANSWER_ENDS, RawBank, drip, http
from tests.support.ports import free_port

SECRETS = AccountSecrets("the-client-id", "the-client-secret", "the-callback-token")
QUICK = WireTimes(connect=1.0, read=0.5, answer=0.8, place=0.5)


@pytest.fixture
def bank():
    """A bank without TLS."""
    with RawBank() as bank:
        yield bank


def exchange_with(bank: RawBank, **options) -> BankExchange:
    """An exchange with this bank."""
    options.setdefault("address", BankAddress(f"{bank.url}/api/v2", f"{bank.url}/token"))
    options.setdefault("token_style", TokenStyle())
    options.setdefault("secrets", SECRETS)
    options.setdefault("times", QUICK)
    options.setdefault("now", lambda: datetime.now(UTC))
    return BankExchange(label="standard-test", **options)


def get(exchange: BankExchange, path: str = "/cob/abc", **options):
    """A read of one charge."""
    return exchange.call("GET", "cob", path, operation="find-charge", is_read=True, **options)


def put(exchange: BankExchange, **options):
    """A create."""
    return exchange.call(
        "PUT", "cob", "/cob/abc", body={"valor": "1.00", "texto": "ação"},
        operation="open-charge", is_read=False, **options,
    )  # fmt: skip


def away(call, *arguments, **options) -> ProviderAway:
    """The failure of a call that got no usable answer."""
    with pytest.raises(ProviderAway) as failure:
        call(*arguments, **options)
    return failure.value


def test_a_call_carries_token_headers_query_and_body(bank):
    """As the profile says; the bank sees plain JSON, no compression, and ids of each call."""
    exchange = exchange_with(
        bank,
        query={"gw-dev-app-key": "k&1"},
        headers={"x-id": "{uuid}", "client_id": "{client_id}"},
    )
    replies = [put(exchange, query={"q": "a b+c"}, extra_headers={"x-more": "1"}) for _ in range(2)]
    first, second = bank.calls
    assert (first.method, first.path) == ("PUT", "/api/v2/cob/abc")
    assert first.target.endswith("?gw-dev-app-key=k%261&q=a%20b%2Bc")
    assert first.query == {"gw-dev-app-key": "k&1", "q": "a b+c"}
    assert json.loads(first.body) == {"valor": "1.00", "texto": "ação"}
    assert "ação".encode() in first.body
    assert first.headers["authorization"] == "Bearer bearer-1-of-the-test"
    assert first.headers["content-type"] == "application/json"
    assert first.headers["accept-encoding"] == "identity"
    assert first.headers["client_id"] == "the-client-id"
    assert first.headers["x-more"] == "1"
    assert first.headers["x-id"] == replies[0].correlation_id != second.headers["x-id"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", first.headers["x-id"])
    assert len(bank.token_requests) == 1
    assert bank.connections == 1


def test_a_resource_may_have_a_base_of_its_own(bank):
    """One bank has charges under another version than all else."""
    address = BankAddress(f"{bank.url}/api/v2/", f"{bank.url}/token", {"cob": f"{bank.url}/api/v3"})
    exchange = exchange_with(bank, address=address)
    get(exchange)
    exchange.call("GET", "pix", "pix", operation="money-page", is_read=True)
    assert [one.path for one in bank.calls] == ["/api/v3/cob/abc", "/api/v2/pix"]


USABLE = [
    (http(200, {"valor": 1.10, "n": None}), 200, {"valor": Decimal("1.1"), "n": None}, "json"),
    (http(201, [1, 2]), 201, [1, 2], "json"),
    (http(200, b'{"a": 1}', kind="text/html"), 200, {"a": 1}, "json"),
    (http(200, b"\xef\xbb\xbf" + '{"a": "ç"}'.encode()), 200, {"a": "ç"}, "json"),
    (http(200, '{"a": "ção"}'.encode("latin-1")), 200, {"a": "ção"}, "json"),
    (http(200, b'{"a": "x\\u0000y\\ud800"}'), 200, {"a": "xy"}, "json"),
    (http(200, b'{"a": 1, "a": 2, "b": NaN}'), 200, {"a": None, "b": None}, "json"),
    (http(204), 204, None, "empty"),
    (http(200, b" \r\n"), 200, None, "empty"),
    (http(404, {"nome": "x"}), 404, {"nome": "x"}, "json"),
    (http(404, b"<html>404</html>"), 404, None, "html"),
    (http(400, b"no"), 400, None, "text"),
    (http(409, b"x" * (ERROR_BYTES_MAX + 10)), 409, None, "text"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n",
     200, {"a": 1}, "json"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "status", "members", "kind"), USABLE)
def test_a_usable_answer_is_a_reply(bank, answer, status, members, kind):
    """Any 2xx and most 4xx; the form of the body decides, not its declared type."""
    bank.script.append(answer)
    reply = get(exchange_with(bank))
    assert (reply.status, reply.members, reply.text_kind) == (status, members, kind)
    assert reply.is_json is (kind == "json")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
USELESS = [
    (http(200, b"<html>Em manuten\xc3\xa7\xc3\xa3o</html>"), "unreadable"),
    (http(200, b'{"status": "ATIV'), "unreadable"),
    (http(200, b'"ATIVA"'), "unreadable"),
    (http(200, b"[" * 200_000), "unreadable"),
    (http(200, b'{"a": ' + b"9" * 5000 + b"}"), "unreadable"),
    (http(200, b"\x1f\x8b\x08 compressed"), "unreadable"),
    (http(200, b'"' + b"x" * 7_000_000 + b'"'), "unreadable"),
    (HEAD + b'{"a": 1}', "closed"),
    (b"SSH-2.0-OpenSSH\r\n", "unreadable"),
    (b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: 1\r\n" % n for n in range(200)) + b"\r\n",
     "unreadable"),
    (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", "unreadable"),
    (ANSWER_ENDS, "closed"),
    (http(500, {"nome": "erro_aplicacao"}), "status-500"),
    (http(502, b"<html>"), "status-502"),
    (http(503), "status-503"),
    (http(504), "status-504"),
    (http(408), "status-408"),
    (http(302, headers={"Location": "https://example.com/login"}), "redirect"),
    (http(307, headers={"Location": "/other"}), "redirect"),
    (drip(b"HTTP/1.1 200 OK\r\n", b"a"), "timeout"),
    (drip(HEAD, b"1"), "timeout"),
    (drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n1\r\n"), "timeout"),
    (lambda _sock: time.sleep(1), "timeout"),
]  # fmt: skip


def close_after(answer):
    """The bytes, and the end of the connection."""
    return (lambda sock: sock.sendall(answer)) if isinstance(answer, bytes) else answer


@pytest.mark.parametrize(("answer", "code"), USELESS)
def test_a_useless_answer_leaves_the_outcome_unknown(bank, answer, code):
    """Within the time for an answer, however slowly its bytes come; the next call works."""
    exchange = exchange_with(bank)
    get(exchange)
    # The first one meets a connection that was used before, and is sent again.
    times = 2 if answer == ANSWER_ENDS else 1
    bank.script.extend([close_after(answer)] * times)
    began = time.monotonic()
    failure = away(put, exchange)
    assert time.monotonic() - began < 2.0
    assert (failure.code, failure.was_sent) == (code, True)
    assert [one.method for one in bank.calls] == ["GET"] + ["PUT"] * times
    assert get(exchange).status == 200


def test_nothing_was_sent_if_there_is_no_connection():
    """A closed port, an unknown name and a port that accepts nothing."""
    with RawBank() as bank:
        for base, code in [
            (f"http://127.0.0.1:{free_port()}", "connect"),
            ("https://no-such-bank.invalid", "connect"),
        ]:
            exchange = exchange_with(bank, address=BankAddress(base, f"{bank.url}/token"))
            failure = away(put, exchange)
            assert (failure.code, failure.was_sent) == (code, False)


def test_slow_names_of_merchants_do_not_delay_a_bank(bank, monkeypatch):
    """A merchant chooses the hosts of its webhooks, and may own their name server."""
    monkeypatch.setattr(lookups, "_places", threading.BoundedSemaphore(1))
    with lookups._places:
        assert put(exchange_with(bank)).status == 200


def test_a_redirect_is_never_followed(bank):
    """It would carry the token, or the secret, to an address that nobody checked."""
    exchange = exchange_with(bank)
    with RawBank() as other:
        bank.script.append(http(308, headers={"Location": f"{other.url}/cob"}))
        assert away(put, exchange).code == "redirect"
        bank.token_script.append(http(307, headers={"Location": f"{other.url}/token"}))
        assert away(put, exchange_with(bank)).code == "token"
        assert other.connections == 0


def test_idle_connections_that_the_bank_closed_cost_no_call(bank):
    """Banks close them after a minute or so, and the first payer after it must not notice."""
    exchange = exchange_with(bank)
    barrier = threading.Barrier(8)

    def slow(_request):
        barrier.wait(5)
        return http(200, {"ok": True})

    bank.answer = slow
    threads = [threading.Thread(target=get, args=(exchange,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bank.answer = lambda _request: http(200, {"ok": True})
    bank.drop_connections()
    assert [get(exchange).status for _ in range(8)] == [200] * 8


def test_a_request_that_meets_a_closing_connection_is_sent_again(bank):
    """The bank closes an idle connection in the very moment in which we use it."""
    exchange = exchange_with(bank)
    get(exchange)
    bank.script.append(ANSWER_ENDS)
    assert put(exchange).status == 200
    assert [one.method for one in bank.calls] == ["GET", "PUT", "PUT"]
    assert bank.calls[1].connection != bank.calls[2].connection


def test_a_new_connection_that_ends_is_not_tried_again(bank):
    """Nothing says that the bank did not do it; the caller decides what follows."""
    bank.answer = lambda _request: b""
    exchange = exchange_with(bank)
    bank.script.append(ANSWER_ENDS)
    bank.token_life = 3600
    exchange.token_report()
    bank.drop_connections()
    time.sleep(0.05)
    assert away(put, exchange).code == "closed"
    assert len(bank.calls) == 1


def test_many_failures_leave_no_connection_behind(bank):
    """The pool has 32 places, and a lost one would never come back."""
    exchange = exchange_with(bank, seconds=lambda: 0.0)
    too_long = http(404, b"x" * (ERROR_BYTES_MAX + 100_000))
    cut = close_after(HEAD + b"{")
    for _ in range(12):
        bank.script.extend([http(200, b"<html>"), too_long, cut, ANSWER_ENDS, ANSWER_ENDS])
        for _ in range(4):
            with suppress(ProviderAway):
                put(exchange)
    bank.script.clear()
    assert put(exchange).status == 200


UNSAFE = [
    "http://bank.example/api",
    "http://10.0.0.1/api",
    "http://127.0.0.1.example.com",
    "ftp://127.0.0.1/",
    "bank.example/api",
    "https://",
    "https://user:secret@bank.example",
    "https://bank.example/a b",
    "https://bank.example:99999/",
    "https://[::1",
    "",
]


@pytest.mark.parametrize("url", UNSAFE)
def test_an_unsafe_address_is_refused_with_a_sentence(bank, url):
    """A secret must not travel in clear because of a typing error."""
    good = f"{bank.url}/token"
    for address in (
        BankAddress(url, good), BankAddress(good, url), BankAddress(good, good, {"cob": url})
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"address") as refusal:
            exchange_with(bank, address=address)
        assert "secret@" not in str(refusal.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "[::1]"])
def test_this_machine_may_be_addressed_without_tls(bank, host):
    """For development, and for tests."""
    url = f"http://{host}:{bank.port}"
    exchange_with(bank, address=BankAddress(url, url))


def test_a_header_cannot_carry_another_one(bank):
    """A line end in a setting would do so."""
    with pytest.raises(ValueError, match="header"):
        exchange_with(bank, headers={"x-a": "1\r\nx-b: 2"})


def test_the_clock_offset_is_the_median_of_the_last_dates(bank):
    """One delayed answer changes nothing, and the bank may be hours ahead."""
    exchange = exchange_with(bank)
    assert exchange.clock_offset() is None
    ahead = 3 * 3600

    def dated(seconds):
        return http(200, {}, headers={"Date": formatdate(time.time() + seconds, usegmt=True)})

    exchange.token_report()
    bank.script.extend([dated(ahead)] * 9 + [dated(-5000), http(200, {}, headers={"Date": "x"})])
    for _ in range(11):
        get(exchange)
    offset = exchange.clock_offset()
    assert offset is not None
    assert abs(offset - timedelta(seconds=ahead)) < timedelta(seconds=2)


@pytest.mark.parametrize("year", [1970, 2015, 9999])
def test_a_date_that_no_clock_has_moves_nothing(bank, year):
    """A cache or a broken proxy; a window of so long ago would miss all money."""
    exchange = exchange_with(bank)
    bank.script.append(http(200, {}, headers={"Date": f"Fri, 31 Dec {year} 23:59:59 GMT"}))
    get(exchange)
    assert exchange.clock_offset() is None


def test_the_clock_of_the_token_s_host_is_not_the_bank_s(bank):
    """Another host gives tokens at some banks."""
    exchange = exchange_with(bank)
    exchange.token_report()
    assert exchange.clock_offset() is None


@pytest.mark.parametrize("depth", [100, 450, 700, 990, 5_000])
@pytest.mark.parametrize("signs", ["[]", "{}"])
def test_an_answer_that_is_nested_deeply_is_unreadable_or_read(bank, depth, signs):
    """Whatever its depth and escapes are, no other error leaves the exchange."""
    begin = "[" if signs == "[]" else '{"a":'
    text = f'{{"escape":"\\u0041","b":{begin * depth}1{signs[1] * depth}}}'
    bank.script.append(http(200, text.encode()))
    try:
        result = get(exchange_with(bank)).members["escape"]
    except ProviderAway as error:
        result = error.code
    assert result in ("A", "unreadable")


def test_a_call_that_is_repeated_with_a_new_token_has_a_new_id(bank):
    """A bank may take an id for one request."""
    exchange = exchange_with(bank, headers={"x-id": "{uuid}"})
    bank.script.extend([http(401, {}), http(200, {})])
    reply = get(exchange)
    ids = [one.headers["x-id"] for one in bank.calls]
    assert len(set(ids)) == 2
    assert ids[1] == reply.correlation_id


def test_a_socket_that_was_never_read_ends_at_its_time():
    """A full backlog: the system completes the connection, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent, RawBank() as bank:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        exchange = exchange_with(bank, address=BankAddress(url, f"{bank.url}/token"))
        began = time.monotonic()
        assert away(put, exchange).code == "timeout"
        assert time.monotonic() - began < 1.5


def test_a_forbidden_call_names_the_account(bank):
    """A missing scope or the wrong environment: a person must act, and reads the bank's words."""
    text = "Escopo ausente para the-client-id, CPF 123.456.789-09, joao@example.com"
    bank.script.append(http(403, {"title": "Acesso Negado", "detail": text}))
    with pytest.raises(AccountRefusal) as refusal:
        get(exchange_with(bank))
    assert refusal.value.code == "forbidden"
    assert refusal.value.detail == "Escopo ausente para ***, CPF ***, ***"
