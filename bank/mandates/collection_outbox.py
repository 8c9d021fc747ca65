"""Tells the service of charges of mandates that ended without a payment.

A notice is a row of the transaction that ended the charge, in a queue as `bank.money.outbox` has.
It is sent until the service answers; no money depends on the answer.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime

from sqlalchemy.orm import Session

from bank.codes.http import HttpClient
from bank.database import Database
from bank.mandates.tables import BankCollection, CollectionNotice
from bank.money.notice_queue import NoticeQueue
from bank.money.notices import NoticeVerdict, new_message_id, post_signed
from bank.settings import BankSettings
from core.clock import Clock
from core.languages import N_

FAILURE_PATH = "/payments/pix/collections/failed"
# For the payee, so in Portuguese whatever language the client reads.
_TEXTS = {
    "no-funds": N_("A conta do pagador não tinha saldo no dia da cobrança"),
    "cancelled-by-payer": N_("O pagador cancelou o agendamento"),
    "mandate-ended": N_("O pagador cancelou a autorização"),
}

log = logging.getLogger(__name__)


class CollectionOutbox:
    """Sends due notices of failed charges."""

    def __init__(
        self, settings: BankSettings, database: Database, http_client: HttpClient, clock: Clock
    ) -> None:
        self._url = settings.service_url + FAILURE_PATH
        self._secret = settings.webhook_secret
        self._database = database
        self._http_client = http_client
        self._clock = clock
        self._queue = NoticeQueue(CollectionNotice, clock)

    def send_due(self) -> int:
        """Send a batch of due notices, one after another, and return how many this call sent."""
        with self._database.reading() as session:
            notice_ids = self._queue.due_ids(session)
        return sum(self._claim_and_send(notice_id) for notice_id in notice_ids)

    def _claim_and_send(self, notice_id: int) -> int:
        try:
            with self._database.writing() as session:
                notice = self._queue.claim(session, notice_id)
            if notice is None:
                return 0
            self._send(notice)
        except Exception:
            # A notice that fails must not stop the others; it is due again after its lease.
            log.exception("notice of a charge could not be sent")
            return 0
        return 1

    def _send(self, notice: CollectionNotice) -> None:
        now = self._clock.now()
        answer = post_signed(
            self._http_client, self._url, self._secret, notice.message_id, now, notice.body
        )
        with self._database.writing() as session:
            if answer.verdict is NoticeVerdict.RETRY:
                self._queue.postpone(session, notice.id, notice.attempts, answer)
            else:
                self._queue.end(session, notice.id, answer)


def add_failure(session: Session, collection: BankCollection, code: str, now: datetime) -> None:
    """Store the notice of a charge's end in the transaction that ends it; it is due at once."""
    members = {
        "txid": collection.txid,
        "end_to_end_id": collection.end_to_end_id,
        "code": code,
        "text": _TEXTS[code],
    }
    session.add(
        CollectionNotice(
            collection_id=collection.id,
            message_id=new_message_id(),
            body=json.dumps(members, ensure_ascii=False).encode(),
            next_attempt_at=now,
        )
    )
