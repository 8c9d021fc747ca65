"""Sends the clients' decisions about recurrences to the service until each is answered.

As `bank.money.outbox` does for payments, from the same kind of queue: the decision is a row of the
transaction that changed the mandate, so a killed bank sends it later. 2xx and 4xx end a notice,
but for 401, 408, 425 and 429. No money depends on it, so it is sent for as long as it takes.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from bank.codes.http import HttpClient
from bank.database import Database
from bank.mandates.tables import BankMandate, MandateNotice
from bank.models import BankPayer
from bank.money.notice_queue import LEASE, NoticeQueue
from bank.money.notices import NoticeAnswer, NoticeVerdict, new_message_id, post_signed
from bank.settings import BankSettings
from core.clock import Clock

ANSWER_PATH = "/payments/pix/recurrences/answer"
ACCEPTED, REFUSED, CANCELLED = "accepted", "refused", "cancelled"
PAYMENT_RETURNED = "payment-returned"
"""Why an acceptance ended whose payment went back."""
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
        self._queue = NoticeQueue(MandateNotice, clock)

    def add(
        self,
        session: Session,
        mandate: BankMandate,
        payer: BankPayer,
        answer: str,
        *,
        request_id: str | None = None,
        txid: str | None = None,
    ) -> ClaimedDecision:
        """Store a decision in the caller's transaction, claimed by the caller, who sends it.

        `request_id` names the company's request that the client has answered, `txid` the charge
        whose payment is the acceptance.
        """
        notice = MandateNotice(
            mandate_id=mandate.id,
            message_id=new_message_id(),
            answer=answer,
            body=_body(mandate, payer, answer, self._ispb, request=request_id, txid=txid),
            attempts=1,
            next_attempt_at=self._clock.now() + LEASE,
        )
        session.add(notice)
        session.flush()
        return _claimed(notice)

    def send(self, decision: ClaimedDecision) -> None:
        """Post a claimed decision and settle its mandate.

        An acceptance whose payment went back is not posted: it ends here.
        """
        if decision.answer == ACCEPTED and self._has_lost_payment(decision.mandate_id):
            end = NoticeAnswer(NoticeVerdict.RETURNED, None, PAYMENT_RETURNED, None)
            self._settle(decision, end)
            return
        answer = post_signed(
            self._http_client,
            self._url,
            self._secret,
            decision.message_id,
            self._clock.now(),
            decision.body,
        )
        self._settle(decision, answer)

    def _has_lost_payment(self, mandate_id: int) -> bool:
        with self._database.reading() as session:
            mandate = session.get(BankMandate, mandate_id)
            return mandate is not None and mandate.has_lost_payment

    def send_due(self) -> int:
        """Send a batch of due decisions, one after another, and return how many this call sent."""
        with self._database.reading() as session:
            notice_ids = self._queue.due_ids(session)
        return sum(self._claim_and_send(notice_id) for notice_id in notice_ids)

    def _claim_and_send(self, notice_id: int) -> int:
        try:
            with self._database.writing() as session:
                notice = self._queue.claim(session, notice_id)
                decision = None if notice is None else _claimed(notice)
            if decision is None:
                return 0
            self.send(decision)
        except Exception:
            # A decision that fails must not stop the others; it is due again after its lease.
            log.exception("decision could not be sent")
            return 0
        return 1

    def _settle(self, decision: ClaimedDecision, answer: NoticeAnswer) -> None:
        """Store the answer, then end the notice or set its next attempt. The first end counts."""
        with self._database.writing() as session:
            if answer.verdict is NoticeVerdict.RETRY:
                self._queue.postpone(session, decision.notice_id, decision.attempts, answer)
            elif self._queue.end(session, decision.notice_id, answer):
                _settle_mandate(session, decision, answer, self._clock.now())


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


def _body(
    mandate: BankMandate, payer: BankPayer, answer: str, ispb: str, **references: str | None
) -> bytes:
    """The decision as JSON, in the bytes that are signed; `references` are further members."""
    members = {
        "id_rec": mandate.id_rec,
        "answer": answer,
        "journey": mandate.journey,
        "payer": {"name": payer.name, "document": payer.document},
        "ispb": ispb,
        **{name: value for name, value in references.items() if value is not None},
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
