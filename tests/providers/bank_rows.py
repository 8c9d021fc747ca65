"""Rows of accounts and charges at a real bank, and what such a bank says, for tests."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask

from core.clock import Clock
from core.ids import new_public_id, new_txid, new_watch_code
from db_models import (
    Account,
    Payment,
    PaymentEvent,
    ProviderAccount,
    ProviderCharge,
    Receipt,
    Refund,
)
from providers.port import BankMoney, BankReturn, ChargeState, HeldCharge, ReturnState
from providers.secrets import AccountSecrets, AccountVault
from repository.database import reading, unit_of_work
from tests.support.service import SECRET_KEY

KEY = "balcao@example.com"
LIFETIME = 1800
VALUE = 5490


def e2e() -> str:
    """A fresh id of a Pix."""
    return f"E123456782026113012{secrets.token_hex(7)[:13]}"


@dataclass
class BankRows:
    """What the tests read and write beside the service."""

    app: Flask
    clock: Clock

    def account(self, merchant_id: int | None = None, **values: Any) -> int:
        """Store an account at a bank; return its row id."""
        with self.app.app_context(), unit_of_work() as work:
            owner = merchant_id or self._first_merchant(work)
            token = values.pop("token", secrets.token_urlsafe(24))
            sealed = AccountVault(SECRET_KEY).seal(AccountSecrets("id", "secret", token))
            return work.provider_accounts.insert(
                {
                    "public_id": new_public_id(),
                    "merchant_id": owner,
                    "name": "Banco",
                    "profile": "standard",
                    "environment": "test",
                    "pix_key": KEY,
                    "sealed": sealed,
                    "token_sha256": hashlib.sha256(token.encode()).hexdigest(),
                    "overrides": {},
                    "version": 1,
                    "created_at": work.now,
                    **values,
                }
            )

    def payment(self, account_id: int, **values: Any) -> Payment:
        """A pending payment with its charge at the account's bank, opened just now."""
        charge_values = values.pop("charge", {})
        with self.app.app_context(), unit_of_work() as work:
            account = work.provider_accounts.find(account_id)
            assert account is not None
            merchant = work.accounts.find(account.merchant_id)
            assert merchant is not None
            row = {
                "txid": new_txid(),
                "watch_code": new_watch_code(),
                "merchant_id": merchant.id,
                "amount_centavos": VALUE,
                "refunded_centavos": 0,
                "br_code": "",
                "details": {},
                "status": "pending",
                "created_at": work.now,
                "expires_at": work.now + timedelta(seconds=LIFETIME),
                "sequence": 1,
                "look_up_at": work.now + timedelta(seconds=20),
                "provider_account_id": account_id,
                **values,
            }
            payment = work.payments.insert(row, merchant)
            work.provider_charges.insert(
                {
                    "payment_id": payment.id,
                    "account_id": account_id,
                    "txid": payment.txid,
                    "pix_key": account.pix_key,
                    "amount_centavos": payment.amount_centavos,
                    "lifetime_seconds": LIFETIME,
                    "status": "open",
                    "created_at": work.now,
                    "bank_created_at": work.now,
                    "attempts": 1,
                    **charge_values,
                }
            )
            return payment

    def money(self, txid: str | None, **changes: Any) -> BankMoney:
        """A Pix for this txid, of the right amount, paid now."""
        values: dict[str, Any] = {
            "end_to_end_id": e2e(),
            "txid": txid,
            "pix_key": KEY,
            "amount_centavos": VALUE,
            "paid_at": self.clock.now(),
            "payer_name": "Bob de Souza",
        }
        return BankMoney(**{**values, **changes})

    def charge(self, txid: str, money: Sequence[BankMoney] = (), **changes: Any) -> HeldCharge:
        """The charge with its money as the bank has it."""
        values: dict[str, Any] = {
            "txid": txid,
            "state": ChargeState.PAID if money else ChargeState.ACTIVE,
            "amount_centavos": VALUE,
            "pix_key": KEY,
            "created_at": self.clock.now(),
            "lifetime_seconds": LIFETIME,
            "location": None,
            "code": None,
            "money": tuple(money),
        }
        return HeldCharge(**{**values, **changes})

    def payment_row(self, txid: str) -> Payment:
        """The payment as it is stored."""
        return self._rows(sa.select(Payment).where(Payment.txid == txid))[0]

    def charge_row(self, txid: str) -> ProviderCharge:
        """The charge as it is stored."""
        return self._rows(sa.select(ProviderCharge).where(ProviderCharge.txid == txid))[0]

    def account_row(self, account_id: int) -> ProviderAccount:
        """The account as it is stored."""
        return self._rows(sa.select(ProviderAccount).where(ProviderAccount.id == account_id))[0]

    def receipts(self) -> list[Receipt]:
        """All receipts, oldest first."""
        return self._rows(sa.select(Receipt).order_by(Receipt.id))

    def refunds(self) -> list[Refund]:
        """All refunds, oldest first."""
        return self._rows(sa.select(Refund).order_by(Refund.id))

    def events(self) -> list[str]:
        """The names of all events, oldest first."""
        rows = self._rows(sa.select(PaymentEvent).order_by(PaymentEvent.id))
        return [row.name for row in rows]

    def write(self, model: Any, row: int, **values: Any) -> None:
        """Change columns behind the service's back."""
        with self.app.app_context(), unit_of_work() as work:
            work.connection.execute(sa.update(model).where(model.id == row).values(**values))

    def merchant(self, name: str) -> int:
        """The row id of a new merchant."""
        columns = {"login": secrets.token_hex(6), "name": name, "city": "Recife"}
        with self.app.app_context(), unit_of_work() as work:
            row = {**columns, "created_at": work.now}
            result = work.connection.execute(sa.insert(Account), row)
            key: Any = result.inserted_primary_key
            return int(key[0])

    def _first_merchant(self, work: Any) -> int:
        return int(work.session.scalars(sa.select(Account.id).order_by(Account.id)).first())

    def _rows(self, query: Any) -> list[Any]:
        with self.app.app_context(), reading() as work:
            return list(work.session.scalars(query).all())


def returned(amount_centavos: int, **changes: Any) -> BankReturn:
    """A return of a Pix by its bank, done."""
    values: dict[str, Any] = {
        "id": secrets.token_hex(8),
        "return_id": f"D{secrets.token_hex(12)}",
        "amount_centavos": amount_centavos,
        "state": ReturnState.DONE,
        "nature": "MED_FRAUDE",
    }
    return BankReturn(**{**values, **changes})
