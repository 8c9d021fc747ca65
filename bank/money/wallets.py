"""Wallets of the service's payers. The service opens, shows and pays from them by signed requests.

`holder` is the service's id of the account that is signed in there. The service passes the PIN on
and stores neither it nor its hash.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from bank.database import Database
from bank.errors import CardRefused, ChaosIsOff, WalletExists, WalletNotFound
from bank.languages import translate as _
from bank.models import BankPayer, Notice, Transfer
from bank.money import payers
from bank.money.demo import OPENING_ACCOUNT
from bank.money.ledger import balance_centavos, open_account, opening_transfer
from bank.money.paying import PaymentOrder, PaymentResult, Teller
from bank.settings import BankSettings
from bank.text import clean
from bank.updates import rows_changed
from core.clock import Clock

OPENING_CENTAVOS = 100_000
LIMIT_CENTAVOS = 50_000
PIN_DIGITS = 6

_ISSUER = "999001"
"""The first digits of this bank's cards, which belong to no card network."""
_CARD_DIGITS = 16
_HANDLE_CHARACTERS = 24
_INSERT_ATTEMPTS_MAX = 5


@dataclass(frozen=True)
class WalletOrder:
    """A request to open a wallet; `login` and `name` are the service's.

    Without a `pin` the bank generates one. `demo` is the handle of a demo client to link to the
    holder, if no other holder has it.
    """

    holder: str
    login: str
    name: str
    pin: str | None = None
    demo: str | None = None


@dataclass(frozen=True)
class OpenedWallet:
    """An opened wallet; `pin` is set if the bank generated it, and cannot be read again."""

    payer: BankPayer
    balance_centavos: int
    pin: str | None
    is_new: bool


@dataclass(frozen=True)
class WalletPaymentOrder:
    """A request to pay a code from a wallet; the holder saw the amount `agreed_centavos`."""

    holder: str
    code: str
    txid: str
    pin: str
    card: str | None
    agreed_centavos: int


