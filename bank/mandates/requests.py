"""Requests of companies to authorise a recurrence (the first journey of Pix Automático).

The service sends a request for one client. It is open until the client decides, the service
cancels it, or its time is over, which is no change of its row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bank.codes.recurrence import MandateTerms, recurrence_offer_from
from bank.database import Database
from bank.errors import RequestKeyReused
from bank.languages import translate as _
from bank.mandates.desk import forget_void, has_mandate, new_mandate
from bank.mandates.errors import (
    CustomerUnknown,
    MandateRequestClosed,
    MandateRequestsFull,
    MandateTaken,
    TermsChanged,
    UnknownMandateRequest,
)
from bank.mandates.outbox import (
    ACCEPTED,
    PAYMENT_RETURNED,
    REFUSED,
    ClaimedDecision,
    MandateOutbox,
)
from bank.mandates.tables import BankMandate, MandateRequest, terms_in
from bank.models import BankPayer
from bank.money import payers
from bank.settings import BankSettings
from bank.updates import rows_changed
from core.clock import Clock
from core.pix.recurrence_rules import JOURNEY_BY_REQUEST

OPEN_MAX = 20
"""How many open requests a client has at most."""


@dataclass(frozen=True)
class RequestRecipient:
    """The client whom a company asks: the account and the branch are compared if they are there."""

    document: str
    ispb: str
    account: str | None = None
    branch: str | None = None


@dataclass(frozen=True)
class RequestOrder:
    """A request of the service, with the payload that a location of the recurrence would show."""

    request_id: str
    expires_at: datetime
    payload: Mapping[str, Any]
    recipient: RequestRecipient


@dataclass(frozen=True)
class RequestAnswer:
    """A client's answer to a request, whose terms a page showed: `agreed` is their fingerprint."""

    request_id: str
    agreed: str
    payer: BankPayer


class RequestDesk:
    """Receives requests and takes the clients' answers; thread-safe."""

    def __init__(
        self, settings: BankSettings, database: Database, outbox: MandateOutbox, clock: Clock
    ) -> None:
        self._ispb = settings.ispb
        self._database = database
        self._outbox = outbox
        self._clock = clock

    def receive(self, order: RequestOrder) -> tuple[MandateRequest, bool]:
        """Store a request; returns it, and whether an earlier copy of the order stored it.

        Raises PayloadMalformed, CustomerUnknown, MandateTaken, MandateRequestsFull, and
        RequestKeyReused for an id that is another request's.
        """
        terms = recurrence_offer_from(order.payload).terms
        earlier_request = self._earlier_request(order, terms)
        if earlier_request is not None:
            return earlier_request, True
        try:
            with self._database.writing() as session:
                return self._insert(session, order, terms), False
        except IntegrityError:
            # A copy of the same order was stored at the same time.
            earlier_request = self._earlier_request(order, terms)
            if earlier_request is None:
                raise
            return earlier_request, True

    def cancel(self, request_id: str) -> MandateRequest:
        """Cancel a request for the company; a repeated call does nothing.

        Raises UnknownMandateRequest, and MandateRequestClosed if the client has decided.
        """
        with self._database.writing() as session:
            open_request = update(MandateRequest).where(
                MandateRequest.request_id == request_id, MandateRequest.status == "received"
            )
            change = open_request.values(status="cancelled", closed_at=self._clock.now())
            rows_changed(session, change)
            request = request_by_id(session, request_id)
        if request.status != "cancelled":
            raise MandateRequestClosed(_("O cliente já decidiu."))
        return request

    def authorise(self, answer: RequestAnswer, pin: str) -> None:
        """Accept the terms of a request, and tell the service; a repeated answer does nothing.

        Raises UnknownMandateRequest, MandateRequestClosed, TermsChanged, InvalidInput, PinRefused
        and PinLocked; then nothing was authorised.
        """
        self._decide(answer, ACCEPTED, pin)

    def refuse(self, answer: RequestAnswer) -> None:
        """Refuse a request, and tell the service; a repeated answer does nothing.

        Raises UnknownMandateRequest, MandateRequestClosed and TermsChanged.
        """
        self._decide(answer, REFUSED, None)

    def _earlier_request(self, order: RequestOrder, terms: MandateTerms) -> MandateRequest | None:
        with self._database.reading() as session:
            query = select(MandateRequest).where(MandateRequest.request_id == order.request_id)
            request = session.scalars(query).first()
        if request is not None and request.id_rec != terms.id_rec:
            raise RequestKeyReused(_("Use outro identificador para outro pedido."))
        return request

    def _insert(self, session: Session, order: RequestOrder, terms: MandateTerms) -> MandateRequest:
        now = self._clock.now()
        payer = _customer(session, order.recipient, self._ispb)
        if has_mandate(session, payer, terms.id_rec):
            raise MandateTaken(_("Este cliente já autorizou ou recusou."))
        open_count = select(func.count()).select_from(MandateRequest).where(_is_open(payer, now))
        if (session.scalar(open_count) or 0) >= OPEN_MAX:
            raise MandateRequestsFull(
                _("O limite por cliente é %(num)s. Tente quando um deles acabar.")
                % {"num": OPEN_MAX}
            )
        request = MandateRequest(
            request_id=order.request_id,
            payer_id=payer.id,
            status="received",
            expires_at=order.expires_at,
            received_at=now,
            **asdict(terms),
        )
        session.add(request)
        session.flush()
        return request

    def _decide(self, answer: RequestAnswer, verdict: str, pin: str | None) -> None:
        now = self._clock.now()
        with self._database.reading() as session:
            request = request_of(session, answer.payer, answer.request_id)
            if has_mandate(session, answer.payer, request.id_rec):
                return
        check_open(request, now)
        if terms_in(request).fingerprint() != answer.agreed:
            raise TermsChanged(_("Confira de novo antes de autorizar. Nada foi autorizado."))
        if pin is not None:
            payers.check_pin(self._database, answer.payer, pin)
        try:
            decision = self._store(answer, verdict, resets_pins=pin is not None)
        except IntegrityError:
            # The same client decided by a code at the same time.
            with self._database.reading() as session:
                if not has_mandate(session, answer.payer, request.id_rec):
                    raise
            return
        if decision is not None:
            self._outbox.send(decision)

    def _store(
        self, answer: RequestAnswer, verdict: str, *, resets_pins: bool
    ) -> ClaimedDecision | None:
        """Close the request and store the mandate with its notice; None for a repeated answer."""
        now = self._clock.now()
        with self._database.writing() as session:
            open_request = update(MandateRequest).where(
                MandateRequest.request_id == answer.request_id,
                MandateRequest.status == "received",
                MandateRequest.expires_at > now,
            )
            is_closed_now = rows_changed(
                session, open_request.values(status=verdict, closed_at=now)
            )
            request = request_of(session, answer.payer, answer.request_id)
            if is_closed_now != 1:
                if has_mandate(session, answer.payer, request.id_rec):
                    return None
                check_open(request, now)
            if resets_pins:
                payers.reset_failed_pins(session, answer.payer)
            forget_void(session, answer.payer, request.id_rec)
            mandate = new_mandate(answer.payer, terms_in(request), verdict, JOURNEY_BY_REQUEST, now)
            session.add(mandate)
            session.flush()
            return self._outbox.add(
                session, mandate, answer.payer, verdict, request_id=request.request_id
            )


