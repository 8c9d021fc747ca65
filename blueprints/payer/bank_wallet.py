"""The payer's requests to the simulated bank: wallets, and payments from wallets.

A PIN passes through this module and is never stored: not in a row, a log or an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blueprints.payer.demo import DEMO_CLIENT, is_demo_payer
from core.errors import (
    AlreadyPaid,
    BalcaoError,
    FieldError,
    InvalidRequest,
    PaymentCancelled,
    Refused,
)
from core.money import plain
from core.payer_errors import (
    BankUnavailable,
    CardRefused,
    InsufficientFunds,
    NoWallet,
    OverLimit,
    PayerRefused,
    PaymentExpired,
    PinLocked,
    PinRefused,
    WalletExists,
)
from db_models import Account, Payment
from payments.due_charges import amount_at
from payments.service import REASONS
from providers.accounts import signing_banks
from providers.port import BankAnswer, ProviderAway, SigningBank
from repository.database import now

_NOTHING_PAID = "Nothing was paid."
_REFUSALS: Mapping[str, tuple[type[BalcaoError], str]] = {
    "insufficient-funds": (InsufficientFunds, f"The balance is too low. {_NOTHING_PAID}"),
    "pin-refused": (
        PinRefused,
        f"The PIN is wrong; five wrong ones in a row lock the card. {_NOTHING_PAID}",
    ),
    "pin-locked": (PinLocked, f"Five wrong PINs in a row locked the card. {_NOTHING_PAID}"),
    "over-limit": (OverLimit, f"The amount is above what this card pays at once. {_NOTHING_PAID}"),
    "card-refused": (CardRefused, f"This is not this account's card. {_NOTHING_PAID}"),
    "wallet-not-found": (NoWallet, "Choose a PIN first: POST /api/wallet."),
    "wallet-exists": (WalletExists, "This account has a wallet, and its PIN has been used."),
    "charge-paid": (AlreadyPaid, f"The payment was paid before. {_NOTHING_PAID}"),
    "charge-removed": (PaymentCancelled, f"The payment was cancelled. {_NOTHING_PAID}"),
    "location-gone": (PaymentExpired, f"The payment can no longer be paid. {_NOTHING_PAID}"),
    "charge-expired": (PaymentExpired, f"The deadline has passed. {_NOTHING_PAID}"),
    "busy": (
        BankUnavailable,
        "The bank is busy. Trying again does not pay twice.",
    ),
    "too-many-requests": (BankUnavailable, "This card is in use. Trying again does not pay twice."),
}
"""The error for each code of the bank; any other code is a PayerRefused."""


@dataclass(frozen=True)
class Wallet:
    """A payer's wallet at the bank, without the full card number."""

    handle: str
    card_masked: str
    balance_centavos: int
    limit_centavos: int
    is_pin_proved: bool
    pins_left: int

    @property
    def is_locked(self) -> bool:
        """Whether too many wrong PINs were tried in a row."""
        return self.pins_left == 0


@dataclass(frozen=True)
class NewWallet:
    """A new wallet; card and PIN are shown once. `pin` is None if the payer chose the PIN."""

    wallet: Wallet
    card: str
    pin: str | None


@dataclass(frozen=True)
class WalletDebit:
    """Money that the bank took; `is_confirmed` once the service has answered the bank's notice."""

    end_to_end_id: str
    balance_centavos: int
    is_confirmed: bool
    is_repeated: bool


def wallet_of(account: Account) -> Wallet | None:
    """The account's wallet, or None. Raises BankUnavailable.

    The first call links the demo payer's wallet to a demo client of the bank.
    """
    answer = _send_order("wallet", f"/api/wallets/{account.public_id}")
    if answer.status == 200:
        return _wallet(answer.members)
    if _code(answer) != "wallet-not-found":
        raise _refusal(answer)
    return open_wallet(account, None).wallet if is_demo_payer(account) else None


