"""How often passwords may be tried, so that guessing is slow and nobody can lock out another.

| Counted for | What reaching it does |
|---|---|
| a login from one address | that address waits for that login |
| failures of one address, over all logins | that address waits |
| failures of one login, over all addresses | every address has few tries left for it, never none |
| a browser that signed in before (device cookie) | its own count; the three above do not touch it |

The last is OWASP's device cookie (Slow Down Online Guessing Attacks with Device Cookies): whoever
fills the other counts does not fill the one of the owner's own browser.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from flask import Response, request
from itsdangerous import BadData, URLSafeTimedSerializer
from limits import RateLimitItem

from config import current_settings
from core.errors import TooManyRequests
from web.limits import Limits, client_network, limits, named, per_seconds

SIGN_IN = named("sign-in")
NARROW_TRIES = 2
"""What an address has left for a login that many addresses are guessing at."""

DEVICE_COOKIE = "device"
DEVICE_SECONDS = 180 * 86_400
_DEVICE_LOGINS_MAX = 5
_DEVICE_CHARACTERS_MAX = 1024


@dataclass
class PasswordAttempt:
    """One try of a password that was let through."""

    limits: Limits
    tried: tuple[RateLimitItem, tuple[str, ...]]
    on_failure: tuple[tuple[RateLimitItem, tuple[str, ...]], ...]

    def failed(self) -> None:
        """The password was wrong: it counts for the address and for the login."""
        for limit, who in self.on_failure:
            self.limits.take(limit, *who)

    def succeeded(self) -> None:
        """The password was right: what was tried before it is forgotten."""
        limit, who = self.tried
        self.limits.give_back(limit, *who)


def admit(login: str) -> PasswordAttempt:
    """Let a try of this login's password through, or raise TooManyRequests with the wait."""
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
    wait = counts.is_spent(of_address, "address", address)
    if wait is None:
        is_guessed_at = counts.is_spent(of_login, "login", name) is not None
        tries = min(NARROW_TRIES, settings.sign_in_tries_max)
        allowed = per_seconds(tries, window) if is_guessed_at else usual
        who = ("narrow" if is_guessed_at else "pair", name, address)
        wait = counts.take(allowed, *who)
    if wait is not None:
        counts.count(SIGN_IN)
        raise TooManyRequests(wait, f"Too many tries to sign in. Try again in {wait} seconds.")
    on_failure = ((of_address, ("address", address)), (of_login, ("login", name)))
    return PasswordAttempt(counts, (allowed, who), on_failure)


def remember_device(response: Response, login: str) -> None:
    """Let this browser be known for a login that it just signed in to."""
    known = {**_devices()}
    known.pop(_tag(login), None)
    kept = list(known.items())[-(_DEVICE_LOGINS_MAX - 1) :]
    response.set_cookie(
        DEVICE_COOKIE,
        _serializer().dumps([*kept, (_tag(login), secrets.token_hex(8))]),
        max_age=DEVICE_SECONDS,
        secure=current_settings().public_url.startswith("https://"),
        httponly=True,
        samesite="Lax",
    )


def _devices() -> dict[str, str]:
    """The logins this browser is known for, each with a number of its own."""
    cookie = request.cookies.get(DEVICE_COOKIE, "")
    if not cookie or len(cookie) > _DEVICE_CHARACTERS_MAX:
        return {}
    try:
        found: Any = _serializer().loads(cookie, max_age=DEVICE_SECONDS)
        return {str(name): str(number) for name, number in found}
    except (BadData, ValueError, TypeError):
        return {}


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_settings().secret_key, salt="balcao device")


def _tag(login: str) -> str:
    """Stands for a login in keys and cookies, where its letters might mean something else."""
    return hashlib.sha256(login.encode()).hexdigest()[:24]
