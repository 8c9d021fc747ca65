"""Answers that a careful bank does not give: what they may not break, and may not tell."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta

import pytest

from core.pix.br_code import decode
from providers.port import ProviderAway, ProviderRefusal
from tests.providers.connections import new_charge, provider_for
from tests.providers.stand_in import CLIENT_ID, CLIENT_SECRET, Fault, StandInBank

BASIC = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()


def new_txid() -> str:
    return secrets.token_hex(16)


@pytest.mark.parametrize("dialect", ["itau", "c6", "ailos"])
@pytest.mark.parametrize("status", [403, 422, 500])
def test_a_second_call_that_fails_keeps_no_payer_waiting(dialect: str, status: int):
    """The location is known, and a code may be built from it."""
    with StandInBank(dialect) as bank:
        bank.faults.append(Fault("code", "status", status=status, count=9))
        charge = provider_for(bank).open_charge(new_charge(new_txid()))
        assert charge.code is not None
        assert decode(charge.code).url == charge.location


@pytest.mark.parametrize("status", [400, 404, 422])
def test_no_refusal_repeats_what_the_bank_was_sent(status: int):
    sent = f"{CLIENT_ID} {CLIENT_SECRET} {BASIC}"
    body = {"type": f"https://b.example/{CLIENT_SECRET}", "title": "Recusada", "detail": sent}
    with StandInBank("standard") as bank:
        bank.book.put_charge = lambda *_: (status, body)  # type: ignore[method-assign]
        provider = provider_for(bank)
        with pytest.raises(ProviderRefusal) as refusal:
            provider.open_charge(new_charge(new_txid()))
    assert refusal.value.code == f"status-{status}"
    assert refusal.value.detail.startswith("Recusada")
    for secret in sent.split():
        assert secret not in refusal.value.detail


@pytest.mark.parametrize("answer", [{}, {"erros": [{"codigo": "1"}]}, {"pix": {"a": 1}}])
def test_an_object_that_is_no_list_does_not_say_that_nothing_came(
    answer: dict[str, object],
):
    now = datetime.now(UTC)
    with StandInBank("standard") as bank:
        bank.book.list_money = lambda *_: (200, answer)  # type: ignore[method-assign]
        provider = provider_for(bank)
        with pytest.raises(ProviderAway) as away:
            provider.money_page(now - timedelta(minutes=1), now, None)
    assert away.value.code == "unreadable"
