"""Compare an account at a bank with what is stored here, day by day and page by page.

The invariants, for the days of an audit:

- Each charge of ours at the bank belongs to one payment here, with the same amount and key, and
  each charge that is stored as open, paid or closed is at the bank.
- Each Pix at the bank is stored once: it settles the payment that it names, or is money without
  one.
- No payment is confirmed without a Pix of that amount for that txid.
- Each return is known to both sides with the same amount and outcome.

Nothing is changed. What both sides can still agree on by themselves, within GRACE, is no violation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from core.money import plain
from db_models import ProviderAccount, ProviderCharge, ProviderChargeStatus
from payments.at_bank.audit_returns import check_returns, check_returns_done
from payments.at_bank.findings import AuditRule, Findings
from payments.at_bank.limit_waits import patiently
from providers.port import BankMoney, HeldCharge, Provider
from repository.database import Work, reading
from repository.provider_audits import StoredMoney

DAY = timedelta(days=1)
"""Windows are at most a day long: banks limit their answers (`Provider.money_page`)."""
GRACE = timedelta(minutes=10)
"""How long callbacks, polling and the jobs may need to bring both sides together."""
ROWS_AT_ONCE = 200
PAGES_MAX = 5000
"""Pages of one day. A bank whose pages never end must not hold the audit for ever."""
LOOK_UPS_MAX = 200
"""Charges and Pix of one audit that are looked up one by one, because no list had them."""

Row = TypeVar("Row")

_OUR_TXID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_AT_BANK = (
    ProviderChargeStatus.OPEN,
    ProviderChargeStatus.PAID,
    ProviderChargeStatus.CLOSING,
    ProviderChargeStatus.CLOSED,
)


class EndlessPages(Exception):
    """The bank's list of one day has more than PAGES_MAX pages, or a cursor repeats."""


@dataclass
class Counts:
    """How much an audit has compared."""

    charges: int = 0
    money: int = 0
    returns: int = 0


