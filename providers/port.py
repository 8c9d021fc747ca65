"""What the domain needs of a bank, in the domain's words.

`payments` knows this module alone. An implementation waits for the bank with bounded time-outs, so
none of these methods may be called inside a unit of work. All amounts are centavos, all instants
are aware UTC by the bank's clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

UNPROVED = "missing-unproved"
"""The code of an answer that something is missing which may not be the bank's own."""


class ProviderAway(Exception):
    """The bank gave no usable answer, so the outcome is unknown: ask again with the same ids.

    `code` is stable, for logs and metrics, such as `timeout`, `closed`, `status-503`, `unreadable`,
    `breaker-open`, `rate-limit`, `token`. `retry_after` is how long the bank, the breaker or the
    rate budget wants to be left alone; None if nothing says so. `was_sent` tells whether the
    request may have reached the bank.
    """

    http_status: int | None = None
    """The status of an answer that could not be used; None if there was none, or it is not told."""

    def __init__(
        self, code: str, *, retry_after: timedelta | None = None, was_sent: bool = True
    ) -> None:
        """Keep what is known; nothing here may hold a secret or a person's data."""
        super().__init__(code)
        self.code = code
        self.retry_after = retry_after
        self.was_sent = was_sent


class ProviderRefusal(Exception):
    """The bank decided against the request, and would do so again.

    `code` is stable: the last part of the bank's `type`, its `nome`, or `status-NNN`. `detail` is
    the bank's sentence, at most 200 characters, without secrets.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        """Keep the bank's reason."""
        super().__init__(code)
        self.code = code
        self.detail = detail[:200]


class AccountRefusal(ProviderRefusal):
    """The bank refuses the account itself: credentials, certificate, scopes or key.

    A person must act, so such a failure is shown with the account. The request may succeed later.
    """


class TxidCollision(ProviderRefusal):
    """The bank has a charge with this txid that asks another amount or names another key."""


class ChargeState(StrEnum):
    """What the bank says of a charge (API Pix 2.9.0, CobrancaStatus)."""

    ACTIVE = "active"
    """It can be paid until its deadline. Nothing changes this at the deadline."""
    PAID = "paid"
    REMOVED = "removed"


class ReturnState(StrEnum):
    """What the bank says of a return (API Pix 2.9.0, DevolucaoStatus)."""

    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class NewCharge:
    """A charge to open."""

    txid: str
    amount_centavos: int
    pix_key: str
    lifetime_seconds: int
    payee_name: str
    payee_city: str
    """Name and city are for a code that is built here because the bank gives none."""
    text: str | None = None
    """What the payer reads, at most 140 characters."""
    payer_name: str | None = None
    payer_document: str | None = None
    """Digits of a CPF or CNPJ, or an alphanumeric CNPJ."""


@dataclass(frozen=True)
class BankReturn:
    """Money that goes back to the payer, or has gone."""

    id: str
    """The id of the return within its Pix: ours, or one of the bank's making."""
    return_id: str | None
    """`rtrId`."""
    amount_centavos: int
    state: ReturnState
    reason: str | None = None
    """The bank's `motivo`, at most 140 characters."""
    nature: str | None = None
    """`natureza`, such as ORIGINAL or MED_FRAUDE, as the bank wrote it."""
    settled_at: datetime | None = None


@dataclass(frozen=True)
class BankMoney:
    """One Pix that has arrived at the bank."""

    end_to_end_id: str
    """Exact case; at most 128 characters, because banks do not all send 32."""
    txid: str | None
    """None for a static code or a manual transfer."""
    pix_key: str | None
    amount_centavos: int
    paid_at: datetime
    payer_name: str | None = None
    payer_document: str | None = None
    """Digits or an alphanumeric CNPJ; None if the bank masks it."""
    payer_message: str | None = None
    returns: tuple[BankReturn, ...] = ()
    reference: str | None = None
    """The txid in a static code, from a bank that tells it apart from a charge's: the simulated."""


@dataclass(frozen=True)
class HeldCharge:
    """A charge as the bank has it."""

    txid: str
    state: ChargeState
    amount_centavos: int
    pix_key: str | None
    """None if the bank's answer does not name it."""
    created_at: datetime | None
    """`criacao`, by the bank's clock."""
    lifetime_seconds: int | None
    location: str | None
    """Without scheme, as a BR Code carries it."""
    code: str | None
    """The BR Code, checked: CRC, location and amount. Only `open_charge` and `code_of` fill it."""
    money: tuple[BankMoney, ...] = ()


