"""A running service whose demo merchant has an account at a stand-in bank."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa

from core.clock import SystemClock
from core.ids import new_public_id
from db_models import Account, ProviderAccount
from providers.secrets import AccountVault
from tests.db.tables import Tables
from tests.providers.stand_in import PIX_KEY, StandInBank
from tests.support.service import SECRET_KEY

TOKEN = "callback-token-of-tests"


def enrol(tables: Tables, bank: StandInBank) -> int:
    """Store an account at the bank and send new payments there; returns its row id.

    A process may use its cached merchant for some seconds more.
    """
    tables.insert(
        ProviderAccount,
        {
            "public_id": new_public_id(),
            "merchant_id": tables.merchant_id(),
            "name": "Banco",
            "profile": bank.dialect_name,
            "environment": "test",
            "pix_key": PIX_KEY,
            "sealed": AccountVault(SECRET_KEY).seal(bank.secrets()),
            "token_sha256": hashlib.sha256(TOKEN.encode()).hexdigest(),
            "overrides": bank.overrides(),
            "version": 1,
            "created_at": SystemClock().now(),
        },
    )
    [(row,)] = tables.rows(sa.select(ProviderAccount.id))
    owner = Account.__table__
    tables.change(
        sa.update(owner).where(owner.c.id == tables.merchant_id()).values(test_provider_id=row)
    )
    return int(row)
