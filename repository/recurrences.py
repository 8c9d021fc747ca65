"""Queries on recurrences, their history, and their locations."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from core.pix.recurrence_rules import OFFER_DAYS_AFTER_FIRST
from db_models import (
    Account,
    Recurrence,
    RecurrenceChange,
    RecurrenceLocation,
    RecurrenceStatus,
)
from repository.locations import number_of, tokens_of
from repository.single_rows import change_row, insert_row

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class RecurrenceFilters:
    """Which recurrences of a merchant to list; both ends of the span are inclusive."""

    span: Span
    document: str | None = None
    status: str | None = None
    agreement_name: str | None = None
    has_location: bool | None = None


@dataclass(frozen=True)
class RecurrenceRecord:
    """A recurrence with its history, oldest first, and the location that shows it."""

    recurrence: Recurrence
    changes: Sequence[RecurrenceChange]
    location: RecurrenceLocation | None


@dataclass(frozen=True)
class RecurrenceLocationFilters:
    """Which locations of a merchant to list; both ends of the span are inclusive."""

    span: Span
    shows_recurrence: bool | None = None
    agreement_name: str | None = None


@dataclass(frozen=True)
class BoundLocation:
    """A location and the recurrence that it shows, if it shows one."""

    location: RecurrenceLocation
    recurrence: Recurrence | None

    @property
    def number(self) -> int:
        """Its id on the wire."""
        return number_of(self.location.token)


class Recurrences:
    """Queries on recurrences."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def insert(self, values: Mapping[str, Any]) -> Recurrence:
        """Store a new recurrence. Raises LostRace if its location was taken meanwhile."""
        row_id = insert_row(self._session, insert(Recurrence).values(**values))
        return Recurrence(**{**_NO_VALUES, **values, "id": row_id})

    def insert_change(self, values: Mapping[str, Any]) -> RecurrenceChange:
        """Store a row of the history."""
        row_id = insert_row(self._session, insert(RecurrenceChange).values(**values))
        return RecurrenceChange(**{**values, "id": row_id})

    def find(self, merchant_id: int, id_rec: str) -> RecurrenceRecord | None:
        """The merchant's recurrence with this id, or None; one statement."""
        rules = (Recurrence.merchant_id == merchant_id, Recurrence.id_rec == id_rec)
        rows = self._session.execute(_RECORDS.where(*rules).order_by(RecurrenceChange.id)).all()
        records = _records_of(rows)
        return records[0] if records else None

    def by_id_rec(self, id_rec: str) -> RecurrenceRecord | None:
        """The recurrence of any merchant with this id, or None; one statement."""
        query = _RECORDS.where(Recurrence.id_rec == id_rec).order_by(RecurrenceChange.id)
        records = _records_of(self._session.execute(query).all())
        return records[0] if records else None

    def ids_of_old_offers(self, today: date, limit: int) -> Sequence[str]:
        """Ids of recurrences that nobody has accepted, and nobody can any more, oldest first.

        `core.pix.recurrence_rules.last_day_to_accept` is the same rule.
        """
        first_day = Recurrence.first_day
        query = select(Recurrence.id_rec).where(
            Recurrence.status == RecurrenceStatus.CREATED,
            first_day < today,
            or_(
                first_day < today - timedelta(days=OFFER_DAYS_AFTER_FIRST),
                Recurrence.last_day < today,
            ),
        )
        return self._session.scalars(query.order_by(first_day, Recurrence.id).limit(limit)).all()

    def by_token(self, token: str) -> tuple[RecurrenceRecord, Account] | None:
        """The recurrence that the location with this token shows, with its merchant, or None."""
        query = (
            _RECORDS.add_columns(Account)
            .join(Account, Account.id == Recurrence.merchant_id)
            .where(RecurrenceLocation.token == token)
            .order_by(RecurrenceChange.id)
        )
        rows = self._session.execute(query).all()
        return (_records_of(rows)[0], rows[0][3]) if rows else None

    def change(
        self, recurrence: Recurrence, statuses: Collection[str], values: Mapping[str, Any]
    ) -> bool:
        """Change a row that is as it was read, in one of these statuses; False if it is not.

        Each change makes `sequence` greater, so it tells whether the row is as it was read.
        """
        values = {**values, "sequence": recurrence.sequence + 1}
        statement = update(Recurrence).where(
            Recurrence.id == recurrence.id,
            Recurrence.status.in_(statuses),
            Recurrence.sequence == recurrence.sequence,
        )
        return change_row(self._session, recurrence, statement, values)

    def is_as_read(self, recurrence: Recurrence) -> bool:
        """Whether nobody has changed the row since it was read; one statement."""
        query = select(Recurrence.sequence).where(Recurrence.id == recurrence.id)
        return self._session.scalar(query) == recurrence.sequence

    def page(
        self, merchant_id: int, filters: RecurrenceFilters, offset: int, limit: int
    ) -> tuple[int, list[RecurrenceRecord]]:
        """The number of all recurrences that meet the filters, and a page of them, oldest first.

        One statement, also for a page past the end.
        """
        where = _recurrences_where(merchant_id, filters)
        total = select(func.count().label("total")).select_from(Recurrence).where(*where).subquery()
        page = (
            select(Recurrence.id.label("row"))
            .where(*where)
            .order_by(Recurrence.created_at, Recurrence.id)
            .offset(offset)
            .limit(limit)
            .subquery()
        )
        query = (
            select(Recurrence, RecurrenceChange, RecurrenceLocation, total.c.total)
            .select_from(total)
            .outerjoin(page, literal(1) == 1)
            .outerjoin(Recurrence, Recurrence.id == page.c.row)
            .outerjoin(RecurrenceChange, RecurrenceChange.recurrence_id == Recurrence.id)
            .outerjoin(RecurrenceLocation, RecurrenceLocation.id == Recurrence.location_id)
            .order_by(Recurrence.created_at, Recurrence.id, RecurrenceChange.id)
        )
        rows = self._session.execute(query).all()
        return int(rows[0][3]), _records_of(row for row in rows if row[0] is not None)


