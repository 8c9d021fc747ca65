"""Access tokens of a bank: seven ways to ask for one, one request at a time, and no storm."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from providers.api_pix.breaker import grown_pause
from providers.port import AccountRefusal, ProviderAway
from providers.secrets import AccountSecrets

STYLES = (
    "basic_form",
    "basic_json",
    "form",
    "form_nosecret",
    "json",
    "query_form",
    "query_all",
)
"""`basic_…` and `query_all` send id and secret by Basic; the others as parameters.

`query_form` has the grant in the query and id and secret in the form; `query_all` has grant and
scope in the query and no body.
"""

DEFAULT_LIFE_SECONDS, LIFE_MAX_SECONDS = 300.0, 86_400.0
MARGIN_SECONDS = 30.0
USE_MIN_SECONDS = 1.0
FLIGHT_WAIT_SECONDS = 10.0
TOKEN_CHARACTERS_MAX = 8192

_TOKEN = re.compile(r"[\x21-\x7e]+", re.ASCII)
_CODE = re.compile(r"[a-z][a-z0-9_\-]{1,39}", re.ASCII)
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class TokenStyle:
    """How a bank wants to be asked for a token."""

    style: str = "basic_form"
    """One of STYLES."""
    ok: tuple[int, ...] = (200, 201)
    """The statuses that bring a token."""
    scopes: str | None = None
    """The scopes as they are sent, separated by spaces; None if none are asked for."""


@dataclass(frozen=True, repr=False)
class AccessToken:
    """A token; it has no `repr`, so that no log has it."""

    text: str
    scopes: tuple[str, ...] | None
    """What the bank granted; None if the answer does not say."""
    life_seconds: float


@dataclass(frozen=True)
class TokenReport:
    """What a person may know of the present token."""

    age: timedelta
    life: timedelta
    scopes: tuple[str, ...] | None
    missing_scopes: tuple[str, ...]
    """Asked for and not granted; empty if the bank does not say what it granted."""


@dataclass(frozen=True)
class TokenRequest:
    """A request for a token."""

    url: str
    headers: dict[str, str]
    body: bytes


def token_request(style: TokenStyle, url: str, secrets: AccountSecrets) -> TokenRequest:
    """The request for a token. Raises ValueError for an unknown style."""
    if style.style not in STYLES:
        raise ValueError(f"{style.style} is no way to ask for a token.")
    grant = {"grant_type": "client_credentials"}
    scope = {"scope": style.scopes} if style.scopes else {}
    client = {"client_id": secrets.client_id}
    pair = {**client, "client_secret": secrets.client_secret}
    headers = {"Accept": "application/json", "Content-Type": _FORM}
    if style.style in ("basic_form", "basic_json", "query_all"):
        headers["Authorization"] = f"Basic {_basic(secrets)}"
    members: dict[str, str] = {
        "basic_form": {**grant, **scope},
        "basic_json": {**grant, **scope},
        "form": {**grant, **pair, **scope},
        "form_nosecret": {**grant, **client, **scope},
        "json": {**grant, **pair, **scope},
        "query_form": {**pair, **scope},
        "query_all": {},
    }[style.style]
    if style.style == "query_form":
        url = with_query(url, grant)
    elif style.style == "query_all":
        url = with_query(url, {**grant, **scope}, plus=True)
    if style.style in ("basic_json", "json"):
        headers["Content-Type"] = "application/json"
        return TokenRequest(url, headers, json.dumps(members).encode())
    return TokenRequest(url, headers, urlencode(members).encode())


def secret_texts(secrets: AccountSecrets) -> tuple[str, ...]:
    """What of the account a bank gets to see, and might repeat in an error."""
    return (secrets.client_id, secrets.client_secret, secrets.callback_token, _basic(secrets))


def _basic(secrets: AccountSecrets) -> str:
    return base64.b64encode(f"{secrets.client_id}:{secrets.client_secret}".encode()).decode()


def with_query(url: str, query: dict[str, str], *, plus: bool = False) -> str:
    """The address with these parameters, which replace those of the same names in it.

    A space becomes `%20`, or `+` with `plus`.
    """
    base, _, present = url.partition("?")
    parts = [one for one in present.split("&") if one and one.partition("=")[0] not in query]
    if query:
        parts.append(urlencode(query) if plus else urlencode(query, quote_via=quote))
    return f"{base}?{'&'.join(parts)}" if parts else base


def read_token(members: Any) -> AccessToken | None:
    """The token of an answer; None if there is none that a header can carry."""
    text = members.get("access_token") if isinstance(members, dict) else None
    if not isinstance(text, str) or len(text) > TOKEN_CHARACTERS_MAX or not _TOKEN.fullmatch(text):
        return None
    return AccessToken(text, _scopes(members.get("scope")), _life(members.get("expires_in")))


def refusal_code(members: Any, status: int) -> str:
    """A stable code for a refused request, such as `invalid_client`."""
    for name in ("error", "nome"):
        code = members.get(name) if isinstance(members, dict) else None
        if isinstance(code, str) and _CODE.fullmatch(code):
            return code
    return f"token-status-{status}"


def missing_scopes(style: TokenStyle, token: AccessToken) -> tuple[str, ...]:
    """The scopes that were asked for and not granted."""
    if not style.scopes or token.scopes is None:
        return ()
    granted = {one.casefold() for one in token.scopes}
    return tuple(one for one in style.scopes.split() if one.casefold() not in granted)


def _scopes(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())[:100]
    if isinstance(value, list):
        return tuple(one for one in value if isinstance(one, str))[:100]
    return None


def _life(value: Any) -> float:
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]+)?\s*", value, re.ASCII):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or value <= 0:
        return DEFAULT_LIFE_SECONDS
    return float(min(value, LIFE_MAX_SECONDS))


@dataclass(frozen=True)
class _StoredToken:
    token: AccessToken
    came_at: float
    renewed_from: float
    """From then on one caller gets a new one; the others still use this one."""
    ends_at: float


class BankTokens:
    """The token of one account in this process. Any number of threads may share it."""

    def __init__(
        self,
        fetch: Callable[[], AccessToken],
        *,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fetch` asks the bank; it raises ProviderAway or AccountRefusal."""
        self._fetch = fetch
        self._seconds = seconds
        self._lock = threading.Lock()
        self._stored: _StoredToken | None = None
        self._flight: threading.Event | None = None
        self._failure: ProviderAway | AccountRefusal | None = None
        self._failures = 0
        self._paused_until = 0.0
        self._refusals = 0
        self._refused: _StoredToken | None = None
        self._renewal_refused_until = 0.0

    def text(self) -> str:
        """A usable token, new if need be.

        One caller asks the bank, the others wait up to FLIGHT_WAIT_SECONDS. After a failure nobody
        asks for 1 s, then up to 60 s. Raises ProviderAway `token` and AccountRefusal.
        """
        deadline = self._seconds() + FLIGHT_WAIT_SECONDS
        while True:
            with self._lock:
                moment = self._seconds()
                stored = self._stored
                if stored is not None and moment < stored.renewed_from:
                    return stored.token.text
                is_usable = stored is not None and moment < stored.ends_at
                flight, is_ours = self._flight, False
                if flight is None and moment >= self._paused_until:
                    flight, is_ours = threading.Event(), True
                    self._flight = flight
            if is_ours and flight is not None:
                return self._renew(flight, stored if is_usable else None)
            if stored is not None and is_usable:
                return stored.token.text
            if flight is None:
                raise self._known_failure(moment)
            if not flight.wait(max(deadline - self._seconds(), 0.0)):
                raise ProviderAway("token", was_sent=False)

    def renewed(self, refused: str) -> str:
        """A token in place of one that the bank refused with 401.

        Raises AccountRefusal `unauthorized` if the bank refuses new tokens too, besides what
        `text` raises.
        """
        with self._lock:
            if self._stored is not None and self._stored.token.text == refused:
                if self._seconds() < self._renewal_refused_until:
                    raise AccountRefusal("unauthorized", "The bank refuses tokens it has given.")
                self._stored = None
        return self.text()

    def note_refusal(self, refused: str) -> None:
        """Note that the bank refused a new token: another one would do no better for a while.

        The pause grows by each token, however many callers it was refused to at once.
        """
        with self._lock:
            stored = self._stored
            if stored is None or stored.token.text != refused or stored is self._refused:
                return
            self._refused = stored
            self._refusals += 1
            self._renewal_refused_until = self._seconds() + grown_pause(self._refusals)

    def note_acceptance(self) -> None:
        """Note that the bank accepted a new token in place of one that it had refused."""
        with self._lock:
            self._refusals, self._renewal_refused_until = 0, 0.0

    def present(self) -> tuple[AccessToken, timedelta] | None:
        """The token in use, and its age; None if there is none."""
        with self._lock:
            stored = self._stored
            if stored is None:
                return None
            return stored.token, timedelta(seconds=self._seconds() - stored.came_at)

    def _renew(self, flight: threading.Event, present: _StoredToken | None) -> str:
        try:
            token = self._fetch()
        except (ProviderAway, AccountRefusal) as error:
            self._note_failure(error)
            if present is None:
                raise
            return present.token.text
        else:
            self._store(token)
            return token.text
        finally:
            with self._lock:
                self._flight = None
            flight.set()

    def _store(self, token: AccessToken) -> None:
        with self._lock:
            moment, life = self._seconds(), token.life_seconds
            renewed_after = max(life - min(MARGIN_SECONDS, life / 2), USE_MIN_SECONDS)
            # The last tenth of the life, at most 5 s, is not used: a request takes time.
            ends_after = max(life - min(5.0, life / 10), USE_MIN_SECONDS)
            self._stored = _StoredToken(token, moment, moment + renewed_after, moment + ends_after)
            self._failure, self._failures, self._paused_until = None, 0, 0.0

    def _note_failure(self, error: ProviderAway | AccountRefusal) -> None:
        with self._lock:
            self._failures += 1
            pause = grown_pause(self._failures)
            if isinstance(error, ProviderAway) and error.retry_after is not None:
                pause = max(pause, error.retry_after.total_seconds())
            self._failure = error
            self._paused_until = self._seconds() + pause

    def _known_failure(self, moment: float) -> ProviderAway | AccountRefusal:
        """The last failure once more, for those who would ask too soon."""
        failure = self._failure
        if isinstance(failure, AccountRefusal):
            return AccountRefusal(failure.code, failure.detail)
        left = timedelta(seconds=max(self._paused_until - moment, 0.0))
        code = failure.code if failure is not None else "token"
        return ProviderAway(code, retry_after=left, was_sent=False)
