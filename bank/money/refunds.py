"""Refunds that the payee requests: in full or in part, at once or delayed, once per refund_id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bank.database import Database
from bank.errors import (
    InsufficientFunds,
    RefundKeyReused,
    RefundNotPossible,
    RefundTooLarge,
    RefundTooLate,
    UnknownRefund,
)
from bank.identifiers import RETURN, new_identifier
from bank.languages import translate as _
from bank.models import BankRefund, Transfer
from bank.money.ledger import debit, lock_account, whole_milliseconds
from bank.money.partners import service_payment
from bank.page_text import brl
from bank.settings import BankSettings
from core.clock import Clock, latest_end
from core.scenarios import Scenario

REFUNDABLE_FOR = timedelta(days=90)
"""From the payment on (Manual de Padrões para Iniciação do Pix, devolução)."""

_BATCH = 64


@dataclass(frozen=True)
class RefundOrder:
    """A request to refund a payment; the payee chooses `refund_id`, 1 to 35 letters and digits."""

    end_to_end_id: str
    refund_id: str
    amount_centavos: int
    return_id: str | None = None
    """The rtrId that the payee wishes; another one is made if it has been used."""


class RefundDesk:
    """Accepts refunds and settles them; thread-safe."""

    def __init__(self, settings: BankSettings, database: Database, clock: Clock) -> None:
        self._ispb = settings.ispb
        self._delay = timedelta(seconds=settings.refund_delay_seconds)
        self._database = database
        self._clock = clock

    def request(self, order: RefundOrder) -> tuple[BankRefund, bool]:
        """Return the refund, and whether an earlier request with the same id created it.

        Raises UnknownTransfer, RefundTooLarge, RefundTooLate, RefundNotPossible, RefundKeyReused.
        """
        earlier_refund = self._existing_refund(order)
        if earlier_refund is not None:
            return earlier_refund, True
        try:
            return self._create(order), False
        except (IntegrityError, RefundTooLarge):
            # A copy of the same request may have been accepted at the same time.
            earlier_refund = self._existing_refund(order)
            if earlier_refund is None:
                raise
            return earlier_refund, True

    def settle_due(self) -> int:
        """Settle a batch of due refunds and return how many this call settled."""
        now = self._clock.now()
        with self._database.reading() as session:
            # A refund that is due later than any new refund is from before the clock was set back.
            is_due = or_(BankRefund.due_at <= now, BankRefund.due_at > latest_end(now, self._delay))
            query = select(BankRefund.id).where(BankRefund.status == "processing", is_due)
            ids = session.scalars(query.order_by(BankRefund.due_at).limit(_BATCH)).all()
        return sum(self._settle(refund_row_id) for refund_row_id in ids)

    def _existing_refund(self, order: RefundOrder) -> BankRefund | None:
        with self._database.reading() as session:
            try:
                refund = refund_by_id(session, order.refund_id)
            except UnknownRefund:
                return None
        request = (refund.payment.identifier, refund.amount_centavos)
        if request != (order.end_to_end_id, order.amount_centavos):
            raise RefundKeyReused(_("Use outro refund_id para outra devolução."))
        return refund

    def _create(self, order: RefundOrder) -> BankRefund:
        now = self._clock.now()
        with self._database.writing() as session:
            payment = service_payment(session, order.end_to_end_id)
            lock_account(session, payment.credit_account_id)
            if session.scalar(select(Transfer.id).where(Transfer.reverses_id == payment.id)):
                raise RefundNotPossible(_("O pagamento foi recusado e já voltou inteiro."))
            if now - payment.made_at > REFUNDABLE_FOR:
                raise RefundTooLate(
                    _("O prazo é de %(days)s dias depois do pagamento.")
                    % {"days": REFUNDABLE_FOR.days}
                )
            remainder = payment.amount_centavos - refunded_centavos(session, payment)
            if order.amount_centavos > remainder:
                raise RefundTooLarge(
                    _("Deste pagamento só restam %(amount)s.") % {"amount": brl(remainder)}
                )
            refund = BankRefund(
                refund_id=order.refund_id,
                return_id=self._return_id(session, order, now),
                payment_id=payment.id,
                payment=payment,
                amount_centavos=order.amount_centavos,
                status="processing",
                requested_at=now,
                due_at=now + self._delay,
            )
            session.add(refund)
            session.flush()
            if not self._delay:
                self._move_money(session, refund)
            return refund

    def _return_id(self, session: Session, order: RefundOrder, now: datetime) -> str:
        wish = order.return_id
        if wish is not None and not session.scalar(
            select(BankRefund.id).where(BankRefund.return_id == wish)
        ):
            return wish
        return new_identifier(RETURN, self._ispb, now)

    def _settle(self, refund_row_id: int) -> int:
        with self._database.writing() as session:
            query = select(BankRefund).where(
                BankRefund.id == refund_row_id, BankRefund.status == "processing"
            )
            refund = session.scalars(query.with_for_update(of=BankRefund)).first()
            if refund is None:
                return 0
            self._move_money(session, refund)
            return 1

    def _move_money(self, session: Session, refund: BankRefund) -> None:
        """Add the transfer; the refund fails if the payee's balance does not cover it.

        It also fails if the payment's scenario says so: the balance always covers the payments.
        """
        now = self._clock.now()
        payment = refund.payment
        if payment.notice is not None and payment.notice.scenario == Scenario.REFUND_REFUSED:
            refund.status, refund.settled_at = "failed", now
            return
        transfer = Transfer(
            identifier=refund.return_id,
            kind="refund",
            debit_account_id=payment.credit_account_id,
            credit_account_id=payment.debit_account_id,
            amount_centavos=refund.amount_centavos,
            made_at=whole_milliseconds(now),
            txid=payment.txid,
            reference=payment.reference,
            payee_name=payment.payee_name,
            payee_key=payment.payee_key,
            refunds_id=payment.id,
        )
        try:
            debit(session, transfer)
        except InsufficientFunds:
            refund.status, refund.settled_at = "failed", now
            return
        refund.status, refund.settled_at, refund.transfer_id = "done", now, transfer.id


def refund_by_id(session: Session, refund_id: str) -> BankRefund:
    """The refund with this refund_id. Raises UnknownRefund."""
    refund = session.scalars(select(BankRefund).where(BankRefund.refund_id == refund_id)).first()
    if refund is None:
        raise UnknownRefund(_("Nenhuma devolução tem este refund_id."))
    return refund


def refunds_of(session: Session, payment: Transfer) -> Sequence[BankRefund]:
    """A payment's refunds, oldest first."""
    query = select(BankRefund).where(BankRefund.payment_id == payment.id)
    return session.scalars(query.order_by(BankRefund.id)).all()


def refunded_centavos(session: Session, payment: Transfer) -> int:
    """The sum of a payment's refunds that are done or processing."""
    total = select(func.coalesce(func.sum(BankRefund.amount_centavos), 0)).where(
        BankRefund.payment_id == payment.id, BankRefund.status != "failed"
    )
    return int(session.scalar(total) or 0)
