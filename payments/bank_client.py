"""Signed requests to the bank: look up transfers by payment or by window, and send orders.

A look-up settles payments by `service.confirm`, as notifications do: a lost confirmation is found,
and a repeated one is a duplicate. No function holds a transaction while it waits for the bank.
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
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

import structlog
import urllib3
from pydantic import ValidationError

from config import current_settings
from core.clock import rfc3339
from core.errors import BalcaoError, NotificationConflict
from core.runtime.timed_answers import timed_pool
from core.signing import signatures
from core.signing.signatures import VerifiedMessage
from payments import receiving
from payments.bank_fields import parse_bank_json
from payments.schemas import Confirmation
from payments.service import CLOCK_SKEW, ConfirmationResult
from repository.database import in_unit_of_work, now

log = structlog.get_logger()

LOOK_UP_INTERVAL = timedelta(seconds=5)
CONNECT_SECONDS, READ_SECONDS, ANSWER_SECONDS = 2.0, 4.0, 6.0
"""ANSWER_SECONDS limits a whole answer with its headers, also when its bytes arrive slowly."""
ANSWER_BYTES_MAX = 262_144
PAGE = 100
CURSOR_MAX = 200
RECEIVED_STATUSES = ("sent", "settled", "confirmed")
"""The bank's statuses of a transfer whose money we have; `returned` settles nothing."""

_CHUNK_BYTES = 16_384
_NAMES_MAX = 10_000

_pool = timed_pool(
    lambda: ANSWER_SECONDS,
    num_pools=4,
    maxsize=10,
    timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
    retries=False,
)


class NoBankAnswer(Exception):
    """The bank cannot be reached, is too slow, or sent an answer that cannot be used.

    `http_status` is None if there was no response.
    """

    def __init__(self, why: str, status: int | None = None) -> None:
        """`why` is a few words for the log."""
        super().__init__(why)
        self.http_status = status


@dataclass(frozen=True)
class BankAnswer:
    """The HTTP status and the JSON object of an answer."""

    status: int
    members: Mapping[str, Any]
    is_replayed: bool = False
    """Whether the bank repeated its first answer to the same order."""


@dataclass(frozen=True)
class SettledPage:
    """One page of transfers; `next` is the cursor of the next page, None on the last one."""

    confirmations: tuple[Confirmation, ...]
    next: str | None


class _Throttle:
    """Allow each name once in `seconds`. Bounded, and local to this process."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._allowed_at: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def allow(self, name: str) -> bool:
        """Whether `seconds` have passed since the last True for this name."""
        moment = time.monotonic()
        with self._lock:
            last = self._allowed_at.get(name)
            if last is not None and moment - last < self._seconds:
                return False
            self._allowed_at[name] = moment
            self._allowed_at.move_to_end(name)
            while len(self._allowed_at) > _NAMES_MAX:
                self._allowed_at.popitem(last=False)
            return True


_look_ups = _Throttle(LOOK_UP_INTERVAL.total_seconds())
_warnings = _Throttle(3600)


class _AvailabilityLog:
    """Log when the bank stops or resumes answering a kind of question, not every failure."""

    def __init__(self) -> None:
        self._unanswered: set[str] = set()

    def record_answer(self, question: str) -> None:
        if question in self._unanswered:
            self._unanswered.discard(question)
            log.info("bank.back", question=question)

    def record_failure(self, question: str, why: str) -> None:
        if question not in self._unanswered:
            self._unanswered.add(question)
            log.warning("bank.away", question=question, why=why[:200])


_availability_log = _AvailabilityLog()


class Inquiry(StrEnum):
    """What became of a question to the bank about one payment."""

    ANSWERED = "answered"
    NO_ANSWER = "no-answer"
    RECENT = "recent"
    """The bank was asked less than 5 s ago."""
    NOBODY = "nobody"
    """There is no bank to ask: the service waits for confirmations."""
    NOT_NEEDED = "not-needed"


def inquire(txid: str) -> Inquiry:
    """Look up a payment's transfers at the bank, and settle the payment with them.

    At most once in 5 s per payment and process. A failed look-up changes nothing and raises
    nothing.
    """
    if not current_settings().asks_bank:
        return Inquiry.NOBODY
    if not may_look_up(txid):
        return Inquiry.RECENT
    try:
        for confirmation in fetch_transfers(txid):
            settle(confirmation)
    except (NoBankAnswer, BalcaoError) as error:
        log.info("bank.look_up_failed", payment=txid, error=type(error).__name__)
        return Inquiry.NO_ANSWER
    return Inquiry.ANSWERED


def ask_about(txid: str) -> bool:
    """The same; True if the bank answered now."""
    return inquire(txid) is Inquiry.ANSWERED


def may_look_up(txid: str) -> bool:
    """Whether this process may look up the payment now, once in 5 s. True counts as a look-up."""
    return _look_ups.allow(txid)


def fetch_transfers(txid: str) -> tuple[Confirmation, ...]:
    """The payment's transfers whose money we have. Raises NoBankAnswer."""
    with _log_availability("payment"):
        return _read_confirmations(_get(f"/api/payments/{txid}"), "payments", txid)


