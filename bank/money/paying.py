"""Paying an offer: PIN, then debit and notice in one transaction, then the notice is sent."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bank.chaos.chaos import ChaosDesk, amount_to_pay, first_attempt_at, payment_instant
from bank.chaos.scenarios import COPIES, DrawnScenario, Scenario
from bank.codes.charge import Charge
from bank.codes.reader import CodeReader, Offer
from bank.database import Database
from bank.errors import (
    AmountChanged,
    CodeNotPayableHere,
    InsufficientFunds,
    InvalidInput,
    OverLimit,
    RequestKeyReused,
    UnknownTransfer,
)
from bank.identifiers import PAYMENT, is_identifier, new_identifier
from bank.models import BankPayer, Notice, Transfer
from bank.money import payers
from bank.money.ledger import debit, open_account
from bank.money.notices import confirmation_body, new_message_id
from bank.money.outbox import LEASE, ClaimedNotice, Outbox, held
from bank.settings import BankSettings
from bank.text import brl
from core.clock import Clock
from core.errors import FieldError


@dataclass(frozen=True)
class PaymentOrder:
    """What a payer asks for.

    `agreed_centavos` is the amount the payer saw, if a screen showed one; without a `scenario` the
    mix in force draws one; `late_seconds` is how long *late* holds the notice back;
    `typed_centavos` is the payer's own amount, for a code that has none; the same `request_key`
    (≤ 64 characters) is the same payment.
    """

    code: str
    pin: str
    payer_handle: str | None = None
    scenario: Scenario | None = None
    late_seconds: int = 0
    agreed_centavos: int | None = None
    request_key: str | None = None
    typed_centavos: int | None = None

    def fingerprint(self) -> str:
        """What makes two orders the same one, the PIN apart: SHA-256 in hex."""
        told: list[object] = [self.code.strip(), self.payer_handle]
        told += [self.scenario, self.late_seconds, self.typed_centavos]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


@dataclass(frozen=True)
class PaymentResult:
    """A payment as it stands, and whether it was made by an earlier copy of the same request."""

    transfer: Transfer
    is_repeated: bool


class Teller:
    """Takes orders; safe to share between threads."""

    def __init__(
        self,
        settings: BankSettings,
        database: Database,
        reader: CodeReader,
        outbox: Outbox,
        desk: ChaosDesk,
        clock: Clock,
    ) -> None:
        """Nothing happens before `pay`."""
        self._ispb = settings.ispb
        self._database = database
        self._reader = reader
        self._outbox = outbox
        self._desk = desk
        self._clock = clock

    def pay(self, order: PaymentOrder, *, is_pin_checked: bool = False) -> PaymentResult:
        """Pay, tell the service at once, and return the payment as it then stands.

        `is_pin_checked` is for a caller that took the PIN before, once for many payments.
        Raises a CodeRefused, InvalidInput, UnknownPayer, PinRefused, PinLocked, OverLimit,
        InsufficientFunds, AmountChanged, ChaosIsOff or RequestKeyReused; then nothing was debited.
        """
        self._desk.allow(order.scenario)
        repeated = self._repeated(order)
        if repeated is not None:
            return PaymentResult(repeated, is_repeated=True)
        with self._database.reading() as session:
            payer = payers.payer_by_handle(session, order.payer_handle)
        offer = self._reader.read(order.code, self._clock.now())
        if offer.charge is None:
            return self._pay_static(order, payer, offer)
        charge = _payable_charge(offer, order)
        if not is_pin_checked:
            self._authorise(payer, order.pin, charge.amount_centavos)
        drawn = self._drawn(order)
        amount = amount_to_pay(charge.amount_centavos, drawn.scenario)
        payee_account = open_account(
            self._database, f"payee:{charge.key}", "payee", self._clock.now()
        )
        try:
            identifier, notice = self._take(
                order, drawn, payer, offer, charge, amount, payee_account
            )
        except (IntegrityError, InsufficientFunds):
            # The same request may have come twice at once, and the other one was first.
            repeated = self._repeated(order)
            if repeated is None:
                raise
            return PaymentResult(repeated, is_repeated=True)
        if notice is not None:
            self._outbox.send(notice)
        with self._database.reading() as session:
            return PaymentResult(payment_by_id(session, identifier), is_repeated=False)

    def _take(
        self,
        order: PaymentOrder,
        drawn: DrawnScenario,
        payer: BankPayer,
        offer: Offer,
        charge: Charge,
        amount_centavos: int,
        payee_account: int,
    ) -> tuple[str, ClaimedNotice | None]:
        """Debit and write the notice, in one transaction; None if it must wait."""
        now = self._clock.now()
        made_at = payment_instant(now, charge.expires_at, drawn.scenario)
        transfer = Transfer(
            identifier=new_identifier(PAYMENT, self._ispb, now),
            kind="payment",
            debit_account_id=payer.account_id,
            credit_account_id=payee_account,
            amount_centavos=amount_centavos,
            # The wire has milliseconds: both sides must hold the very same instant.
            made_at=made_at.replace(microsecond=made_at.microsecond // 1000 * 1000),
            txid=charge.txid,
            payee_name=offer.payee_name,
            payee_key=charge.key,
            request_key=order.request_key,
            request_hash=order.fingerprint(),
        )
        with self._database.writing() as session:
            debit(session, transfer)
            payers.reset_failed_pins(session, payer)
            due_at = first_attempt_at(
                session, now, charge.expires_at, drawn.scenario, drawn.late_seconds
            )
            notice = Notice(
                transfer_id=transfer.id,
                message_id=new_message_id(),
                body=confirmation_body(transfer, charge.txid, payer),
                scenario=drawn.scenario.value,
                copies=COPIES.get(drawn.scenario, 1),
                # Written as held by us already, so that no other worker comes in between.
                attempts=0 if due_at else 1,
                next_attempt_at=due_at or now + LEASE,
            )
            session.add(notice)
            session.flush()
            return transfer.identifier, None if due_at else held(notice)

    def _drawn(self, order: PaymentOrder) -> DrawnScenario:
        """What the order asks for, or what the mix in force gives this payment."""
        if order.scenario is None:
            return self._desk.draw()
        return DrawnScenario(order.scenario, order.late_seconds)

    def _authorise(self, payer: BankPayer, pin: str, amount_centavos: int) -> None:
        """Pass the right PIN and an amount within the payer's limit."""
        payers.check_pin(self._database, payer, pin)
        if amount_centavos > payer.limit_centavos:
            raise OverLimit(
                f"O limite por pagamento desta conta é {brl(payer.limit_centavos)}. Nada foi pago."
            )

    def _pay_static(self, order: PaymentOrder, payer: BankPayer, offer: Offer) -> PaymentResult:
        """Pay a code that no charge stands behind: within this ledger, and nobody is told."""
        amount = _static_amount(offer, order)
        self._authorise(payer, order.pin, amount)
        now = self._clock.now()
        payee_account = open_account(self._database, f"payee:{offer.key}", "payee", now)
        transfer = Transfer(
            identifier=new_identifier(PAYMENT, self._ispb, now),
            kind="payment",
            debit_account_id=payer.account_id,
            credit_account_id=payee_account,
            amount_centavos=amount,
            made_at=now.replace(microsecond=now.microsecond // 1000 * 1000),
            reference=offer.reference,
            payee_name=offer.payee_name,
            payee_key=offer.key,
            request_key=order.request_key,
            request_hash=order.fingerprint(),
        )
        try:
            with self._database.writing() as session:
                debit(session, transfer)
                payers.reset_failed_pins(session, payer)
        except (IntegrityError, InsufficientFunds):
            repeated = self._repeated(order)
            if repeated is None:
                raise
            return PaymentResult(repeated, is_repeated=True)
        with self._database.reading() as session:
            return PaymentResult(payment_by_id(session, transfer.identifier), is_repeated=False)

    def _repeated(self, order: PaymentOrder) -> Transfer | None:
        if order.request_key is None:
            return None
        with self._database.reading() as session:
            same = select(Transfer).where(Transfer.request_key == order.request_key)
            found = session.scalars(same).first()
        if found is not None and found.request_hash != order.fingerprint():
            raise RequestKeyReused("Faça o outro pagamento com outra chave. Nada foi pago agora.")
        return found


def payment_by_id(session: Session, identifier: str, account_id: int | None = None) -> Transfer:
    """The payment with this end_to_end_id, made from this account if one is named.

    Raises UnknownTransfer, for another payer's as for one that does not exist.
    """
    named = select(Transfer).where(Transfer.identifier == identifier, Transfer.kind == "payment")
    if account_id is not None:
        named = named.where(Transfer.debit_account_id == account_id)
    found = session.scalars(named).first() if is_identifier(identifier) else None
    if found is None:
        raise UnknownTransfer("Não há transferência com este identificador neste banco.")
    return found


def payment_status(transfer: Transfer) -> str:
    """`sent` while the service has not answered, then `confirmed` or `returned`.

    A static code's payment is `settled` at once: nobody has to be told of it.
    """
    if transfer.notice is None:
        return "settled"
    return transfer.notice.verdict or "sent"


def _payable_charge(offer: Offer, order: PaymentOrder) -> Charge:
    if offer.charge is None:
        raise CodeNotPayableHere("Não há cobrança neste código. Nada foi pago.")
    agreed = order.agreed_centavos
    if agreed is not None and agreed != offer.charge.amount_centavos:
        raise AmountChanged(
            f"A cobrança agora pede {brl(offer.charge.amount_centavos)}. Confira e confirme "
            "de novo. Nada foi pago."
        )
    return offer.charge


def _static_amount(offer: Offer, order: PaymentOrder) -> int:
    """The code's amount, or the payer's own where it has none."""
    if not offer.is_payable:
        raise CodeNotPayableHere("A chave deste código não é uma chave Pix. Nada foi pago.")
    if order.scenario not in (None, Scenario.NORMAL):
        raise CodeNotPayableHere(
            "Cenários de teste precisam de uma cobrança; este código não tem. Nada foi pago."
        )
    if offer.amount_centavos is None and order.typed_centavos is None:
        raise InvalidInput(
            [FieldError("value", "is required: the code has no amount")],
            detail="Diga quanto quer pagar: este código não tem valor.",
        )
    amount = offer.amount_centavos or order.typed_centavos or 0
    if order.agreed_centavos is not None and order.agreed_centavos != amount:
        raise AmountChanged("O valor não é o que você conferiu. Confira de novo. Nada foi pago.")
    return amount
