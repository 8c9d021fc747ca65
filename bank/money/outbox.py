"""Sends confirmations to the service until each is answered with 2xx or 4xx, but for 401.

`bank.money.notice_queue` claims and ends them; here are the scenarios' faults and the money that
goes back.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, update
from sqlalchemy.orm import Session

from bank.chaos.chaos import STALE_BY, InjectedFaults, injected_faults, wrong_secret
from bank.chaos.scenarios import DEADLINE_SCENARIOS, NEVER_NOTIFIED
from bank.codes.http import HttpClient
from bank.database import Database
from bank.identifiers import RETURN, new_identifier
from bank.models import Notice, Transfer
from bank.money.ledger import lock_account
from bank.money.notice_queue import RETRY_PAUSE_MAX, NoticeQueue
from bank.money.notices import (
    CONFIRMATION_PATH,
    NoticeAnswer,
    NoticeVerdict,
    no_answer,
    post_signed,
)
from bank.money.refunds import refunded_centavos
from bank.settings import BankSettings
from core.clock import Clock, latest_end
from core.scenarios import LATE_SECONDS_MAX, Scenario

_WORKERS = 8
_DELAY_MAX = timedelta(seconds=LATE_SECONDS_MAX)
"""The longest delay before a first attempt."""
_WITHOUT_LONGEST_DELAY = sorted(DEADLINE_SCENARIOS | NEVER_NOTIFIED)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClaimedNotice:
    """A notice that only this worker may send until the lease ends."""

    notice_id: int
    message_id: str
    body: bytes
    scenario: Scenario
    copies: int
    attempts: int


class Outbox:
    """Sends due notices and settles each payment by the service's answer."""

    def __init__(
        self, settings: BankSettings, database: Database, http_client: HttpClient, clock: Clock
    ) -> None:
        self._url = settings.service_url + CONFIRMATION_PATH
        self._secret = settings.webhook_secret
        self._ispb = settings.ispb
        self._retry_time = timedelta(seconds=settings.retry_seconds)
        self._database = database
        self._http_client = http_client
        self._clock = clock
        self._queue = _ConfirmationQueue(Notice, clock)

    def send_due(self) -> int:
        """Send a batch of due notices and return how many this call sent."""
        with self._database.reading() as session:
            notice_ids = self._queue.due_ids(session)
        if not notice_ids:
            return 0
        with ThreadPoolExecutor(min(_WORKERS, len(notice_ids))) as workers:
            return sum(workers.map(self._claim_and_send, notice_ids))

    def send(self, notice: ClaimedNotice) -> NoticeAnswer:
        """Post a claimed notice, settle the payment and return the answer."""
        answer = self._post(notice)
        self._settle(notice, answer)
        return answer

    def _claim_and_send(self, notice_id: int) -> int:
        try:
            notice = self._claim(notice_id)
            if notice is None:
                return 0
            self.send(notice)
        except Exception:
            # A notice that fails must not stop the others; it is due again after its lease.
            log.exception("notice could not be sent")
            return 0
        return 1

    def _claim(self, notice_id: int) -> ClaimedNotice | None:
        with self._database.writing() as session:
            notice = self._queue.claim(session, notice_id)
            return None if notice is None else claimed_notice(notice)

    def _post(self, notice: ClaimedNotice) -> NoticeAnswer:
        """Post the copies that the scenario demands; one that is accepted confirms the payment."""
        faults = injected_faults(notice.scenario, notice.attempts)
        if faults.drops_notice:
            return no_answer("the notice was dropped on purpose")
        if faults.sends_forged_copy_first:
            # The forged copy plays an attacker's request, so its answer is ignored.
            self._post_once(notice, InjectedFaults(signs_with_wrong_secret=True))
        if faults.sends_copies_one_by_one or notice.copies == 1:
            answers = self._post_one_by_one(notice, faults)
        else:
            with ThreadPoolExecutor(notice.copies) as workers:
                copies = [notice] * notice.copies, [faults] * notice.copies
                answers = list(workers.map(self._post_once, *copies))
        if faults.drops_answer:
            return no_answer("the answer was dropped on purpose")
        return min(answers, key=lambda answer: list(NoticeVerdict).index(answer.verdict))

    def _post_one_by_one(self, notice: ClaimedNotice, faults: InjectedFaults) -> list[NoticeAnswer]:
        answers: list[NoticeAnswer] = []
        for _ in range(notice.copies):
            answers.append(self._post_once(notice, faults))
            if answers[-1].verdict is NoticeVerdict.RETRY:
                break  # further copies could take longer than the lease
        return answers

    def _post_once(self, notice: ClaimedNotice, faults: InjectedFaults) -> NoticeAnswer:
        now = self._clock.now() - (STALE_BY if faults.signs_with_stale_time else timedelta(0))
        secret = wrong_secret(self._secret) if faults.signs_with_wrong_secret else self._secret
        return post_signed(
            self._http_client, self._url, secret, notice.message_id, now, notice.body
        )

    def _settle(self, notice: ClaimedNotice, answer: NoticeAnswer) -> None:
        """Store the answer, then end the notice or set its next attempt. The first end counts."""
        with self._database.writing() as session:
            if answer.verdict is NoticeVerdict.RETRY:
                if not (answer.leaves_undecided and self._give_back(session, notice, answer)):
                    self._queue.postpone(session, notice.notice_id, notice.attempts, answer)
                return
            is_end = self._queue.end(session, notice.notice_id, answer)
            if is_end and answer.verdict is NoticeVerdict.RETURNED:
                self._return_money(session, notice)

    def _give_back(self, session: Session, notice: ClaimedNotice, answer: NoticeAnswer) -> bool:
        """End a notice that is older than the retry time, and return its money.

        False if it is younger, or if the service saw the payment by a look-up and may count on it.
        """
        now = self._clock.now()
        if now - session.get_one(Notice, notice.notice_id).transfer.made_at < self._retry_time:
            return False
        unseen = update(Notice).where(
            Notice.id == notice.notice_id, Notice.done_at.is_(None), Notice.shown_at.is_(None)
        )
        if not self._queue.end_as(session, unseen, answer, NoticeVerdict.RETURNED):
            return False
        self._return_money(session, notice)
        return True

    def _return_money(self, session: Session, notice: ClaimedNotice) -> None:
        payment = session.get_one(Notice, notice.notice_id).transfer
        lock_account(session, payment.credit_account_id)
        remainder = payment.amount_centavos - refunded_centavos(session, payment)
        if remainder > 0:
            session.add(reversal_of(payment, remainder, self._ispb, self._clock.now()))


