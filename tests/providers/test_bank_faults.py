"""Every question and order to a bank under every fault: nothing wrong is ever believed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from providers.api_pix.client import ApiPixProvider
from providers.port import AccountRefusal, ChargeState, MoneyPage, ProviderAway
from tests.providers.connections import new_charge, provider_for
from tests.providers.stand_in import Fault, StandInBank

Question = Callable[[ApiPixProvider, str, str], Any]

FAULTS = (
    *(Fault("", kind) for kind in ("html", "empty", "wrong-json", "redirect", "revoke", "close")),
    *(Fault("", "status", status=status) for status in (404, 400, 403, 429, 503)),
    Fault("", "cut", after=True),
    Fault("", "status", after=True),
    Fault("", "drip", seconds=0.0001),
)


def read_window(provider: ApiPixProvider, _txid: str, _end_to_end_id: str) -> MoneyPage:
    now = datetime.now(UTC)
    return provider.money_page(now - timedelta(hours=1), now + timedelta(minutes=1), None)


QUESTIONS: dict[str, Question] = {
    "get-cob": lambda provider, txid, _: provider.find_charge(txid),
    "patch-cob": lambda provider, txid, _: provider.close_charge(txid),
    "list-pix": read_window,
    "get-pix": lambda provider, _, end_to_end_id: provider.find_money(end_to_end_id),
    "get-return": lambda provider, _, end_to_end_id: provider.find_return(end_to_end_id, "antes"),
    "put-return": lambda provider, _, end_to_end_id: provider.give_back(end_to_end_id, "novo", 7),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind}-{fault.status}")
@pytest.mark.parametrize("operation", QUESTIONS)
def test_a_fault_is_no_answer(operation: str, fault: Fault):
    with StandInBank() as bank:
        provider, paid, unpaid = provider_for(bank), secrets.token_hex(16), secrets.token_hex(16)
        provider.open_charge(new_charge(paid))
        provider.open_charge(new_charge(unpaid))
        end_to_end_id = bank.book.pay(paid)
        provider.give_back(end_to_end_id, "antes", 5)
        bank.faults.append(Fault(**{**vars(fault), "operation": operation}))

        try:
            answer = QUESTIONS[operation](provider, unpaid, end_to_end_id)
        except (ProviderAway, AccountRefusal):
            answer = None
        else:
            # What exists is never reported as missing.
            assert answer is not None

        if isinstance(answer, MoneyPage):
            assert [pix.end_to_end_id for pix in answer.money] == [end_to_end_id]
        if operation == "patch-cob" and answer is not None:
            is_removed = bank.book.charges[unpaid]["status"].startswith("REMOVIDA")
            assert (answer.state is ChargeState.REMOVED) == is_removed
        returns = [entry["id"] for entry in bank.book.money[0]["devolucoes"]]
        assert len(returns) == len(set(returns)) <= 2
