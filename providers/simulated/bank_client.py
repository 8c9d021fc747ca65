"""Signed requests to the simulated bank: look up transfers by payment or by window, send orders.

No function may be called inside a unit of work: each waits for the bank.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import structlog
import urllib3

from core.clock import rfc3339
from core.errors import BalcaoError
from core.runtime.bank_peer import BankPeer
from core.runtime.timed_answers import timed_pool
from core.signing import signatures
from providers.fields import parse_bank_json
from providers.port import BankAnswer, BankMoney, MoneyPage, ProviderAway
from providers.simulated.transfers import parse_transfer
from repository.database import now

log = structlog.get_logger()

CONNECT_SECONDS, READ_SECONDS, ANSWER_SECONDS = 2.0, 4.0, 6.0
"""ANSWER_SECONDS limits a whole answer with its headers, also when its bytes arrive slowly."""
ANSWER_BYTES_MAX = 262_144
PAGE = 100
CURSOR_MAX = 200

_CHUNK_BYTES = 16_384

_pool = timed_pool(
    lambda: ANSWER_SECONDS,
    num_pools=4,
    maxsize=10,
    timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
    retries=False,
)


class NoBankAnswer(ProviderAway):
    """The bank cannot be reached, is too slow, or sent an answer that cannot be used.

    `http_status` is None if there was no response.
    """

    def __init__(self, why: str, status: int | None = None) -> None:
        """`why` is a few words for the log."""
        super().__init__("no-answer" if status is None else f"status-{status}")
        self.http_status = status
        self._why = why

    def __str__(self) -> str:
        """The few words for the log."""
        return self._why


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


def fetch_transfers(bank: BankPeer, txid: str) -> tuple[BankMoney, ...]:
    """The payment's transfers whose money we have. Raises NoBankAnswer."""
    with _log_availability(bank, "payment"):
        return _read_transfers(_get(bank, f"/api/payments/{txid}"), "payments", txid)


def fetch_settled_page(
    bank: BankPeer, start: datetime, end: datetime, after: str | None
) -> MoneyPage:
    """One page of the transfers that the bank settled from `start` to `end`.

    `after` is the `next` of the page before; None for the first page. Raises NoBankAnswer.
    """
    query = {"from": rfc3339(start), "to": rfc3339(end), "limit": str(PAGE)}
    if after is not None:
        query["after"] = after
    with _log_availability(bank, "window"):
        answer = _get(bank, f"/api/settled?{urlencode(query)}")
        money = _read_transfers(answer, "data")
        cursor = answer.get("next")
        if cursor is not None and not (isinstance(cursor, str) and 0 < len(cursor) <= CURSOR_MAX):
            raise NoBankAnswer("the cursor is invalid", 200)
        if cursor is not None and cursor == after:
            raise NoBankAnswer("the cursor repeats", 200)
        if after is not None and not answer["data"]:
            raise NoBankAnswer("the page after a cursor is empty", 200)
        return MoneyPage(money, cursor)


@contextmanager
def _log_availability(bank: BankPeer, question: str) -> Iterator[None]:
    question = f"{question} (test)" if bank.is_test else question
    try:
        yield
    except NoBankAnswer as error:
        _availability_log.record_failure(question, str(error))
        raise
    _availability_log.record_answer(question)


def order(
    bank: BankPeer, question: str, path: str, body: Mapping[str, Any] | None = None
) -> BankAnswer:
    """Send a signed request to the bank: POST with a body, GET without one.

    A refusal is an answer too. `question` names the kind of request in the log; the body is never
    logged. Raises NoBankAnswer if there is no JSON object, and for 3xx, 5xx, 401, 408, 425 and
    429: none of them says whether the bank executes the order.
    """
    with _log_availability(bank, question):
        answer = _send(bank, path, body)
        is_decision = 200 <= answer.status < 300 or 400 <= answer.status < 500
        if not is_decision or answer.status in (401, 408, 425, 429):
            raise NoBankAnswer(f"HTTP status {answer.status}", answer.status)
        return answer


def _get(bank: BankPeer, path: str) -> Mapping[str, Any]:
    """The JSON object at this path of the bank. Raises NoBankAnswer for every failure."""
    answer = _send(bank, path, None)
    if answer.status != 200:
        raise NoBankAnswer(f"HTTP status {answer.status}", answer.status)
    return answer.members


def _send(bank: BankPeer, path: str, body: Mapping[str, Any] | None) -> BankAnswer:
    message_id = f"{'lookup' if body is None else 'order'}_{secrets.token_hex(12)}"
    body_bytes = None if body is None else json.dumps(body).encode()
    # A GET has no body, so the signature covers the path: it is invalid for every other path.
    signed_headers = signatures.signed_headers(
        bank.secrets[0],
        message_id,
        now(),
        f"GET {path}".encode() if body_bytes is None else body_bytes,
    )
    try:
        return _fetch(f"{bank.internal_url}{path}", signed_headers, body_bytes)
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


def _read_transfers(
    answer: Mapping[str, Any], name: str, expected_txid: str | None = None
) -> tuple[BankMoney, ...]:
    entries = answer.get(name)
    if not isinstance(entries, list):
        raise NoBankAnswer(f"the answer has no list `{name}`", 200)
    transfers = [parse_transfer(entry, expected_txid) for entry in entries]
    return tuple(one for one in transfers if one is not None)
