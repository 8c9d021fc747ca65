"""What can go wrong when somebody pays here, from a wallet at the bank.

BalcaoError
├── Conflict
│   ├── PaymentExpired
│   ├── NoWallet
│   └── WalletExists
├── PayerRefused              the payer's bank does not let this payer pay this
│   ├── InsufficientFunds
│   ├── PinRefused
│   ├── PinLocked
│   ├── OverLimit
│   └── CardRefused
└── BankUnavailable           the bank did not answer; what became of the request is not known
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
    """The payer's wallet is open and its PIN in use."""

    code = "wallet-exists"
    title = "This account has its wallet already"


class PayerRefused(BalcaoError):
    """The payer's bank does not let this payer pay this; nothing was debited."""

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
    """More than this wallet pays at once."""

    code = "over-limit"
    title = "The payment is above the wallet's limit"


class CardRefused(PayerRefused):
    """The card is not this account's."""

    code = "card-refused"
    title = "The card is not of this account"


class BankUnavailable(BalcaoError):
    """The bank did not answer: what became of the request is not known; it may be sent again."""

    code = "bank-unavailable"
    title = "The bank does not answer at the moment"
