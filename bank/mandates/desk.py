"""Takes a client's decisions about recurrences: authorise, refuse, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bank.codes.recurrence import WAITING, MandateTerms, RecurrenceOffer
from bank.codes.recurrence_reader import RecurrenceReader, journey_of
from bank.database import Database
from bank.errors import CodeNotPayableHere
from bank.languages import translate as _
from bank.mandates.collections import BY_PAYEE, MANDATE_ENDED, end_collections
from bank.mandates.errors import (
    MandateUnchangeable,
    OfferEnded,
    OfferTaken,
    TermsChanged,
    UnknownMandate,
)
from bank.mandates.outbox import ACCEPTED, CANCELLED, REFUSED, ClaimedDecision, MandateOutbox
from bank.mandates.tables import BankMandate, MandateNotice, MandateRequest
from bank.models import BankPayer, Transfer
from bank.money import payers
from bank.updates import rows_changed
from core.clock import Clock
from core.pix.recurrence_rules import ID_REC, JOURNEY_WITH_PAYMENT

LISTED_MAX = 100


@dataclass(frozen=True)
class MandateOrder:
    """A client's answer to a code, whose terms a page showed: their id and their fingerprint."""

    code: str
    id_rec: str
    agreed: str
    payer: BankPayer


class MandateDesk:
    """Stores decisions with their notice in one transaction, then sends the notice; thread-safe."""

    def __init__(
        self,
        database: Database,
        reader: RecurrenceReader,
        outbox: MandateOutbox,
        clock: Clock,
    ) -> None:
        self._database = database
        self._reader = reader
        self._outbox = outbox
        self._clock = clock

    def read(self, code: str) -> RecurrenceOffer:
        """The signed offer behind a code. Raises a CodeRefused."""
        return self._reader.read(code, self._clock.now())

    def authorise(self, order: MandateOrder, pin: str) -> None:
        """Accept the terms, and tell the service; a repeated order does nothing.

        Raises a CodeRefused, InvalidInput, PinRefused and PinLocked; then nothing was authorised.
        """
        self._decide(order, ACCEPTED, pin)

    def refuse(self, order: MandateOrder) -> None:
        """Refuse the terms, and tell the service: the recurrence ends for everybody.

        A repeated order does nothing. Raises a CodeRefused; then nothing was refused.
        """
        self._decide(order, REFUSED, None)

    def cancel(self, payer: BankPayer, id_rec: str) -> None:
        """Withdraw an active mandate, and tell the service; a repeated call does nothing.

        Raises UnknownMandate and MandateUnchangeable.
        """
        active_mandate = update(BankMandate).where(
            BankMandate.payer_id == payer.id,
            BankMandate.id_rec == id_rec,
            BankMandate.status == "active",
        )
        with self._database.writing() as session:
            change = active_mandate.values(status="cancelled", closed_at=self._clock.now())
            is_changed = rows_changed(session, change) == 1
            mandate = mandate_of(session, payer, id_rec)
            if not is_changed:
                if mandate.status == "accepting":
                    raise MandateUnchangeable(
                        _("A empresa ainda não respondeu à sua autorização. Tente em instantes.")
                    )
                return
            end_collections(session, mandate, MANDATE_ENDED, self._clock.now())
            decision = self._outbox.add(session, mandate, payer, CANCELLED)
        self._outbox.send(decision)

    def end_for_payee(self, id_rec: str, *, has_expired: bool = False) -> None:
        """End what clients have authorised or may authorise of a recurrence: the payee ended it.

        Or it has expired, because no authorisation reached the service in time. Its scheduled
        charges are cancelled. A repeated call does nothing.
        """
        now, reason = self._clock.now(), OfferEnded.code if has_expired else BY_PAYEE
        with self._database.writing() as session:
            open_requests = update(MandateRequest).where(
                MandateRequest.id_rec == id_rec, MandateRequest.status == "received"
            )
            session.execute(open_requests.values(status="cancelled", closed_at=now))
            open_mandates = select(BankMandate).where(
                BankMandate.id_rec == id_rec, BankMandate.status.in_(("accepting", "active"))
            )
            for mandate in session.scalars(
                open_mandates.with_for_update(of=BankMandate, key_share=True)
            ).all():
                mandate.status, mandate.reason, mandate.closed_at = "ended", reason, now
                session.flush()
                end_collections(session, mandate, BY_PAYEE, now)

    def _decide(self, order: MandateOrder, answer: str, pin: str | None) -> None:
        # Looked for first: the location of a recurrence that has ended shows no terms any more.
        if self._has_mandate(order):
            return
        offer = self._reader.read(order.code, self._clock.now())
        check_open(offer)
        journey = journey_of(order.code)
        if journey == JOURNEY_WITH_PAYMENT:
            raise CodeNotPayableHere(_("Este código autoriza quando é pago. Nada foi autorizado."))
        if offer.terms.fingerprint() != order.agreed:
            raise TermsChanged(_("Confira de novo antes de autorizar. Nada foi autorizado."))
        if pin is not None:
            payers.check_pin(self._database, order.payer, pin)
        try:
            decision = self._store(order, offer.terms, answer, journey)
        except IntegrityError:
            # A copy of the same order was stored at the same time.
            if not self._has_mandate(order):
                raise
            return
        self._outbox.send(decision)

    def _store(
        self, order: MandateOrder, terms: MandateTerms, answer: str, journey: int | None
    ) -> ClaimedDecision:
        now, payer = self._clock.now(), order.payer
        with self._database.writing() as session:
            if answer == ACCEPTED:
                payers.reset_failed_pins(session, payer)
            forget_void(session, payer, terms.id_rec)
            mandate = new_mandate(payer, terms, answer, journey, now)
            session.add(mandate)
            session.flush()
            return self._outbox.add(session, mandate, payer, answer)

    def _has_mandate(self, order: MandateOrder) -> bool:
        with self._database.reading() as session:
            return has_mandate(session, order.payer, order.id_rec)


