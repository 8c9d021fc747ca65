"""Pays codes: PIN, then debit and notice in one transaction, then the notice is sent."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bank.chaos.chaos import ChaosDesk, amount_to_pay, first_attempt_at, payment_instant
from bank.chaos.scenarios import COPIES, NEEDS_A_CHARGE, DrawnScenario
from bank.codes.charge import Charge
from bank.codes.reader import CodeReader, Offer
from bank.codes.recurrence_reader import journey_of
from bank.database import Database
from bank.errors import (
    AmountChanged,
    CodeNotPayableHere,
    CodeRefused,
    InsufficientFunds,
    InvalidInput,
    OverLimit,
    RequestKeyReused,
    UnknownTransfer,
)
from bank.identifiers import PAYMENT, is_identifier, new_identifier
from bank.languages import translate as _
from bank.models import BankPayer, Notice, Transfer
from bank.money import payers
from bank.money.ledger import debit, open_account, whole_milliseconds
from bank.money.notice_queue import LEASE
from bank.money.notices import confirmation_body, new_message_id
from bank.money.outbox import ClaimedNotice, Outbox, claimed_notice
from bank.page_text import brl
from bank.settings import BankSettings
from core.clock import Clock
from core.errors import FieldError
from core.pix.recurrence_rules import JOURNEY_WITH_PAYMENT
from core.scenarios import Scenario


@dataclass(frozen=True)
class PaymentOrder:
    """A request to pay a code.

    `agreed_centavos` is the amount that a screen showed to the payer, if any. `typed_centavos` is
    the amount that the payer typed, for a code without one. Without a `scenario` one is drawn from
    the mix in force; *late* delays the notice by `late_seconds`. `request_key` is an idempotency
    key of at most 64 characters. `message` is what the payer wrote to the payee. `terms` is the
    fingerprint of the terms of a recurrence that the payer accepts as well.
    """

    code: str
    pin: str
    payer_handle: str | None = None
    scenario: Scenario | None = None
    late_seconds: int = 0
    agreed_centavos: int | None = None
    request_key: str | None = None
    typed_centavos: int | None = None
    message: str | None = None
    terms: str | None = None

    def fingerprint(self) -> str:
        """SHA-256 in hex of the fields that a repeated request must have in common."""
        fields: list[object] = [self.code.strip(), self.payer_handle]
        fields += [self.scenario, self.late_seconds, self.typed_centavos]
        fields += [self.message] if self.message else []
        fields += [["terms", self.terms]] if self.terms else []
        return hashlib.sha256(json.dumps(fields).encode()).hexdigest()


class PaymentAddition(Protocol):
    """What is stored together with a payment, in its transaction."""

    def check(self, offer: Offer) -> None:
        """Refuse before the PIN is looked at. Raises a CodeRefused."""

    def store(self, session: Session, transfer: Transfer) -> None:
        """Add rows to the payment's transaction; an error undoes the payment as well."""


@dataclass(frozen=True)
class PaymentResult:
    """A payment, and whether an earlier copy of the same request made it."""

    transfer: Transfer
    is_repeated: bool


