"""Who watches a merchant's payments, by what right, and whether that right still stands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from flask import Flask

from accounts import csrf
from accounts.access import Caller, caller_by_token, current_caller
from core.errors import BalcaoError, Forbidden
from db_models.account import MERCHANT
from repository.credentials import Credentials
from repository.database import Work, reading

log = structlog.get_logger()

CHECK_SECONDS = 10.0
"""How long a connection may outlive what opened it."""

ASKED_AT_ONCE_MAX = 500


def watching_merchant(work: Work, token: str | None = None) -> Caller:
    """The merchant's credentials: this token, or else those the handshake came with.

    A cookie counts for pages of our own origin alone, for no CSRF token comes with a handshake.
    Raises Unauthorized or Forbidden.
    """
    caller = current_caller(work) if token is None else caller_by_token(work, token)
    if caller.by_cookie and not csrf.is_from_our_own_page():
        raise Forbidden("A sign-in by cookie is for this service's own pages.")
    if caller.account.role != MERCHANT:
        raise Forbidden(f"This is for a {MERCHANT}; the account is a {caller.account.role}.")
    caller.require("payments:read")
    return caller


@dataclass(eq=False)
class Watching:
    """One connection that hears of a merchant's payments, and how to end it."""

    caller: Caller
    end: Callable[[], None]

    def has_ended(self, sign_ins: set[str], keys: set[int], now: datetime) -> bool:
        """Whether what opened it opens nothing any more."""
        caller = self.caller
        if caller.key_id is not None:
            return caller.key_id not in keys
        # A browser's cookie is renewed as long as its sign-in stands; a token in a program's hand
        # ends when it says so.
        if not caller.by_cookie and caller.expires_at is not None and caller.expires_at <= now:
            return True
        return caller.sign_in_id not in sign_ins


class Watchings:
    """All of a process's, looked at together: two statements, however many there are."""

    def __init__(
        self, app: Flask, start: Callable[..., Any], sleep: Callable[[float], Any]
    ) -> None:
        """Look regularly from the first one on; `start` and `sleep` are the async mode's."""
        self._app = app
        self._start = start
        self._sleep = sleep
        self._all: set[Watching] = set()
        self._lock = threading.Lock()
        self._is_looking = False

    def add(self, watching: Watching) -> None:
        """Look after this one."""
        with self._lock:
            self._all.add(watching)
            if self._is_looking:
                return
            self._is_looking = True
        self._start(self._look_regularly)

    def remove(self, watching: Watching) -> None:
        """It is gone by itself."""
        with self._lock:
            self._all.discard(watching)

    def end_all(self) -> None:
        """The process stops."""
        with self._lock:
            found = list(self._all)
        for watching in found:
            watching.end()

    def look(self, among: Collection[Watching] | None = None) -> int:
        """End those, of all or of these, whose credentials open nothing now; gives how many.

        Raises DatabaseUnavailable.
        """
        with self._lock:
            found = list(self._all if among is None else among)
        ended = 0
        for first in range(0, len(found), ASKED_AT_ONCE_MAX):
            part = found[first : first + ASKED_AT_ONCE_MAX]
            sign_ins = {one.caller.sign_in_id for one in part if one.caller.sign_in_id is not None}
            keys = {one.caller.key_id for one in part if one.caller.key_id is not None}
            with reading() as work:
                known = Credentials(work.session)
                standing = known.open_sign_ins(sign_ins, work.now), known.valid_keys(keys)
                moment = work.now
            for watching in part:
                if watching.has_ended(*standing, moment):
                    self.remove(watching)
                    watching.end()
                    ended += 1
        return ended

    def _look_regularly(self) -> None:
        while True:
            self._sleep(CHECK_SECONDS)
            try:
                with self._app.app_context():
                    ended = self.look()
            except BalcaoError as error:
                log.info("watchings.unchecked", code=error.code)  # nothing was told meanwhile
            except Exception:
                log.exception("watchings.failed")
            else:
                if ended:
                    log.info("watchings.ended", connections=ended)
