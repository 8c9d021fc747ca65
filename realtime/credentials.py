"""Who watches a merchant's payments, with which credentials, and whether these still stand."""

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
from accounts.tokens import CLOCK_LEEWAY
from core.clock import outside_now
from core.errors import BalcaoError, Forbidden
from db_models.account import MERCHANT
from repository.credentials import Credentials
from repository.database import Work, ledger, reading

log = structlog.get_logger()

CHECK_SECONDS = 10.0
"""How long a connection may outlive its credentials."""

CHECKED_AT_ONCE_MAX = 500


def watching_merchant(work: Work, token: str | None = None) -> Caller:
    """The merchant's credentials: this token, otherwise those of the handshake.

    A cookie counts only for pages of our own origin, because a handshake has no CSRF token. Raises
    Unauthorized or Forbidden.
    """
    caller = current_caller(work) if token is None else caller_by_token(work, token)
    if caller.by_cookie and not csrf.is_from_our_own_page():
        raise Forbidden("Only this service's own pages may connect with a sign-in cookie.")
    if caller.account.role != MERCHANT:
        raise Forbidden(f"Only a {MERCHANT} may watch; this account is a {caller.account.role}.")
    caller.require("payments:read")
    return caller


@dataclass(eq=False)
class Watching:
    """One connection that watches a merchant's payments, and how to end it."""

    caller: Caller
    end: Callable[[], None]

    def has_ended(self, sign_ins: set[str], keys: set[int], now: datetime) -> bool:
        """Whether its credentials are revoked or expired."""
        caller = self.caller
        if caller.key_id is not None:
            return caller.key_id not in keys
        # A browser renews its cookie as long as the sign-in stands; a program's token ends at its
        # own expiry.
        ends_at = caller.expires_at
        if not caller.by_cookie and ends_at is not None and ends_at + CLOCK_LEEWAY <= now:
            return True
        return caller.sign_in_id not in sign_ins


class Watchings:
    """All watching connections of a process, checked together by two statements."""

    def __init__(
        self, app: Flask, start: Callable[..., Any], sleep: Callable[[float], Any]
    ) -> None:
        """Check regularly once there is a connection; `start` and `sleep` are the async mode's."""
        self._app = app
        self._start = start
        self._sleep = sleep
        self._all: set[Watching] = set()
        self._lock = threading.Lock()
        self._is_checking = False

    def add(self, watching: Watching) -> None:
        """Check this connection regularly; the first one starts the task."""
        with self._lock:
            self._all.add(watching)
            if self._is_checking:
                return
            self._is_checking = True
        self._start(self._check_regularly)

    def remove(self, watching: Watching) -> None:
        with self._lock:
            self._all.discard(watching)

    def forget_all(self) -> None:
        """Forget every connection, so that the checks end, too: the service stops."""
        with self._lock:
            self._all.clear()

    def look(self, among: Collection[Watching] | None = None) -> int:
        """End the connections, of all or of `among`, whose credentials have ended; return how many.

        Raises DatabaseUnavailable.
        """
        with self._lock:
            watchings = list(self._all if among is None else among)
        ended = 0
        for first in range(0, len(watchings), CHECKED_AT_ONCE_MAX):
            part = watchings[first : first + CHECKED_AT_ONCE_MAX]
            sign_ins = {one.caller.sign_in_id for one in part if one.caller.sign_in_id is not None}
            keys = {one.caller.key_id for one in part if one.caller.key_id is not None}
            with reading() as work:
                credentials = Credentials(work.session)
                open_sign_ins = credentials.open_sign_ins(sign_ins, work.now)
                valid_keys = credentials.valid_keys(keys)
                # The tokens' library reads the machine's clock, which CLOCK_FILE does not move.
                now = outside_now(ledger().clock)
            for watching in part:
                if watching.has_ended(open_sign_ins, valid_keys, now):
                    self.remove(watching)
                    watching.end()
                    ended += 1
        return ended

    def _has_connections_after_a_pause(self) -> bool:
        """Without any connection the task ends; the next connection starts another."""
        self._sleep(CHECK_SECONDS)
        with self._lock:
            self._is_checking = bool(self._all)
            return self._is_checking

    def _check_regularly(self) -> None:
        while self._has_connections_after_a_pause():
            try:
                with self._app.app_context():
                    ended = self.look()
            except BalcaoError as error:
                log.info("watchings.unchecked", code=error.code)  # the next check comes soon
            except Exception:
                log.exception("watchings.failed")
            else:
                if ended:
                    log.info("watchings.ended", connections=ended)
