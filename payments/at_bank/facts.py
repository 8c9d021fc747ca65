"""What views of a payment say of the account and the charge at its bank."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from db_models import Environment, Payment, PaymentStatus, ProviderCharge
from payments.lifecycle import status_at
from repository.database import Work, open_work, reading

_ACCOUNTS_MAX = 1000
_WORDS = {
    PaymentStatus.PENDING: "open",
    PaymentStatus.CONFIRMED: "paid",
    PaymentStatus.EXPIRED: "closed",
    PaymentStatus.CANCELLED: "closed",
}


@dataclass(frozen=True)
class AccountFacts:
    """What never changes of an account at a bank."""

    public_id: str
    profile: str
    is_live: bool


class KnownAccounts:
    """The facts of accounts by row id; each is read once in a process."""

    def __init__(self) -> None:
        """No account was read yet."""
        self._facts: OrderedDict[int, AccountFacts] = OrderedDict()

    def of(self, row: int) -> AccountFacts:
        """The facts of the account with this row id. Raises LookupError if there is none."""
        facts = self._facts.get(row)
        if facts is None:
            outer = open_work()
            if outer is not None:
                account = outer.provider_accounts.find(row)
            else:
                with reading() as work:
                    account = work.provider_accounts.find(row)
            if account is None:
                raise LookupError(f"there is no provider account with the row id {row}")
            is_live = account.environment == Environment.LIVE
            facts = self._facts[row] = AccountFacts(account.public_id, account.profile, is_live)
            while len(self._facts) > _ACCOUNTS_MAX:
                self._facts.popitem(last=False)
        return facts


def charges_of(work: Work, payments: Iterable[Payment]) -> dict[int, ProviderCharge]:
    """The charges of payments at real banks by row id; one statement, or none without any."""
    rows = [payment.id for payment in payments if payment.provider_account_id is not None]
    return work.provider_charges.of_payments(rows) if rows else {}


def status_word(payment: Payment, charge: ProviderCharge | None, now: datetime) -> str:
    """The status of the charge; without its row, what the payment says of it."""
    if charge is not None:
        return charge.status
    status = status_at(payment, now)
    is_opening = status is PaymentStatus.PENDING and not payment.has_location
    if payment.provider_account_id is not None and is_opening:
        return "opening"
    return _WORDS[status]