def open_wallet(account: Account, pin: str | None) -> NewWallet:
    """Open a wallet with demo money; the bank makes a PIN if `pin` is None.

    It can be opened again until its PIN was right once. Raises WalletExists, InvalidRequest,
    and BankUnavailable.
    """
    body = {"holder": account.public_id, "login": account.login, "name": account.name}
    if pin is not None:
        body["pin"] = pin
    if is_demo_payer(account):
        body["demo"] = DEMO_CLIENT
    answer = _send_order("wallet", "/api/wallets", body)
    if answer.status not in (200, 201):
        raise _refusal(answer)
    card, new_pin = answer.members.get("card"), answer.members.get("pin")
    if not isinstance(card, str) or not (new_pin is None or isinstance(new_pin, str)):
        raise BankUnavailable
    return NewWallet(_wallet(answer.members), card, new_pin)


def pay(account: Account, payment: Payment, card: str | None, pin: str) -> WalletDebit:
    """Pay from the account's wallet; a repeated call does not pay twice.

    Raises a PayerRefused, NoWallet, a Refused or Conflict if the payment cannot be paid or its
    money goes back, and BankUnavailable if the result is unknown.
    """
    body = {
        "holder": account.public_id,
        "code": payment.br_code,
        "txid": payment.txid,
        "value": plain(amount_at(payment, now())),
        "pin": pin,
    }
    if card is not None:
        body["card"] = card
    try:
        answer = _the_bank().order("pay", "/api/wallets/payments", body)
    except ProviderAway:
        # The bank may have taken the money but answered too late: a retry returns the result.
        answer = _send_order("pay", "/api/wallets/payments", body)
    if _code(answer) == "wallet-not-found" and is_demo_payer(account):
        wallet_of(account)  # links the wallet
        answer = _send_order("pay", "/api/wallets/payments", body)
    if answer.status != 200:
        raise _refusal(answer)
    return _paid(answer)


def _the_bank() -> SigningBank:
    """The bank for everybody: there are wallets in development only."""
    return signing_banks()[0]


def _send_order(question: str, path: str, body: Mapping[str, Any] | None = None) -> BankAnswer:
    try:
        return _the_bank().order(question, path, body)
    except ProviderAway as error:
        raise BankUnavailable(
            "The bank does not answer at the moment. Trying again does not pay twice."
        ) from error


def _paid(answer: BankAnswer) -> WalletDebit:
    payment, balance = answer.members.get("payment"), answer.members.get("balance_centavos")
    if not isinstance(payment, dict) or not isinstance(balance, int):
        raise BankUnavailable
    end_to_end_id, status = payment.get("end_to_end_id"), payment.get("status")
    if not isinstance(end_to_end_id, str):
        raise BankUnavailable
    if status == "returned":
        reason = answer.members.get("answer")
        code = reason.get("code") if isinstance(reason, dict) else None
        raise REASONS.get(str(code), Refused)("The bank took the money and has given it back.")
    is_repeated = answer.is_replayed
    return WalletDebit(end_to_end_id, balance, status == "confirmed", is_repeated)


def _refusal(answer: BankAnswer) -> BalcaoError:
    """The bank's refusal as our error; the bank's own text may hold private details."""
    code = _code(answer)
    if code == "invalid-request":
        errors = answer.members.get("errors") or []
        fields = [error.get("field") for error in errors if isinstance(error, dict)]
        if "pin" in fields:
            return InvalidRequest([FieldError("pin", "must be 4 to 6 digits")])
        if "card" in fields:
            return InvalidRequest([FieldError("card", "must be a card's number")])
    kind, detail = _REFUSALS.get(code, (PayerRefused, f"The bank refused: {code}. {_NOTHING_PAID}"))
    return kind(detail)


def _code(answer: BankAnswer) -> str:
    return str(answer.members.get("code", "unknown"))[:64]


def _wallet(members: Mapping[str, Any]) -> Wallet:
    """Raises BankUnavailable if the answer holds no wallet."""
    wallet = members.get("wallet")
    if not isinstance(wallet, dict):
        raise BankUnavailable
    try:
        return Wallet(
            handle=str(wallet["handle"]),
            card_masked=str(wallet["card_masked"]),
            balance_centavos=int(wallet["balance_centavos"]),
            limit_centavos=int(wallet["limit_centavos"]),
            is_pin_proved=bool(wallet["is_pin_proved"]),
            pins_left=int(wallet["pins_left"]),
        )
    except (KeyError, TypeError, ValueError):
        raise BankUnavailable from None
