"""One HTTP exchange with a bank that speaks API Pix: token, limits, time-outs, breaker, records.

What the members of an answer mean is not decided here. A call is sent again by itself only after a
401 and on a connection that the bank had closed, so every call must be safe to repeat; those of
API Pix are, because the caller chooses the ids.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from core.errors import MalformedJson
from providers.api_pix.answers import masked, parse_answer, retry_after, sentence, text_kind
from providers.api_pix.breaker import Breaker, BreakerState, grown_pause
from providers.api_pix.budget import CallBudget
from providers.api_pix.certificates import first_certificate
from providers.api_pix.clock_offset import ClockOffset
from providers.api_pix.records import CallRecord, ExchangeRecords
from providers.api_pix.tls import check_address
from providers.api_pix.tokens import (
    AccessToken,
    BankTokens,
    TokenReport,
    TokenStyle,
    missing_scopes,
    read_token,
    refusal_code,
    secret_texts,
    token_request,
)
from providers.api_pix.wire import BankWire, WireAnswer, WireTimes, check_headers, with_id
from providers.port import AccountRefusal, ProviderAway
from providers.secrets import AccountSecrets
from repository import database


@dataclass(frozen=True)
class BankAddress:
    """Where a bank is. `http` is allowed for this machine only."""

    base: str
    """The paths of API Pix follow it."""
    token_url: str
    base_by_resource: Mapping[str, str] = field(default_factory=dict)
    """Bases of single resources, such as `cob`, by the name that `call` gets."""

    def check(self) -> None:
        """Raise ValueError, with a sentence, for an address that is wrong or not safe."""
        check_address("The address of API Pix", self.base)
        check_address("The address for tokens", self.token_url)
        for resource, base in self.base_by_resource.items():
            check_address(f"The address for {resource}", base)


@dataclass(frozen=True)
class BankReply:
    """An answer of 2xx or 4xx, without 401, 403, 408, 425 and 429, which `call` raises for."""

    status: int
    members: Any
    """The JSON, a dict or a list; None if the body is empty or, at 4xx only, not JSON."""
    is_json: bool
    text_kind: str
    """`json`, `empty`, `html` or `text`. A 404 that is not JSON may come from a load balancer."""
    retry_after: timedelta | None
    correlation_id: str
    """What `{uuid}` was in the headers; also in the log."""
    was_repeated: bool = False
    """Whether the bank may have received the request twice, because it closed a connection.

    A refusal may then mean that the bank has carried out the first copy."""


class BankExchange:
    """The exchange with one account's bank; any number of threads and greenlets may share it."""

    def __init__(
        self,
        *,
        label: str,
        address: BankAddress,
        token_style: TokenStyle,
        secrets: AccountSecrets,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        calls_per_minute: int | None = None,
        times: WireTimes | None = None,
        now: Callable[[], datetime] = database.now,
        seconds: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`label` names profile and environment in logs and metrics, so never a merchant.

        `query` and `headers` go with every call; `{client_id}` in their values is replaced, and
        `{uuid}` by a new one for each call. The headers go with requests for tokens too. Raises
        ValueError for unsafe addresses and for headers that cannot be sent.
        """
        address.check()
        self._address = address
        self._style = token_style
        self._secrets = secrets
        self._query = {name: self._filled(text) for name, text in (query or {}).items()}
        self._headers = {name: self._filled(text) for name, text in (headers or {}).items()}
        check_headers(self._headers)
        token_request(token_style, address.token_url, secrets)  # an unknown style ends here
        self._now = now
        self._records = ExchangeRecords(label)
        self._budget = CallBudget(calls_per_minute, seconds=seconds, sleep=sleep)
        self._breaker = Breaker(seconds=seconds, on_change=self._records.note_breaker)
        self._clock = ClockOffset()
        self._tokens = BankTokens(self._fetch_token, seconds=seconds)
        self._throttles = 0
        self._certificate_end: datetime | None = None
        self._wire: BankWire | None = None
        try:
            certificate = first_certificate(secrets.certificate_pem)
            if certificate is not None:
                self._certificate_end = certificate.not_valid_after_utc
            self._wire = BankWire(secrets, times)
        except (OSError, ValueError):  # ssl.SSLError is an OSError
            self._wire = None

    def call(
        self,
        method: str,
        resource: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        operation: str,
        is_read: bool,
        txid: str | None = None,
        expects_json: bool = True,
    ) -> BankReply:
        """Send a request; `path` follows the base of `resource` and is quoted already.

        `is_read` marks calls that give way to creates; `operation` and `txid` are for the log.
        A 2xx must be JSON or empty, unless `expects_json` is False. Raises ProviderAway and
        AccountRefusal.
        """
        record = CallRecord(operation, txid, str(uuid.uuid4()))
        with self._records.measured(record):
            wire = self._ready_wire()
            self._breaker.check()
            self._budget.spend(is_read=is_read)
            token = self._tokens.text()
            url = self._url(resource, path, query)
            headers = self._call_headers(record, body, extra_headers)
            data = None if body is None else json.dumps(body, ensure_ascii=False).encode()

            def send(text: str) -> WireAnswer:
                bearer = {**headers, "Authorization": f"Bearer {text}"}
                return self._attempt(wire, record, method, url, bearer, data)

            tokens = [token]
            answer = send(token)
            if answer.status == 401:
                was_repeated = answer.was_repeated
                try:
                    tokens.append(self._tokens.renewed(token))
                    self._budget.count_repeat()
                    # A new id, because a bank may take one id for one request.
                    record.correlation_id = str(uuid.uuid4())
                    headers = self._call_headers(record, body, extra_headers)
                    answer = send(tokens[-1])
                except ProviderAway as error:
                    error.was_sent = error.was_sent or was_repeated
                    raise
                answer = replace(answer, was_repeated=answer.was_repeated or was_repeated)
            return self._reply(answer, record, tokens, expects_json=expects_json)

    def token_report(self) -> TokenReport:
        """What is known of the token; gets one if there is none. Raises as `call` does."""
        self._ready_wire()
        self._tokens.text()
        present = self._tokens.present()
        if present is None:  # another thread's 401 has just removed it
            raise ProviderAway("token", was_sent=False)
        token, age = present
        return TokenReport(
            age=age,
            life=timedelta(seconds=token.life_seconds),
            scopes=token.scopes,
            missing_scopes=missing_scopes(self._style, token),
        )

    def secret_texts(self) -> tuple[str, ...]:
        """What no text may repeat: the account's secrets, and its present token."""
        present = self._tokens.present()
        return self._secret_texts(*(() if present is None else (present[0].text,)))

    def clock_offset(self) -> timedelta | None:
        """How far the bank's clock is ahead of ours; None before the first answer."""
        return self._clock.value()

    def close(self) -> None:
        """End the use of the exchange: close the connections that no call is using."""
        self._records.note_breaker(BreakerState.CLOSED)  # a closed exchange stops no call
        if self._wire is not None:
            self._wire.close()

    def _ready_wire(self) -> BankWire:
        if self._wire is None:
            raise _unusable_certificate()
        if self._certificate_end is not None and self._certificate_end <= self._now():
            raise AccountRefusal(
                "certificate-expired",
                f"The client certificate expired on {self._certificate_end:%Y-%m-%d}.",
            )
        return self._wire

    def _url(self, resource: str, path: str, query: Mapping[str, str] | None) -> str:
        base = self._address.base_by_resource.get(resource, self._address.base)
        parameters = {**self._query, **(query or {})}
        # A space is %20 and a plus is %2B, which every server reads alike.
        text = f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""
        return f"{base.rstrip('/')}/{path.lstrip('/')}{text}"

    def _call_headers(
        self,
        record: CallRecord,
        body: Mapping[str, Any] | None,
        extra_headers: Mapping[str, str] | None,
    ) -> dict[str, str]:
        headers = {"Accept": "application/json", **self._headers, **(extra_headers or {})}
        if body is not None:
            headers["Content-Type"] = "application/json"
        check_headers(headers)
        return with_id(headers, record.correlation_id)

    def _filled(self, text: str) -> str:
        return text.replace("{client_id}", self._secrets.client_id)

    def _attempt(
        self,
        wire: BankWire,
        record: CallRecord,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: bytes | None,
    ) -> WireAnswer:
        """Send once, and let the breaker know how it went."""
        is_probe = self._breaker.begin()
        has_ended = False
        try:
            answer = self._timed(wire, record, method, url, headers, data)
            has_ended = True
        except ProviderAway as error:
            has_ended = True
            if error.code == "busy":  # our own connections are in use: says nothing of the bank
                self._breaker.give_up(is_probe)
            else:
                self._breaker.fail(is_probe)
            raise
        except AccountRefusal:
            has_ended = True
            self._breaker.succeed(is_probe)
            raise
        finally:
            if not has_ended:  # the task was ended while it waited
                self._breaker.give_up(is_probe)
        if 200 <= answer.status < 300 or 400 <= answer.status < 500:
            self._breaker.succeed(is_probe)
        else:
            self._breaker.fail(is_probe)
        return answer

    def _timed(
        self,
        wire: BankWire,
        record: CallRecord,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: bytes | None,
    ) -> WireAnswer:
        began = self._now()
        answer = wire.send(method, url, headers, data)
        record.http_status = answer.status
        self._clock.note(answer.headers.get("Date"), began, self._now())
        if self._clock.is_large:
            self._records.warn_of_clock(self._clock.value())
        return answer

    def _reply(
        self, answer: WireAnswer, record: CallRecord, tokens: list[str], *, expects_json: bool
    ) -> BankReply:
        """The answer as a reply. Raises ProviderAway and AccountRefusal."""
        pause = retry_after(answer.headers)
        if answer.status == 401:
            self._tokens.note_refusal(tokens[-1])
        elif len(tokens) > 1:
            self._tokens.note_acceptance()
        self._obey(answer.status, pause)
        members, is_json = self._members(answer)
        kind = "json" if is_json else text_kind(answer.data)
        if answer.status in (401, 403):
            code = "unauthorized" if answer.status == 401 else "forbidden"
            raise AccountRefusal(code, sentence(members, self._secret_texts(*tokens)))
        is_success = 200 <= answer.status < 300
        if is_success and not is_json and kind != "empty" and expects_json:
            raise ProviderAway("unreadable", retry_after=pause)
        return BankReply(
            answer.status,
            members,
            is_json,
            kind,
            pause,
            record.correlation_id,
            answer.was_repeated,
        )

    def _obey(self, status: int, pause: timedelta | None) -> None:
        """Leave the bank alone if it asks for it. Raises ProviderAway for what is no answer."""
        if status == 429:
            self._throttles += 1
            seconds = pause.total_seconds() if pause else grown_pause(self._throttles)
            self._budget.close(seconds)
            raise ProviderAway("rate-limit", retry_after=timedelta(seconds=seconds))
        self._throttles = 0
        if status >= 500 or status in (408, 425):
            if pause is not None:
                self._budget.close(pause.total_seconds())
            raise ProviderAway(f"status-{status}", retry_after=pause)
        if status < 200 or 300 <= status < 400:
            raise ProviderAway("redirect" if status >= 300 else "unreadable", retry_after=pause)

    def _members(self, answer: WireAnswer) -> tuple[Any, bool]:
        if not answer.is_whole or not answer.data.strip():
            return None, False
        try:
            members = parse_answer(answer.data)
        except MalformedJson:
            return None, False
        is_json = isinstance(members, (dict, list))
        return (members if is_json else None), is_json

    def _fetch_token(self) -> AccessToken:
        """Ask the bank for a token. Raises ProviderAway and AccountRefusal."""
        wire = self._ready_wire()
        record = CallRecord("token", None, str(uuid.uuid4()))
        request = token_request(self._style, self._address.token_url, self._secrets)
        headers = with_id({**self._headers, **request.headers}, record.correlation_id)
        try:
            with self._records.measured(record):
                # Its `Date` is not noted: tokens may come from another host, with another clock.
                answer = wire.send("POST", request.url, headers, request.body)
                record.http_status = answer.status
                token = self._token_in(answer)
        except ProviderAway as error:
            # Somebody must look at an untrusted certificate; the rest ends by itself.
            code = error.code if error.code == "bank-certificate" else "token"
            raise ProviderAway(code, retry_after=error.retry_after, was_sent=False) from None
        self._records.note_token(missing_scopes(self._style, token))
        return token

    def _token_in(self, answer: WireAnswer) -> AccessToken:
        members, _ = self._members(answer)
        token = read_token(members) if answer.status in self._style.ok else None
        if token is not None:
            return token
        if 400 <= answer.status < 500 and answer.status not in (408, 425, 429):
            raise AccountRefusal(
                masked(refusal_code(members, answer.status), self._secret_texts()),
                sentence(members, self._secret_texts()),
            )
        code = "unreadable" if answer.status < 300 else f"status-{answer.status}"
        raise ProviderAway(code, retry_after=retry_after(answer.headers), was_sent=False)

    def _secret_texts(self, *more: str) -> tuple[str, ...]:
        return (*secret_texts(self._secrets), *self._query.values(), *more)


def _unusable_certificate() -> AccountRefusal:
    return AccountRefusal(
        "certificate-unusable", "The stored certificate or its key cannot be used for TLS."
    )
