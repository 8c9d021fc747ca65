"""Telling the service: a notice is sent until it is answered 2xx or 4xx, whoever dies meanwhile.

A notice is held by moving its `next_attempt_at` ahead with a conditional update. So two workers
never send one at the same time, and a worker killed in between only delays it by the lease.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bank.chaos.chaos import STALE_BY, InjectedFaults, injected_faults, wrong_secret
from bank.chaos.scenarios import Scenario
from bank.codes.http import ANSWER_TIMEOUT_SECONDS, AnswerTooLarge, HttpClient, NoAnswer
from bank.database import Database
from bank.identifiers import RETURN, new_identifier
from bank.models import Notice, Transfer
from bank.money.ledger import lock_account
from bank.money.notices import (
    CONFIRMATION_PATH,
    NoticeAnswer,
    NoticeVerdict,
    judge_answer,
    no_answer,
)
from bank.money.refunds import refunded_centavos
from bank.settings import BankSettings
from bank.updates import rows_changed
from core.clock import Clock
from core.signing.signatures import signed_headers

LEASE = timedelta(seconds=2 * ANSWER_TIMEOUT_SECONDS)
"""Longer than an attempt can take, so that it ends before another worker may begin."""

BATCH = 64
_WORKERS = 8
_DELAY_FIRST_SECONDS, _DELAY_MAX_SECONDS = 1.0, 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClaimedNotice:
    """A notice that this worker alone may send until its lease ends."""

    notice_id: int
    message_id: str
    body: bytes
    scenario: Scenario
    copies: int
    attempts: int


class Outbox:
    """Sends what is due, and settles each payment by the answer."""

    def __init__(
        self, settings: BankSettings, database: Database, http_client: HttpClient, clock: Clock
    ) -> None:
        """Nothing is sent before `send_due` or `send` is called."""
        self._url = settings.service_url + CONFIRMATION_PATH
        self._secret = settings.webhook_secret
        self._ispb = settings.ispb
        self._database = database
        self._http_client = http_client
        self._clock = clock

    def send_due(self) -> int:
        """Send the notices that are due, a bounded batch at once; the number this worker sent."""
        with self._database.reading() as session:
            due = due_notice_ids(session, self._clock.now(), BATCH)
        if not due:
            return 0
        with ThreadPoolExecutor(min(_WORKERS, len(due))) as workers:
            return sum(workers.map(self._send_if_free, due))

    def send(self, notice: ClaimedNotice) -> NoticeAnswer:
        """Post a held notice, settle by the answer, and say what the answer was."""
        told = self._post(notice)
        self._settle(notice, told)
        return told

    def _send_if_free(self, notice_id: int) -> int:
        try:
            held = self._claim(notice_id)
            if held is None:
                return 0
            self.send(held)
        except Exception:
            # One notice that fails must not hold up the others; its lease brings it back.
            log.exception("notice could not be sent")
            return 0
        return 1

    def _claim(self, notice_id: int) -> ClaimedNotice | None:
        now = self._clock.now()
        with self._database.writing() as session:
            claim = update(Notice).where(
                Notice.id == notice_id, Notice.done_at.is_(None), Notice.next_attempt_at <= now
            )
            taken = claim.values(next_attempt_at=now + LEASE, attempts=Notice.attempts + 1)
            if rows_changed(session, taken) != 1:
                return None
            return held(session.get_one(Notice, notice_id))

    def _post(self, notice: ClaimedNotice) -> NoticeAnswer:
        """Post as the scenario asks, copies in parallel; one acceptance is enough."""
        attempt = injected_faults(notice.scenario, notice.attempts)
        if attempt.is_thrown_away:
            return no_answer("the notice was thrown away on purpose")
        if attempt.has_forged_copy_first:
            # Somebody else's letter: its answer decides nothing.
            self._post_once(notice, InjectedFaults(is_signed_by_another=True))
        if attempt.is_one_by_one or notice.copies == 1:
            answers = self._post_one_by_one(notice, attempt)
        else:
            with ThreadPoolExecutor(notice.copies) as workers:
                each = [notice] * notice.copies, [attempt] * notice.copies
                answers = list(workers.map(self._post_once, *each))
        if attempt.is_answer_thrown_away:
            return no_answer("the answer was thrown away on purpose")
        return min(answers, key=lambda told: list(NoticeVerdict).index(told.verdict))

    def _post_one_by_one(
        self, notice: ClaimedNotice, attempt: InjectedFaults
    ) -> list[NoticeAnswer]:
        answers: list[NoticeAnswer] = []
        for _ in range(notice.copies):
            answers.append(self._post_once(notice, attempt))
            if answers[-1].verdict is NoticeVerdict.TRY_AGAIN:
                break  # the rest would outlast the lease
        return answers

    def _post_once(self, notice: ClaimedNotice, attempt: InjectedFaults) -> NoticeAnswer:
        now = self._clock.now() - (STALE_BY if attempt.is_signed_long_ago else timedelta(0))
        secret = wrong_secret(self._secret) if attempt.is_signed_by_another else self._secret
        headers = signed_headers(secret, notice.message_id, now, notice.body)
        try:
            answer = self._http_client.post(self._url, notice.body, headers)
        except NoAnswer as failure:
            return no_answer(str(failure))
        except AnswerTooLarge:
            return no_answer("the answer is too large to be one")
        return judge_answer(answer)

    def _settle(self, notice: ClaimedNotice, told: NoticeAnswer) -> None:
        """Keep the answer; end the notice or set its next attempt. The first ending counts."""
        now = self._clock.now()
        kept = {
            "answer_status": told.status,
            "answer_code": told.code,
            "answer_detail": told.detail,
        }
        still_open = update(Notice).where(Notice.id == notice.notice_id, Notice.done_at.is_(None))
        with self._database.writing() as session:
            if told.verdict is NoticeVerdict.TRY_AGAIN:
                # A later holder has another number of attempts, and its lease is not ours to move.
                ours = still_open.where(Notice.attempts == notice.attempts)
                wait = retry_delay(notice.attempts, told.retry_after_seconds)
                session.execute(ours.values(next_attempt_at=now + wait, **kept))
                return
            ended = still_open.values(done_at=now, verdict=told.verdict.value, **kept)
            if rows_changed(session, ended) == 1 and told.verdict is NoticeVerdict.RETURNED:
                paid = session.get_one(Notice, notice.notice_id).transfer
                lock_account(session, paid.credit_account_id)
                left = paid.amount_centavos - refunded_centavos(session, paid)
                if left > 0:
                    session.add(reversal_of(paid, left, self._ispb, now))


def held(notice: Notice) -> ClaimedNotice:
    """What sending needs of a notice that was just claimed, free of its session."""
    return ClaimedNotice(
        notice_id=notice.id,
        message_id=notice.message_id,
        body=notice.body,
        scenario=Scenario(notice.scenario),
        copies=notice.copies,
        attempts=notice.attempts,
    )


def due_notice_ids(session: Session, now: datetime, limit: int) -> Sequence[int]:
    """Ids of notices that may be sent, the longest due first."""
    due = select(Notice.id).where(Notice.done_at.is_(None), Notice.next_attempt_at <= now)
    return session.scalars(due.order_by(Notice.next_attempt_at).limit(limit)).all()


def reversal_of(paid: Transfer, amount_centavos: int, ispb: str, now: datetime) -> Transfer:
    """The transfer that reverses a payment, less what its payee refunded; one per payment."""
    return Transfer(
        identifier=new_identifier(RETURN, ispb, now),
        kind="return",
        debit_account_id=paid.credit_account_id,
        credit_account_id=paid.debit_account_id,
        amount_centavos=amount_centavos,
        made_at=now,
        txid=paid.txid,
        payee_name=paid.payee_name,
        payee_key=paid.payee_key,
        reverses_id=paid.id,
    )


def retry_delay(attempts: int, retry_after_seconds: int) -> timedelta:
    """How long to wait after this many attempts: doubling to a minute, half of it by chance.

    A longer wait that the service asked for is kept, within the same minute.
    """
    step = min(_DELAY_FIRST_SECONDS * 2.0 ** min(attempts - 1, 16), _DELAY_MAX_SECONDS)
    by_chance = step * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
    return timedelta(seconds=max(by_chance, min(retry_after_seconds, _DELAY_MAX_SECONDS)))
