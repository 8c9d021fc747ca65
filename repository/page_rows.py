"""Narrow reads for pages and pictures: only the columns that an answer needs, without a session."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from core import ids
from db_models import Payment
from db_models.payment import picture_query


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
_CODE = select(*(_TABLE.c[name] for name in PicturedCode._fields)).where(
    _TABLE.c.txid == bindparam("txid")
)


def find_code(connection: Connection, txid: str) -> PicturedCode | None:
    """The code of the payment as it is now, or None."""
    if not ids.is_txid(txid):
        return None
    row = connection.execute(_CODE, {"txid": txid}).one_or_none()
    return None if row is None else PicturedCode(*row)
