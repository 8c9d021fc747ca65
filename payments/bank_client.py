"""Asking the bank: signed look-ups of what it holds, one payment or one window at a time.

What it answers settles payments by the same verb as its notifications, so a confirmation that was
lost is found, and one that comes twice is a duplicate. What the bank is told to do (give money
back) goes the same signed way, by `order`. Nothing here holds a transaction while it waits for the
bank.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import structlog
import urllib3
from pydantic import ValidationError

from config import current_settings
from core.clock import rfc3339
from core.errors import BalcaoError, NotificationConflict
from core.signing import signatures
from core.signing.signatures import Signed
from payments import service
from payments.schemas import Confirmation
from payments.service import CLOCK_SKEW, ConfirmationResult
from repository.database import in_unit_of_work, now
from web.bodies import parse_json

log = structlog.get_logger()

ASK_AGAIN_AFTER = timedelta(seconds=5)
CONNECT_SECONDS, READ_SECONDS, ANSWER_SECONDS = 2.0, 4.0, 6.0
"""The last is for a whole body, however slowly it trickles."""
ANSWER_BYTES_MAX = 262_144
PAGE = 100
CURSOR_MAX = 200
HELD = ("sent", "settled", "confirmed")
"""How a transfer stands at the bank while its money is with us; `returned` settles nothing."""

_CHUNK_BYTES = 16_384
_REMEMBERED_MAX = 10_000

_pool = urllib3.PoolManager(
    num_pools=4,
    maxsize=10,
    timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
    retries=False,
)


class BankUnanswering(Exception):
    """The bank is away, too slow, or does not speak our language.

    `answered` holds the HTTP status where there was one.
    """

    def __init__(self, why: str, status: int | None = None) -> None:
        """`why` is a few words for the log."""
        super().__init__(why)
        self.answered = status


@dataclass(frozen=True)
class BankAnswer:
    """What the bank said to an order: an HTTP status and a JSON object."""

    status: int
    members: Mapping[str, Any]
    is_replayed: bool = False
    """Whether it is the first answer to the same order again."""


@dataclass(frozen=True)
class SettledPage:
    """What a bank settled in a part of a window; `next` is where the next part begins, or None."""

    told: tuple[Confirmation, ...]
    next: str | None


class _Recently:
    """Remembers what happened within some seconds; bounded, and of this process alone."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def is_first(self, name: str) -> bool:
        """Whether it did not happen so recently; counts as happening when it did not."""
        moment = time.monotonic()
        with self._lock:
            last = self._at.get(name)
            if last is not None and moment - last < self._seconds:
                return False
            self._at[name] = moment
            self._at.move_to_end(name)
            while len(self._at) > _REMEMBERED_MAX:
                self._at.popitem(last=False)
            return True


_asked = _Recently(ASK_AGAIN_AFTER.total_seconds())
_complained = _Recently(3600)


class _AnswerLog:
    """Whether the bank answers a kind of question: said when it changes, not at every question."""

    def __init__(self) -> None:
        self._away: set[str] = set()

    def answered(self, question: str) -> None:
        """Note that it does."""
        if question in self._away:
            self._away.discard(question)
            log.info("bank.back", question=question)

    def unanswered(self, question: str, why: str) -> None:
        """Note that it does not."""
        if question not in self._away:
            self._away.add(question)
            log.warning("bank.away", question=question, why=why[:200])


_answer_log = _AnswerLog()


def ask_about(txid: str) -> bool:
    """Ask the bank what it holds for this payment, and settle it with that.

    At most once in 5 s per payment and process. Gives whether the bank was asked and answered; a
    bank that is away changes nothing and raises nothing.
    """
    settings = current_settings()
    if not settings.asks_bank or not may_ask(txid):
        return False
    try:
        for told in held_for(txid):
            settle(told)
    except (BankUnanswering, BalcaoError) as error:
        log.info("bank.look_up_failed", payment=txid, error=type(error).__name__)
        return False
    return True


def may_ask(txid: str) -> bool:
    """Whether nobody asked about it in the last 5 s; counts as asking."""
    return _asked.is_first(txid)


def held_for(txid: str) -> tuple[Confirmation, ...]:
    """What the bank holds for this payment. Raises BankUnanswering."""
    with _noted("payment"):
        return _read(_get(f"/api/payments/{txid}"), "payments", only=txid)


def settled_between(start: datetime, end: datetime, after: str | None) -> SettledPage:
    """One page of what the bank settled from `start` to `end`. Raises BankUnanswering.

    `after` is what the page before said.
    """
    query = {"from": rfc3339(start), "to": rfc3339(end), "limit": str(PAGE)}
    if after is not None:
        query["after"] = after
    with _noted("window"):
        answer = _get(f"/api/settled?{urlencode(query)}")
        told = _read(answer, "data")
        cursor = answer.get("next")
        if cursor is not None and not (isinstance(cursor, str) and 0 < len(cursor) <= CURSOR_MAX):
            raise BankUnanswering("it gave a cursor that is none", 200)
        if cursor is not None and cursor == after:
            raise BankUnanswering("its list goes in a circle", 200)
        if after is not None and not answer["data"]:
            raise BankUnanswering("it does not know the place it gave", 200)
        return SettledPage(told, cursor)


