"""What the service answers, as typed values.

Amounts are integers of centavos and `Decimal` reais, never floats. Times are aware datetimes. Each
object keeps the whole answer in `raw`, also the fields that this version does not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Generic, TypeVar

from balcao.errors import UnexpectedAnswer

Raw = Mapping[str, Any]
T = TypeVar("T")

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DIGITS_MAX = 40
"""Of a number in JSON: more would cost time for nothing."""


def parse_json(data: bytes) -> Any:
    """The JSON value, with Decimal for numbers that have a point. Raises ValueError."""
    try:
        return json.loads(
            data.decode(), parse_float=_decimal, parse_int=_int, parse_constant=_refuse
        )
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _decimal(text: str) -> Decimal:
    return Decimal(_short(text))


def _int(text: str) -> int:
    return int(_short(text))


def _short(text: str) -> str:
    if len(text) > _DIGITS_MAX:
        raise ValueError("a number has too many digits")
    return text


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def parse_time(text: object) -> datetime:
    """The instant of an RFC 3339 time. Raises ValueError."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a time of RFC 3339")
    seconds, fraction, offset = match.groups()
    # Python 3.10 reads neither `Z` nor fractions of other than 3 or 6 digits.
    micros = (fraction or ".0")[1:7].ljust(6, "0")
    zone = "+00:00" if offset == "Z" else offset
    return datetime.fromisoformat(f"{seconds}.{micros}{zone}").astimezone(timezone.utc)


class _Reader:
    """Reads the fields of one answer. Raises UnexpectedAnswer for a field of a wrong type."""

    def __init__(self, raw: object, what: str) -> None:
        if not isinstance(raw, dict):
            raise UnexpectedAnswer(f"The service answered without a {what}.")
        self.raw: dict[str, Any] = raw
        self._what = what

    def one(self, name: str, kind: type[T]) -> T:
        value = self.raw.get(name)
        if type(value) is not kind:
            raise UnexpectedAnswer(f"The {self._what} in the answer has no valid {name}.")
        return value

    def maybe(self, name: str, kind: type[T]) -> T | None:
        return None if self.raw.get(name) is None else self.one(name, kind)

    def absent(self, name: str) -> bool:
        return self.raw.get(name) is None

    def money(self, name: str) -> Decimal:
        value = self.raw.get(name)
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            with suppress(ArithmeticError):  # too large to have centavos
                return Decimal(value).quantize(Decimal("0.01"))
        raise UnexpectedAnswer(f"The {self._what} in the answer has no valid {name}.")

    def time(self, name: str) -> datetime:
        try:
            return parse_time(self.raw.get(name))
        except ValueError:
            raise UnexpectedAnswer(f"The {self._what} in the answer has no valid {name}.") from None

    def maybe_time(self, name: str) -> datetime | None:
        return None if self.raw.get(name) is None else self.time(name)


@dataclass(frozen=True)
class Provider:
    """The bank behind a payment."""

    name: str
    """`simulated`, or the profile of a real bank, such as `efi`."""
    account: str | None
    """The id of the merchant's account at the bank; None at the simulated bank."""
    txid: str
    """The id of the charge at the bank."""
    status: str
    """How the charge stands: `opening`, `open`, `refused`, `closing`, `closed` or `paid`."""

    @classmethod
    def from_raw(cls, raw: object) -> Provider:
        """Raises UnexpectedAnswer."""
        read = _Reader(raw, "provider")
        return cls(
            name=read.one("name", str),
            account=read.maybe("account", str),
            txid=read.one("txid", str),
            status=read.one("status", str),
        )


@dataclass(frozen=True)
class Payment:
    """A request for one amount, in the merchant's view."""

    id: str
    status: str
    """`pending`, `confirmed`, `expired` or `cancelled`."""
    paid: bool
    value: Decimal
    amount_centavos: int
    refunded_value: Decimal
    pix_code: str
    """The text that the payer's bank reads, also as a QR code at `qr_code_url`."""
    qr_code_url: str
    payment_url: str
    description: str | None
    order_id: str | None
    metadata: Mapping[str, str]
    created_at: datetime
    expiration_date: datetime
    confirmed_at: datetime | None
    end_to_end_id: str | None
    sequence: int
    """Grows with every change: ignore a state with a lower number than one you know."""
    livemode: bool
    """Whether the money is real."""
    provider: Provider | None
    """The bank; None from a service that does not say it."""
    raw: Raw = field(repr=False)

    @classmethod
    def from_raw(cls, raw: object) -> Payment:
        """Raises UnexpectedAnswer."""
        read = _Reader(raw, "payment")
        return cls(
            id=read.one("id", str),
            status=read.one("status", str),
            paid=read.one("paid", bool),
            value=read.money("value"),
            amount_centavos=read.one("amount_centavos", int),
            refunded_value=read.money("refunded_value"),
            pix_code=read.one("pix_code", str),
            qr_code_url=read.one("qr_code_url", str),
            payment_url=read.one("payment_url", str),
            description=read.maybe("description", str),
            order_id=read.maybe("order_id", str),
            metadata=read.maybe("metadata", dict) or {},
            created_at=read.time("created_at"),
            expiration_date=read.time("expiration_date"),
            confirmed_at=read.maybe_time("confirmed_at"),
            end_to_end_id=read.maybe("end_to_end_id", str),
            sequence=read.one("sequence", int),
            livemode=read.maybe("livemode", bool) or False,
            provider=None if read.absent("provider") else Provider.from_raw(read.raw["provider"]),
            raw=read.raw,
        )


