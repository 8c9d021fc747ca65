"""Narrow reads for polls and pictures: only the columns that an answer needs, one statement."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select

from core import ids
from db_models import Payment
from db_models.payment import picture_query
from repository.database import read_row
from repository.ledgers import Ledger
from repository.statements import QuickStatement


class PolledPayment(NamedTuple):
    """What an answer to a poll says of a payment."""

    txid: str
    status: str
    sequence: int
    expires_at: datetime
    refusal: str | None


class PicturedCode(NamedTuple):
    """What the picture of a payment's code follows from."""

    br_code: str
    has_location: bool
    location_token: str | None

    @property
    def picture_query(self) -> str:
        """The query of the picture's present URL."""
        return picture_query(self.location_token)


_TABLE = Payment.__table__
_CODE, _POLLED = (
    QuickStatement(
        select(*(_TABLE.c[name] for name in fields)).where(_TABLE.c.txid == bindparam("txid"))
    )
    for fields in (PicturedCode._fields, PolledPayment._fields)
)


def find_code(ledger: Ledger, txid: str) -> PicturedCode | None:
    """The code of the payment as it is now, or None. Raises DatabaseUnavailable."""
    row = read_row(ledger, _CODE, {"txid": txid}) if ids.is_txid(txid) else None
    return None if row is None else PicturedCode(*row)


def find_polled(ledger: Ledger, txid: str) -> PolledPayment | None:
    """What a poll reads of the payment, or None. Raises DatabaseUnavailable."""
    row = read_row(ledger, _POLLED, {"txid": txid}) if ids.is_txid(txid) else None
    return None if row is None else PolledPayment(*row)