class Teller:
    """Pays codes; thread-safe."""

    def __init__(
        self,
        settings: BankSettings,
        database: Database,
        reader: CodeReader,
        outbox: Outbox,
        desk: ChaosDesk,
        clock: Clock,
    ) -> None:
        self._ispb = settings.ispb
        self._database = database
        self._reader = reader
        self._outbox = outbox
        self._desk = desk
        self._clock = clock

    def pay(
        self,
        order: PaymentOrder,
        *,
        is_pin_checked: bool = False,
        addition: PaymentAddition | None = None,
    ) -> PaymentResult:
        """Pay, notify the service and return the payment as it is after the service's answer.

        A caller that has checked the PIN once for many payments sets `is_pin_checked`. Payment and
        `addition` are stored together; a code whose payment accepts a recurrence needs one.
        Raises a CodeRefused, InvalidInput, UnknownPayer, PinRefused, PinLocked, OverLimit,
        InsufficientFunds, AmountChanged, ChaosIsOff or RequestKeyReused; then nothing was debited.
        """
        self._desk.check_allowed(order.scenario)
        repeated_result = self._repeated_result(order)
        if repeated_result is not None:
            return repeated_result
        try:
            return self._pay_once(order, is_pin_checked, addition)
        except (CodeRefused, InsufficientFunds, IntegrityError):
            # A copy of the same request may have been paid at the same time.
            repeated_result = self._repeated_result(order)
            if repeated_result is None:
                raise
            return repeated_result

    def _pay_once(
        self,
        order: PaymentOrder,
        is_pin_checked: bool,
        addition: PaymentAddition | None,
    ) -> PaymentResult:
        with self._database.reading() as session:
            payer = payers.payer_by_handle(session, order.payer_handle)
        offer = self._reader.read(order.code, self._clock.now())
        if offer.charge is None:
            agreed_centavos = _static_amount(offer, order)
        elif offer.charge.payer_sets_amount:
            agreed_centavos = _open_amount(offer.charge, order)
        else:
            agreed_centavos = offer.charge.amount_centavos
            _check_agreed_amount(offer.charge, order)
        if addition is not None:
            addition.check(offer)
        elif journey_of(order.code) == JOURNEY_WITH_PAYMENT:
            raise CodeNotPayableHere(
                _("Ele também autoriza um Pix Automático: leia-o no aplicativo. Nada foi pago.")
            )
        if not is_pin_checked:
            self._authorise(payer, order.pin, agreed_centavos)
        drawn_scenario = self._scenario_of(order, offer)
        amount = amount_to_pay(agreed_centavos, drawn_scenario.scenario)
        payee_account = open_account(
            self._database, f"payee:{offer.key}", "payee", self._clock.now()
        )
        identifier, notice = self._debit_with_notice(
            order, drawn_scenario, payer, offer, amount, payee_account, addition
        )
        if notice is not None:
            self._outbox.send(notice)
        with self._database.reading() as session:
            return PaymentResult(payment_by_id(session, identifier), is_repeated=False)

    def _debit_with_notice(
        self,
        order: PaymentOrder,
        drawn_scenario: DrawnScenario,
        payer: BankPayer,
        offer: Offer,
        amount_centavos: int,
        payee_account: int,
        addition: PaymentAddition | None,
    ) -> tuple[str, ClaimedNotice | None]:
        """Add transfer and notice in one transaction; None instead of a notice that must wait."""
        now = self._clock.now()
        # A static code has no deadline, and no scenario that needs one.
        deadline = now if offer.charge is None else offer.charge.expires_at
        made_at = payment_instant(now, deadline, drawn_scenario.scenario)
        transfer = Transfer(
            identifier=new_identifier(PAYMENT, self._ispb, now),
            kind="payment",
            debit_account_id=payer.account_id,
            credit_account_id=payee_account,
            amount_centavos=amount_centavos,
            made_at=whole_milliseconds(made_at),
            txid=None if offer.charge is None else offer.charge.payment_id,
            reference=offer.reference,
            payee_name=offer.payee_name,
            payee_key=offer.key,
            request_key=order.request_key,
            request_hash=order.fingerprint(),
        )
        with self._database.writing() as session:
            debit(session, transfer)
            payers.reset_failed_pins(session, payer)
            due_at = first_attempt_at(session, now, deadline, drawn_scenario)
            notice = Notice(
                transfer_id=transfer.id,
                message_id=new_message_id(),
                body=confirmation_body(transfer, payer, order.message),
                scenario=drawn_scenario.scenario.value,
                copies=COPIES.get(drawn_scenario.scenario, 1),
                # Inserted as claimed by this worker, so that no other worker sends it too.
                attempts=0 if due_at else 1,
                next_attempt_at=due_at or now + LEASE,
            )
            session.add(notice)
            session.flush()
            if addition is not None:
                addition.store(session, transfer)
            return transfer.identifier, None if due_at else claimed_notice(notice)

    def _scenario_of(self, order: PaymentOrder, offer: Offer) -> DrawnScenario:
        """The order's own scenario, else one drawn from the mix in force.

        A mix is made for charges, so a static code draws nothing.
        """
        if order.scenario is None:
            return DrawnScenario(Scenario.NORMAL, 1) if offer.charge is None else self._desk.draw()
        return DrawnScenario(order.scenario, order.late_seconds)

    def _authorise(self, payer: BankPayer, pin: str, amount_centavos: int) -> None:
        """Check PIN and limit. Raises what `check_pin` raises, and OverLimit."""
        payers.check_pin(self._database, payer, pin)
        if amount_centavos > payer.limit_centavos:
            raise OverLimit(
                _("O limite por pagamento desta conta é %(amount)s. Nada foi pago.")
                % {"amount": brl(payer.limit_centavos)}
            )

    def _repeated_result(self, order: PaymentOrder) -> PaymentResult | None:
        """The payment made with the same request key. Raises RequestKeyReused."""
        if order.request_key is None:
            return None
        with self._database.reading() as session:
            query = select(Transfer).where(Transfer.request_key == order.request_key)
            payment = session.scalars(query).first()
        if payment is None:
            return None
        if payment.request_hash != order.fingerprint():
            raise RequestKeyReused(
                _("Faça o outro pagamento com outra chave. Nada foi pago agora.")
            )
        return PaymentResult(payment, is_repeated=True)