def new_mandate(
    payer: BankPayer, terms: MandateTerms, answer: str, journey: int | None, now: datetime
) -> BankMandate:
    """The row of a client's answer, ACCEPTED or REFUSED, for the caller's transaction."""
    return BankMandate(
        payer_id=payer.id,
        status="accepting" if answer == ACCEPTED else "refused",
        journey=journey,
        decided_at=now,
        closed_at=None if answer == ACCEPTED else now,
        **asdict(terms),
    )


def check_open(offer: RecurrenceOffer) -> None:
    """Raise OfferTaken if a payer has accepted the recurrence."""
    if offer.status != WAITING:
        raise OfferTaken(_("Outra pessoa autorizou antes de você. Nada foi autorizado agora."))


def has_mandate(session: Session, payer: BankPayer, id_rec: str) -> bool:
    """Whether the client has decided about this recurrence."""
    mandate = _mandate(session, payer, id_rec)
    return mandate is not None and not mandate.is_void


def forget_void(session: Session, payer: BankPayer, id_rec: str) -> None:
    """Delete a mandate whose payment went back: a client has one row for each recurrence."""
    mandate = _mandate(session, payer, id_rec)
    if mandate is None or not mandate.is_void:
        return
    session.execute(delete(MandateNotice).where(MandateNotice.mandate_id == mandate.id))
    session.execute(delete(BankMandate).where(BankMandate.id == mandate.id))
    session.expunge(mandate)


def mandate_of(session: Session, payer: BankPayer, id_rec: str) -> BankMandate:
    """The client's mandate for this recurrence. Raises UnknownMandate."""
    mandate = _mandate(session, payer, id_rec) if ID_REC.fullmatch(id_rec) else None
    if mandate is None:
        raise UnknownMandate(_("Esta conta não tem um Pix Automático com este identificador."))
    return mandate


def mandate_with(session: Session, payment: Transfer) -> BankMandate | None:
    """The mandate that was accepted with this payment, or None."""
    query = select(BankMandate).where(BankMandate.payment_id == payment.id)
    return session.scalars(query).first()


def mandates_of(session: Session, payer: BankPayer) -> Sequence[BankMandate]:
    """The client's mandates, the newest first, at most LISTED_MAX."""
    query = select(BankMandate).where(BankMandate.payer_id == payer.id)
    return session.scalars(query.order_by(BankMandate.id.desc()).limit(LISTED_MAX)).all()


def _mandate(session: Session, payer: BankPayer, id_rec: str) -> BankMandate | None:
    rules = (BankMandate.payer_id == payer.id, BankMandate.id_rec == id_rec)
    return session.scalars(select(BankMandate).where(*rules)).first()
