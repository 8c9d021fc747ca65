"""Refused requests of merchants' programs: noted in memory, written by a job, shown in the portal.

Only requests with `Authorization` are noted. Pages send a cookie instead, and tell people at once
what was wrong. A request may be refused before anything has looked up its credentials, for example
because of its body. Then the note has the hash of its API key, or the account in its signed access
token, and the job looks them up. So a revoked key is attributed to its merchant too; an unknown
key belongs to nobody here, and its note is discarded.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import Response, g, request

from accounts import keys, tokens
from accounts.access import Caller
from config import current_parts
from core.errors import BalcaoError, Unauthorized
from db_models.account import MERCHANT
from repository.database import Work, in_unit_of_work, now, reading
from repository.refused_requests import RefusedRequests
from web.limits import client_network
from web.problems import CODE_OF_STATUS

log = structlog.get_logger()

KEPT_FOR = timedelta(days=7)
KEPT_PER_MERCHANT = 200
"""How many rows of a merchant are stored; the newest stay."""
NOTES_PER_MINUTE = 30
"""Notes of one merchant, and of one client network without known credentials, in a process."""
NOTES_MAX = 1000
"""Notes in memory between two writes."""
UNKNOWN_MAX = 200
"""Of these, notes whose credentials nobody has looked up yet: strangers can make many."""
FIELDS_MAX, FIELD_CHARACTERS_MAX = 10, 64
PATH_CHARACTERS_MAX, METHOD_CHARACTERS_MAX, CODE_CHARACTERS_MAX = 200, 16, 64
_FORGET_BATCH, _FORGET_BATCHES_MAX = 500, 20
# An API key or a token that a client put into the wrong place.
_SECRET = re.compile(r"(balcao_|eyJ)[A-Za-z0-9_.\-]{8,}", re.ASCII)


@dataclass(frozen=True)
class RefusalNote:
    """One refused request, and who sent it: exactly one of the first three fields is set."""

    account_id: int | None
    key_sha256: str | None
    account_public_id: str | None
    refused_at: datetime
    method: str
    path: str
    status: int
    code: str
    request_id: str
    fields: tuple[str, ...] = ()
    key_id: int | None = None

    def row(self) -> dict[str, Any]:
        """The values of the row; the account must be known."""
        return {
            "account_id": self.account_id,
            "key_id": self.key_id,
            "refused_at": self.refused_at,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "code": self.code,
            "request_id": self.request_id,
            "fields": list(self.fields),
        }


class RefusalNotes:
    """Collects refused requests; a job writes them to the database every few seconds.

    No request waits for a write. If the process is killed, the notes since the last write are lost.
    """

    def __init__(self) -> None:
        """Start without a note."""
        self._lock = threading.Lock()
        self._notes: list[RefusalNote] = []
        self._unknown = 0
        self._minute: datetime | None = None
        self._counts: Counter[int | str] = Counter()
        self.dropped = 0
        """Refused requests beyond the bounds, since the last write."""

    def note(self, note: RefusalNote, network: str) -> None:
        """Keep a note for the next write, unless a bound is reached."""
        is_unknown = note.account_id is None
        with self._lock:
            has_room = len(self._notes) < NOTES_MAX
            if is_unknown:
                has_room = has_room and self._unknown < UNKNOWN_MAX
            sender = network if note.account_id is None else note.account_id
            if not has_room or not self._allows(sender, note.refused_at):
                self.dropped += 1
                return
            self._notes.append(note)
            self._unknown += is_unknown

    def write(self) -> int:
        """Write the notes; return how many rows were stored.

        After a database error the notes stay for the next write, within NOTES_MAX.
        """
        with self._lock:
            notes, self._notes, self._unknown = self._notes, [], 0
            dropped, self.dropped = self.dropped, 0
        if dropped:
            log.warning("refusals.dropped", count=dropped)
        if not notes:
            return 0
        try:
            notes = self._attribute(notes)
            if notes:
                in_unit_of_work(lambda work: _store(work, notes))
        except BalcaoError:
            self._put_back(notes)
            raise
        return len(notes)

    def _allows(self, sender: int | str, at: datetime) -> bool:
        minute = at.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        self._counts[sender] += 1
        return self._counts[sender] <= NOTES_PER_MINUTE

    def _attribute(self, notes: list[RefusalNote]) -> list[RefusalNote]:
        """The notes whose merchant is known; those just looked up count for their merchant."""
        if all(note.account_id is not None for note in notes):
            return notes
        with reading() as work:
            queries = RefusedRequests(work.session)
            of_key = queries.key_owners({note.key_sha256 for note in notes if note.key_sha256})
            of_token = queries.merchant_ids(
                {note.account_public_id for note in notes if note.account_public_id}
            )
        attributed = []
        for note in notes:
            account_id, key_id = note.account_id, note.key_id
            if account_id is None:
                account_id, key_id = of_key.get(note.key_sha256 or "", (None, None))
                if account_id is None:
                    account_id = of_token.get(note.account_public_id or "")
                if account_id is None:
                    continue
                with self._lock:
                    if not self._allows(account_id, note.refused_at):
                        self.dropped += 1
                        continue
            attributed.append(replace(note, account_id=account_id, key_id=key_id))
        return attributed

    def _put_back(self, notes: list[RefusalNote]) -> None:
        with self._lock:
            together = [*notes, *self._notes]
            self._notes = together[-NOTES_MAX:]
            self._unknown = sum(note.account_id is None for note in self._notes)
            self.dropped += len(together) - len(self._notes)


def _store(work: Work, notes: Iterable[RefusalNote]) -> None:
    queries = RefusedRequests(work.session)
    rows = [note.row() for note in notes]
    queries.insert_many(rows)
    for account_id in sorted({row["account_id"] for row in rows}):
        queries.trim(account_id, KEPT_PER_MERCHANT)


def note_refusal(response: Response) -> Response:
    """Note an API request that was refused; an `after_request` hook without a statement."""
    if response.status_code >= 400 and "HTTP_AUTHORIZATION" in request.environ:
        note = _note_of_request(response.status_code)
        if note is not None:
            refusal_notes().note(note, client_network())
    return response


def _note_of_request(status: int) -> RefusalNote | None:
    """The note of this request; None if no merchant can have sent it."""
    caller: Caller | None = g.get("caller")
    account_id = key_sha256 = account_public_id = key_id = None
    if caller is not None:
        if caller.by_cookie or caller.account.role != MERCHANT:
            return None
        account_id, key_id = caller.account.id, caller.key_id
    else:
        scheme, _, token = request.environ["HTTP_AUTHORIZATION"].partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or len(token) > tokens.TOKEN_CHARACTERS_MAX:
            return None
        if token.startswith(keys.PREFIX):
            key_sha256 = keys.key_hash(token)
        else:
            try:
                account_public_id = tokens.read(token, "access").account_public_id
            except Unauthorized:
                return None
    code = g.get("problem_code") or CODE_OF_STATUS.get(status, "refused")
    return RefusalNote(
        account_id=account_id,
        key_sha256=key_sha256,
        account_public_id=account_public_id,
        refused_at=now(),
        method=_clean(request.method, METHOD_CHARACTERS_MAX),
        path=_clean(request.path, PATH_CHARACTERS_MAX),
        status=status,
        code=_clean(code, CODE_CHARACTERS_MAX),
        request_id=g.get("request_id", ""),
        fields=tuple(
            _clean(name, FIELD_CHARACTERS_MAX) for name in g.get("problem_fields", ())[:FIELDS_MAX]
        ),
        key_id=key_id,
    )


def _clean(text: str, most: int) -> str:
    """The text without secrets and control characters, cut to so many characters."""
    safe = _SECRET.sub(r"\1…", text)
    printable = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in safe
    )
    return printable if len(printable) <= most else f"{printable[: most - 1]}…"


def refusal_notes() -> RefusalNotes:
    """The notes of the current app."""
    return current_parts().refusal_notes


def forget_old_refusals(keep_going: Callable[[], bool] = lambda: True) -> int:
    """Delete refused requests older than KEPT_FOR, in batches; return how many rows."""
    before, forgotten = now() - KEPT_FOR, 0
    for _ in range(_FORGET_BATCHES_MAX):
        if not keep_going():
            break
        batch = in_unit_of_work(
            lambda work: RefusedRequests(work.session).forget_before(before, _FORGET_BATCH)
        )
        forgotten += batch
        if batch < _FORGET_BATCH:
            break
    return forgotten
