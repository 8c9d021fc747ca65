"""Tokens of a bank: the ways to ask, their life, one request at a time, and no storm."""

from __future__ import annotations

import base64
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from providers.api_pix.exchange import BankAddress, BankExchange
from providers.api_pix.tokens import (
    STYLES,
    AccessToken,
    BankTokens,
    TokenStyle,
    read_token,
    token_request,
)
from providers.api_pix.wire import WireTimes
from providers.port import AccountRefusal, ProviderAway
from providers.secrets import AccountSecrets
from tests.providers.raw_bank import RawBank, http

SECRETS = AccountSecrets("shop id", "s&cret+ção", "the-callback-token")
BASIC = f"Basic {base64.b64encode('shop id:s&cret+ção'.encode()).decode()}"
PAIR = {"client_id": "shop id", "client_secret": "s&cret+ção"}
GRANT = {"grant_type": "client_credentials"}
SCOPE = {"scope": "cob.read cob.write"}
TIMES = WireTimes(connect=1.0, read=1.0, answer=1.0)


@pytest.fixture
def bank():
    """A bank without TLS."""
    with RawBank() as bank:
        yield bank


class Seconds:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.value = 1000.0

    def __call__(self) -> float:
        return self.value


def exchange_with(bank: RawBank, **options) -> BankExchange:
    """An exchange with this bank."""
    options.setdefault("token_style", TokenStyle(scopes="cob.read cob.write"))
    options.setdefault("address", BankAddress(f"{bank.url}/v2", f"{bank.url}/token"))
    return BankExchange(
        label="standard-test", secrets=SECRETS, times=TIMES, now=lambda: datetime.now(UTC),
        **options,
    )  # fmt: skip


def call(exchange: BankExchange) -> int:
    """A call; returns its status."""
    return exchange.call("PUT", "cob", "/cob/a", body={}, operation="o", is_read=False).status


# style: Basic?, query, form, JSON
SHAPES = {
    "basic_form": (True, {}, GRANT | SCOPE, None),
    "basic_json": (True, {}, None, GRANT | SCOPE),
    "form": (False, {}, GRANT | PAIR | SCOPE, None),
    "form_nosecret": (False, {}, GRANT | SCOPE | {"client_id": "shop id"}, None),
    "json": (False, {}, None, GRANT | PAIR | SCOPE),
    "query_form": (False, GRANT, PAIR | SCOPE, None),
    "query_all": (True, GRANT | SCOPE, {}, None),
}


@pytest.mark.parametrize("style", STYLES)
def test_a_token_is_requested_in_the_banks_own_way(bank, style):
    """Seven ways; a bank answers "missing grant type" to any other."""
    has_basic, query, form, members = SHAPES[style]
    exchange = exchange_with(bank, token_style=TokenStyle(style, scopes=SCOPE["scope"]))
    assert call(exchange) == 200
    (request,) = bank.token_requests
    assert request.method == "POST"
    assert request.headers.get("authorization") == (BASIC if has_basic else None)
    assert request.query == query
    if form is not None:
        assert request.form == form
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    else:
        assert json.loads(request.body) == members
        assert request.headers["content-type"] == "application/json"


def test_the_query_of_the_address_stays_and_scopes_are_separated_by_plus():
    """One bank wants the grant in the address, which a person may have typed already."""
    style = TokenStyle("query_all", scopes="cob.read pix.read")
    url = token_request(style, "https://b/token?grant_type=client_credentials&a=1", SECRETS).url
    assert url == "https://b/token?a=1&grant_type=client_credentials&scope=cob.read+pix.read"
    with pytest.raises(ValueError, match="no way"):
        token_request(TokenStyle("other"), "https://b", SECRETS)


def test_without_scopes_none_are_asked_for(bank):
    """Efí's are chosen in its panel."""
    assert call(exchange_with(bank, token_style=TokenStyle("basic_json"))) == 200
    assert json.loads(bank.token_requests[0].body) == GRANT


