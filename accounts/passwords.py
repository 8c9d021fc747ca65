"""Passwords: Argon2id, computed off the hub, and the same time for a login nobody has."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from core.runtime.offload import offload

CHARACTERS_MIN, CHARACTERS_MAX = 8, 256
"""NIST SP 800-63B asks for 8 or more; the upper end only bounds the work."""

# OWASP Password Storage Cheat Sheet: m=19 MiB, t=2, p=1.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)


def hashed(password: str) -> str:
    """The Argon2id hash of a password, in PHC form; takes some 50 ms, off the hub."""
    return offload(_HASHER.hash, _normal(password))


def is_right(password: str, known_hash: str | None) -> bool:
    """Whether the password has this hash; as slow where there is no hash to compare with."""
    return offload(_verify, known_hash or _nobodys_hash(), _normal(password)) and bool(known_hash)


def rehashed(password: str, known_hash: str) -> str | None:
    """A new hash of a right password whose old one was made with other costs; else None."""
    return hashed(password) if _HASHER.check_needs_rehash(known_hash) else None


def _verify(known_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(known_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _normal(password: str) -> str:
    """The same password from every keyboard: composed and decomposed accents are one (NIST)."""
    return unicodedata.normalize("NFKC", password)


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    return _HASHER.hash("nobody has this password")
