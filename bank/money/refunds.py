"""Giving money back on the payee's word: whole or in part, at once or later, once per id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
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
from bank.models import BankRefund, Transfer
from bank.money.ledger import debit, lock_account
from bank.money.partners import service_payment
from bank.settings import BankSettings
from bank.text import brl
from core.clock import Clock

REFUNDABLE_FOR = timedelta(days=90)
"""Counted from the payment (Manual de Padrões para Iniciação do Pix, devolução)."""

_BATCH = 64


@dataclass(frozen=True)
class RefundOrder:
    """What the payee asks for; `refund_id` is its own, 1 to 35 letters and digits."""

    end_to_end_id: str
    refund_id: str
    amount_centavos: int


class RefundDesk:
    """Takes refunds and settles them; safe to share between threads."""

    def __init__(self, settings: BankSettings, database: Database, clock: Clock) -> None:
        """Nothing happens before `ask`; refunds wait `refund_delay_seconds` before they settle."""
        self._ispb = settings.ispb
        self._delay = timedelta(seconds=settings.refund_delay_seconds)
        self._database = database
        self._clock = clock

    def ask(self, order: RefundOrder) -> tuple[BankRefund, bool]:
        """The refund as it stands, and whether it was asked for before by the same id.

        Raises UnknownTransfer, RefundTooLarge, RefundTooLate, RefundNotPossible, RefundKeyReused.
        """
        known = self._known(order)
        if known is not None:
            return known, True
        try:
            return self._take(order), False
        except (IntegrityError, RefundTooLarge):
            # The same request may have come twice at once, and the other one was first.
            known = self._known(order)
            if known is None:
                raise
            return known, True

    def settle_due(self) -> int:
        """Settle refunds whose time has come, a bounded batch at once; how many this call ended."""
        now = self._clock.now()
        with self._database.reading() as session:
            due = select(BankRefund.id).where(
                BankRefund.status == "processing", BankRefund.due_at <= now
            )
            ids = session.scalars(due.order_by(BankRefund.due_at).limit(_BATCH)).all()
        return sum(self._settle_one(refund) for refund in ids)

    def _known(self, order: RefundOrder) -> BankRefund | None:
        with self._database.reading() as session:
            try:
                known = refund_by_id(session, order.refund_id)
            except UnknownRefund:
                return None
        same = (known.payment.identifier, known.amount_centavos)
        if same != (order.end_to_end_id, order.amount_centavos):
            raise RefundKeyReused("Use outro refund_id para outra devolução.")
        return known

    def _take(self, order: RefundOrder) -> BankRefund:
        now = self._clock.now()
        with self._database.writing() as session:
            payment = service_payment(session, order.end_to_end_id)
            lock_account(session, payment.credit_account_id)
            if session.scalar(select(Transfer.id).where(Transfer.reverses_id == payment.id)):
                raise RefundNotPossible("O pagamento foi recusado e já voltou inteiro.")
            if now - payment.made_at > REFUNDABLE_FOR:
                raise RefundTooLate(f"O prazo é de {REFUNDABLE_FOR.days} dias depois do pagamento.")
            left = payment.amount_centavos - refunded_centavos(session, payment)
            if order.amount_centavos > left:
                raise RefundTooLarge(f"Deste pagamento só restam {brl(left)}.")
            refund = BankRefund(
                refund_id=order.refund_id,
                return_id=new_identifier(RETURN, self._ispb, now),
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
                self._move(session, refund)
            return refund

    def _settle_one(self, refund_row: int) -> int:
        with self._database.writing() as session:
            held = select(BankRefund).where(
                BankRefund.id == refund_row, BankRefund.status == "processing"
            )
            refund = session.scalars(held.with_for_update(of=BankRefund)).first()
            if refund is None:
                return 0
            self._move(session, refund)
            return 1

    def _move(self, session: Session, refund: BankRefund) -> None:
        """Move the money, in the caller's transaction; a payee that lacks it fails the refund."""
        now = self._clock.now()
        payment = refund.payment
        transfer = Transfer(
            identifier=refund.return_id,
            kind="refund",
            debit_account_id=payment.credit_account_id,
            credit_account_id=payment.debit_account_id,
            amount_centavos=refund.amount_centavos,
            made_at=now.replace(microsecond=now.microsecond // 1000 * 1000),
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
    """The refund of this id. Raises UnknownRefund."""
    found = session.scalars(select(BankRefund).where(BankRefund.refund_id == refund_id)).first()
    if found is None:
        raise UnknownRefund("Nenhuma devolução tem este refund_id.")
    return found


def refunds_of(session: Session, payment: Transfer) -> Sequence[BankRefund]:
    """A payment's refunds, oldest first."""
    of_it = select(BankRefund).where(BankRefund.payment_id == payment.id)
    return session.scalars(of_it.order_by(BankRefund.id)).all()


def refunded_centavos(session: Session, payment: Transfer) -> int:
    """What was given back of a payment, or is about to be."""
    total = select(func.coalesce(func.sum(BankRefund.amount_centavos), 0)).where(
        BankRefund.payment_id == payment.id, BankRefund.status != "failed"
    )
    return int(session.scalar(total) or 0)