@pytest.mark.parametrize("status", [200, 201])
def test_a_token_comes_with_200_or_201(bank, status):
    """Cielo answers 201."""
    bank.token_script.append(http(status, {"access_token": "t1"}))
    assert call(exchange_with(bank)) == 200
    assert bank.calls[0].headers["authorization"] == "Bearer t1"


@pytest.mark.parametrize(
    ("life", "seconds"),
    [(3600, 3600.0), ("3600", 3600.0), (59.5, 59.5), (Decimal("59.5"), 59.5), (None, 300.0),
     ("soon", 300.0), (0, 300.0), (-1, 300.0), (True, 300.0), ([], 300.0), (10**12, 86_400.0),
     (Decimal("NaN"), None), (Decimal("Infinity"), 86_400.0)],
)  # fmt: skip
def test_the_life_of_a_token_may_have_any_form(life, seconds):
    """Number, text or nothing; nonsense counts as five minutes, and nothing lasts for days."""
    if seconds is None:  # JSON has no NaN: it was read as null
        life, seconds = None, 300.0
    token = read_token({"access_token": "t", "expires_in": life})
    assert token is not None
    assert token.life_seconds == seconds


@pytest.mark.parametrize(
    "members",
    [{}, [], None, "t", {"access_token": ""}, {"access_token": None}, {"access_token": 7},
     {"access_token": "a\r\nx-evil: 1"}, {"access_token": "a b"}, {"access_token": "ção"},
     {"access_token": "x" * 9000}],
)  # fmt: skip
def test_what_no_header_can_carry_is_no_token(bank, members):
    """A 200 with an error inside, or with the end of a line in the token."""
    assert read_token(members) is None
    bank.token_script.append(http(200, members))
    with pytest.raises(ProviderAway) as failure:
        call(exchange_with(bank))
    assert (failure.value.code, failure.value.was_sent) == ("token", False)
    assert bank.calls == []


def test_a_long_token_is_carried_whole(bank):
    """Keycloak's have 1 to 2 KB."""
    text = "e" * 4000
    bank.token_script.append(http(200, {"access_token": text}))
    assert call(exchange_with(bank)) == 200
    assert bank.calls[0].headers["authorization"] == f"Bearer {text}"


@pytest.mark.parametrize(("life", "use"), [(3600, 3570), (300, 270), (40, 20), (1, 1)])
def test_a_token_is_renewed_before_its_end(life, use):
    """30 s before, or after half of a short life."""
    seconds, count = Seconds(), iter(range(100))
    tokens = BankTokens(lambda: AccessToken(f"t{next(count)}", None, life), seconds=seconds)
    assert tokens.text() == "t0"
    seconds.value += use - 0.01
    assert tokens.text() == "t0"
    seconds.value += 0.02
    assert tokens.text() == "t1"


def test_a_failed_renewal_leaves_the_present_token_in_use():
    """The bank's token service may be away for the 30 s before the end."""
    seconds, answers = Seconds(), [AccessToken("t0", None, 300), AccessToken("t1", None, 300)]
    fails = False

    def fetch() -> AccessToken:
        if fails:
            raise ProviderAway("token", was_sent=False)
        return answers.pop(0)

    tokens = BankTokens(fetch, seconds=seconds)
    assert tokens.text() == "t0"
    fails = True
    seconds.value += 271
    assert tokens.text() == "t0"
    assert tokens.text() == "t0"  # within the pause after the failure
    seconds.value += 25
    with pytest.raises(ProviderAway):
        tokens.text()
    fails = False
    seconds.value += 61
    assert tokens.text() == "t1"


def test_a_hundred_calls_share_one_request_for_a_token(bank):
    """Some banks block an address that asks too often."""

    def slow(sock):
        time.sleep(0.2)
        sock.sendall(http(200, {"access_token": "t"}))

    bank.token_script.append(slow)
    exchange = exchange_with(bank)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(call(exchange))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 100
    assert len(bank.token_requests) == 1
    assert len(bank.calls) == 100


