"""Limits of attempts: by client address, and by payment."""

from __future__ import annotations

from config import current_settings
from core.errors import TooManyRequests
from web.limits import client_network, limits, per_seconds, register_limit

TRIES = register_limit("recovery-tries")
PICTURES = register_limit("recovery-pictures")
PER_PAYMENT = register_limit("recovery-payment")
PER_PAYMENT_MAX = 20
"""Per minute, by all clients together; the bank is asked at most once in 5 s anyway."""

_MINUTE = 60


def admit(*, with_picture: bool = False) -> None:
    """Count an attempt of the client's address. Raises TooManyRequests."""
    address = client_network()
    _take(TRIES, current_settings().recovery_tries_per_minute, address)
    if with_picture:
        _take(PICTURES, current_settings().recovery_pictures_per_minute, address)


def admit_for(txid: str) -> None:
    """Count an attempt for one payment. Raises TooManyRequests."""
    _take(PER_PAYMENT, PER_PAYMENT_MAX, txid)


def _take(name: str, maximum: int, key: str) -> None:
    wait = limits().take(per_seconds(maximum, _MINUTE), name, key)
    if wait is not None:
        limits().count(name)
        raise TooManyRequests(wait)