class RecurrenceLocations:
    """Queries on locations of recurrences."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def insert(self, merchant_id: int, token: str, now: datetime) -> BoundLocation:
        """Store a location that shows no recurrence."""
        values = {"merchant_id": merchant_id, "token": token, "created_at": now}
        row_id = insert_row(self._session, insert(RecurrenceLocation).values(**values))
        return BoundLocation(RecurrenceLocation(**values, id=row_id), None)

    def find(self, merchant_id: int, number: int) -> BoundLocation | None:
        """The merchant's location with this number, or None."""
        tokens = tokens_of(number)
        if tokens is None:
            return None
        query = _LOCATIONS.where(
            RecurrenceLocation.merchant_id == merchant_id, RecurrenceLocation.token.between(*tokens)
        )
        row = self._session.execute(query).first()
        return None if row is None else BoundLocation(row[0], row[1])

    def page(
        self, merchant_id: int, filters: RecurrenceLocationFilters, offset: int, limit: int
    ) -> tuple[int, list[BoundLocation]]:
        """The number of all locations that meet the filters, and a page of them, oldest first.

        One statement, also for a page past the end.
        """
        every = (
            select(RecurrenceLocation.id.label("row"), RecurrenceLocation.created_at.label("at"))
            .outerjoin(Recurrence, Recurrence.location_id == RecurrenceLocation.id)
            .where(*_locations_where(merchant_id, filters))
            .cte()
        )
        total = select(func.count().label("total")).select_from(every).subquery()
        order = (every.c.at, every.c.row)
        page = select(every).order_by(*order).offset(offset).limit(limit).subquery()
        query = (
            select(RecurrenceLocation, Recurrence, total.c.total)
            .select_from(total)
            .outerjoin(page, literal(1) == 1)
            .outerjoin(RecurrenceLocation, RecurrenceLocation.id == page.c.row)
            .outerjoin(Recurrence, Recurrence.location_id == RecurrenceLocation.id)
            .order_by(page.c.at, page.c.row)
        )
        rows = self._session.execute(query).all()
        return int(rows[0][2]), [BoundLocation(row[0], row[1]) for row in rows if row[0]]


_NO_VALUES = {column.key: None for column in Recurrence.__table__.columns}
_RECORDS = (
    select(Recurrence, RecurrenceChange, RecurrenceLocation)
    .join(RecurrenceChange, RecurrenceChange.recurrence_id == Recurrence.id)
    .outerjoin(RecurrenceLocation, RecurrenceLocation.id == Recurrence.location_id)
)
_LOCATIONS = select(RecurrenceLocation, Recurrence).outerjoin(
    Recurrence, Recurrence.location_id == RecurrenceLocation.id
)


def _records_of(rows: Any) -> list[RecurrenceRecord]:
    """The records of rows that begin with recurrence, change and location."""
    entries: dict[int, tuple[Recurrence, list[RecurrenceChange], RecurrenceLocation | None]] = {}
    for recurrence, change, location, *_ in rows:
        entry = entries.setdefault(recurrence.id, (recurrence, [], location))
        entry[1].append(change)
    return [RecurrenceRecord(*entry) for entry in entries.values()]


def _recurrences_where(merchant_id: int, filters: RecurrenceFilters) -> list[ColumnElement[bool]]:
    rules: list[ColumnElement[bool]] = [
        Recurrence.merchant_id == merchant_id,
        Recurrence.created_at.between(*filters.span),
    ]
    if filters.document is not None:
        rules.append(Recurrence.debtor_document == filters.document)
    if filters.status is not None:
        rules.append(Recurrence.status == filters.status)
    if filters.agreement_name is not None:
        rules.append(Recurrence.agreement_name == filters.agreement_name)
    if filters.has_location is not None:
        has_none = Recurrence.location_id.is_(None)
        rules.append(~has_none if filters.has_location else has_none)
    return rules


def _locations_where(
    merchant_id: int, filters: RecurrenceLocationFilters
) -> list[ColumnElement[bool]]:
    rules: list[ColumnElement[bool]] = [
        RecurrenceLocation.merchant_id == merchant_id,
        RecurrenceLocation.created_at.between(*filters.span),
    ]
    if filters.shows_recurrence is not None:
        is_free = Recurrence.id.is_(None)
        rules.append(~is_free if filters.shows_recurrence else is_free)
    if filters.agreement_name is not None:
        rules.append(Recurrence.agreement_name == filters.agreement_name)
    return rules