def fetch_settled_page(start: datetime, end: datetime, after: str | None) -> SettledPage:
    """One page of the transfers that the bank settled from `start` to `end`.

    `after` is the `next` of the page before; None for the first page. Raises NoBankAnswer.
    """
    query = {"from": rfc3339(start), "to": rfc3339(end), "limit": str(PAGE)}
    if after is not None:
        query["after"] = after
    with _log_availability("window"):
        answer = _get(f"/api/settled?{urlencode(query)}")
        confirmations = _read_confirmations(answer, "data")
        cursor = answer.get("next")
        if cursor is not None and not (isinstance(cursor, str) and 0 < len(cursor) <= CURSOR_MAX):
            raise NoBankAnswer("the cursor is invalid", 200)
        if cursor is not None and cursor == after:
            raise NoBankAnswer("the cursor repeats", 200)
        if after is not None and not answer["data"]:
            raise NoBankAnswer("the page after a cursor is empty", 200)
        return SettledPage(confirmations, cursor)


def settle(confirmation: Confirmation) -> ConfirmationResult | None:
    """Settle or refuse a payment, or receive money without one, as a look-up reported it.

    None if the transfer contradicts a receipt that is already stored. Raises DatabaseUnavailable
    and ConcurrentUpdate.
    """
    end_to_end_id = confirmation.end_to_end_id
    signed = VerifiedMessage(end_to_end_id or "", now())
    try:
        outcome = in_unit_of_work(lambda work: receiving.take(work, confirmation, signed))
    except NotificationConflict as error:
        _warn_hourly("bank.contradicts_itself", end_to_end_id, detail=error.detail)
        return None
    if outcome.duplicate:
        return outcome
    if outcome.refusal is None:
        log.info("bank.look_up_settled", payment=confirmation.bank_payment_id, id=end_to_end_id)
    else:
        log.info(
            "bank.look_up_refused",
            payment=confirmation.bank_payment_id,
            id=end_to_end_id,
            code=outcome.refusal.code,
        )
    return outcome


@contextmanager
def _log_availability(question: str) -> Iterator[None]:
    try:
        yield
    except NoBankAnswer as error:
        _availability_log.record_failure(question, str(error))
        raise
    _availability_log.record_answer(question)


def order(question: str, path: str, body: Mapping[str, Any] | None = None) -> BankAnswer:
    """Send a signed request to the bank: POST with a body, GET without one.

    A refusal is an answer too. `question` names the kind of request in the log; the body is never
    logged. Raises NoBankAnswer if there is no JSON object, and for 3xx, 5xx, 401, 408, 425 and
    429: none of them says whether the bank executes the order.
    """
    with _log_availability(question):
        answer = _send(path, body)
        is_decision = 200 <= answer.status < 300 or 400 <= answer.status < 500
        if not is_decision or answer.status in (401, 408, 425, 429):
            raise NoBankAnswer(f"HTTP status {answer.status}", answer.status)
        return answer


def _get(path: str) -> Mapping[str, Any]:
    """The JSON object at this path of the bank. Raises NoBankAnswer for every failure."""
    answer = _send(path, None)
    if answer.status != 200:
        raise NoBankAnswer(f"HTTP status {answer.status}", answer.status)
    return answer.members


