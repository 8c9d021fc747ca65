"""Reads for polls, pictures and pages: one statement without a unit of work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from sqlalchemy import bindparam, select

from core import ids
from db_models import Account, Payment
from db_models.payment import picture_query
from repository.database import read_row
from repository.ledgers import Ledger
from repository.payments import payment_of_row
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


class MerchantLook(NamedTuple):
    """What a payment page shows of the merchant."""

    name: str
    logo_url: str | None
    shop_url: str | None
    support_url: str | None
    support_contact: str | None
    pix_key: str | None
    institution: str | None
    brand_color: str | None


_TABLE = Payment.__table__
_ACCOUNTS = Account.__table__
_PAGE = QuickStatement(
    select(*(_ACCOUNTS.c[name] for name in MerchantLook._fields), *_TABLE.c)
    .join_from(_TABLE, _ACCOUNTS, _TABLE.c.merchant_id == _ACCOUNTS.c.id)
    .where(_TABLE.c.txid == bindparam("txid"))
)
_LOOK_WIDTH = len(MerchantLook._fields)
look_of: Callable[[Account], tuple[str | None, ...]] = attrgetter(*MerchantLook._fields)
"""The values of `MerchantLook` of an account, as a tuple."""
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


def find_with_look(ledger: Ledger, txid: str) -> tuple[Payment, MerchantLook] | None:
    """The payment without its merchant, and the merchant's look, or None.

    Raises DatabaseUnavailable.
    """
    row = read_row(ledger, _PAGE, {"txid": txid}) if ids.is_txid(txid) else None
    if row is None:
        return None
    return payment_of_row(row[_LOOK_WIDTH:]), MerchantLook(*row[:_LOOK_WIDTH])