def payment_by_id(session: Session, identifier: str, account_id: int | None = None) -> Transfer:
    """The payment with this end_to_end_id, and with this debited account, if it is given.

    Raises UnknownTransfer, also for a payment from another account.
    """
    query = select(Transfer).where(Transfer.identifier == identifier, Transfer.kind == "payment")
    if account_id is not None:
        query = query.where(Transfer.debit_account_id == account_id)
    payment = session.scalars(query).first() if is_identifier(identifier) else None
    if payment is None:
        raise UnknownTransfer(_("Não há transferência com este identificador neste banco."))
    return payment


def payment_status(transfer: Transfer) -> str:
    """`sent` until the service answers, then `confirmed` or `returned`.

    `settled` for an old payment of a static code: it has no notice.
    """
    if transfer.notice is None:
        return "settled"
    return transfer.notice.verdict or "sent"


def _check_agreed_amount(charge: Charge, order: PaymentOrder) -> None:
    if order.agreed_centavos not in (None, charge.amount_centavos):
        raise AmountChanged(
            _("A cobrança agora pede %(amount)s. Confira e confirme de novo. Nada foi pago.")
            % {"amount": brl(charge.amount_centavos)}
        )


def _open_amount(charge: Charge, order: PaymentOrder) -> int:
    """The amount that the payer typed, else the one that the charge proposes.

    Raises AmountChanged if the payer typed nothing and saw another proposal.
    """
    if order.typed_centavos is None:
        _check_agreed_amount(charge, order)
    amount = order.typed_centavos or charge.amount_centavos
    if amount == 0:
        raise InvalidInput(
            [FieldError("value", "is required: the charge proposes no amount")],
            detail=_("Diga quanto quer pagar: esta cobrança não tem valor."),
        )
    return amount


def _static_amount(offer: Offer, order: PaymentOrder) -> int:
    """The code's amount, else the amount that the payer typed."""
    if not offer.is_payable:
        raise CodeNotPayableHere(_("A chave deste código não é uma chave Pix. Nada foi pago."))
    if order.scenario in NEEDS_A_CHARGE:
        raise CodeNotPayableHere(
            _("Este cenário precisa de uma cobrança; este código não tem. Nada foi pago.")
        )
    if offer.amount_centavos is None and order.typed_centavos is None:
        raise InvalidInput(
            [FieldError("value", "is required: the code has no amount")],
            detail=_("Diga quanto quer pagar: este código não tem valor."),
        )
    amount = offer.amount_centavos or order.typed_centavos or 0
    if order.agreed_centavos is not None and order.agreed_centavos != amount:
        raise AmountChanged(_("O valor não é o que você conferiu. Confira de novo. Nada foi pago."))
    return amount
