"""The charge of a payment, as it is stored before the bank hears of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from config import current_parts, current_settings
from core.provider_errors import ProviderUnsupported
from db_models import (
    Account,
    ChargeKind,
    Payment,
    PaymentStatus,
    ProviderAccount,
    ProviderChargeStatus,
)
from payments.location import INFO
from providers.accounts import NO_NEW_PAYMENTS, account_for_new_payment
from repository.bank_leases import LEASE
from repository.database import Work
from repository.provider_charges import PAUSE_MIN

AT_BANK = "at_bank"
"""The member of a creation's snapshot that holds the row id of the account."""
PAUSED = "at_bank_paused"
"""The member that says that the bank is not called now."""
OWN_ACCOUNT = "provider_account_id"
"""The column by which a caller of `payments.service.insert_payment` names the account itself."""

_SPECIAL = {
    "robot_terms": "A test payment that pays itself needs the simulated bank.",
    "payer_sets_amount": "The payer of a charge at a real bank cannot set its amount.",
    "charge_terms": "A charge at a real bank has neither a withdrawal of cash nor further terms.",
    "location_token": "A charge at a real bank gets its location from that bank.",
}
"""The columns that only the simulated bank can honour, and why."""


def account_of_new_charge(
    work: Work, merchant: Account, amount_centavos: int, values: Mapping[str, Any]
) -> ProviderAccount | None:
    """The account at a real bank that shall get the charge of a new payment.

    None for the simulated bank, without any statement, and for a payment whose caller names the
    account itself: its money is here already. Raises ProviderUnsupported.
    """
    if OWN_ACCOUNT in values:
        return None
    row = account_for_new_payment(merchant)
    if row is None:
        _check_test_bank(merchant)
        return None
    if row == NO_NEW_PAYMENTS:
        raise ProviderUnsupported("The shop has no account at a bank in use: choose or add one.")
    if values.get("charge_kind", ChargeKind.COB) != ChargeKind.COB:
        raise ProviderUnsupported("Only immediate charges can be opened at a real bank.")
    for name, reason in _SPECIAL.items():
        terms = values.get(name)
        if name == "charge_terms":  # lines for the payer are shown on the payment's own page
            terms = {key for key in terms or () if key != INFO}
        if terms:
            raise ProviderUnsupported(reason)
    if amount_centavos <= 0:
        raise ProviderUnsupported(_SPECIAL["payer_sets_amount"])
    account = work.provider_accounts.find(row)
    if account is None or account.removed_at is not None:
        raise ProviderUnsupported("The account at the bank was removed. Choose another one.")
    return account


def _check_test_bank(merchant: Account) -> None:
    """Raise ProviderUnsupported for a test half without any bank: nobody could pay the code."""
    if merchant.is_test_half and current_settings().bank_to_ask(is_test_half=True) is None:
        raise ProviderUnsupported(
            "There is no bank for tests: set TEST_BANK_URL, or add an account at a bank's sandbox."
        )


def insert_charge(
    work: Work, payment: Payment, account: ProviderAccount, lifetime: timedelta
) -> dict[str, Any]:
    """Store the charge with its payment; the process that commits it calls the bank at once.

    If that process dies, the job calls the bank after the lease. While the bank wants to be left
    alone, the charge begins with the pause instead: a call would only cost a thread and a second
    transaction. Returns what the creation's snapshot says of the charge.
    """
    away = current_parts().charge_calls.left_alone(account.id)
    about: dict[str, Any] = {AT_BANK: account.id}
    if away is not None:
        about[PAUSED] = True
    work.provider_charges.insert(
        {
            "payment_id": payment.id,
            "account_id": account.id,
            "txid": payment.txid,
            "pix_key": account.pix_key,
            "amount_centavos": payment.amount_centavos,
            "lifetime_seconds": max(1, round(lifetime.total_seconds())),
            "status": ProviderChargeStatus.OPENING,
            "created_at": work.now,
            "next_at": work.now + (LEASE if away is None else max(away.retry_after, PAUSE_MIN)),
            "attempts": 1,
            "fault": None if away is None else away.code,
        }
    )
    return about


def plan_closing(work: Work, row: int) -> bool:
    """Let the job close an open charge; False if it is not open any more."""
    values = {
        "status": ProviderChargeStatus.CLOSING,
        "next_at": work.now,
        "attempts": 0,
        "fault": None,
    }
    return work.provider_charges.change(row, [ProviderChargeStatus.OPEN], values)


def plan_closing_of(work: Work, payment: Payment) -> None:
    """Let the job close the charge of a payment that was cancelled or attached, if it has one.

    A charge whose outcome is unknown is closed by `payments.at_bank.opening`, once it is known.
    """
    if payment.provider_account_id is None:
        return
    charge = work.provider_charges.of_payment(payment.id)
    if charge is not None:
        plan_closing(work, charge.id)


def awaits_code(payment: Payment) -> bool:
    """Whether the bank has not given the code of the payment yet."""
    return (
        payment.provider_account_id is not None
        and payment.status == PaymentStatus.PENDING
        and not payment.has_location
    )


def had_no_code(payment: Payment) -> bool:
    """Whether a payment at a real bank never got a code, so that nobody can have paid it."""
    return payment.provider_account_id is not None and not payment.br_code
