"""Charges of mandates that the service orders (API Pix 2.9.0, cobr): scheduled, paid, reported.

A charge is debited on its settlement day: from 00:00 in Brasília, and if the balance does not cover
it, once more from 18:00. Then it fails. Money and status change in one transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from sqlalchemy import ColumnElement, Update, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bank.database import Database
from bank.errors import InsufficientFunds, RequestKeyReused
from bank.languages import translate as _
from bank.mandates.collection_outbox import add_failure
from bank.mandates.errors import (
    CollectionAfterEnd,
    CollectionClosed,
    CollectionDayPast,
    CollectionDuplicate,
    CollectionOverLimit,
    CollectionsFull,
    CollectionTooEarly,
    CollectionWithoutMandate,
    UnknownCollection,
)
from bank.mandates.tables import BankCollection, BankMandate
from bank.models import BankPayer, Notice, Transfer
from bank.money.ledger import debit, open_account, whole_milliseconds
from bank.money.notices import confirmation_body, new_message_id
from bank.page_text import brl
from bank.updates import rows_changed
from core.clock import Clock
from core.pix.business_days import BRASILIA, brasilia_day, end_of_day

COLLECTIONS_MAX = 5_000
"""How many attempts the bank keeps for one mandate: weekly charges of 20 years with retries."""

LISTED_MAX = 100
NO_FUNDS, BY_PAYER, BY_PAYEE, MANDATE_ENDED = (
    "no-funds",
    "cancelled-by-payer",
    "cancelled-by-payee",
    "mandate-ended",
)
_EVENING = time(18)
_BATCH = 64
_PAYEE_NAME_CHARACTERS_MAX = 100

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CollectionOrder:
    """An order of the service to debit a client; each attempt has its own `end_to_end_id`."""

    txid: str
    id_rec: str
    end_to_end_id: str
    amount_centavos: int
    settles_on: date
    kind: str
    """AGND for the first scheduling, NTAG for a new attempt, RIFL for one that is sent again."""
    info: str | None = None


class CollectionDesk:
    """Schedules, cancels and pays charges of mandates; thread-safe."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def schedule(self, order: CollectionOrder) -> tuple[BankCollection, bool]:
        """Store a charge; returns it, and whether an earlier copy of the order stored it.

        Raises a CollectionRefused, and RequestKeyReused for another charge's end_to_end_id.
        """
        earlier_one = self._earlier_one(order)
        if earlier_one is not None:
            return earlier_one, True
        try:
            with self._database.writing() as session:
                return self._insert(session, order), False
        except (IntegrityError, CollectionDuplicate):
            # A copy of the same order was stored at the same time.
            earlier_one = self._earlier_one(order)
            if earlier_one is None:
                raise
            return earlier_one, True

    def cancel_for_payee(self, end_to_end_id: str) -> BankCollection:
        """Cancel a scheduled charge; a repeated call does nothing.

        Raises UnknownCollection, and CollectionClosed for one that was paid or has failed.
        """
        with self._database.writing() as session:
            scheduled = _scheduled(BankCollection.end_to_end_id == end_to_end_id)
            rows_changed(session, _cancellation(scheduled, BY_PAYEE, self._clock.now()))
            collection = collection_by_id(session, end_to_end_id)
        if collection.status != "cancelled":
            raise CollectionClosed(_("Ela já foi paga ou não pôde ser paga."))
        return collection

    def cancel_for_payer(self, payer: BankPayer, end_to_end_id: str) -> None:
        """Cancel the client's scheduled charge until the end of the day before; tell the service.

        A repeated call does nothing. Raises UnknownCollection and CollectionClosed.
        """
        now = self._clock.now()
        with self._database.writing() as session:
            collection = collection_of(session, payer, end_to_end_id)
            scheduled = _scheduled(
                BankCollection.id == collection.id, BankCollection.settles_on > brasilia_day(now)
            )
            if rows_changed(session, _cancellation(scheduled, BY_PAYER, now)) == 1:
                add_failure(session, collection, BY_PAYER, now)
                return
            session.refresh(collection)
            if collection.status != "cancelled":
                raise CollectionClosed(
                    _("Só até o fim da véspera. Nada mudou: confira como ela está.")
                )

    def pay_due(self) -> int:
        """Try a batch of charges whose hour has come, and return how many this call tried."""
        with self._database.reading() as session:
            query = select(BankCollection.id).where(
                BankCollection.status == "scheduled",
                BankCollection.next_try_at <= self._clock.now(),
            )
            ids = session.scalars(query.order_by(BankCollection.next_try_at).limit(_BATCH)).all()
        return sum(self._try_due(collection_id) for collection_id in ids)

    def pay_now(self, end_to_end_id: str) -> BankCollection:
        """Play the charge's day at once: pay it, or fail it as after both of its hours.

        Only for developers of shops. A charge that is not scheduled stays as it is. Raises
        UnknownCollection.
        """
        with self._database.reading() as session:
            collection = collection_by_id(session, end_to_end_id)
        self._try(collection.id, is_last=True)
        with self._database.reading() as session:
            return collection_by_id(session, end_to_end_id)

    def _earlier_one(self, order: CollectionOrder) -> BankCollection | None:
        with self._database.reading() as session:
            collection = _by_end_to_end_id(session, order.end_to_end_id)
        if collection is None:
            return None
        stored = (collection.txid, collection.amount_centavos, collection.settles_on)
        if stored != (order.txid, order.amount_centavos, order.settles_on):
            raise RequestKeyReused(_("Use outro end_to_end_id para outra cobrança."))
        return collection

    def _insert(self, session: Session, order: CollectionOrder) -> BankCollection:
        now = self._clock.now()
        mandate = _charged_mandate(session, order.id_rec)
        _check_order(session, order, mandate, now)
        collection = BankCollection(
            mandate_id=mandate.id,
            mandate=mandate,
            txid=order.txid,
            end_to_end_id=order.end_to_end_id,
            amount_centavos=order.amount_centavos,
            settles_on=order.settles_on,
            kind=order.kind,
            info=order.info,
            status="scheduled",
            tries=0,
            next_try_at=end_of_day(order.settles_on - timedelta(days=1)),
            received_at=now,
        )
        session.add(collection)
        session.flush()
        return collection

    def _try_due(self, collection_id: int) -> int:
        try:
            return self._try(collection_id, is_last=False)
        except Exception:
            # A charge that fails must not stop the others; it is still scheduled.
            log.exception("charge of a mandate could not be tried")
            return 0

    def _try(self, collection_id: int, *, is_last: bool) -> int:
        """Pay a scheduled charge, or count a try; 0 if another worker was faster."""
        now = self._clock.now()
        with self._database.reading() as session:
            collection = session.get_one(BankCollection, collection_id)
            mandate, tries = collection.mandate, collection.tries
            payer = session.get_one(BankPayer, mandate.payer_id)
        payee = f"payee:{mandate.payee_document}"
        payee_account = open_account(self._database, payee, "payee", now)
        transfer = _transfer(collection, mandate, payer, payee_account, now)
        # `tries` is part of the condition: of two workers that read the same row, one goes on.
        own_row = _scheduled(BankCollection.id == collection_id, BankCollection.tries == tries)
        with self._database.writing() as session:
            if rows_changed(session, own_row.values(tries=tries + 1)) != 1:
                return 0
            row = update(BankCollection).where(BankCollection.id == collection_id)
            try:
                debit(session, transfer)
            except InsufficientFunds:
                evening = _evening_of(collection.settles_on)
                if not is_last and now < evening:
                    session.execute(row.values(next_try_at=evening))
                    return 1
                session.execute(row.values(status="failed", reason=NO_FUNDS, closed_at=now))
                add_failure(session, collection, NO_FUNDS, now)
                return 1
            session.execute(row.values(status="paid", transfer_id=transfer.id, closed_at=now))
            notice = Notice(
                transfer_id=transfer.id,
                message_id=new_message_id(),
                body=confirmation_body(transfer, payer),
                next_attempt_at=now,
            )
            session.add(notice)
        return 1


