"""Book pages of a bank's list of Pix, and charges with all that their bank says of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import structlog

from core.errors import DatabaseUnavailable
from db_models import Refund
from payments.at_bank import booking, returns
from payments.at_bank.booking import BookingResult, Way
from payments.at_bank.returns import UnfitReturn
from providers.port import BankMoney, HeldCharge
from repository.database import Work, in_unit_of_work, reading
from repository.provider_money import BookedMoney

log = structlog.get_logger()

NEWS = (BookingResult.CONFIRMED, BookingResult.RECEIVED)


def book_page(account_id: int, page: Sequence[BankMoney], way: Way) -> int:
    """Book what on the page is news; returns how many Pix were.

    What is booked already costs no transaction: windows overlap, so that is most of a page. A Pix
    that cannot be booked keeps no other one back; it is asked about again. Must not be called
    inside a unit of work. Raises DatabaseUnavailable.
    """
    with reading() as work:
        booked = work.provider_money.booked([money.end_to_end_id for money in page])
        payment_ids = {
            stored.payment_id
            for money in page
            if money.returns
            and (stored := booked.get(money.end_to_end_id)) is not None
            and stored.payment_id is not None
        }
        refunds = work.provider_money.refunds_of(payment_ids)
        entry_ids = work.provider_accounts.entries_like(account_id)
    news = 0
    for money in page:
        stored = booked.get(money.end_to_end_id)
        try:
            if stored is None or not _is_same(stored, entry_ids, money):
                news += booking.book(account_id, money, way).result in NEWS
            if money.returns and not _are_returns_booked(stored, refunds, money):
                book_returns(account_id, money)
        except DatabaseUnavailable:
            raise
        except Exception:
            log.exception("provider.not_booked", account=account_id, id=money.end_to_end_id)
            _look_again(account_id, money)
    return news


def book_charge(account_id: int, bank_charge: HeldCharge, way: Way) -> int:
    """Book the money of a charge and its returns; returns how many Pix the bank listed."""
    booking.book_held(account_id, bank_charge, way)
    for money in bank_charge.money:
        book_returns(account_id, money)
    return len(bank_charge.money)


def book_returns(account_id: int, money: BankMoney) -> None:
    """Book the returns; what does not fit is stored, and looked at again in a minute."""
    unfit = returns.book_returns(account_id, money)
    if unfit is not None:
        _look_again(account_id, money, unfit)


def _look_again(account_id: int, money: BankMoney, unfit: UnfitReturn | None = None) -> None:
    """Ask about this Pix again in a minute."""

    def insert(work: Work) -> None:
        if work.provider_money.has_hint(account_id, money.end_to_end_id):
            return
        row: dict[str, Any] = {
            "account_id": account_id,
            "txid": None,
            "end_to_end_id": money.end_to_end_id,
        }
        if unfit is not None and unfit.misfit is not None:
            row |= {"misfit": unfit.misfit, "amount_centavos": unfit.amount_centavos}
        due_at = work.now + returns.AGAIN
        work.provider_money.insert_hints([{**row, "due_at": due_at, "attempts": 0}])

    in_unit_of_work(insert)


def _is_same(stored: BookedMoney, entry_ids: Collection[int], money: BankMoney) -> bool:
    claim = (money.txid or stored.txid, money.amount_centavos)
    return stored.account_id in entry_ids and claim == (stored.txid, stored.amount_centavos)


def _are_returns_booked(
    stored: BookedMoney | None, refunds: dict[int, list[Refund]], money: BankMoney
) -> bool:
    if stored is None or stored.payment_id is None:
        return False
    return returns.are_booked(refunds.get(stored.payment_id, []), money.returns)
