"""A client of a stand-in bank, as an account's profile and overrides build it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from providers.api_pix.client import ApiPixProvider, exchange_of
from providers.api_pix.profiles import merged_profile
from providers.port import NewCharge
from tests.providers.stand_in import PIX_KEY, StandInBank


def provider_for(
    bank: StandInBank, *, sleep: Callable[[float], None] | None = None, **overrides: Any
) -> ApiPixProvider:
    """The client of the stand-in's only customer; its pauses for a lag are short."""
    profile = merged_profile(bank.dialect_name, "test", bank.overrides() | overrides)
    label = f"{bank.dialect_name}-test"
    exchange = exchange_of(profile, bank.secrets(), label=label, now=bank.now)
    pause = sleep or (lambda _: None)
    return ApiPixProvider(profile, exchange, pix_key=PIX_KEY, label=label, sleep=pause)


def new_charge(txid: str, **changes: Any) -> NewCharge:
    """A charge of R$ 12.34 for ten minutes."""
    values: dict[str, Any] = {
        "txid": txid,
        "amount_centavos": 1234,
        "pix_key": PIX_KEY,
        "lifetime_seconds": 600,
        "payee_name": "Loja de Teste",
        "payee_city": "São Paulo",
    }
    return NewCharge(**values | changes)