@dataclass
class AccountAudit:
    """One audit of one account. `run` may be called once."""

    account: ProviderAccount
    provider: Provider
    end: datetime
    """Normally now. What is younger than GRACE is compared, but violates nothing yet."""
    findings: Findings = field(default_factory=Findings)
    counts: Counts = field(default_factory=Counts)
    on_unknown_money: Callable[[BankMoney], object] | None = None
    """Called outside of any transaction for each Pix at the bank that is not stored."""
    on_returns: Callable[[BankMoney], object] | None = None
    """Called for each stored Pix with returns."""
    on_unfinished_charge: Callable[[ProviderCharge], object] | None = None
    """Called for each charge that the bank has, and whose answer was never stored."""
    _look_ups: int = 0
    _entry_ids: frozenset[int] = frozenset()
    """The account's row id and those of its merchant's other entries for the same bank account."""
    _returns_compared: set[int] = field(default_factory=set)
    """Row ids of refunds."""

    def run(self, start: datetime) -> None:
        """Compare everything since `start`.

        Raises ProviderAway, ProviderRefusal and EndlessPages.
        """
        with reading() as work:
            self._entry_ids = work.provider_accounts.entries_like(self.account.id)
        while start < self.end:
            until = min(start + DAY, self.end)
            self._check_charges(start, until)
            self._check_money(start, until)
            self._check_returns(start, until)
            start = until

    def _check_charges(self, start: datetime, until: datetime) -> None:
        ids_at_bank: set[str] = set()
        for charges in _pages(lambda after: _charges_of(self.provider, start, until, after)):
            ids_at_bank.update(one.txid for one in charges)
            self.counts.charges += len(charges)
            with reading() as work:
                stored = work.provider_charges.by_txids(
                    self._entry_ids, [one.txid for one in charges]
                )
            for bank_charge in charges:
                self._compare_charge(bank_charge, stored.get(bank_charge.txid))
        for charge in _all_rows(
            lambda work, after: work.provider_audits.charges_created(
                self.account.id, start, until, after, ROWS_AT_ONCE
            )
        ):
            if charge.status in _AT_BANK and charge.txid not in ids_at_bank:
                self._look_for_charge(charge)

    def _compare_charge(self, bank_charge: HeldCharge, stored: ProviderCharge | None) -> None:
        if stored is None:
            is_ours = _OUR_TXID.fullmatch(bank_charge.txid) is not None
            rule = AuditRule.CHARGE_UNKNOWN if is_ours else AuditRule.CHARGE_OF_ANOTHER_SYSTEM
            self.findings.add(
                rule,
                bank_charge.txid,
                f"{plain(bank_charge.amount_centavos)} BRL, {bank_charge.state}",
            )
            return
        if bank_charge.amount_centavos != stored.amount_centavos:
            detail = (
                f"{plain(bank_charge.amount_centavos)} there, {plain(stored.amount_centavos)} here"
            )
            self.findings.add(AuditRule.CHARGE_DIFFERS, bank_charge.txid, detail)
        key = bank_charge.pix_key
        if key is not None and key.casefold() != stored.pix_key.casefold():
            self.findings.add(
                AuditRule.CHARGE_DIFFERS, bank_charge.txid, "the bank has another Pix key"
            )
        is_unfinished = stored.status == ProviderChargeStatus.OPENING
        if is_unfinished and stored.created_at < self.end - GRACE:
            self.findings.add(AuditRule.CHARGE_UNFINISHED, bank_charge.txid, "the bank has it")
        if is_unfinished and self.on_unfinished_charge is not None:
            self.on_unfinished_charge(stored)

    def _look_for_charge(self, charge: ProviderCharge) -> None:
        if charge.created_at >= self.end - GRACE:
            return
        if self._may_look_up():
            bank_charge = patiently(lambda: self.provider.find_charge(charge.txid))
            if bank_charge is not None:
                self._compare_charge(bank_charge, charge)
                return
        self.findings.add(AuditRule.CHARGE_MISSING, charge.txid, f"it is stored as {charge.status}")

    def _check_money(self, start: datetime, until: datetime) -> None:
        ids_at_bank: set[str] = set()
        for transfers in _pages(lambda after: _money_of(self.provider, start, until, after)):
            ids_at_bank.update(one.end_to_end_id for one in transfers)
            self.counts.money += len(transfers)
            self._compare_money(transfers)
        for stored in _all_rows(
            lambda work, after: work.provider_audits.money_paid(
                self.account.id, start, until, after, ROWS_AT_ONCE
            ),
            row_id=lambda one: one.receipt.id,
        ):
            if stored.receipt.end_to_end_id not in ids_at_bank:
                self._look_for_money(stored)
        with reading() as work:
            unpaid_txids = work.provider_audits.confirmed_without_money(
                self.account.id, start, until, ROWS_AT_ONCE
            )
        for txid in unpaid_txids:
            self.findings.add(AuditRule.CONFIRMED_WITHOUT_MONEY, txid, "it has no receipt")

    def _compare_money(self, transfers: list[BankMoney]) -> None:
        with reading() as work:
            stored = work.provider_audits.money_by_ids([one.end_to_end_id for one in transfers])
            payments = [one.payment.id for one in stored.values() if one.payment is not None]
            refunds = work.provider_audits.returns_of(payments)
        for money in transfers:
            one = stored.get(money.end_to_end_id)
            if one is None:
                self._report_unknown(money)
                continue
            self._compare_stored(money, one)
            if money.returns and self.on_returns is not None:
                self.on_returns(money)
            self.counts.returns += len(money.returns)
            # Money that goes back gets a payment of its own, so without one no return is booked.
            booked = [] if one.payment is None else refunds[one.payment.id]
            self._returns_compared |= check_returns(self.findings, money, booked, self.end - GRACE)

    def _report_unknown(self, money: BankMoney) -> None:
        if self.on_unknown_money is not None:
            self.on_unknown_money(money)
        offset = self.provider.clock_offset() or timedelta(0)
        if money.paid_at - offset < self.end - GRACE:
            about = money.txid or "no txid"
            detail = f"{plain(money.amount_centavos)} BRL, {about}"
            self.findings.add(AuditRule.MONEY_UNKNOWN, money.end_to_end_id, detail)

    def _compare_stored(self, money: BankMoney, stored: StoredMoney) -> None:
        receipt, payment, about = stored.receipt, stored.payment, money.end_to_end_id
        if receipt.provider_account_id not in self._entry_ids:
            self.findings.add(AuditRule.MONEY_DIFFERS, about, "it is stored for another account")
        if receipt.amount_centavos != money.amount_centavos:
            amounts = f"{plain(money.amount_centavos)} there, {plain(receipt.amount_centavos)} here"
            self.findings.add(AuditRule.MONEY_DIFFERS, about, amounts)
        # Money that a merchant has attached settles a payment that its payer did not name.
        is_attached = receipt.bank_payment_id is None or receipt.misfit is not None
        if payment is None or is_attached:
            return
        if money.txid is not None and money.txid != payment.txid:
            detail = f"the Pix names {money.txid[:35]}"
            self.findings.add(AuditRule.CONFIRMED_WITHOUT_MONEY, payment.txid, detail)

    def _look_for_money(self, stored: StoredMoney) -> None:
        end_to_end_id = stored.receipt.end_to_end_id
        if self._may_look_up():
            money = patiently(lambda: self.provider.find_money(end_to_end_id))
            if money is not None:
                self._compare_money([money])
                return
        if stored.payment is not None:
            detail = f"the bank does not know {end_to_end_id}"
            self.findings.add(AuditRule.CONFIRMED_WITHOUT_MONEY, stored.payment.txid, detail)
        else:
            self.findings.add(AuditRule.MONEY_MISSING, end_to_end_id, "the bank does not know it")

    def _check_returns(self, start: datetime, until: datetime) -> None:
        for stored in _all_rows(
            lambda work, after: work.provider_audits.returns_done(
                self.account.id, start, until, after, ROWS_AT_ONCE
            ),
            row_id=lambda one: one.refund.id,
        ):
            is_new = stored.refund.id not in self._returns_compared
            if is_new and self._may_look_up():
                self.counts.returns += 1
                check_returns_done(self.findings, self.provider, stored)

    def _may_look_up(self) -> bool:
        """Count a single look-up; False when the audit has had its share of the bank's budget."""
        self._look_ups += 1
        if self._look_ups == LOOK_UPS_MAX + 1:
            self.findings.add(AuditRule.NOT_ALL_COMPARED, "", f"more than {LOOK_UPS_MAX} look-ups")
        return self._look_ups <= LOOK_UPS_MAX


def _charges_of(
    provider: Provider, start: datetime, end: datetime, after: str | None
) -> tuple[list[HeldCharge], str | None]:
    page = patiently(lambda: provider.charge_page(start, end, after))
    return list(page.charges), page.next


def _money_of(
    provider: Provider, start: datetime, end: datetime, after: str | None
) -> tuple[list[BankMoney], str | None]:
    page = patiently(lambda: provider.money_page(start, end, after))
    return list(page.money), page.next


def _pages(read: Callable[[str | None], tuple[list[Row], str | None]]) -> Iterator[list[Row]]:
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        rows, next_cursor = read(cursor)
        yield rows
        if next_cursor is None:
            return
        if next_cursor == cursor:
            break
        cursor = next_cursor
    raise EndlessPages


def _all_rows(
    read: Callable[[Work, int], Iterable[Row]],
    row_id: Callable[[Any], int] = lambda row: int(row.id),
) -> Iterator[Row]:
    """All rows in parts of ROWS_AT_ONCE, each part read in a transaction of its own."""
    after = 0
    while True:
        with reading() as work:
            rows = list(read(work, after))
        yield from rows
        if len(rows) < ROWS_AT_ONCE:
            return
        after = row_id(rows[-1])
