"""API keys: how they look, what they may do, and when they were last used."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from config import current_parts, current_settings
from repository.accounts import KEY_USE_GRAIN
from repository.database import Work, in_unit_of_work

PREFIX = "balcao_"
TEST_PREFIX, LIVE_PREFIX = f"{PREFIX}test_", f"{PREFIX}live_"
SHOWN_CHARACTERS = 4
"""How much of the random part its owner sees again."""

SCOPES = {
    "payments:read": "list payments, receipts and refunds",
    "payments:write": "create, cancel and renew payments",
    "refunds:write": "give money back",
    "webhooks:write": "manage webhooks",
    "account:write": "manage keys, sessions and the shop's settings",
}
"""What a key may be allowed, and what that means."""

_REMEMBERED_MAX = 10_000


def new_api_key(drawn: str | None = None, *, live: bool = False) -> str:
    """A fresh API key of 256 random bits, or of those given: shown once, kept as its SHA-256."""
    return (LIVE_PREFIX if live else TEST_PREFIX) + (drawn or secrets.token_urlsafe(32))


def key_hash(key: str) -> str:
    """What is kept of a key. It is random, 256 bits: a slow hash would protect nothing more."""
    return hashlib.sha256(key.encode()).hexdigest()


def shown_prefix(key: str) -> str:
    """The beginning of a key, by which its owner knows it again."""
    marked = next((p for p in (TEST_PREFIX, LIVE_PREFIX) if key.startswith(p)), PREFIX)
    return key[: len(marked) + SHOWN_CHARACTERS]


def is_live() -> bool:
    """Whether keys made here are live ones: in production."""
    return not current_settings().is_development


def is_for_this_profile(key: str) -> bool:
    """Whether the key may be looked up here: test keys in development, live keys in production.

    Keys from before there were two kinds carry no mark and are looked up in both.
    """
    return not key.startswith(TEST_PREFIX if is_live() else LIVE_PREFIX)


class KeyUses:
    """When keys were used, remembered here and written now and then.

    A request never waits for it. What a process knows that is killed is lost: at most half a
    minute of a time that is kept to the minute.
    """

    def __init__(self) -> None:
        """None yet."""
        self._unwritten: dict[int, datetime] = {}
        self._written: dict[int, datetime] = {}

    def note(self, key_id: int, at: datetime) -> None:
        """Remember a use, unless one of the same minute was written."""
        written = self._written.get(key_id)
        if written is None or at - written >= KEY_USE_GRAIN:
            self._unwritten[key_id] = at

    def write(self) -> int:
        """Write what was noted, each key at most once a minute; gives how many were noted."""
        noted, self._unwritten = self._unwritten, {}
        if not noted:
            return 0
        try:
            in_unit_of_work(lambda work: _write(work, noted))
        except BaseException:
            self._unwritten = {**noted, **self._unwritten}
            raise
        if len(self._written) > _REMEMBERED_MAX:
            self._written.clear()
        self._written.update(noted)
        return len(noted)


def _write(work: Work, noted: dict[int, datetime]) -> None:
    for key_id, at in sorted(noted.items()):  # in one order, so that two processes never cross
        work.accounts.note_key_use(key_id, at)


def key_uses() -> KeyUses:
    """The present app's notes."""
    return current_parts().key_uses
