"""The robot payer: pays charges of the service by itself, each at its time and with its scenario.

An order is a row until it has ended, so a bank that is killed continues with it. A worker claims an
order by moving `next_attempt_at` ahead, and the order's id is the payment's request key: an order
that is tried twice pays once. Development only.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bank.codes.http import ANSWER_TIMEOUT_SECONDS
from bank.database import Database
from bank.errors import (
    BankBusy,
    BankError,
    InsufficientFunds,
    KeySetRefused,
    LocationRefused,
    LocationUnreachable,
    RequestKeyReused,
    UnknownPayer,
)
from bank.languages import translate as _
from bank.models import BankPayer, RobotOrder
from bank.money import payers
from bank.money.demo import OPENING_ACCOUNT
from bank.money.ledger import open_account, opening_transfer
from bank.money.paying import PaymentOrder, Teller
from bank.settings import BankSettings
from bank.updates import rows_changed
from core.clock import Clock, latest_end
from core.scenarios import Scenario

ROBOT = "-robo"
"""The robot's handle. A wallet's handle never begins with a hyphen, so nobody can take it."""

AHEAD_MAX = timedelta(days=1, minutes=5)
"""How far ahead `pay_at` may lie: the longest that the service allows, and its clock's error."""
WAITING_MAX = 10_000
"""How many orders may wait; further ones get 503, and the service sends them again."""
ATTEMPTS_MAX = 20
"""After about a quarter of an hour without the service the robot gives up."""
ENDED_FOR = timedelta(days=1)
"""How long an order that has ended is stored, to recognise a repetition."""

