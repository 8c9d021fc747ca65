"""What the payer's door asks of the simulated bank: wallets, and payments from them.

A PIN goes through here and is kept nowhere: not in a row, not in a log, not in an error.
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
from payments import bank_client
from payments.bank_client import BankAnswer, BankUnanswering
from payments.service import REASONS

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
}
"""What the bank's codes are here; any other is a PayerRefused."""


@dataclass(frozen=True)
class Wallet:
    """A payer's wallet as the bank tells of it; never its whole card."""

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
    """A wallet just opened: card and PIN are told once. The PIN is None where it was chosen."""

    wallet: Wallet
    card: str
    pin: str | None


@dataclass(frozen=True)
class WalletDebit:
    """Money the bank took: whether the service answered its notice yet says `is_confirmed`."""

    end_to_end_id: str
    balance_centavos: int
    is_confirmed: bool
    is_repeated: bool


def wallet_of(account: Account) -> Wallet | None:
    """The account's wallet, or None where it has none. Raises BankUnavailable.

    The demo payer's is linked to a demo client of the bank's, the first time.
    """
    answer = _ordered("wallet", f"/api/wallets/{account.public_id}")
    if answer.status == 200:
        return _wallet(answer.members)
    if _code(answer) != "wallet-not-found":
        raise _refusal(answer)
    return open_wallet(account, None).wallet if is_demo_payer(account) else None


def open_wallet(account: Account, pin: str | None) -> NewWallet:
    """A wallet with demo money, its PIN the one chosen, or one the bank makes.

    Opened anew as long as its PIN was never right. Raises WalletExists, InvalidRequest, and
    BankUnavailable.
    """
    body = {"holder": account.public_id, "login": account.login, "name": account.name}
    if pin is not None:
        body["pin"] = pin
    if is_demo_payer(account):
        body["demo"] = DEMO_CLIENT
    answer = _ordered("wallet", "/api/wallets", body)
    if answer.status not in (200, 201):
        raise _refusal(answer)
    card, made = answer.members.get("card"), answer.members.get("pin")
    if not isinstance(card, str) or not (made is None or isinstance(made, str)):
        raise BankUnavailable
    return NewWallet(_wallet(answer.members), card, made)


def pay(account: Account, payment: Payment, card: str | None, pin: str) -> WalletDebit:
    """Pay from the account's wallet; the same payment is paid once, however often this is asked.

    Raises a PayerRefused, NoWallet, a Refused or Conflict where the payment cannot be paid or its
    money goes back, and BankUnavailable where nobody knows yet.
    """
    body = {
        "holder": account.public_id,
        "code": payment.br_code,
        "txid": payment.txid,
        "value": plain(payment.amount_centavos),
        "pin": pin,
    }
    if card is not None:
        body["card"] = card
    try:
        answer = bank_client.order("pay", "/api/wallets/payments", body)
    except BankUnanswering:
        # It may have taken the money and been too slow to say so: asked again, it knows.
        answer = _ordered("pay", "/api/wallets/payments", body)
    if _code(answer) == "wallet-not-found" and is_demo_payer(account):
        wallet_of(account)  # links it
        answer = _ordered("pay", "/api/wallets/payments", body)
    if answer.status != 200:
        raise _refusal(answer)
    return _paid(answer)


def _ordered(question: str, path: str, body: Mapping[str, Any] | None = None) -> BankAnswer:
    try:
        return bank_client.order(question, path, body)
    except BankUnanswering as error:
        raise BankUnavailable(
            "The bank does not answer at the moment. Asking again does not pay twice."
        ) from error


def _paid(answer: BankAnswer) -> WalletDebit:
    told, balance = answer.members.get("payment"), answer.members.get("balance_centavos")
    if not isinstance(told, dict) or not isinstance(balance, int):
        raise BankUnavailable
    end_to_end_id, status = told.get("end_to_end_id"), told.get("status")
    if not isinstance(end_to_end_id, str):
        raise BankUnavailable
    if status == "returned":
        reason = answer.members.get("answer")
        code = reason.get("code") if isinstance(reason, dict) else None
        raise REASONS.get(str(code), Refused)("The bank took the money and has given it back.")
    is_repeated = answer.is_replayed
    return WalletDebit(end_to_end_id, balance, status == "confirmed", is_repeated)


def _refusal(answer: BankAnswer) -> BalcaoError:
    """The bank's refusal in our words; its own may name what is nobody's business here."""
    code = _code(answer)
    if code == "invalid-request":
        told = answer.members.get("errors")
        fields = [one.get("field") for one in told if isinstance(one, dict)] if told else []
        if "pin" in fields:
            return InvalidRequest([FieldError("pin", "must be 4 to 6 digits")])
        if "card" in fields:
            return InvalidRequest([FieldError("card", "must be a card's number")])
    kind, detail = _REFUSALS.get(code, (PayerRefused, f"The bank refused: {code}. {_NOTHING_PAID}"))
    return kind(detail)


def _code(answer: BankAnswer) -> str:
    return str(answer.members.get("code", "unknown"))[:64]


def _wallet(members: Mapping[str, Any]) -> Wallet:
    """Raises BankUnavailable for an answer that tells of none."""
    told = members.get("wallet")
    if not isinstance(told, dict):
        raise BankUnavailable
    try:
        return Wallet(
            handle=str(told["handle"]),
            card_masked=str(told["card_masked"]),
            balance_centavos=int(told["balance_centavos"]),
            limit_centavos=int(told["limit_centavos"]),
            is_pin_proved=bool(told["is_pin_proved"]),
            pins_left=int(told["pins_left"]),
        )
    except (KeyError, TypeError, ValueError):
        raise BankUnavailable from None
