"""Wallets of the service's payers: opened, shown and paid from on the service's signed word.

The service knows who is signed in there, and names that account by its `holder`; the PIN stays
between the payer and this bank, which alone keeps its hash.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bank.database import Database
from bank.errors import CardRefused, ChaosIsOff, WalletExists, WalletNotFound
from bank.identifiers import OPENING, new_identifier
from bank.models import BankPayer, Notice, Transfer
from bank.money import payers
from bank.money.demo import OPENING_ACCOUNT
from bank.money.ledger import balance_centavos, open_account
from bank.money.paying import PaymentOrder, PaymentResult, Teller
from bank.settings import BankSettings
from bank.text import clean
from bank.updates import rows_changed
from core.clock import Clock

OPENING_CENTAVOS = 100_000
LIMIT_CENTAVOS = 50_000
PIN_DIGITS = 6

_ISSUER = "999001"
"""Begins every card of this bank; no card network has it."""
_CARD_DIGITS = 16
_HANDLE_CHARACTERS = 24
_TRIES = 5


@dataclass(frozen=True)
class WalletOrder:
    """For whom a wallet is to be opened: `login` and `name` as the service has them.

    Without a `pin` the bank makes one. `demo` is the handle of a demo client who is to be this
    holder from now on, if it is nobody else's.
    """

    holder: str
    login: str
    name: str
    pin: str | None = None
    demo: str | None = None


@dataclass(frozen=True)
class OpenedWallet:
    """A wallet just opened; `pin` is told where the bank made it, here and never again."""

    payer: BankPayer
    balance_centavos: int
    pin: str | None
    is_new: bool


@dataclass(frozen=True)
class WalletPaymentOrder:
    """What a holder wants paid: a code, for an amount seen on a screen, by card and PIN."""

    holder: str
    code: str
    txid: str
    pin: str
    card: str | None
    agreed_centavos: int


class Wallets:
    """Opens wallets and pays from them; safe to share between threads."""

    def __init__(
        self, settings: BankSettings, database: Database, teller: Teller, clock: Clock
    ) -> None:
        """Nothing happens before it is asked."""
        self._settings = settings
        self._database = database
        self._teller = teller
        self._clock = clock

    def open(self, asked: WalletOrder) -> OpenedWallet:
        """A wallet with money to try things with, and its card.

        As long as its PIN was never right it is issued anew: the first answer may have been lost
        on its way. Raises WalletExists after that, InvalidInput for what is no PIN, and ChaosIsOff
        where this bank gives no money away.
        """
        if not self._settings.demo:
            raise ChaosIsOff("Este banco não abre contas de teste.")
        if asked.pin is not None:
            payers.validate_pin_format(asked.pin)
        linked = self._linked(asked.holder, asked.demo) if asked.demo else None
        if linked is not None and asked.pin is not None:
            raise WalletExists("A senha dos clientes de teste é a de sempre.")
        if linked is not None:
            return linked
        made = None if asked.pin else f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}d}"
        pin_hash = payers.hash_pin(asked.pin or made or "")
        for attempt in range(_TRIES):
            known = self._find(asked.holder)
            if known is not None:
                return self._issue_anew(known, pin_hash, made)
            try:
                payer = self._insert(asked, pin_hash, attempt)
            except IntegrityError:
                continue  # the holder, the handle or the card was taken meanwhile
            return OpenedWallet(payer, OPENING_CENTAVOS, made, is_new=True)
        raise WalletExists("A conta não pôde ser aberta agora. Tente de novo.")

    def named(self, holder: str) -> tuple[BankPayer, int]:
        """The holder's wallet and its balance in centavos. Raises WalletNotFound."""
        payer = self._find(holder)
        if payer is None:
            raise WalletNotFound("Este cliente ainda não tem conta neste banco.")
        with self._database.reading() as session:
            return payer, balance_centavos(session, payer.account_id)

    def pay(self, asked: WalletPaymentOrder) -> tuple[PaymentResult, int]:
        """Pay from the holder's wallet; gives the payment and the balance then.

        The same charge is paid once by the same wallet and PIN, however often it is asked, unless
        its money came back in between. Raises what `Teller.pay` raises, WalletNotFound, and
        CardRefused for a card that is not the holder's.
        """
        payer, _ = self.named(asked.holder)
        if asked.card is not None and payers.card_digits(asked.card) != payer.card_number:
            raise CardRefused("Este cartão não é o da sua conta. Nada foi pago.")
        order = PaymentOrder(
            code=asked.code,
            pin=asked.pin,
            payer_handle=payer.handle,
            agreed_centavos=asked.agreed_centavos,
            request_key=self._key(payer, asked),
        )
        paid = self._teller.pay(order)
        with self._database.reading() as session:
            return paid, balance_centavos(session, payer.account_id)

    def _key(self, payer: BankPayer, asked: WalletPaymentOrder) -> str:
        """One key for each charge and round: the PIN is in it, so a wrong one repeats nothing."""
        with self._database.reading() as session:
            returned = (
                select(func.count(Transfer.id))
                .join(Notice)
                .where(
                    Transfer.debit_account_id == payer.account_id,
                    Transfer.txid == asked.txid,
                    Notice.verdict == "returned",
                )
            )
            rounds = session.scalar(returned) or 0
        parts = json.dumps(["wallet", asked.holder, asked.pin, asked.txid, rounds])
        return hmac.digest(self._settings.secret_key.encode(), parts.encode(), "sha256").hex()

    def _find(self, holder: str) -> BankPayer | None:
        with self._database.reading() as session:
            return _held_by(session, holder)

    def _issue_anew(self, payer: BankPayer, pin_hash: str, made: str | None) -> OpenedWallet:
        unproved = update(BankPayer).where(
            BankPayer.id == payer.id, BankPayer.is_pin_proved.is_(False)
        )
        with self._database.writing() as session:
            fresh = unproved.values(pin_hash=pin_hash, failed_pins=0)
            if rows_changed(session, fresh) != 1:
                raise WalletExists("Esta conta já existe, e a senha dela já foi usada.")
            balance = balance_centavos(session, payer.account_id)
        return OpenedWallet(payer, balance, made, is_new=False)

    def _linked(self, holder: str, handle: str) -> OpenedWallet | None:
        """The demo client, made this holder's unless it is another's; its PIN stays as it is."""
        if self._find(holder) is None:
            free = update(BankPayer).where(BankPayer.handle == handle, BankPayer.holder.is_(None))
            try:
                with self._database.writing() as session:
                    session.execute(free.values(holder=holder))
            except IntegrityError:
                return None  # the holder got another wallet meanwhile
        payer = self._find(holder)
        if payer is None or payer.handle != handle:
            return None
        with self._database.reading() as session:
            return OpenedWallet(
                payer, balance_centavos(session, payer.account_id), None, is_new=False
            )

    def _insert(self, asked: WalletOrder, pin_hash: str, attempt: int) -> BankPayer:
        now = self._clock.now()
        source = open_account(self._database, OPENING_ACCOUNT, "opening", now)
        handle = _handle(asked.login, is_taken=attempt > 0)
        account = open_account(self._database, f"wallet:{asked.holder}", "payer", now)
        payer = BankPayer(
            handle=handle,
            name=clean(asked.name, 100) or handle,
            document=_new_cpf(),
            card_number=_new_card(),
            pin_hash=pin_hash,
            is_pin_proved=False,
            limit_centavos=LIMIT_CENTAVOS,
            account_id=account,
            holder=asked.holder,
        )
        opening = _opening(source, account, self._settings.ispb, now)
        with self._database.writing() as session:
            session.add_all([payer, opening])
        return payer