_LEASE = timedelta(seconds=3 * ANSWER_TIMEOUT_SECONDS)
_PAUSE_FIRST, _PAUSE_MAX = timedelta(seconds=1), timedelta(minutes=1)
_BATCH, _WORKERS = 64, 8
_FORGET_BATCH = 100
_FUNDS_CENTAVOS = 10**14
"""Money for a hundred payments of the largest amount; a robot without enough gets as much again."""
_NO_DECISION = (LocationUnreachable, LocationRefused, KeySetRefused, InsufficientFunds, BankBusy)
"""Refusals that do not say that the charge cannot be paid: the robot tries again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NewRobotOrder:
    """An order to pay a code at `pay_at`; the service chooses `order_id`, letters and digits."""

    order_id: str
    code: str
    scenario: Scenario
    late_seconds: int
    pay_at: datetime


class PayerRobot:
    """Accepts orders and pays them when they are due; thread-safe."""

    def __init__(
        self, settings: BankSettings, database: Database, teller: Teller, clock: Clock
    ) -> None:
        self._ispb = settings.ispb
        self._database = database
        self._teller = teller
        self._clock = clock

    def accept(self, new_order: NewRobotOrder) -> tuple[RobotOrder, bool]:
        """Return the order, and whether an earlier request with the same id stored it.

        Raises RequestKeyReused if that request was another one, and BankBusy if too many orders
        wait.
        """
        earlier_order = self._find(new_order)
        if earlier_order is not None:
            return earlier_order, True
        try:
            return self._store(new_order), False
        except IntegrityError:  # a copy of the same request was stored in the meantime
            earlier_order = self._find(new_order)
            if earlier_order is None:
                raise
            return earlier_order, True

    def pay_due(self) -> int:
        """Pay a batch of due orders and return how many this call tried."""
        now = self._clock.now()
        with self._database.reading() as session:
            query = select(RobotOrder.id).where(_is_due(now)).order_by(RobotOrder.next_attempt_at)
            ids: Sequence[int] = session.scalars(query.limit(_BATCH)).all()
        if not ids:
            return 0
        with ThreadPoolExecutor(min(_WORKERS, len(ids))) as workers:
            return sum(workers.map(self._claim_and_pay, ids))

    def _find(self, new_order: NewRobotOrder) -> RobotOrder | None:
        with self._database.reading() as session:
            query = select(RobotOrder).where(RobotOrder.order_id == new_order.order_id)
            order = session.scalars(query).first()
        if order is None:
            return None
        is_same = (order.code, order.scenario) == (new_order.code, new_order.scenario.value)
        if not is_same or order.late_seconds != new_order.late_seconds:
            raise RequestKeyReused(
                _("Faça o outro pagamento com outra chave. Nada foi pago agora.")
            )
        return order

    def _store(self, new_order: NewRobotOrder) -> RobotOrder:
        now = self._clock.now()
        order = RobotOrder(
            order_id=new_order.order_id,
            code=new_order.code,
            scenario=new_order.scenario.value,
            late_seconds=new_order.late_seconds,
            status="waiting",
            attempts=0,
            received_at=now,
            next_attempt_at=max(new_order.pay_at, now),
        )
        with self._database.writing() as session:
            self._forget_old(session, now)
            waiting = select(func.count()).where(RobotOrder.status == "waiting")
            if int(session.scalar(waiting) or 0) >= WAITING_MAX:
                raise BankBusy
            session.add(order)
        return order

    def _forget_old(self, session: Session, now: datetime) -> None:
        old = select(RobotOrder.id).where(RobotOrder.ended_at < now - ENDED_FOR)
        ids = session.scalars(old.limit(_FORGET_BATCH)).all()
        if ids:
            session.execute(delete(RobotOrder).where(RobotOrder.id.in_(ids)))

    def _claim_and_pay(self, row_id: int) -> int:
        try:
            order = self._claim(row_id)
            if order is None:
                return 0
            self._pay(order)
        except Exception:
            # An order that fails must not stop the others; it is due again after its lease.
            log.exception("a robot order could not be paid")
            return 0
        return 1

    def _claim(self, row_id: int) -> RobotOrder | None:
        now = self._clock.now()
        due_order = update(RobotOrder).where(RobotOrder.id == row_id, _is_due(now))
        claim = due_order.values(next_attempt_at=now + _LEASE, attempts=RobotOrder.attempts + 1)
        with self._database.writing() as session:
            if rows_changed(session, claim) != 1:
                return None
            return session.get_one(RobotOrder, row_id)

    def _pay(self, order: RobotOrder) -> None:
        if order.attempts > ATTEMPTS_MAX:
            self._end(order, "refused", "no-answer")
            return
        payment = PaymentOrder(
            code=order.code,
            pin="",
            payer_handle=ROBOT,
            scenario=Scenario(order.scenario),
            late_seconds=order.late_seconds,
            request_key=f"robot:{order.order_id}",
        )
        try:
            payer = self._payer()
            self._teller.pay(payment, is_pin_checked=True)
        except _NO_DECISION as error:
            if isinstance(error, InsufficientFunds):
                self._fund(payer)
            self._try_again(order)
        except BankError as error:
            log.info("the robot did not pay %s: %s", order.order_id, error.code)
            self._end(order, "refused", error.code)
        else:
            self._end(order, "paid", None)

    def _end(self, order: RobotOrder, status: str, reason: str | None) -> None:
        open_order = update(RobotOrder).where(
            RobotOrder.id == order.id, RobotOrder.status == "waiting"
        )
        with self._database.writing() as session:
            session.execute(
                open_order.values(status=status, reason=reason, ended_at=self._clock.now())
            )

    def _try_again(self, order: RobotOrder) -> None:
        pause = min(_PAUSE_FIRST * 2 ** min(order.attempts - 1, 16), _PAUSE_MAX)
        own_claim = update(RobotOrder).where(
            RobotOrder.id == order.id, RobotOrder.attempts == order.attempts
        )
        with self._database.writing() as session:
            session.execute(own_claim.values(next_attempt_at=self._clock.now() + pause))

    def _payer(self) -> BankPayer:
        try:
            with self._database.reading() as session:
                return payers.payer_by_handle(session, ROBOT)
        except UnknownPayer:
            self._create_payer()
        with self._database.reading() as session:
            return payers.payer_by_handle(session, ROBOT)

    def _create_payer(self) -> None:
        account = open_account(self._database, f"robot:{ROBOT}", "payer", self._clock.now())
        payer = BankPayer(
            handle=ROBOT,
            name="Pagador de Teste",
            document="98765432100",
            card_number="9990012345670101",
            # Nobody knows the PIN, so nobody signs in as the robot.
            pin_hash=payers.hash_pin(secrets.token_hex(16)),
            limit_centavos=_FUNDS_CENTAVOS,
            account_id=account,
        )
        try:
            with self._database.writing() as session:
                session.add(payer)
        except IntegrityError:
            return  # another worker has created the payer in the meantime
        self._fund(payer)

    def _fund(self, payer: BankPayer) -> None:
        now = self._clock.now()
        source = open_account(self._database, OPENING_ACCOUNT, "opening", now)
        funding = opening_transfer(source, payer.account_id, _FUNDS_CENTAVOS, self._ispb, now)
        with self._database.writing() as session:
            session.add(funding)


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Whether an order may be tried; also if the clock was set back since its time was set."""
    end = RobotOrder.next_attempt_at
    is_retry = and_(RobotOrder.attempts > 0, end > latest_end(now, max(_LEASE, _PAUSE_MAX)))
    is_delayed = end > latest_end(now, AHEAD_MAX)
    return and_(RobotOrder.status == "waiting", or_(end <= now, is_retry, is_delayed))