def end_collections(session: Session, mandate: BankMandate, reason: str, now: datetime) -> None:
    """Cancel a mandate's scheduled charges in the caller's transaction, which has locked it.

    The service gets a notice of each, unless the service itself ended the mandate.
    """
    scheduled = select(BankCollection).where(
        BankCollection.mandate_id == mandate.id, BankCollection.status == "scheduled"
    )
    for collection in session.scalars(scheduled).all():
        own_row = _scheduled(BankCollection.id == collection.id)
        is_cancelled = rows_changed(session, _cancellation(own_row, reason, now)) == 1
        if is_cancelled and reason != BY_PAYEE:
            add_failure(session, collection, reason, now)


def collection_by_id(session: Session, end_to_end_id: str) -> BankCollection:
    """The charge with this end_to_end_id. Raises UnknownCollection."""
    collection = _by_end_to_end_id(session, end_to_end_id[:64])
    if collection is None:
        raise UnknownCollection(_("Este banco não agendou uma cobrança com este identificador."))
    return collection


def collection_of(session: Session, payer: BankPayer, end_to_end_id: str) -> BankCollection:
    """The client's charge with this end_to_end_id. Raises UnknownCollection."""
    collection = collection_by_id(session, end_to_end_id)
    if collection.mandate.payer_id != payer.id:
        raise UnknownCollection(_("Este banco não agendou uma cobrança com este identificador."))
    return collection


