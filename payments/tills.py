"""Tills: a merchant's places with a static code of their own, such as a poster or a cash desk."""

from __future__ import annotations

from accounts import audit
from core import ids
from core.merchant_errors import PixKeyMissing
from core.pix import br_code
from core.receipt_errors import LastTill, TillNotFound, TooManyTills
from db_models import Account, AuditAction, Till
from repository.database import Work, in_unit_of_work, reading

NAME_CHARACTERS_MAX = 40
TILLS_MAX = 50
"""Per merchant, closed tills included, so that a page can show all of them."""

FIRST_NAME = "Caixa 1"
"""The name of the till that a merchant gets with the first static code."""


def shown_till(merchant: Account, txid: str | None = None) -> Till:
    """The merchant's open till with this txid; without a txid the first one.

    Opens the first till at its first use. Must not be called inside a unit of work. Raises
    TillNotFound.
    """
    with reading() as work:
        if txid is not None:
            return own_till(work, merchant, txid)
        till = work.tills.first_open(merchant.id)
    return till or in_unit_of_work(lambda work: _first_till(work, merchant))


def own_till(work: Work, merchant: Account, txid: str) -> Till:
    """The merchant's open till. Raises TillNotFound, also for a closed one."""
    till = work.tills.find(merchant.id, txid) if ids.is_till_txid(txid) else None
    if till is None or till.closed_at is not None:
        raise TillNotFound
    return till


def open_till(work: Work, merchant: Account, name: str) -> Till:
    """Insert a till. Raises TooManyTills, and LostRace if another one is inserted meanwhile."""
    number = len(work.tills.of_merchant(merchant.id)) + 1
    if number > TILLS_MAX:
        raise TooManyTills
    till = _insert(work, merchant, number, name)
    audit.record(work, merchant, AuditAction.TILL_OPENED, till.txid, {"name": name})
    return till


def closable_till(work: Work, merchant: Account, txid: str) -> Till:
    """The merchant's till, to close. Raises TillNotFound, and LastTill for the only open till."""
    till = own_till(work, merchant, txid)
    if len([one for one in work.tills.of_merchant(merchant.id) if one.closed_at is None]) == 1:
        raise LastTill
    return till


def close_till(work: Work, merchant: Account, txid: str) -> None:
    """Close a till: its code is no longer shown, and money for it is still received.

    Raises TillNotFound, and LastTill for the only open till.
    """
    till = closable_till(work, merchant, txid)
    if work.tills.close(till.id, work.now):
        audit.record(work, merchant, AuditAction.TILL_CLOSED, till.txid, {"name": till.name})


def static_code(merchant: Account, till: Till, amount_centavos: int | None) -> str:
    """The till's BR Code; without an amount the payer types it.

    Raises PixKeyMissing, and BrCodeError for what a BR Code cannot hold.
    """
    if merchant.pix_key is None:
        raise PixKeyMissing
    return br_code.encode_static(
        merchant.pix_key,
        merchant.name,
        merchant.city,
        amount_centavos=amount_centavos,
        txid=till.txid,
    )


def _first_till(work: Work, merchant: Account) -> Till:
    till = work.tills.first_open(merchant.id)
    if till is not None:
        return till
    return _insert(work, merchant, len(work.tills.of_merchant(merchant.id)) + 1, FIRST_NAME)


def _insert(work: Work, merchant: Account, number: int, name: str) -> Till:
    row = {
        "merchant_id": merchant.id,
        "number": number,
        "txid": ids.new_till_txid(),
        "name": name,
        "created_at": work.now,
    }
    work.tills.insert(row)
    return Till(**row)