@dataclass(frozen=True)
class Refund:
    """Money that goes back to a payer."""

    id: str
    payment_id: str
    return_id: str | None
    """The bank's id of the transfer, once the money has moved."""
    value: Decimal
    amount_centavos: int
    status: str
    """`processing`, `done` or `failed`; `reason` says why it failed."""
    reason: str | None
    by_bank: bool
    """Whether the bank gave the money back by itself, for example by MED."""
    nature: str | None
    """Why the bank did, in its word, such as `MED_FRAUDE`."""
    description: str | None
    requested_at: datetime
    settled_at: datetime | None
    raw: Raw = field(repr=False)

    @classmethod
    def from_raw(cls, raw: object) -> Refund:
        """Raises UnexpectedAnswer."""
        read = _Reader(raw, "refund")
        return cls(
            id=read.one("id", str),
            payment_id=read.one("payment_id", str),
            return_id=read.maybe("return_id", str),
            value=read.money("value"),
            amount_centavos=read.one("amount_centavos", int),
            status=read.one("status", str),
            reason=read.maybe("reason", str),
            by_bank=read.maybe("by_bank", bool) or False,
            nature=read.maybe("nature", str),
            description=read.maybe("description", str),
            requested_at=read.time("requested_at"),
            settled_at=read.maybe_time("settled_at"),
            raw=read.raw,
        )


@dataclass(frozen=True)
class Receipt:
    """Money that a bank reported, as in the `data` of `receipt.received` and `receipt.refused`."""

    end_to_end_id: str
    payment_id: str | None
    """None for money without a payment."""
    value: Decimal
    amount_centavos: int
    pix_key: str | None
    reference: str | None
    """What the payer's code or bank named: the txid of a static code or of a charge."""
    paid_at: datetime
    verdict: str
    """`accepted`; or `refused`, and the payer has the money back."""
    reason: str | None
    """Why it was refused."""
    misfit: str | None
    """Why accepted money at a real bank fits no payment, such as `amount-mismatch`; else None."""
    raw: Raw = field(repr=False)

    @classmethod
    def from_raw(cls, raw: object) -> Receipt:
        """Raises UnexpectedAnswer."""
        read = _Reader(raw, "receipt")
        return cls(
            end_to_end_id=read.one("end_to_end_id", str),
            payment_id=read.maybe("payment_id", str),
            value=read.money("value"),
            amount_centavos=read.one("amount_centavos", int),
            pix_key=read.maybe("pix_key", str),
            reference=read.maybe("reference", str),
            paid_at=read.time("paid_at"),
            verdict=read.one("verdict", str),
            reason=read.maybe("reason", str),
            misfit=read.maybe("misfit", str),
            raw=read.raw,
        )


@dataclass(frozen=True)
class Event:
    """Something that happened. `id` is the same over retries, so remember it to act only once."""

    id: str
    type: str
    timestamp: datetime
    livemode: bool
    data: Raw
    """The payment, receipt or refund as it stood; `Receipt.from_raw` reads that of a receipt."""
    raw: Raw = field(repr=False)
    body: bytes = field(repr=False, default=b"")
    """The bytes as they were received; empty for an event from a list."""

    @classmethod
    def from_raw(cls, raw: object, body: bytes = b"") -> Event:
        """Raises UnexpectedAnswer."""
        read = _Reader(raw, "event")
        return cls(
            id=read.one("id", str),
            type=read.one("type", str),
            timestamp=read.time("timestamp"),
            livemode=read.maybe("livemode", bool) or False,
            data=read.maybe("data", dict) or {},
            raw=read.raw,
            body=body,
        )


@dataclass(frozen=True)
class Webhook:
    """An address that receives events."""

    id: str
    url: str
    events: tuple[str, ...]
    """The event types it receives; `("*",)` means all."""
    enabled: bool
    description: str | None
    secret: str | None = field(repr=False)
    """Only after `create` and `rotate`; the service never shows it again."""
    raw: Raw = field(repr=False)

    @classmethod
    def from_raw(cls, raw: object) -> Webhook:
        """Raises UnexpectedAnswer."""
        read = _Reader(raw, "webhook")
        return cls(
            id=read.one("id", str),
            url=read.one("url", str),
            events=tuple(map(str, read.maybe("events", list) or ())),
            enabled=read.one("enabled", bool),
            description=read.maybe("description", str),
            secret=read.maybe("secret", str),
            raw=read.raw,
        )


@dataclass(frozen=True)
class Delivery:
    """One delivery of an event to a webhook; `raw` has its requests and responses."""

    id: str
    raw: Raw = field(repr=False)

    @classmethod
    def from_raw(cls, raw: object) -> Delivery:
        """Raises UnexpectedAnswer."""
        read = _Reader(raw, "delivery")
        return cls(id=read.one("id", str), raw=read.raw)


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list; pass `next` as `after` for the following page, until it is None."""

    data: tuple[T, ...]
    next: str | None

    @classmethod
    def from_raw(cls, raw: object, build: Callable[[object], T]) -> Page[T]:
        """Raises UnexpectedAnswer."""
        read = _Reader(raw, "page")
        items = read.one("data", list)
        return cls(tuple(build(item) for item in items), read.maybe("next", str))
