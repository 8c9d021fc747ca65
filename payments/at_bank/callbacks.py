"""Take callbacks of banks: store what they name, and ask the bank later.

A callback is never believed: anybody who learns its address can send one, and another customer of
the same bank can have the bank send one. So it only says what to ask for. Callbacks that come
together are stored by one transaction.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from core.errors import BalcaoError, DatabaseUnavailable
from payments.at_bank.booking import want_window
from repository.database import Work, in_unit_of_work, reading

log = structlog.get_logger()

BODY_BYTES_MAX = 1_048_576
HINTS_MAX = 5_000
"""Hints of one account that wait; a list of the account's Pix replaces further ones."""
GATHER_SECONDS = 0.004
"""How long the first of several callbacks waits for the others."""
STORE_SECONDS = 8.0
KNOWN_SECONDS = 10.0
"""How long a process may use what it read of an account."""
_KNOWN_MAX = 1000
_CHUNK = 400
_TXID = re.compile(r"[A-Za-z0-9]{1,35}", re.ASCII)
_END_TO_END_ID = re.compile(r"[!-~]{1,128}", re.ASCII)
_SENT_MONEY = "SOLICITACAO"
"""Efí reports money that was sent to the same address, with this `tipo`."""


@dataclass(frozen=True)
class CallbackAccount:
    """The account that an address of callbacks belongs to."""

    id: int
    pix_key: str


@dataclass(frozen=True)
class NamedPix:
    """What one entry of a callback names; at least one of the two ids."""

    txid: str | None
    end_to_end_id: str | None
    pix_key: str | None
    """`chave`; many banks leave it out."""


@dataclass
class _Group:
    """Callbacks that are stored by one transaction."""

    entries: list[tuple[CallbackAccount, tuple[NamedPix, ...]]] = field(default_factory=list)
    end: threading.Event = field(default_factory=threading.Event)
    is_stored: bool = False


class CallbackStore:
    """The callbacks of one process that are being stored."""

    def __init__(self) -> None:
        """Nothing waits yet."""
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._group = _Group()
        self._accounts: dict[str, tuple[float, CallbackAccount]] = {}

    def account_of(self, token: str) -> CallbackAccount | None:
        """The account with this token in its address. Raises DatabaseUnavailable."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        until, account = self._accounts.get(digest, (0.0, None))
        if account is not None and time.monotonic() < until:
            return account
        with reading() as work:
            row = work.provider_accounts.find_by_token(digest)
        if row is None:
            self._accounts.pop(digest, None)
            return None
        if len(self._accounts) >= _KNOWN_MAX:
            self._accounts.clear()
        account = CallbackAccount(row.id, row.pix_key)
        self._accounts[digest] = (time.monotonic() + KNOWN_SECONDS, account)
        return account

    def store(self, account: CallbackAccount, pix: tuple[NamedPix, ...]) -> None:
        """Store what the callback names. Raises DatabaseUnavailable if that is impossible."""
        with self._lock:
            group = self._group
            group.entries.append((account, pix))
            is_first = len(group.entries) == 1
        if is_first:
            # Other callbacks join while the group before this one is written.
            time.sleep(GATHER_SECONDS)
            with self._writing:
                with self._lock:
                    self._group = _Group()
                self._write(group)
        elif not group.end.wait(STORE_SECONDS):
            raise DatabaseUnavailable
        if not group.is_stored:
            raise DatabaseUnavailable

    def _write(self, group: _Group) -> None:
        try:
            in_unit_of_work(lambda work: _insert(work, group.entries))
            group.is_stored = True
        except BalcaoError as error:
            log.warning("provider.callbacks_not_stored", code=error.code)
        finally:
            group.end.set()


def read_callback(body: bytes) -> tuple[NamedPix, ...] | None:
    """What a body names, without repetitions; None if it is not JSON.

    `{"pix": […]}`, a bare array, or one Pix; anything else, such as a test, names nothing.
    """
    if not body.strip():
        return ()
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        inner = value.get("pix", value)
        value = inner if isinstance(inner, list) else [inner]
    if not isinstance(value, list):
        return ()
    return tuple(dict.fromkeys(_named_in(value)))


def _named_in(entries: list[Any]) -> Iterable[NamedPix]:
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("tipo") == _SENT_MONEY:
            continue
        pix = NamedPix(
            _text(entry.get("txid"), _TXID),
            _text(entry.get("endToEndId"), _END_TO_END_ID),
            str(entry["chave"])[:77] if entry.get("chave") else None,
        )
        if pix.txid is not None or pix.end_to_end_id is not None:
            yield pix


def _text(value: Any, form: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None


def _insert(work: Work, entries: list[tuple[CallbackAccount, tuple[NamedPix, ...]]]) -> None:
    """Store the hints of all entries, account by account."""
    by_account: dict[CallbackAccount, dict[NamedPix, None]] = {}
    for account, pix in entries:
        by_account.setdefault(account, {}).update(dict.fromkeys(pix))
    for account in sorted(by_account, key=lambda one: one.id):
        _insert_of(work, account, list(by_account[account]))


def _insert_of(work: Work, account: CallbackAccount, pix: list[NamedPix]) -> None:
    room = HINTS_MAX - work.provider_money.count_hints(account.id, HINTS_MAX)
    rows: dict[tuple[str | None, str | None], dict[str, Any]] = {}
    is_window_wanted = False
    for start in range(0, len(pix), _CHUNK):
        some = pix[start : start + _CHUNK]
        charges = work.provider_charges.by_txids(
            [account.id], {one.txid for one in some if one.txid}
        )
        ids = {one.end_to_end_id for one in some if one.end_to_end_id}
        booked = work.provider_money.booked(ids)
        for one in some:
            charge = charges.get(one.txid or "")
            keys = {account.pix_key, charge.pix_key} if charge else {account.pix_key}
            if one.pix_key is not None and one.pix_key.casefold() not in map(str.casefold, keys):
                log.info("provider.callback_for_another_key", account=account.id)
                continue
            subject = _subject(one, account.id, charge is not None, booked)
            if subject is None:
                is_window_wanted = True
            else:
                rows[subject] = _row(account.id, subject, work)
    if len(rows) > room:
        is_window_wanted = True
    work.provider_money.insert_hints(list(rows.values())[: max(room, 0)])
    if is_window_wanted:
        want_window(work, account.id)


def _subject(
    one: NamedPix, account_id: int, has_charge: bool, booked: Any
) -> tuple[str | None, str | None] | None:
    """What to ask for: a charge, or a Pix that is booked; None for a list of all Pix."""
    if has_charge:
        return one.txid, None
    receipt = booked.get(one.end_to_end_id)
    if receipt is not None and receipt.account_id == account_id:
        return None, one.end_to_end_id
    return None


def _row(account_id: int, subject: tuple[str | None, str | None], work: Work) -> dict[str, Any]:
    # A moment ago, so that a clock that is set back a little delays nothing.
    due_at = work.now - timedelta(seconds=1)
    txid, end_to_end_id = subject
    return {
        "account_id": account_id,
        "txid": txid,
        "end_to_end_id": end_to_end_id,
        "due_at": due_at,
        "attempts": 0,
    }