def masked_card(number: str) -> str:
    """A card as it may be shown: `•••• 0018`."""
    return f"•••• {number[-4:]}"


def _held_by(session: Session, holder: str) -> BankPayer | None:
    return session.scalars(select(BankPayer).where(BankPayer.holder == holder)).first()


def _opening(source: int, account: int, ispb: str, now: datetime) -> Transfer:
    return Transfer(
        identifier=new_identifier(OPENING, ispb, now),
        kind="opening",
        debit_account_id=source,
        credit_account_id=account,
        amount_centavos=OPENING_CENTAVOS,
        made_at=now,
    )


def _handle(login: str, *, is_taken: bool) -> str:
    """The login as a handle of this bank, with a tail where that one is taken."""
    plain = re.sub(r"[^a-z0-9]+", "-", login.lower()).strip("-")[:_HANDLE_CHARACTERS].strip("-")
    if plain and not is_taken:
        return plain
    return f"{plain or 'cliente'}-{secrets.token_hex(3)}"


def _new_card() -> str:
    """Sixteen digits with a check digit (ISO/IEC 7812-1, Luhn)."""
    rest = _CARD_DIGITS - len(_ISSUER) - 1
    digits = f"{_ISSUER}{secrets.randbelow(10**rest):0{rest}d}"
    return digits + _luhn(digits)


def _luhn(digits: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def _new_cpf() -> str:
    """Eleven digits in the form of a CPF, check digits right; it is nobody's we know of."""
    digits = f"{secrets.randbelow(10**9):09d}"
    for length in (10, 11):
        weighted = sum(int(d) * w for d, w in zip(digits, range(length, 1, -1), strict=True))
        digits += str((weighted * 10 % 11) % 10)
    return digits