class Wallets:
    """Opens wallets and pays from them; thread-safe."""

    def __init__(
        self, settings: BankSettings, database: Database, teller: Teller, clock: Clock
    ) -> None:
        self._settings = settings
        self._database = database
        self._teller = teller
        self._clock = clock

    def open(self, order: WalletOrder) -> OpenedWallet:
        """Open a wallet with a card and play money.

        The caller may repeat the request, since the answer may be lost: until the PIN has been
        entered right once, the wallet gets a new PIN each time. Later requests raise WalletExists.
        Raises InvalidInput for a malformed PIN, and ChaosIsOff in production.
        """
        if not self._settings.demo:
            raise ChaosIsOff(_("Este banco não abre contas de teste."))
        if order.pin is not None:
            payers.validate_pin_format(order.pin)
        demo_wallet = self._link_demo_client(order.holder, order.demo) if order.demo else None
        if demo_wallet is not None and order.pin is not None:
            raise WalletExists(_("A senha dos clientes de teste é a de sempre."))
        if demo_wallet is not None:
            return demo_wallet
        new_pin = None if order.pin else f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}d}"
        pin_hash = payers.hash_pin(order.pin or new_pin or "")
        for attempt in range(_INSERT_ATTEMPTS_MAX):
            payer = self._find(order.holder)
            if payer is not None:
                return self._reissue(payer, pin_hash, new_pin)
            try:
                payer = self._insert(order, pin_hash, attempt)
            except IntegrityError:
                continue  # another request has inserted the holder, the handle or the card
            return OpenedWallet(payer, OPENING_CENTAVOS, new_pin, is_new=True)
        raise WalletExists(_("A conta não pôde ser aberta agora. Tente de novo."))

    def wallet_of(self, holder: str) -> tuple[BankPayer, int]:
        """The holder's wallet and its balance in centavos. Raises WalletNotFound."""
        payer = self._find(holder)
        if payer is None:
            raise WalletNotFound(_("Este cliente ainda não tem conta neste banco."))
        with self._database.reading() as session:
            return payer, balance_centavos(session, payer.account_id)

    def pay(self, wallet_order: WalletPaymentOrder) -> tuple[PaymentResult, int]:
        """Pay from the holder's wallet and return the payment and the new balance.

        Requests for the same charge by the same wallet and PIN pay once, unless the money came back
        in the meantime. Raises what `Teller.pay` raises, WalletNotFound, and CardRefused for a card
        that is not the holder's.
        """
        payer = self.wallet_of(wallet_order.holder)[0]
        card = wallet_order.card
        if card is not None and payers.card_digits(card) != payer.card_number:
            raise CardRefused(_("Este cartão não é o da sua conta. Nada foi pago."))
        order = PaymentOrder(
            code=wallet_order.code,
            pin=wallet_order.pin,
            payer_handle=payer.handle,
            agreed_centavos=wallet_order.agreed_centavos,
            request_key=self._request_key(payer, wallet_order),
        )
        result = self._teller.pay(order)
        with self._database.reading() as session:
            return result, balance_centavos(session, payer.account_id)

    def _request_key(self, payer: BankPayer, order: WalletPaymentOrder) -> str:
        """An idempotency key for the charge; a payment that was returned begins a new round.

        The PIN is part of it, so that a wrong PIN never returns an earlier payment.
        """
        with self._database.reading() as session:
            returned_payments = (
                select(func.count(Transfer.id))
                .join(Notice)
                .where(
                    Transfer.debit_account_id == payer.account_id,
                    Transfer.txid == order.txid,
                    Notice.verdict == "returned",
                )
            )
            rounds = session.scalar(returned_payments) or 0
        parts = json.dumps(["wallet", order.holder, order.pin, order.txid, rounds])
        return hmac.digest(self._settings.secret_key.encode(), parts.encode(), "sha256").hex()

    def _find(self, holder: str) -> BankPayer | None:
        with self._database.reading() as session:
            query = select(BankPayer).where(BankPayer.holder == holder)
            return session.scalars(query).first()

    def _reissue(self, payer: BankPayer, pin_hash: str, new_pin: str | None) -> OpenedWallet:
        unproved_payer = update(BankPayer).where(
            BankPayer.id == payer.id, BankPayer.is_pin_proved.is_(False)
        )
        with self._database.writing() as session:
            reset = unproved_payer.values(pin_hash=pin_hash, failed_pins=0)
            if rows_changed(session, reset) != 1:
                raise WalletExists(_("Esta conta já existe, e a senha dela já foi usada."))
            balance = balance_centavos(session, payer.account_id)
        return OpenedWallet(payer, balance, new_pin, is_new=False)

    def _link_demo_client(self, holder: str, handle: str) -> OpenedWallet | None:
        """Link the demo client to the holder and keep its PIN; None if it has another holder."""
        if self._find(holder) is None:
            unlinked_client = update(BankPayer).where(
                BankPayer.handle == handle, BankPayer.holder.is_(None)
            )
            try:
                with self._database.writing() as session:
                    session.execute(unlinked_client.values(holder=holder))
            except IntegrityError:
                return None  # another request has opened a wallet for the holder
        payer = self._find(holder)
        if payer is None or payer.handle != handle:
            return None
        with self._database.reading() as session:
            return OpenedWallet(
                payer, balance_centavos(session, payer.account_id), None, is_new=False
            )

    def _insert(self, order: WalletOrder, pin_hash: str, attempt: int) -> BankPayer:
        now = self._clock.now()
        source = open_account(self._database, OPENING_ACCOUNT, "opening", now)
        handle = _handle(order.login, is_taken=attempt > 0)
        account = open_account(self._database, f"wallet:{order.holder}", "payer", now)
        payer = BankPayer(
            handle=handle,
            name=clean(order.name, 100) or handle,
            document=_new_cpf(),
            card_number=_new_card(),
            pin_hash=pin_hash,
            is_pin_proved=False,
            limit_centavos=LIMIT_CENTAVOS,
            account_id=account,
            holder=order.holder,
        )
        ispb = self._settings.ispb
        funding = opening_transfer(source, account, OPENING_CENTAVOS, ispb, now)
        with self._database.writing() as session:
            session.add_all([payer, funding])
        return payer


def masked_card(number: str) -> str:
    """A card number with only its last digits: `•••• 0018`."""
    return f"•••• {number[-4:]}"


def _handle(login: str, *, is_taken: bool) -> str:
    """A handle made from the login, with a random suffix if the plain one is taken."""
    slug = re.sub(r"[^a-z0-9]+", "-", login.lower()).strip("-")[:_HANDLE_CHARACTERS].strip("-")
    if slug and not is_taken:
        return slug
    return f"{slug or 'cliente'}-{secrets.token_hex(3)}"


def _new_card() -> str:
    """Sixteen digits with a check digit (ISO/IEC 7812-1, Luhn)."""
    random_digits = _CARD_DIGITS - len(_ISSUER) - 1
    digits = f"{_ISSUER}{secrets.randbelow(10**random_digits):0{random_digits}d}"
    return digits + _luhn(digits)


def _luhn(digits: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def _new_cpf() -> str:
    """A random CPF, with valid check digits."""
    digits = f"{secrets.randbelow(10**9):09d}"
    for length in (10, 11):
        weighted_sum = sum(int(d) * w for d, w in zip(digits, range(length, 1, -1), strict=True))
        digits += str((weighted_sum * 10 % 11) % 10)
    return digits
