"""A bank that closes a connection after reading an order may have carried it out.

The exchange sends the order again. The code that judges the second answer must know of the first
copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from providers.api_pix.charge_desk import LAG_PAUSES
from providers.api_pix.client import ApiPixProvider, exchange_of
from providers.api_pix.profiles import merged_profile
from providers.port import ChargeState, NewCharge, ProviderAway, ProviderRefusal, ReturnState
from providers.secrets import AccountSecrets
from tests.providers.connections import new_charge
from tests.providers.raw_bank import ANSWER_ENDS, RawBank, http
from tests.providers.stand_in import PIX_KEY

END_TO_END_ID, RETURN_ID, TXID = "E" + "1" * 31, "devolucao1", "a" * 32
TYPE = "https://pix.bcb.gov.br/api/v2/error/"
REFUSED = http(422, {"type": f"{TYPE}PixDevolucaoInvalida", "detail": "Saldo insuficiente."})
MISSING = http(404, {"type": f"{TYPE}NaoEncontrado", "title": "Não encontrado", "status": 404})
CHARGE = {
    "txid": TXID,
    "status": "ATIVA",
    "revisao": 0,
    "calendario": {"criacao": "2026-11-30T12:00:00Z", "expiracao": 600},
    "valor": {"original": "12.34"},
    "chave": PIX_KEY,
    "location": "pix.example.com/qr/v2/abc",
}


@pytest.fixture
def bank() -> Iterator[RawBank]:
    """A bank whose answers each test chooses."""
    with RawBank() as bank:
        yield bank


def provider_at(bank: RawBank, sleep: Callable[[float], None] = lambda _: None) -> ApiPixProvider:
    """The client of an account, with one connection that has been used."""
    overrides: dict[str, Any] = {"base": f"{bank.url}/api", "token_url": f"{bank.url}/token"}
    profile = merged_profile("standard", "test", overrides)
    exchange = exchange_of(
        profile, AccountSecrets("id", "secret", "token"), label="t", now=lambda: datetime.now(UTC)
    )
    return ApiPixProvider(profile, exchange, pix_key=PIX_KEY, label="t", sleep=sleep)


def methods(bank: RawBank) -> list[str]:
    """What the bank read."""
    return [request.method for request in bank.calls]


def test_a_refusal_of_a_repeated_refund_decides_nothing(bank: RawBank):
    """The first copy may have been carried out: the money would go back twice."""
    provider = provider_at(bank)
    bank.script.extend([ANSWER_ENDS, REFUSED, MISSING])

    with pytest.raises(ProviderAway) as failure:
        provider.give_back(END_TO_END_ID, RETURN_ID, 500)

    assert (failure.value.code, failure.value.was_sent) == ("PixDevolucaoInvalida", True)
    assert methods(bank) == ["PUT", "PUT", "GET"]


def test_the_bank_shows_later_what_the_first_copy_did(bank: RawBank):
    """The next try asks before it orders."""
    provider = provider_at(bank)
    bank.script.extend([ANSWER_ENDS, REFUSED, MISSING])
    with pytest.raises(ProviderAway):
        provider.give_back(END_TO_END_ID, RETURN_ID, 500)
    bank.script.append(http(200, {"id": RETURN_ID, "valor": "5.00", "status": "DEVOLVIDO"}))

    entry = provider.find_return(END_TO_END_ID, RETURN_ID)

    assert entry is not None
    assert (entry.state, entry.amount_centavos) == (ReturnState.DONE, 500)


def test_a_refusal_of_the_only_copy_decides(bank: RawBank):
    """Otherwise a refund that the bank refuses would never end."""
    provider = provider_at(bank)
    bank.script.extend([REFUSED, MISSING])

    with pytest.raises(ProviderRefusal) as refusal:
        provider.give_back(END_TO_END_ID, RETURN_ID, 500)

    assert refusal.value.code == "PixDevolucaoInvalida"


def test_a_repetition_that_cannot_connect_was_sent_all_the_same(bank: RawBank):
    """`was_sent` is about the order, not about its last copy."""
    provider = provider_at(bank)

    bank.script.append(lambda _: bank.refuse_connections())

    with pytest.raises(ProviderAway) as failure:
        provider.exchange.call("PUT", "pix", "/pix/x", operation="put-return", is_read=False)

    assert (failure.value.code, failure.value.was_sent) == ("connect", True)


def test_an_expired_token_does_not_hide_the_first_copy(bank: RawBank):
    """The bank read the order, closed, refused the token, and then the order."""
    provider = provider_at(bank)
    bank.script.extend([ANSWER_ENDS, http(401), REFUSED, MISSING])

    with pytest.raises(ProviderAway) as failure:
        provider.give_back(END_TO_END_ID, RETURN_ID, 500)

    assert failure.value.code == "PixDevolucaoInvalida"
    assert methods(bank) == ["PUT", "PUT", "PUT", "GET"]


def charge() -> NewCharge:
    """The charge whose PUT is repeated."""
    return new_charge(TXID)


def test_a_charge_of_the_first_copy_is_waited_for(bank: RawBank):
    """A bank that reads from a copy shows the charge after a pause."""
    pauses: list[float] = []
    provider = provider_at(bank, pauses.append)
    code = {"pixCopiaECola": "x"}
    bank.script.extend([ANSWER_ENDS, REFUSED, MISSING, http(200, CHARGE | code)])

    with pytest.raises(ProviderAway) as failure:
        provider.open_charge(charge())

    assert failure.value.code == "code-invalid"  # it has read the charge, whose code is a stub
    assert pauses == [LAG_PAUSES[0]]
    assert methods(bank) == ["PUT", "PUT", "GET", "GET"]


def test_a_charge_that_was_refused_once_is_not_waited_for(bank: RawBank):
    """The payer waits."""
    pauses: list[float] = []
    provider = provider_at(bank, pauses.append)
    bank.script.extend([REFUSED, MISSING])

    with pytest.raises(ProviderRefusal):
        provider.open_charge(charge())

    assert pauses == []


def test_a_charge_that_the_first_copy_removed_counts_as_removed(bank: RawBank):
    """The bank refuses to remove it twice, and shows it as active for a moment."""
    provider = provider_at(bank)
    removed = CHARGE | {"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"}
    bank.script.extend(
        [http(200, CHARGE), ANSWER_ENDS, REFUSED, http(200, CHARGE), http(200, removed)]
    )

    seen_charge = provider.close_charge(TXID)

    assert seen_charge is not None
    assert seen_charge.state is ChargeState.REMOVED
