"""Limit password attempts, so that guessing is slow and an attacker cannot lock out the owner.

| What is counted | When the limit is reached |
|---|---|
| attempts for one login from one address | the address waits before it tries this login again |
| failures from one address, for all logins, with the attempts that run | the address waits |
| failures for one login, from all addresses | each address has NARROW_TRIES attempts left for it |
| attempts from a browser that signed in before | the browser is treated like any other |

The last count is OWASP's device cookie (Slow Down Online Guessing Attacks with Device Cookies): an
attacker who fills the other counts cannot block the owner's browser.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Response, request
from itsdangerous import BadData
from limits import RateLimitItem

from accounts.tokens import read_signed
from config import current_settings
from core.errors import TooManyRequests
from core.signing.timed_texts import TimedTexts
from core.typed import caseless
from web.limits import Limits, client_network, limits, per_seconds, register_limit

SIGN_IN = register_limit("sign-in")
NARROW_TRIES = 2
"""The attempts that an address has for a login that many addresses are guessing at."""

RUNNING_RETRY_SECONDS = 2
"""When an address may try again that has too many attempts at once."""

DEVICE_COOKIE = "device"
DEVICE_SECONDS = 180 * 86_400
_DEVICE_LOGINS_MAX = 5
_DEVICE_CHARACTERS_MAX = 1024


@dataclass
class PasswordAttempt:
    """An admitted attempt: the caller reports whether the password was right."""

    limits: Limits
    own_count: tuple[RateLimitItem, tuple[str, ...]]
    on_failure: tuple[tuple[RateLimitItem, tuple[str, ...]], ...]

    def failed(self) -> None:
        """Count a wrong password for the address and for the login."""
        for limit, who in self.on_failure:
            self.limits.take(limit, *who)

    def succeeded(self) -> None:
        """Reset the count after a right password."""
        limit, who = self.own_count
        self.limits.give_back(limit, *who)


@contextmanager
def attempt_for(login: str) -> Iterator[PasswordAttempt]:
    """Admit an attempt for this login, which runs until the block ends.

    The attempts that run count as failures, so that many at once are no way around the limit.
    Raises TooManyRequests with the seconds to wait.
    """
    with limits().running("address", client_network()) as running:
        yield _admit(login, running)


def _admit(login: str, running: int) -> PasswordAttempt:
    settings, counts = current_settings(), limits()
    window = settings.sign_in_window_seconds
    usual = per_seconds(settings.sign_in_tries_max, window)
    name = _tag(login)
    device = _devices().get(name)
    if device is not None and counts.take(usual, "device", device) is None:
        return PasswordAttempt(counts, (usual, ("device", device)), ())
    address = client_network()
    of_address = per_seconds(settings.sign_in_tries_per_address_max, window)
    of_login = per_seconds(settings.sign_in_tries_per_login_max, window)
    wait = counts.seconds_to_wait(of_address, "address", address)
    if wait is None and counts.seconds_to_wait(of_address, "address", address, requests=running):
        wait = RUNNING_RETRY_SECONDS
    if wait is None:
        is_guessed_at = counts.seconds_to_wait(of_login, "login", name) is not None
        tries = min(NARROW_TRIES, settings.sign_in_tries_max)
        limit = per_seconds(tries, window) if is_guessed_at else usual
        who = ("narrow" if is_guessed_at else "pair", name, address)
        wait = counts.take(limit, *who)
    if wait is not None:
        counts.count(SIGN_IN)
        raise TooManyRequests(wait, f"Too many attempts to sign in. Try again in {wait} seconds.")
    on_failure = ((of_address, ("address", address)), (of_login, ("login", name)))
    return PasswordAttempt(counts, (limit, who), on_failure)


def remember_device(response: Response, login: str) -> None:
    """Add the login to the browser's device cookie, after a sign-in."""
    devices = {**_devices()}
    devices.pop(_tag(login), None)
    newest = list(devices.items())[-(_DEVICE_LOGINS_MAX - 1) :]
    response.set_cookie(
        DEVICE_COOKIE,
        _serializer().dumps([*newest, (_tag(login), secrets.token_hex(8))]),
        max_age=DEVICE_SECONDS,
        secure=current_settings().public_url.startswith("https://"),
        httponly=True,
        samesite="Lax",
    )


def _devices() -> dict[str, str]:
    """The logins in the device cookie, each with the random number that it is counted by."""
    cookie = request.cookies.get(DEVICE_COOKIE, "")
    if not cookie or len(cookie) > _DEVICE_CHARACTERS_MAX:
        return {}
    try:
        pairs: Any = read_signed(_serializer(), cookie, DEVICE_SECONDS)
        return {str(name): str(number) for name, number in pairs}
    except (BadData, ValueError, TypeError):
        return {}


def _serializer() -> TimedTexts:
    return TimedTexts(current_settings().secret_key, salt="balcao device")


def _tag(login: str) -> str:
    """A hash of the login for keys and cookies, where its characters could have a meaning.

    Every spelling has the same hash: another one is no further attempt.
    """
    return hashlib.sha256(caseless(login).encode()).hexdigest()[:24]