def settle(told: Confirmation) -> ConfirmationResult | None:
    """Settle or refuse with money the bank holds, and keep either; None where it contradicts.

    Raises DatabaseUnavailable and ConcurrentUpdate.
    """
    asked = Signed(told.end_to_end_id or "", now())
    try:
        outcome = in_unit_of_work(lambda work: service.confirm(work, told, asked))
    except NotificationConflict as error:
        _complain("bank.contradicts_itself", told.end_to_end_id, detail=error.detail)
        return None
    if outcome.duplicate:
        return outcome
    if outcome.refusal is None:
        log.info("bank.look_up_settled", payment=told.bank_payment_id)
    else:
        log.info("bank.look_up_refused", payment=told.bank_payment_id, code=outcome.refusal.code)
    return outcome


@contextmanager
def _noted(question: str) -> Iterator[None]:
    """Log the change between answering and not."""
    try:
        yield
    except BankUnanswering as error:
        _answer_log.unanswered(question, str(error))
        raise
    _answer_log.answered(question)


def order(question: str, path: str, body: Mapping[str, Any] | None = None) -> BankAnswer:
    """Tell the bank to do something, or ask it: POST with a body, GET without one.

    Gives also an answer that refuses; `question` names the kind of question in the log. A body is
    signed, and it is never logged. Raises BankUnanswering for no answer, one that is no JSON
    object, redirections, 5xx, and 401, 408, 425 or 429: those say nothing of the order itself.
    """
    with _noted(question):
        answer = _exchanged(path, body)
        decided = 200 <= answer.status < 300 or 400 <= answer.status < 500
        if not decided or answer.status in (401, 408, 425, 429):
            raise BankUnanswering(f"it answered {answer.status}", answer.status)
        return answer


def _get(path: str) -> Mapping[str, Any]:
    """The JSON object at this path of the bank. Raises BankUnanswering, whatever goes wrong."""
    answer = _exchanged(path, None)
    if answer.status != 200:
        raise BankUnanswering(f"it answered {answer.status}", answer.status)
    return answer.members


def _exchanged(path: str, body: Mapping[str, Any] | None) -> BankAnswer:
    settings = current_settings()
    message_id = f"{'lookup' if body is None else 'order'}_{secrets.token_hex(12)}"
    raw = None if body is None else json.dumps(body).encode()
    # A GET has no body: what is signed is the question itself, so that it fits no other path.
    signed = signatures.signed_headers(
        settings.bank_webhook_secret,
        message_id,
        now(),
        f"GET {path}".encode() if raw is None else raw,
    )
    try:
        return _fetched(f"{settings.bank_internal_url}{path}", signed, raw)
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise BankUnanswering(type(error).__name__) from error


def _fetched(url: str, headers: Mapping[str, str], body: bytes | None) -> BankAnswer:
    # Without `identity` a small body could unpack into one that fills the memory.
    fixed = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if body is not None:
        fixed["Content-Type"] = "application/json"
    until = time.monotonic() + ANSWER_SECONDS
    response = _pool.request(
        "GET" if body is None else "POST",
        url,
        body=body,
        headers={**fixed, **headers},
        redirect=False,
        preload_content=False,
        decode_content=False,
    )
    data = b""
    try:
        while chunk := response.read1(_CHUNK_BYTES):
            data += chunk
            if len(data) > ANSWER_BYTES_MAX:
                raise BankUnanswering("its answer is too large", response.status)
            if time.monotonic() > until:
                raise BankUnanswering("its answer takes too long", response.status)
    except BaseException:
        response.close()  # what was not read to its end cannot be used again
        raise
    response.release_conn()
    try:
        answer = parse_json(data)
    except BalcaoError as error:
        # A page of some proxy's, mostly: its status says more than that it is no JSON.
        why = error.detail if response.status == 200 else f"it answered {response.status}"
        raise BankUnanswering(why, response.status) from None
    if not isinstance(answer, dict):
        raise BankUnanswering("its answer is no JSON object", response.status)
    return BankAnswer(response.status, answer, "Idempotent-Replayed" in response.headers)


def _read(
    answer: Mapping[str, Any], name: str, only: str | None = None
) -> tuple[Confirmation, ...]:
    entries = answer.get(name)
    if not isinstance(entries, list):
        raise BankUnanswering(f"its answer has no list {name}", 200)
    read = [_told(entry, only) for entry in entries]
    return tuple(told for told in read if told is not None)


def _told(entry: Any, only: str | None) -> Confirmation | None:
    """The transfer as a confirmation; None for one that was given back or cannot be trusted.

    `only` is the payment that was asked about: an answer that speaks of another one is no answer.
    """
    if not isinstance(entry, dict) or entry.get("status") not in HELD:
        return None
    txid = entry.get("txid")
    if txid is None and only is None:
        return None  # a static code: it names no payment of ours
    known = {name: entry[name] for name in ("value", "end_to_end_id", "paid_at") if name in entry}
    payer = entry.get("payer")
    if isinstance(payer, dict):
        known["payer"] = {name: payer[name] for name in ("name", "document") if name in payer}
    try:
        told = Confirmation.model_validate({"bank_payment_id": txid, **known})
    except ValidationError as error:
        _complain("bank.unreadable_answer", only or str(txid)[:40], problems=error.error_count())
        return None
    if only is not None and told.bank_payment_id != only:
        _complain("bank.answered_for_another_payment", only)
        return None
    if told.end_to_end_id is None or told.paid_at is None:
        _complain("bank.incomplete_answer", told.bank_payment_id)
        return None
    if told.paid_at > now() + CLOCK_SKEW:
        _complain("bank.paid_in_the_future", told.bank_payment_id)
        return None
    return told


def _complain(event: str, about: str | None, **details: object) -> None:
    """Warn once an hour: the same answer comes with every walk over the same window."""
    if _complained.is_first(f"{event} {about}"):
        log.warning(event, about=about, **details)