def _send(path: str, body: Mapping[str, Any] | None) -> BankAnswer:
    settings = current_settings()
    message_id = f"{'lookup' if body is None else 'order'}_{secrets.token_hex(12)}"
    body_bytes = None if body is None else json.dumps(body).encode()
    # A GET has no body, so the signature covers the path: it is invalid for every other path.
    signed_headers = signatures.signed_headers(
        settings.bank_webhook_secret,
        message_id,
        now(),
        f"GET {path}".encode() if body_bytes is None else body_bytes,
    )
    try:
        return _fetch(f"{settings.bank_internal_url}{path}", signed_headers, body_bytes)
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise NoBankAnswer(type(error).__name__) from error


def _fetch(url: str, headers: Mapping[str, str], body: bytes | None) -> BankAnswer:
    # `identity` forbids compression: a small compressed body could expand until memory is full.
    fixed_headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if body is not None:
        fixed_headers["Content-Type"] = "application/json"
    deadline = time.monotonic() + ANSWER_SECONDS
    response = _pool.request(
        "GET" if body is None else "POST",
        url,
        body=body,
        headers={**fixed_headers, **headers},
        redirect=False,
        preload_content=False,
        decode_content=False,
    )
    data = b""
    try:
        while chunk := response.read1(_CHUNK_BYTES):
            data += chunk
            if len(data) > ANSWER_BYTES_MAX:
                raise NoBankAnswer("the answer is too large", response.status)
            if time.monotonic() > deadline:
                raise NoBankAnswer("the answer took too long", response.status)
    except BaseException:
        response.close()  # A connection with unread bytes cannot be reused.
        raise
    response.release_conn()
    try:
        answer = parse_bank_json(data)
    except BalcaoError as error:
        # An error status usually comes with a proxy's HTML page: the status explains more.
        why = error.detail if response.status == 200 else f"HTTP status {response.status}"
        raise NoBankAnswer(why, response.status) from None
    if not isinstance(answer, dict):
        raise NoBankAnswer("the answer is not a JSON object", response.status)
    return BankAnswer(response.status, answer, "Idempotent-Replayed" in response.headers)


def _read_confirmations(
    answer: Mapping[str, Any], name: str, expected_txid: str | None = None
) -> tuple[Confirmation, ...]:
    entries = answer.get(name)
    if not isinstance(entries, list):
        raise NoBankAnswer(f"the answer has no list `{name}`", 200)
    confirmations = [_parse_transfer(entry, expected_txid) for entry in entries]
    return tuple(one for one in confirmations if one is not None)


def _parse_transfer(entry: Any, expected_txid: str | None) -> Confirmation | None:
    """The transfer as a confirmation; None if its money was returned or it cannot be trusted.

    With `expected_txid`, transfers for other payments are ignored.
    """
    if not isinstance(entry, dict):
        return None
    if str(entry.get("status")).strip().lower() not in RECEIVED_STATUSES:
        return None
    txid = entry.get("txid")
    if txid is None and expected_txid is None and entry.get("key") is None:
        return None  # A transfer that names neither a payment nor a payee is not ours.
    target = {"bank_payment_id": txid, "pix_key": entry.get("key")}
    try:
        confirmation = Confirmation.model_validate({**entry, **target})
    except ValidationError as error:
        about = expected_txid or str(txid or entry.get("end_to_end_id"))[:40]
        _warn_hourly("bank.unreadable_answer", about, problems=error.error_count())
        return None
    if expected_txid is not None and confirmation.bank_payment_id != expected_txid:
        _warn_hourly("bank.answered_for_another_payment", expected_txid)
        return None
    if confirmation.end_to_end_id is None or confirmation.paid_at is None:
        _warn_hourly("bank.incomplete_answer", "".join(filter(None, confirmation.target)))
        return None
    if confirmation.paid_at > now() + CLOCK_SKEW:
        _warn_hourly("bank.paid_in_the_future", confirmation.end_to_end_id)
        return None
    return confirmation


def _warn_hourly(event: str, about: str | None, **details: object) -> None:
    """Warn once an hour: overlapping windows return the same transfer again and again."""
    if _warnings.allow(f"{event} {about}"):
        log.warning(event, about=about, **details)
