"""Password hashes: Argon2id, computed off the hub, as slow for unknown logins as for known ones."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from core.runtime.offload import offload

CHARACTERS_MIN, CHARACTERS_MAX = 8, 256
"""NIST SP 800-63B asks for at least 8; the maximum only bounds the work."""

# OWASP Password Storage Cheat Sheet: m=19 MiB, t=2, p=1.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)


def hash_password(password: str) -> str:
    """The Argon2id hash of a password, in PHC form; takes about 50 ms, off the hub."""
    return offload(_HASHER.hash, _normal(password))


def is_right(password: str, password_hash: str | None) -> bool:
    """Whether the password has this hash; just as slow if there is no hash."""
    return offload(_verify, password_hash or _placeholder_hash(), _normal(password)) and bool(
        password_hash
    )


def rehash(password: str, password_hash: str) -> str | None:
    """A new hash of a right password if the present hash has other costs; else None."""
    return hash_password(password) if _HASHER.check_needs_rehash(password_hash) else None


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _normal(password: str) -> str:
    """Compose accents, because keyboards differ in how they send them (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKC", password)


@lru_cache(maxsize=1)
def _placeholder_hash() -> str:
    return _HASHER.hash("nobody has this password")
