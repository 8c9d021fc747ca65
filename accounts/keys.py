"""API keys: their format, their scopes, and when they were last used."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime

from config import current_parts, current_settings
from core.errors import Unauthorized
from db_models import Account
from repository.database import Work, in_unit_of_work
from repository.usable_credentials import USE_GRAIN

PREFIX = "balcao_"
TEST_PREFIX, LIVE_PREFIX = f"{PREFIX}test_", f"{PREFIX}live_"
SHOWN_CHARACTERS = 4
"""How many characters of the random part stay visible to the key's owner."""

SCOPES = {
    "payments:read": "list payments, receipts and refunds",
    "payments:write": "create, cancel and renew payments",
    "refunds:write": "give money back",
    "webhooks:write": "manage webhooks",
    "account:write": "manage keys, sessions and the shop's settings",
}
"""Each scope of a key, with its meaning."""

_REMEMBERED_MAX = 10_000


def new_api_key(random_part: str | None = None, *, live: bool = False) -> str:
    """A new API key with 256 random bits, if `random_part` does not bring them."""
    return (LIVE_PREFIX if live else TEST_PREFIX) + (random_part or secrets.token_urlsafe(32))


def key_hash(key: str) -> str:
    """The stored SHA-256 of a key; a slow hash would not protect 256 random bits any better."""
    return hashlib.sha256(key.encode()).hexdigest()


def shown_prefix(key: str) -> str:
    """The beginning of a key, by which its owner recognises it."""
    prefix = next((p for p in (TEST_PREFIX, LIVE_PREFIX) if key.startswith(p)), PREFIX)
    return key[: len(prefix) + SHOWN_CHARACTERS]


def check_mode(key: str, account: Account | None = None) -> None:
    """Raise Unauthorized for a key that does not work here, or not for this account.

    In development all money is simulated, so live keys do not work. In production a test key works
    for a test half alone, and a test half has test keys alone, whatever is stored. Old keys have
    neither prefix; they count as test keys in development, else as live keys.
    """
    if current_settings().is_development:
        if key.startswith(LIVE_PREFIX):
            raise Unauthorized("This is a live key: in development only test keys work.")
    elif account is not None and key.startswith(TEST_PREFIX) != account.is_test_half:
        raise Unauthorized(
            "This is a live key, and the account is for tests."
            if account.is_test_half
            else "This test key is from development: make one in production."
        )


class KeyUses:
    """Collects when credentials were used; a job writes it to the database every half minute.

    One for API keys, and one for the clients of API Pix.

    No request waits for a write. If the process is killed, the uses since the last write are lost.
    """

    def __init__(self, write_use: Callable[[Work, int, datetime], None]) -> None:
        """Start with no use; `write_use` writes the use of one row."""
        self._write_use = write_use
        self._unwritten: dict[int, datetime] = {}
        self._written: dict[int, datetime] = {}

    def note(self, key_id: int, at: datetime) -> None:
        """Note a use, unless a use of the same minute was written."""
        written_at = self._written.get(key_id)
        if written_at is None or at - written_at >= USE_GRAIN:
            self._unwritten[key_id] = at

    def write(self) -> int:
        """Write the noted uses, each key at most once a minute; return how many keys were noted."""
        noted, self._unwritten = self._unwritten, {}
        if not noted:
            return 0
        try:
            in_unit_of_work(lambda work: self._write_all(work, noted))
        except BaseException:
            self._unwritten = {**noted, **self._unwritten}
            raise
        if len(self._written) > _REMEMBERED_MAX:
            self._written.clear()
        self._written.update(noted)
        return len(noted)

    def _write_all(self, work: Work, noted: dict[int, datetime]) -> None:
        for key_id, at in sorted(noted.items()):  # one order, so that two processes never deadlock
            self._write_use(work, key_id, at)


def write_key_use(work: Work, key_id: int, at: datetime) -> None:
    """Write the use of an API key."""
    work.accounts.note_key_use(key_id, at)


def key_uses() -> KeyUses:
    """The key uses of the current app."""
    return current_parts().key_uses