@dataclass(frozen=True)
class MoneyPage:
    """A page of the Pix of a window."""

    money: Sequence[BankMoney]
    next: str | None
    """The cursor of the next page; None on the last one."""


@dataclass(frozen=True)
class ChargePage:
    """A page of the charges that were created in a window."""

    charges: Sequence[HeldCharge]
    next: str | None


@dataclass(frozen=True)
class BankAnswer:
    """The HTTP status and the JSON object of a bank's answer to an order."""

    status: int
    members: Mapping[str, Any]
    is_replayed: bool = False
    """Whether the bank repeated its first answer to the same order."""


class ListsMoney(Protocol):
    """Whose money can be read as a list."""

    def money_page(self, start: datetime, end: datetime, after: str | None) -> MoneyPage:
        """A page of what came in from `start` to `end`, by our clock; `after` is a `next`.

        The window is at most a day long. The implementation shifts it by the bank's clock offset.
        Raises ProviderRefusal too, for a list or a cursor that the bank always refuses.
        """


class SigningBank(ListsMoney, Protocol):
    """A bank for many merchants, which signs what it tells and believes what this service signs.

    There is one for merchants and one for test halves, or one for everybody. Every method raises
    ProviderAway.
    """

    @property
    def is_test(self) -> bool:
        """Whether it is the bank of test halves."""

    @property
    def half(self) -> bool | None:
        """Whose payments it has: True for those of test halves; None for everybody's."""

    def money_of(self, txid: str) -> tuple[BankMoney, ...]:
        """The money that came in for one payment."""

    def give_back(
        self, end_to_end_id: str, refund_id: str, amount_centavos: int, return_id: str
    ) -> BankReturn:
        """Order a return, which is safe to repeat; `return_id` is the `rtrId` that it may use.

        Raises ProviderRefusal.
        """

    def order(self, question: str, path: str, body: Mapping[str, Any] | None = None) -> BankAnswer:
        """Send a signed order, or ask without a body; a refusal is an answer too.

        `path` is below the bank's root. `question` names the kind of order in the log; the body is
        never logged.
        """


class Provider(ListsMoney, Protocol):
    """A merchant's account at a bank.

    Every method raises ProviderAway and AccountRefusal.
    """

    def open_charge(self, charge: NewCharge) -> HeldCharge:
        """Create the charge, or find it: safe to repeat with the same values.

        The answer has a checked code. Raises ProviderRefusal and TxidCollision.
        """

    def find_charge(self, txid: str) -> HeldCharge | None:
        """What the bank holds for a charge, its money included; None if it has no such charge."""

    def close_charge(self, txid: str) -> HeldCharge | None:
        """Remove an active charge, so that nobody can pay it any more; returns it as it is then.

        The bank is asked first: a charge that is paid, has money or is removed already is returned
        unchanged, and None means that the bank itself says that it has none. Raises
        ProviderAway(UNPROVED) if something before the bank may have said so.
        """

    def returned_page(self, start: datetime, end: datetime, after: str | None) -> MoneyPage:
        """A page of those Pix of the window from which money went back, whenever it did.

        A bank without such a filter lists all Pix. Otherwise as `money_page`.
        """

    def returns_listed_for(self) -> timedelta:
        """How old a Pix may be that `returned_page` lists."""

    def charge_page(self, start: datetime, end: datetime, after: str | None) -> ChargePage:
        """A page of the charges that were created from `start` to `end`, by our clock.

        Raises ProviderRefusal too, as `money_page` does.
        """

    def give_back(self, end_to_end_id: str, return_id: str, amount_centavos: int) -> BankReturn:
        """Return money of a Pix; `return_id` is our id, 1 to 35 letters and digits.

        Safe to repeat with the same values. Raises ProviderRefusal.
        """

    def find_return(self, end_to_end_id: str, return_id: str) -> BankReturn | None:
        """How a return stands; None if the bank has none with this id."""

    def find_money(self, end_to_end_id: str) -> BankMoney | None:
        """One Pix with its returns; None if the bank has none with this id."""

    def register_callback(self, url: str) -> None:
        """Register the address of callbacks for the account's Pix key."""

    def registered_callback(self) -> str | None:
        """The address that the bank has for the account's Pix key; None for none."""

    def clock_offset(self) -> timedelta | None:
        """How far the bank's clock is ahead of ours; None before the first answer."""