def collections_of(session: Session, mandate: BankMandate) -> Sequence[BankCollection]:
    """A mandate's charges, the last settlement day first, at most LISTED_MAX."""
    query = select(BankCollection).where(BankCollection.mandate_id == mandate.id)
    order = query.order_by(BankCollection.settles_on.desc(), BankCollection.id.desc())
    return session.scalars(order.limit(LISTED_MAX)).all()


def may_be_cancelled(collection: BankCollection, now: datetime) -> bool:
    """Whether the client may cancel the charge now: until the end of the day before."""
    return collection.status == "scheduled" and brasilia_day(now) < collection.settles_on


def _by_end_to_end_id(session: Session, end_to_end_id: str) -> BankCollection | None:
    query = select(BankCollection).where(BankCollection.end_to_end_id == end_to_end_id)
    return session.scalars(query).first()


def _charged_mandate(session: Session, id_rec: str) -> BankMandate:
    """The active mandate for a recurrence, locked, so that it cannot end meanwhile.

    Raises CollectionWithoutMandate, CollectionAfterEnd, and CollectionTooEarly.
    """
    query = (
        select(BankMandate)
        .where(BankMandate.id_rec == id_rec)
        .with_for_update(of=BankMandate, key_share=True)
    )
    mandates = {mandate.status: mandate for mandate in session.scalars(query)}
    if "active" in mandates:
        return mandates["active"]
    if "accepting" in mandates:
        raise CollectionTooEarly(_("A autorização ainda não foi respondida. Tente de novo."))
    if mandates:
        raise CollectionAfterEnd(_("O cliente recusou ou cancelou, ou a empresa encerrou."))
    raise CollectionWithoutMandate(_("Nenhum cliente deste banco autorizou esta recorrência."))


def _check_order(
    session: Session, order: CollectionOrder, mandate: BankMandate, now: datetime
) -> None:
    """Raise CollectionDayPast, CollectionOverLimit, CollectionDuplicate or CollectionsFull."""
    if order.settles_on < brasilia_day(now):
        raise CollectionDayPast(_("Agende a cobrança para hoje ou depois."))
    limit = mandate.fixed_centavos
    if limit is None:
        limit = session.get_one(BankPayer, mandate.payer_id).limit_centavos
    if order.amount_centavos > limit:
        raise CollectionOverLimit(_("O limite é %(amount)s.") % {"amount": brl(limit)})
    count = select(func.count()).select_from(BankCollection)
    same_charge = count.where(
        BankCollection.txid == order.txid, BankCollection.status.in_(("scheduled", "paid"))
    )
    same_identifier = select(Transfer.id).where(Transfer.identifier == order.end_to_end_id)
    if session.scalar(same_charge) or session.scalar(same_identifier):
        raise CollectionDuplicate(_("Esta cobrança já está agendada ou paga."))
    if (session.scalar(count.where(BankCollection.mandate_id == mandate.id)) or 0) >= (
        COLLECTIONS_MAX
    ):
        raise CollectionsFull(_("Esta autorização já tem cobranças demais."))


def _scheduled(*conditions: ColumnElement[bool]) -> Update:
    """An update of charges that are still scheduled."""
    return update(BankCollection).where(BankCollection.status == "scheduled", *conditions)


def _cancellation(scheduled: Update, reason: str, now: datetime) -> Update:
    return scheduled.values(status="cancelled", reason=reason, closed_at=now)


def _evening_of(day: date) -> datetime:
    """When the second try of a settlement day begins."""
    return datetime.combine(day, _EVENING, BRASILIA)


def _transfer(
    collection: BankCollection,
    mandate: BankMandate,
    payer: BankPayer,
    payee_account: int,
    now: datetime,
) -> Transfer:
    return Transfer(
        identifier=collection.end_to_end_id,
        kind="payment",
        debit_account_id=payer.account_id,
        credit_account_id=payee_account,
        amount_centavos=collection.amount_centavos,
        made_at=whole_milliseconds(now),
        txid=collection.txid,
        payee_name=mandate.payee_name[:_PAYEE_NAME_CHARACTERS_MAX],
        payee_key=mandate.payee_document,
    )
