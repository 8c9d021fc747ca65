"""Queries on locations: those that show a payment, and those that wait for one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from typing import cast as typed_as

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CursorResult,
    and_,
    cast,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    union_all,
    update,
)

from db_models import Location, Payment, PaymentStatus
from repository.connections import Unit

_TOKEN_DIGITS = 32
_NUMBER_DIGITS = 13
"""A location's number is the first 13 hex digits of its token: 52 bits, exact in every client."""


NO_LOCATION = {"has_location": False, "location_token": None, "location_created_at": None}
"""The columns of a payment that no location shows."""


def number_of(token: str) -> int:
    """The `loc.id` of the location with this token."""
    return int(token[:_NUMBER_DIGITS], 16)


def tokens_of(number: int) -> tuple[str, str] | None:
    """The first and the last token with this number; None if no token can have it."""
    if not 0 <= number < 16**_NUMBER_DIGITS:
        return None
    digits = f"{number:0{_NUMBER_DIGITS}x}"
    rest = _TOKEN_DIGITS - _NUMBER_DIGITS
    return digits + "0" * rest, digits + "f" * rest


@dataclass(frozen=True)
class LocationFilters:
    """Which locations of a merchant to list; both ends of the span are inclusive."""

    start: datetime
    end: datetime
    charge_kind: str | None = None
    shows_charge: bool | None = None


@dataclass(frozen=True)
class ListedLocation:
    """A location of a merchant and the charge that it shows, if it shows one."""

    token: str
    charge_kind: str
    created_at: datetime
    row_id: int | None
    """The row in `locations`; None for a payment's own location."""
    payment_id: int | None
    pix_txid: str | None
    payment_status: str | None

    @property
    def number(self) -> int:
        """The `loc.id`."""
        return number_of(self.token)


class Locations:
    """Queries on locations."""

    def __init__(self, unit: Unit) -> None:
        """Use the connection of the unit of work."""
        self._unit = unit

    def insert(
        self, merchant_id: int, token: str, charge_kind: str, created_at: datetime
    ) -> ListedLocation:
        """Store a location that shows no charge."""
        row = {"token": token, "merchant_id": merchant_id, "charge_kind": charge_kind}
        result = self._unit.connection.execute(_INSERT, {**row, "created_at": created_at})
        key: Any = result.inserted_primary_key
        return ListedLocation(token, charge_kind, created_at, int(key[0]), None, None, None)

    def find(self, merchant_id: int, number: int) -> ListedLocation | None:
        """The merchant's location with this number, or None."""
        tokens = tokens_of(number)
        if tokens is None:
            return None
        query = union_all(
            _own_locations(merchant_id, Payment.watch_code.between(*tokens)),
            _stored_locations(merchant_id, Location.token.between(*tokens)),
        )
        row = self._unit.connection.execute(query).first()
        return None if row is None else ListedLocation(*row)

    def bind(self, location: ListedLocation, payment_id: int) -> bool:
        """Let a stored location show this payment; False if it shows another one by now."""
        change = update(Location).where(Location.id == location.row_id, _shows(location.payment_id))
        return self._changed_one(change.values(payment_id=payment_id))

    def unbind(self, token: str, payment_id: int) -> bool:
        """Let a stored location show no payment; False if it shows another one by now."""
        change = update(Location).where(Location.token == token, _shows(payment_id))
        return self._changed_one(change.values(payment_id=None))

    def release(self, payment_id: int, token: str) -> bool:
        """Take this location from its payment; False if the payment has another one, or none."""
        own = and_(Payment.watch_code == token, Payment.location_token.is_(None))
        change = update(Payment).where(
            Payment.id == payment_id,
            Payment.has_location,
            or_(Payment.location_token == token, own),
        )
        return self._changed_one(change.values(**NO_LOCATION))

    def page(
        self, merchant_id: int, filters: LocationFilters, offset: int, limit: int
    ) -> tuple[int, list[ListedLocation]]:
        """The number of all locations that meet the filters, and a page of them, oldest first.

        One statement, also for a page past the end.
        """
        halves: list[Any] = []
        if filters.shows_charge is not False:
            rules = [_is_within(Payment, filters), Payment.status.in_(list(PaymentStatus))]
            halves.append(_own_locations(merchant_id, *rules))
        rules = [_is_within(Location, filters)]
        if filters.shows_charge is not None:
            is_bound = Location.payment_id.is_not(None)
            rules.append(is_bound if filters.shows_charge else ~is_bound)
        halves.append(_stored_locations(merchant_id, *rules))
        every = union_all(*halves).cte()
        total = select(func.count().label("total")).select_from(every).subquery()
        order = (every.c.created_at, every.c.token)
        page = select(every).order_by(*order).offset(offset).limit(limit).subquery()
        query = select(total.c.total, page).select_from(total.outerjoin(page, literal(1) == 1))
        rows = self._unit.connection.execute(query.order_by(page.c.created_at, page.c.token)).all()
        return int(rows[0][0]), [ListedLocation(*row[1:]) for row in rows if row[1] is not None]

    def _changed_one(self, statement: Any) -> bool:
        result = self._unit.connection.execute(statement)
        return typed_as("CursorResult[Any]", result).rowcount == 1


_INSERT = insert(Location.__table__)


def _shows(payment_id: int | None) -> ColumnElement[bool]:
    if payment_id is None:
        return Location.payment_id.is_(None)
    return Location.payment_id == payment_id


def _is_within(table: type[Payment] | type[Location], filters: LocationFilters) -> Any:
    is_within = table.created_at.between(filters.start, filters.end)
    if filters.charge_kind is None:
        return is_within
    return and_(is_within, table.charge_kind == filters.charge_kind)


def _own_locations(merchant_id: int, *rules: Any) -> Any:
    """The locations by watch codes, which have no rows."""
    return select(
        Payment.watch_code.label("token"),
        Payment.charge_kind.label("charge_kind"),
        Payment.created_at.label("created_at"),
        cast(null(), BigInteger).label("row_id"),
        Payment.id.label("payment_id"),
        func.coalesce(Payment.charge_txid, Payment.txid).label("pix_txid"),
        Payment.status.label("payment_status"),
    ).where(
        Payment.merchant_id == merchant_id,
        Payment.location_token.is_(None),
        Payment.has_location,
        *rules,
    )


def _stored_locations(merchant_id: int, *rules: Any) -> Any:
    return (
        select(
            Location.token,
            Location.charge_kind,
            Location.created_at,
            Location.id,
            Location.payment_id,
            func.coalesce(Payment.charge_txid, Payment.txid),
            Payment.status,
        )
        .outerjoin(Payment, Payment.id == Location.payment_id)
        .where(Location.merchant_id == merchant_id, *rules)
    )