def test_a_failed_request_for_a_token_is_one_failure_for_all(bank):
    """Those who waited do not ask too, and neither do those who come a moment later."""

    def slow(sock):
        time.sleep(0.2)
        sock.sendall(http(500))

    bank.token_script.append(slow)
    exchange = exchange_with(bank)
    failures: list[ProviderAway] = []

    def fail() -> None:
        try:
            call(exchange)
        except ProviderAway as error:
            failures.append(error)

    threads = [threading.Thread(target=fail) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fail()
    assert [(one.code, one.was_sent) for one in failures] == [("token", False)] * 31
    assert len(bank.token_requests) == 1
    retry_after = failures[-1].retry_after
    assert retry_after is not None
    assert timedelta(0) < retry_after <= timedelta(seconds=1)


def test_the_pause_after_failures_grows_to_a_minute():
    """1, 2, 4 … 60 s, less up to a fifth, so that processes do not ask in step."""
    seconds, asks = Seconds(), []

    def fetch() -> AccessToken:
        asks.append(seconds.value)
        raise AccountRefusal("invalid_client", "wrong secret")

    tokens = BankTokens(fetch, seconds=seconds)
    for _ in range(3000):
        with pytest.raises(AccountRefusal, match="invalid_client") as refusal:
            tokens.text()
        assert refusal.value.detail == "wrong secret"
        seconds.value += 0.1
    gaps = [later - sooner for sooner, later in pairwise(asks)]
    for gap, most in zip(gaps, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=False):
        assert 0.8 * most - 0.2 <= gap <= most + 0.2
    assert len(gaps) >= 8


def test_retry_after_of_the_token_service_is_obeyed(bank):
    """429 of the token service is no verdict on the account."""
    bank.token_script.append(http(429, headers={"Retry-After": "30"}))
    exchange = exchange_with(bank)
    for _ in range(2):
        with pytest.raises(ProviderAway) as failure:
            call(exchange)
        assert failure.value.code == "token"
        assert failure.value.retry_after is not None
        assert failure.value.retry_after > timedelta(seconds=25)
    assert len(bank.token_requests) == 1


def test_a_dead_token_is_renewed_once_and_the_call_repeated(bank):
    """The bank may end a token at any time, for example when it restarts."""
    exchange = exchange_with(bank)
    call(exchange)
    bank.script.append(http(401, {"title": "expired"}))
    assert call(exchange) == 200
    assert [one.headers["authorization"][-13:] for one in bank.calls] == [
        "1-of-the-test", "1-of-the-test", "2-of-the-test",
    ]  # fmt: skip
    assert bank.calls[1].body == bank.calls[2].body
    assert len(bank.token_requests) == 2


def test_a_second_401_is_the_accounts_fault_and_no_storm_follows(bank):
    """A certificate that the bank does not know looks like this: no new token helps."""
    bank.answer = lambda _request: http(401, {"detail": "Falha ao Extrair TokenInfo"})
    seconds = Seconds()
    exchange = exchange_with(bank, seconds=seconds)
    for _ in range(20):
        with pytest.raises(AccountRefusal, match="unauthorized"):
            call(exchange)
    assert len(bank.token_requests) == 2
    assert len(bank.calls) == 21
    seconds.value += 61
    bank.answer = lambda _request: http(200, {})
    bank.script.append(http(401))
    assert call(exchange) == 200
    assert len(bank.token_requests) == 3


def test_many_callers_at_once_make_the_pause_after_a_refusal_no_longer():
    """A token that was revoked twice at a busy moment stops the account for a second at most."""
    seconds, count = Seconds(), iter(range(100))
    tokens = BankTokens(lambda: AccessToken(f"t{next(count)}", None, 300), seconds=seconds)
    second = tokens.renewed(tokens.text())
    for _ in range(40):
        tokens.note_refusal(second)
    with pytest.raises(AccountRefusal):
        tokens.renewed(second)
    seconds.value += 1
    assert tokens.renewed(second) == "t2"


def test_the_same_token_again_is_refused_anew():
    """Some banks give one fixed token: its refusals make the pauses grow as well."""
    seconds = Seconds()
    tokens = BankTokens(lambda: AccessToken("fixed", None, 300), seconds=seconds)
    tokens.text()
    for pause in (1, 2, 4):
        tokens.note_refusal("fixed")
        seconds.value += pause * 0.75
        with pytest.raises(AccountRefusal):
            tokens.renewed("fixed")
        seconds.value += pause * 0.25
        assert tokens.renewed("fixed") == "fixed"


def test_one_forbidden_resource_is_no_reason_for_a_storm(bank):
    """Some banks answer 401 where a scope is missing, while everything else works."""
    bank.answer = lambda request: http(401 if request.method == "GET" else 200, {})
    seconds = Seconds()
    exchange = exchange_with(bank, seconds=seconds)
    for _ in range(600):
        assert call(exchange) == 200
        with pytest.raises(AccountRefusal, match="unauthorized"):
            exchange.call("GET", "webhook", "/webhook/k", operation="g", is_read=True)
        seconds.value += 0.5
    assert len(bank.token_requests) <= 14


def test_many_calls_that_meet_a_dead_token_renew_it_once(bank):
    """Each saw 401, and only the first asks for a new token."""
    exchange = exchange_with(bank)
    call(exchange)
    first = bank.calls[0].headers["authorization"]
    barrier = threading.Barrier(20)

    def answer(request):
        if request.headers["authorization"] == first:
            barrier.wait(5)
            return http(401)
        return http(200, {})

    bank.answer = answer
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(call(exchange))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 20
    assert len(bank.token_requests) == 2


@pytest.mark.parametrize(
    ("status", "body", "code", "detail"),
    [
        (401, {"error": "invalid_client", "error_description": "s&cret+ção is wrong for shop id"},
         "invalid_client", "*** is wrong for ***"),
        (400, {"error": "unsupported_grant_type"}, "unsupported_grant_type",
         "unsupported_grant_type"),
        (401, {"nome": "credenciais_invalidas", "mensagem": "x"}, "credenciais_invalidas", "x"),
        (401, {"statusCode": 401, "error": "Unauthorized", "message": "Bad Credentials"},
         "token-status-401", "Bad Credentials"),
        (403, b"<html>Forbidden</html>", "token-status-403", ""),
        (404, None, "token-status-404", ""),
        (401, {"erros": [{"codigo": "1", "mensagem": "Sem acesso"}]}, "token-status-401",
         "Sem acesso"),
    ],
)  # fmt: skip
def test_a_refused_token_is_the_accounts_fault_in_the_banks_words(bank, status, body, code, detail):
    """Without the secret, if the bank repeats it."""
    bank.token_script.append(http(status, body))
    with pytest.raises(AccountRefusal) as refusal:
        call(exchange_with(bank))
    assert (refusal.value.code, refusal.value.detail) == (code, detail)
    assert bank.calls == []


def test_missing_scopes_are_named(bank):
    """Sicredi grants fewer than were asked for, with 200; the account's page says which."""
    style = TokenStyle(scopes="cob.read cob.write pix.read")
    bank.token_script.append(http(200, {"access_token": "t", "scope": "pix.read,COB.READ",
                                        "expires_in": "600"}))  # fmt: skip
    report = exchange_with(bank, token_style=style).token_report()
    assert report.missing_scopes == ("cob.write",)
    assert report.scopes == ("pix.read", "COB.READ")
    assert report.life == timedelta(seconds=600)
    assert report.age < timedelta(seconds=1)


def test_a_bank_that_says_nothing_of_scopes_lacks_none(bank):
    """Most say nothing."""
    assert exchange_with(bank).token_report().missing_scopes == ()


def test_a_token_has_no_repr():
    """A log of local variables must not have it."""
    assert "secret-token" not in repr(AccessToken("secret-token", None, 300))
