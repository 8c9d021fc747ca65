"""A provider in memory that lists money by pages: the port without any network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from core.clock import Clock
from providers.port import (
    BankMoney,
    BankReturn,
    ChargePage,
    ChargeState,
    HeldCharge,
    MoneyPage,
    NewCharge,
    ReturnState,
)


class ListingBank:
    """Holds charges and money; raises the next of `errors` instead of an answer."""

    def __init__(self, clock: Clock, page_size: int = 100) -> None:
        self.clock = clock
        self.page_size = page_size
        self.charges: dict[str, HeldCharge] = {}
        self.money: list[BankMoney] = []
        self.return_answers: list[BankReturn | Exception] = []
        """What `give_back` answers; then each return is done."""
        self.errors: list[Exception] = []
        self.calls: list[tuple[str, str]] = []
        """The operations, each with what it is about."""
        self.callback: str | None = None
        self.windows: list[tuple[datetime, datetime]] = []
        self.returned_windows: list[tuple[datetime, datetime]] = []

    def pay(self, txid: str, money: BankMoney) -> None:
        """Let money arrive for a charge."""
        self.money.append(money)
        charge = self.charges.get(txid)
        all_money = (*charge.money, money) if charge else (money,)
        base = charge or HeldCharge(
            txid, ChargeState.PAID, money.amount_centavos, None, money.paid_at, 1800, None, None
        )
        self.charges[txid] = replace(base, state=ChargeState.PAID, money=all_money)

    def give(self, end_to_end_id: str, *returns: BankReturn) -> None:
        """Let the bank show these returns of a Pix."""
        self.money = [
            replace(one, returns=returns) if one.end_to_end_id == end_to_end_id else one
            for one in self.money
        ]
        by_id = {one.end_to_end_id: one for one in self.money}
        for txid, charge in self.charges.items():
            own = tuple(by_id.get(one.end_to_end_id, one) for one in charge.money)
            self.charges[txid] = replace(charge, money=own)

    def _note(self, operation: str, about: str) -> None:
        self.calls.append((operation, about))
        if self.errors:
            raise self.errors.pop(0)

    def open_charge(self, charge: NewCharge) -> HeldCharge:
        raise AssertionError(f"nobody opens {charge.txid} in these tests")

    def find_charge(self, txid: str) -> HeldCharge | None:
        self._note("find_charge", txid)
        return self.charges.get(txid)

    def close_charge(self, txid: str) -> HeldCharge | None:
        self._note("close_charge", txid)
        return self.charges.get(txid)

    def money_page(self, start: datetime, end: datetime, after: str | None) -> MoneyPage:
        self._note("money_page", after or "0")
        assert end - start <= timedelta(days=1)
        self.windows.append((start, end))
        inside = [one for one in self.money if start <= one.paid_at <= end]
        first = int(after or 0) * self.page_size
        is_last = first + self.page_size >= len(inside)
        cursor = None if is_last else str(int(after or 0) + 1)
        return MoneyPage(inside[first : first + self.page_size], cursor)

    def returned_page(self, start: datetime, end: datetime, after: str | None) -> MoneyPage:
        self._note("returned_page", after or "0")
        assert end - start <= timedelta(days=1)
        self.returned_windows.append((start, end))
        inside = [one for one in self.money if one.returns and start <= one.paid_at <= end]
        first = int(after or 0) * self.page_size
        cursor = None if first + self.page_size >= len(inside) else str(int(after or 0) + 1)
        return MoneyPage(inside[first : first + self.page_size], cursor)

    def returns_listed_for(self) -> timedelta:
        return timedelta(days=90)

    def charge_page(self, start: datetime, end: datetime, after: str | None) -> ChargePage:
        self._note("charge_page", after or "0")
        charges: Sequence[HeldCharge] = [
            one
            for one in self.charges.values()
            if one.created_at and start <= one.created_at <= end
        ]
        return ChargePage(charges, None)

    def give_back(self, end_to_end_id: str, return_id: str, amount_centavos: int) -> BankReturn:
        self._note("give_back", return_id)
        if self.return_answers:
            answer = self.return_answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return replace(answer, id=return_id, amount_centavos=amount_centavos)
        return BankReturn(return_id, None, amount_centavos, ReturnState.DONE)

    def find_return(self, end_to_end_id: str, return_id: str) -> BankReturn | None:
        self._note("find_return", return_id)
        money = self._money(end_to_end_id)
        returns = money.returns if money else ()
        return next((one for one in returns if one.id == return_id), None)

    def find_money(self, end_to_end_id: str) -> BankMoney | None:
        self._note("find_money", end_to_end_id)
        return self._money(end_to_end_id)

    def register_callback(self, url: str) -> None:
        self._note("register_callback", url)
        self.callback = url

    def registered_callback(self) -> str | None:
        self._note("registered_callback", "")
        return self.callback

    def clock_offset(self) -> timedelta | None:
        return timedelta(0)

    def _money(self, end_to_end_id: str) -> BankMoney | None:
        return next((one for one in self.money if one.end_to_end_id == end_to_end_id), None)
