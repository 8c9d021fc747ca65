"""Codes that hold a recurrence and something to pay: journeys 3 and 4 of Pix Automático.

The payment and the acceptance are rows of one transaction, so no fault stores one without the
other. In journey 3 the payment is the acceptance: the service counts it when the payment is
confirmed, and a payment that goes back ends it. In journey 4 the client chooses to accept as well,
and the two do not depend on each other.
"""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bank.codes.reader import Offer
from bank.codes.recurrence import MandateTerms, RecurrenceOffer
from bank.codes.recurrence_reader import RecurrenceReader, journey_of
from bank.database import Database
from bank.languages import translate as _
from bank.mandates.desk import check_open, forget_void, has_mandate, new_mandate
from bank.mandates.errors import OfferTaken, TermsChanged
from bank.mandates.outbox import ACCEPTED, ClaimedDecision, MandateOutbox
from bank.models import BankPayer, Transfer
from bank.money.paying import PaymentOrder, PaymentResult, Teller
from core.clock import Clock
from core.languages import N_
from core.pix.recurrence_rules import JOURNEY_WITH_PAYMENT

_DECIDED = N_("Você já decidiu sobre este Pix Automático. Nada foi pago agora.")


class CompositeDesk:
    """Pays a code and accepts its recurrence, with one PIN; thread-safe."""

    def __init__(
        self,
        database: Database,
        reader: RecurrenceReader,
        teller: Teller,
        outbox: MandateOutbox,
        clock: Clock,
    ) -> None:
        self._database = database
        self._reader = reader
        self._teller = teller
        self._outbox = outbox
        self._clock = clock

    def read(self, code: str, payer: BankPayer) -> RecurrenceOffer:
        """The recurrence in a code, which this client may accept. Raises a CodeRefused."""
        offer = self._reader.read(code, self._clock.now())
        with self._database.reading() as session:
            is_decided = has_mandate(session, payer, offer.terms.id_rec)
        if is_decided:
            raise OfferTaken(_(_DECIDED))
        check_open(offer)
        return offer

    def pay(self, order: PaymentOrder, payer: BankPayer) -> PaymentResult:
        """Pay, and accept the terms whose fingerprint is `order.terms`; without it pay alone.

        A repeated order does nothing. Raises what `Teller.pay` raises, also for a code of journey 3
        without terms, and TermsChanged; then nothing was paid, and nothing accepted.
        """
        journey = journey_of(order.code)
        if journey is None or order.terms is None:
            return self._teller.pay(order)
        acceptance = _MandateAddition(self, self._outbox, self._clock, order, payer, journey)
        try:
            result = self._teller.pay(order, addition=acceptance)
        except IntegrityError:
            # Another order of this client decided about the recurrence at the same time.
            raise OfferTaken(_(_DECIDED)) from None
        if acceptance.decision is not None and not result.is_repeated:
            self._outbox.send(acceptance.decision)
        return result


class _MandateAddition:
    """What is stored in the transaction of one payment (`bank.money.paying.PaymentAddition`)."""

    def __init__(
        self,
        desk: CompositeDesk,
        outbox: MandateOutbox,
        clock: Clock,
        order: PaymentOrder,
        payer: BankPayer,
        journey: int,
    ) -> None:
        self._desk = desk
        self._outbox = outbox
        self._clock = clock
        self._order = order
        self._payer = payer
        self._journey = journey
        self._terms: MandateTerms | None = None
        self._txid: str | None = None
        self.decision: ClaimedDecision | None = None

    def check(self, offer: Offer) -> None:
        """Read the terms once more, before the PIN is looked at. Raises a CodeRefused."""
        terms = self._desk.read(self._order.code, self._payer).terms
        if terms.fingerprint() != self._order.terms:
            raise TermsChanged(_("Confira de novo antes de pagar. Nada foi pago nem autorizado."))
        self._terms = terms
        if self._journey == JOURNEY_WITH_PAYMENT and offer.charge is not None:
            self._txid = offer.charge.txid

    def store(self, session: Session, transfer: Transfer) -> None:
        """Add the mandate and its decision. Raises IntegrityError if the client has decided."""
        if self._terms is None:
            raise RuntimeError("`check` must come first")
        forget_void(session, self._payer, self._terms.id_rec)
        mandate = new_mandate(self._payer, self._terms, ACCEPTED, self._journey, self._clock.now())
        mandate.payment_id = transfer.id
        session.add(mandate)
        session.flush()
        self.decision = self._outbox.add(session, mandate, self._payer, ACCEPTED, txid=self._txid)
