"""Password hashes: Argon2id, computed off the hub, as slow for unknown logins as for known ones."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type
from flask import has_request_context

from core.runtime.offload import Places
from web.limits import client_network

CHARACTERS_MIN, CHARACTERS_MAX = 8, 256
"""NIST SP 800-63B asks for at least 8; the maximum only bounds the work."""

HASHES_AT_ONCE_MAX = 3
"""Per process; each takes 19 MiB and a core for 50 ms."""
HASHES_WAITING_MAX = 60
HASHES_PER_ADDRESS_MAX = 16
HASH_WAIT_SECONDS = 10.0

_places = Places(
    HASHES_AT_ONCE_MAX,
    HASHES_WAITING_MAX,
    share_max=HASHES_PER_ADDRESS_MAX,
    wait_seconds=HASH_WAIT_SECONDS,
)

# OWASP Password Storage Cheat Sheet: m=19 MiB, t=2, p=1.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)


def hash_password(password: str) -> str:
    """The Argon2id hash of a password, in PHC form; takes about 50 ms, off the hub.

    Raises Busy, and TooManyRequests, as `Places.run` does.
    """
    return _places.run(_HASHER.hash, _normal(password), owner=_owner())


def is_right(password: str, password_hash: str | None) -> bool:
    """Whether the password has this hash; just as slow if there is no hash.

    Raises Busy, and TooManyRequests, as `Places.run` does.
    """
    known_hash = password_hash or _placeholder_hash()
    is_same = _places.run(_verify, known_hash, _normal(password), owner=_owner())
    return is_same and bool(password_hash)


def rehash(password: str, password_hash: str) -> str | None:
    """A new hash of a right password if the present hash has other costs; else None."""
    return hash_password(password) if _HASHER.check_needs_rehash(password_hash) else None


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _owner() -> str:
    """The client's network; "" for a command at the terminal."""
    return client_network() if has_request_context() else ""


def _normal(password: str) -> str:
    """Compose accents, because keyboards differ in how they send them (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKC", password)


@lru_cache(maxsize=1)
def _placeholder_hash() -> str:
    return _HASHER.hash("nobody has this password")