def claimed_notice(notice: Notice) -> ClaimedNotice:
    """Copy the columns that sending needs, so that no session is needed."""
    return ClaimedNotice(
        notice_id=notice.id,
        message_id=notice.message_id,
        body=notice.body,
        scenario=Scenario(notice.scenario),
        copies=notice.copies,
        attempts=notice.attempts,
    )


class _ConfirmationQueue(NoticeQueue[Notice]):
    """Also knows the longest delay of a first attempt, which scenarios set.

    The scenarios that wait for a deadline, or for ever, have no longest delay.
    """

    def _is_due(self, now: datetime) -> ColumnElement[bool]:
        end = Notice.next_attempt_at
        is_retry = and_(Notice.attempts > 0, end > latest_end(now, RETRY_PAUSE_MAX))
        is_delayed = and_(
            Notice.scenario.not_in(_WITHOUT_LONGEST_DELAY), end > latest_end(now, _DELAY_MAX)
        )
        return and_(Notice.done_at.is_(None), or_(end <= now, is_retry, is_delayed))


def reversal_of(payment: Transfer, amount_centavos: int, ispb: str, now: datetime) -> Transfer:
    """The return of a refused payment; a payment has at most one."""
    return Transfer(
        identifier=new_identifier(RETURN, ispb, now),
        kind="return",
        debit_account_id=payment.credit_account_id,
        credit_account_id=payment.debit_account_id,
        amount_centavos=amount_centavos,
        made_at=now,
        txid=payment.txid,
        payee_name=payment.payee_name,
        payee_key=payment.payee_key,
        reverses_id=payment.id,
    )
