"""The error types of paying from a wallet at the simulated bank.

BalcaoError
├── Conflict
│   ├── PaymentExpired
│   ├── NoWallet
│   └── WalletExists
├── PayerRefused              the payer's bank refuses; nothing was debited
│   ├── InsufficientFunds
│   ├── PinRefused
│   ├── PinLocked
│   ├── OverLimit
│   └── CardRefused
└── BankUnavailable           the bank did not answer; the outcome is unknown
"""

from __future__ import annotations

from core.errors import BalcaoError, Conflict


class PaymentExpired(Conflict):
    """The payment's deadline has passed; nothing was paid."""

    code = "payment-expired"
    title = "The payment's deadline has passed"


class NoWallet(Conflict):
    """The payer has no wallet at the simulated bank yet."""

    code = "no-wallet"
    title = "This account has no wallet yet"


class WalletExists(Conflict):
    """The payer has an open wallet already."""

    code = "wallet-exists"
    title = "This account has a wallet already"


class PayerRefused(BalcaoError):
    """The payer's bank refuses the payment; nothing was debited."""

    code = "payer-refused"
    title = "The bank refused the payment"


class InsufficientFunds(PayerRefused):
    """The wallet holds less than the amount."""

    code = "insufficient-funds"
    title = "The balance does not cover the payment"


class PinRefused(PayerRefused):
    """The PIN is wrong."""

    code = "pin-refused"
    title = "The PIN is wrong"


class PinLocked(PayerRefused):
    """Too many wrong PINs in a row."""

    code = "pin-locked"
    title = "The PIN is locked"


class OverLimit(PayerRefused):
    """The amount is above the wallet's limit for one payment."""

    code = "over-limit"
    title = "The payment is above the wallet's limit"


class CardRefused(PayerRefused):
    """The card belongs to another account."""

    code = "card-refused"
    title = "The card belongs to another account"


class BankUnavailable(BalcaoError):
    """The bank did not answer: the outcome is unknown, and the request may be sent again."""

    code = "bank-unavailable"
    title = "The bank does not answer at the moment"
