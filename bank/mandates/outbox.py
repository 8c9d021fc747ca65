"""Sends the clients' decisions about recurrences to the service until each is answered.

As `bank.money.outbox` does for payments, whose pauses and lease it uses: the decision is a row of
the transaction that changed the mandate, so a killed bank sends it later. 2xx and 4xx end a notice,
but for 401, 408, 425 and 429. No money depends on it, so it is sent for as long as it takes.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from bank.codes.http import HttpClient
from bank.database import Database
from bank.mandates.tables import BankMandate, MandateNotice
from bank.models import BankPayer
from bank.money.notices import NoticeAnswer, NoticeVerdict, new_message_id, post_signed
from bank.money.outbox import BATCH, LEASE, RETRY_PAUSE_MAX, retry_delay
from bank.settings import BankSettings
from bank.updates import rows_changed
from core.clock import Clock, latest_end

ANSWER_PATH = "/payments/pix/recurrences/answer"
ACCEPTED, REFUSED, CANCELLED = "accepted", "refused", "cancelled"
_NO_REASON = "unknown"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClaimedDecision:
    """A decision that only this worker may send until the lease ends."""

    notice_id: int
    mandate_id: int
    message_id: str
    answer: str
    body: bytes
    attempts: int


class MandateOutbox:
    """Sends due decisions and settles each mandate by the service's answer."""

    def __init__(
        self, settings: BankSettings, database: Database, http_client: HttpClient, clock: Clock
    ) -> None:
        self._url = settings.service_url + ANSWER_PATH
        self._secret = settings.webhook_secret
        self._ispb = settings.ispb
        self._database = database
        self._http_client = http_client
        self._clock = clock

    def add(
        self, session: Session, mandate: BankMandate, payer: BankPayer, answer: str
    ) -> ClaimedDecision:
        """Store a decision in the caller's transaction, claimed by the caller, who sends it."""
        notice = MandateNotice(
            mandate_id=mandate.id,
            message_id=new_message_id(),
            answer=answer,
            body=_body(mandate, payer, answer, self._ispb),
            attempts=1,
            next_attempt_at=self._clock.now() + LEASE,
        )
        session.add(notice)
        session.flush()
        return _claimed(notice)

    def send(self, decision: ClaimedDecision) -> None:
        """Post a claimed decision and settle its mandate."""
        answer = post_signed(
            self._http_client,
            self._url,
            self._secret,
            decision.message_id,
            self._clock.now(),
            decision.body,
        )
        self._settle(decision, answer)

    def send_due(self) -> int:
        """Send a batch of due decisions, one after another, and return how many this call sent."""
        with self._database.reading() as session:
            query = select(MandateNotice.id).where(_is_due(self._clock.now()))
            order = query.order_by(MandateNotice.next_attempt_at).limit(BATCH)
            notice_ids = session.scalars(order).all()
        return sum(self._claim_and_send(notice_id) for notice_id in notice_ids)

    def _claim_and_send(self, notice_id: int) -> int:
        try:
            decision = self._claim(notice_id)
            if decision is None:
                return 0
            self.send(decision)
        except Exception:
            # A decision that fails must not stop the others; it is due again after its lease.
            log.exception("decision could not be sent")
            return 0
        return 1

    def _claim(self, notice_id: int) -> ClaimedDecision | None:
        now = self._clock.now()
        due_notice = update(MandateNotice).where(MandateNotice.id == notice_id, _is_due(now))
        claim = due_notice.values(next_attempt_at=now + LEASE, attempts=MandateNotice.attempts + 1)
        with self._database.writing() as session:
            if rows_changed(session, claim) != 1:
                return None
            return _claimed(session.get_one(MandateNotice, notice_id))

    def _settle(self, decision: ClaimedDecision, answer: NoticeAnswer) -> None:
        """Store the answer, then end the notice or set its next attempt. The first end counts."""
        now = self._clock.now()
        columns = {
            "answer_status": answer.status,
            "answer_code": answer.code,
            "answer_detail": answer.detail,
        }
        open_notice = update(MandateNotice).where(
            MandateNotice.id == decision.notice_id, MandateNotice.done_at.is_(None)
        )
        with self._database.writing() as session:
            if answer.verdict is NoticeVerdict.RETRY:
                # A worker that claimed it later has raised `attempts`; its lease must stay.
                own_claim = open_notice.where(MandateNotice.attempts == decision.attempts)
                wait = retry_delay(decision.attempts, answer.retry_after_seconds)
                session.execute(own_claim.values(next_attempt_at=now + wait, **columns))
                return
            end = open_notice.values(done_at=now, verdict=answer.verdict.value, **columns)
            if rows_changed(session, end) == 1:
                _settle_mandate(session, decision, answer, now)


def _settle_mandate(
    session: Session, decision: ClaimedDecision, answer: NoticeAnswer, now: datetime
) -> None:
    """Give the mandate the status that follows from the answer. A refusal stays as it is."""
    if decision.answer == REFUSED:
        return
    before = "accepting" if decision.answer == ACCEPTED else "cancelled"
    mandate = update(BankMandate).where(
        BankMandate.id == decision.mandate_id, BankMandate.status == before
    )
    if answer.verdict is NoticeVerdict.RETURNED:
        reason = answer.code or _NO_REASON
        session.execute(mandate.values(status="ended", closed_at=now, reason=reason))
    elif decision.answer == ACCEPTED:
        session.execute(mandate.values(status="active"))


def _body(mandate: BankMandate, payer: BankPayer, answer: str, ispb: str) -> bytes:
    """The decision as JSON, in the bytes that are signed."""
    members = {
        "id_rec": mandate.id_rec,
        "answer": answer,
        "journey": mandate.journey,
        "payer": {"name": payer.name, "document": payer.document},
        "ispb": ispb,
    }
    return json.dumps(members, ensure_ascii=False).encode()


def _claimed(notice: MandateNotice) -> ClaimedDecision:
    return ClaimedDecision(
        notice_id=notice.id,
        mandate_id=notice.mandate_id,
        message_id=notice.message_id,
        answer=notice.answer,
        body=notice.body,
        attempts=notice.attempts,
    )


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Whether a decision may be sent; also if the clock was set back since its pause was set."""
    end = MandateNotice.next_attempt_at
    is_late = end > latest_end(now, RETRY_PAUSE_MAX)
    return and_(MandateNotice.done_at.is_(None), or_(end <= now, is_late))