def check_open(request: MandateRequest, now: datetime) -> None:
    """Raise MandateRequestClosed unless the client may decide now."""
    if request.status == "cancelled":
        raise MandateRequestClosed(_("A empresa cancelou o pedido. Nada foi autorizado."))
    if request.expires_at <= now:
        raise MandateRequestClosed(_("O prazo para decidir acabou. Nada foi autorizado."))
    if request.status != "received":
        raise MandateRequestClosed(_("Você já decidiu sobre este pedido."))


def request_by_id(session: Session, request_id: str) -> MandateRequest:
    """The request with this id. Raises UnknownMandateRequest."""
    query = select(MandateRequest).where(MandateRequest.request_id == request_id)
    request = session.scalars(query).first()
    if request is None:
        raise UnknownMandateRequest(_("Este banco não recebeu um pedido com este identificador."))
    return request


def request_of(session: Session, payer: BankPayer, request_id: str) -> MandateRequest:
    """The client's request with this id. Raises UnknownMandateRequest."""
    request = request_by_id(session, request_id[:64])
    if request.payer_id != payer.id:
        raise UnknownMandateRequest(_("Este banco não recebeu um pedido com este identificador."))
    return request


def open_requests(session: Session, payer: BankPayer, now: datetime) -> Sequence[MandateRequest]:
    """The requests that wait for the client's answer, the newest first, at most OPEN_MAX."""
    query = select(MandateRequest).where(_is_open(payer, now))
    return session.scalars(query.order_by(MandateRequest.id.desc()).limit(OPEN_MAX)).all()


def _is_open(payer: BankPayer, now: datetime) -> ColumnElement[bool]:
    """Whether a request waits; not if the client has decided by the recurrence's code."""
    is_decided = exists().where(
        BankMandate.payer_id == MandateRequest.payer_id,
        BankMandate.id_rec == MandateRequest.id_rec,
        # A mandate whose payment went back decides nothing (`BankMandate.is_void`).
        or_(BankMandate.reason.is_(None), BankMandate.reason != PAYMENT_RETURNED),
    )
    return and_(
        MandateRequest.payer_id == payer.id,
        MandateRequest.status == "received",
        MandateRequest.expires_at > now,
        ~is_decided,
    )


def _customer(session: Session, recipient: RequestRecipient, ispb: str) -> BankPayer:
    """The client whom a request names. Raises CustomerUnknown."""
    payer = None
    if recipient.ispb == ispb and payers.is_branch(recipient.branch):
        payer = payers.payer_by_document(session, recipient.document, recipient.account)
    if payer is None:
        raise CustomerUnknown(_("Confira o documento, a conta e o banco do cliente."))
    return payer
