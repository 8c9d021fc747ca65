"""One client and twelve dialects: whatever goes wrong, there is one charge, and its right code."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.pix.br_code import decode
from providers.api_pix.client import ApiPixProvider
from providers.port import (
    AccountRefusal,
    ChargeState,
    ProviderAway,
    ProviderRefusal,
    ReturnState,
    TxidCollision,
)
from tests.providers.connections import new_charge, provider_for
from tests.providers.stand_in import PIX_KEY, Fault, StandInBank
from tests.providers.stand_in_dialects import DIALECTS

NAMES = sorted(DIALECTS)
FAULTS = {
    "lost answer": Fault("put-cob", "close", after=True),
    "dropped": Fault("put-cob", "close"),
    "500 after creating": Fault("put-cob", "status", after=True),
    "500 before": Fault("put-cob", "status"),
    "cut": Fault("put-cob", "cut", after=True),
    "html with 200": Fault("put-cob", "html", after=True),
    "html before": Fault("put-cob", "html"),
    "empty": Fault("put-cob", "empty", after=True),
    "wrong JSON": Fault("put-cob", "wrong-json", after=True),
    "huge": Fault("put-cob", "huge", after=True),
    "redirect": Fault("put-cob", "redirect"),
    "revoked token": Fault("put-cob", "revoke"),
    "lost twice": Fault("put-cob", "close", count=2, after=True),
    "html 404 for the look-up": Fault("get-cob", "status", status=404),
}


@pytest.fixture(params=NAMES)
def bank(request: pytest.FixtureRequest) -> Iterator[StandInBank]:
    """A bank of each dialect."""
    with StandInBank(request.param) as bank:
        yield bank


def new_txid() -> str:
    return secrets.token_hex(16)


def test_a_charge_is_opened_with_its_code(bank: StandInBank):
    provider, txid = provider_for(bank), new_txid()

    charge = provider.open_charge(new_charge(txid, text="Pedido 7"))

    assert charge.code is not None
    assert decode(charge.code).url == charge.location
    assert charge.location == bank.book.charges[txid]["location"]
    assert charge.amount_centavos == 1234
    assert charge.lifetime_seconds == 600
    assert charge.state is ChargeState.ACTIVE
    assert charge.created_at is not None
    assert abs(charge.created_at - datetime.now(UTC)) < timedelta(seconds=20)
    assert bank.book.charges[txid]["solicitacaoPagador"] == "Pedido 7"
    assert bank.count("put-cob") == 1
    assert bank.count("token") == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_leaves_one_charge_and_its_code(bank: StandInBank, fault: str):
    provider, txid = provider_for(bank), new_txid()
    bank.faults.append(Fault(**vars(FAULTS[fault])))

    for _attempt in range(3):
        try:
            charge = provider.open_charge(new_charge(txid))
            break
        except ProviderAway:
            continue

    assert charge.code is not None
    assert decode(charge.code).url == bank.book.charges[txid]["location"]
    assert bank.book.puts == [txid]


def test_too_many_requests_are_obeyed(bank: StandInBank):
    provider = provider_for(bank)
    bank.faults.append(Fault("put-cob", "status", status=429, seconds=7))

    with pytest.raises(ProviderAway) as away:
        provider.open_charge(new_charge(new_txid()))

    assert away.value.retry_after is not None
    assert timedelta(seconds=5) < away.value.retry_after <= timedelta(seconds=7)
    assert bank.count("put-cob") == 1


def test_a_charge_that_lags_is_no_second_charge(bank: StandInBank):
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        bank.book.lag = timedelta(0)

    provider, txid = provider_for(bank, sleep=sleep), new_txid()
    bank.book.lag = timedelta(minutes=1)
    bank.faults.append(Fault("put-cob", "status", after=True))

    assert provider.open_charge(new_charge(txid)).txid == txid
    assert bank.count("put-cob") == 1
    assert len(pauses) == 1


def test_a_charge_that_lags_is_not_refused_by_its_repetition(monkeypatch):
    """The bank takes no txid twice, answers the second PUT with 400, and reads from a copy."""
    with StandInBank("standard") as bank:
        put = bank.book.put_charge

        def put_once(txid, body):
            if txid in bank.book.charges:
                return bank.book.error(400, "operacao_invalida", "CobOperacaoInvalida")
            return put(txid, body)

        def sleep(_seconds: float) -> None:
            if bank.count("put-cob") == 2:
                bank.book.lag = timedelta(0)

        monkeypatch.setattr(bank.book, "put_charge", put_once)
        provider, txid = provider_for(bank, sleep=sleep), new_txid()
        bank.book.lag = timedelta(minutes=1)
        bank.faults.append(Fault("put-cob", "status", after=True))

        assert provider.open_charge(new_charge(txid)).txid == txid
        assert bank.count("put-cob") == 2


def test_another_charge_with_the_txid_is_a_collision():
    with StandInBank("efi") as bank:
        provider, txid = provider_for(bank), new_txid()
        provider.open_charge(new_charge(txid))
        with pytest.raises(TxidCollision):
            provider.open_charge(new_charge(txid, amount_centavos=999))
        bank.book.charges[txid]["chave"] = "loja@outra.example"
        with pytest.raises(TxidCollision):
            provider.open_charge(new_charge(txid))


def test_a_charge_is_paid_read_and_given_back(bank: StandInBank):
    provider, txid = provider_for(bank), new_txid()
    provider.open_charge(new_charge(txid))
    end_to_end_id = bank.book.pay(txid)

    charge = provider.find_charge(txid)
    assert charge is not None
    assert charge.state is ChargeState.PAID
    (money,) = charge.money
    assert (money.end_to_end_id, money.amount_centavos) == (end_to_end_id, 1234)
    assert (money.txid, money.pix_key, money.payer_document) == (txid, PIX_KEY, "12345678909")
    assert abs(money.paid_at - datetime.now(UTC)) < timedelta(seconds=20)
    assert provider.find_money(end_to_end_id) == money

    bank.book.returns_settle = False
    first = provider.give_back(end_to_end_id, "devolucao1", 234)
    assert first.state is ReturnState.PROCESSING
    assert provider.give_back(end_to_end_id, "devolucao1", 234).id == "devolucao1"
    with pytest.raises(ProviderRefusal):
        provider.give_back(end_to_end_id, "devolucao1", 200)
    with pytest.raises(ProviderRefusal):
        provider.give_back(end_to_end_id, "devolucao2", 1001)
    bank.book.settle_return(end_to_end_id, "devolucao1", reason="sem saldo")
    entry = provider.find_return(end_to_end_id, "devolucao1")
    assert entry is not None
    assert (entry.state, entry.reason) == (ReturnState.FAILED, "sem saldo")
    bank.book.give_back(end_to_end_id, 500)
    again = provider.find_money(end_to_end_id)
    assert again is not None
    assert [entry.nature for entry in again.returns] == ["ORIGINAL", "MED_FRAUDE"]


def test_a_lost_answer_to_a_return_sends_no_second_one(bank: StandInBank):
    provider, txid = provider_for(bank), new_txid()
    provider.open_charge(new_charge(txid))
    end_to_end_id = bank.book.pay(txid)
    bank.faults.append(Fault("put-return", "close", after=True))

    assert provider.give_back(end_to_end_id, "umaSo", 1234).state is ReturnState.DONE
    assert len(bank.book.money[0]["devolucoes"]) == 1


def test_what_does_not_exist_is_none(bank: StandInBank):
    provider = provider_for(bank)

    assert provider.find_charge(new_txid()) is None
    assert provider.close_charge(new_txid()) is None
    assert provider.find_money("E" + "1" * 31) is None
    assert provider.find_return("E" + "1" * 31, "x") is None
    assert provider.registered_callback() is None


def test_a_charge_is_removed_unless_it_is_paid(bank: StandInBank):
    provider, first, second = provider_for(bank), new_txid(), new_txid()
    provider.open_charge(new_charge(first))
    provider.open_charge(new_charge(second))
    bank.book.pay(second)

    bank.faults.append(Fault("patch-cob", "close", after=True))
    removed, paid = provider.close_charge(first), provider.close_charge(second)

    assert removed is not None
    assert paid is not None
    assert (removed.state, paid.state) == (ChargeState.REMOVED, ChargeState.PAID)
    assert len(paid.money) == 1
    assert bank.book.charges[first]["revisao"] == 1
    assert provider.open_charge(new_charge(second)).state is ChargeState.PAID
    with pytest.raises(TxidCollision):
        provider.open_charge(new_charge(second, amount_centavos=5))


def test_a_window_is_read_page_by_page(bank: StandInBank):
    provider, now = provider_for(bank, page_size=3), datetime.now(UTC)
    bank.book.page_size = 3
    for number in range(7):
        bank.book.receive(PIX_KEY, 100 + number, at=now - timedelta(minutes=number))
    bank.book.receive(PIX_KEY, 500, at=now - timedelta(days=2))

    amounts, cursor = [], None
    for _page in range(9):
        page = provider.money_page(now - timedelta(hours=12), now, cursor)
        amounts += [pix.amount_centavos for pix in page.money]
        cursor = page.next
        if cursor is None:
            break

    assert sorted(amounts) == list(range(100, 107))
    assert all(pix.txid is None for pix in page.money)
    assert bank.count("list-pix") == 3


def _amounts_listed(provider: ApiPixProvider, now: datetime) -> list[int]:
    """The amounts on all pages of the last hour."""
    amounts, cursor = [], None
    for _page in range(9):
        page = provider.money_page(now - timedelta(hours=1), now, cursor)
        amounts += [pix.amount_centavos for pix in page.money]
        cursor = page.next
        if cursor is None:
            return amounts
    raise AssertionError("the pages do not end")


def test_pages_beyond_the_bank_s_own_counts_are_read():
    """Both counts are too low: of two pages and of five Pix the bank admits one and two."""
    with StandInBank() as bank:
        provider, now = provider_for(bank, page_size=2), datetime.now(UTC)
        bank.book.page_size = 2
        for number in range(5):
            bank.book.receive(PIX_KEY, 100 + number, at=now - timedelta(minutes=number))
        list_money = bank.book.list_money

        def counted_too_low(query: Mapping[str, str]) -> Any:
            status, members = list_money(query)
            assert members is not None
            members["parametros"]["paginacao"] |= {
                "quantidadeDePaginas": 1,
                "quantidadeTotalDeItens": 2,
            }
            return status, members

        bank.book.list_money = counted_too_low  # type: ignore[method-assign]
        assert sorted(_amounts_listed(provider, now)) == [100, 101, 102, 103, 104]


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_bank_that_refuses_a_page_beyond_its_counts_has_no_more(status: int):
    """The question beyond a full last page must not spoil the list of a bank that counts well."""
    with StandInBank() as bank:
        provider, now = provider_for(bank, page_size=2), datetime.now(UTC)
        bank.book.page_size = 2
        for number in range(2):
            bank.book.receive(PIX_KEY, 100 + number, at=now - timedelta(minutes=number))
        list_money = bank.book.list_money

        def strict(query: Mapping[str, str]) -> Any:
            if query["paginacao.paginaAtual"] != "0":
                return bank.book.error(status, "pagina_invalida", "PixConsultaInvalida")
            return list_money(query)

        bank.book.list_money = strict  # type: ignore[method-assign]
        assert sorted(_amounts_listed(provider, now)) == [100, 101]
        assert bank.count("list-pix") == 2


def test_the_charges_of_a_window_are_listed(bank: StandInBank):
    provider = provider_for(bank)
    txids = {provider.open_charge(new_charge(new_txid())).txid for _ in range(3)}
    now = datetime.now(UTC)

    page = provider.charge_page(now - timedelta(hours=1), now + timedelta(minutes=1), None)

    assert {charge.txid for charge in page.charges} == txids
    assert page.next is None


def test_a_callback_is_registered_for_the_key(bank: StandInBank):
    provider = provider_for(bank)

    provider.register_callback("https://loja.example/providers/segredo")

    assert provider.registered_callback() == "https://loja.example/providers/segredo"
    assert list(bank.book.callbacks) == [PIX_KEY]


def test_efi_leaves_its_check_of_certificates_out():
    with StandInBank("efi") as bank:
        provider_for(bank).register_callback("https://loja.example/providers/segredo")
        assert bank.requests[-1].headers["x-skip-mtls-checking"] == "true"


def test_a_wrong_code_is_never_returned():
    with StandInBank("standard") as bank:
        provider, txid = provider_for(bank), new_txid()
        provider.open_charge(new_charge(txid))
        bank.book.charges[txid]["location"] = "pix.stand-in.example/qr/v2/of-another-charge"
        bank.book.charges[txid]["pixCopiaECola"] = "of a charge"
        bank.book.dialect = DIALECTS["santander"]  # whose answers have the member as it was stored
        with pytest.raises(ProviderAway) as away:
            provider.open_charge(new_charge(txid))
        assert away.value.code == "code-invalid"


def test_a_code_is_built_from_the_location_if_the_bank_gives_none():
    with StandInBank("standard") as bank:
        bank.book.keeps_codes_back = True
        charge = provider_for(bank).open_charge(new_charge(new_txid()))
        assert charge.code is not None
        assert decode(charge.code).url == charge.location
        assert decode(charge.code).merchant_city == "Sao Paulo"


def test_a_clock_three_hours_ahead_moves_the_window():
    with StandInBank("bb", clock_offset=timedelta(hours=3)) as bank:
        provider = provider_for(bank)
        bank.book.receive(PIX_KEY, 100)
        now = datetime.now(UTC)
        page = provider.money_page(now - timedelta(minutes=1), now + timedelta(seconds=10), None)
        assert len(page.money) == 1


def test_the_first_window_of_all_is_read_by_the_bank_s_clock_too():
    """After a start nobody knows the bank's time, and a window that was read is not read again."""
    with StandInBank("standard", clock_offset=timedelta(hours=-3)) as bank:
        for _ in range(150):
            bank.book.receive(PIX_KEY, 100)
        provider, now = provider_for(bank), datetime.now(UTC)
        ids, cursor, pages = set(), None, 0
        while pages == 0 or cursor is not None:
            page = provider.money_page(now - timedelta(minutes=5), now, cursor)
            ids |= {money.end_to_end_id for money in page.money}
            cursor, pages = page.next, pages + 1
        assert (len(ids), pages) == (150, 2)


def test_a_key_that_is_refused_is_the_accounts_fault():
    with StandInBank("efi") as bank:
        provider = provider_for(bank)
        bank.book.put_charge = lambda *_: (  # type: ignore[method-assign]
            400,
            {"nome": "chave_invalida", "mensagem": "A chave informada não pertence ao cliente"},
        )
        with pytest.raises(AccountRefusal) as refusal:
            provider.open_charge(new_charge(new_txid()))
        assert refusal.value.code == "chave_invalida"


def test_a_value_that_is_refused_is_a_refusal(bank: StandInBank):
    provider = provider_for(bank)

    with pytest.raises(ProviderRefusal) as refusal:
        provider.open_charge(new_charge(new_txid(), amount_centavos=0))

    assert not isinstance(refusal.value, AccountRefusal)
    assert refusal.value.detail
    assert bank.book.puts == []


def test_a_bank_over_mutual_tls_is_used():
    with StandInBank("inter", mutual=True) as bank:
        charge = provider_for(bank).open_charge(new_charge(new_txid()))
        assert charge.code is not None


def test_a_path_that_the_bank_does_not_have_is_no_decision_on_a_charge():
    with StandInBank() as bank:
        provider = provider_for(bank, base=f"{bank.origin}/v9")
        with pytest.raises(AccountRefusal):
            provider.open_charge(new_charge(new_txid()))


def test_a_lifetime_is_kept_within_what_the_bank_allows():
    with StandInBank() as bank:
        provider, txid = provider_for(bank, lifetime_max=300), new_txid()
        assert provider.open_charge(new_charge(txid)).lifetime_seconds == 300


def test_a_paid_charge_without_its_pix_is_completed_by_the_list():
    with StandInBank("inter") as bank:
        provider, txid = provider_for(bank), new_txid()
        provider.open_charge(new_charge(txid))
        end_to_end_id = bank.book.pay(txid)
        bank.book.receive(PIX_KEY, 5)
        bank.book.hides_money = True
        charge = provider.find_charge(txid)
        assert charge is not None
        assert [pix.end_to_end_id for pix in charge.money] == [end_to_end_id]
        assert bank.requests[-1].query["txId"] == txid


def test_lists_and_addresses_that_the_bank_refuses_are_refusals():
    now = datetime.now(UTC)
    with StandInBank() as bank:
        provider = provider_for(bank)
        answer = bank.book.error(400, "x", "PixConsultaInvalida")
        bank.book.list_money = lambda query: answer  # type: ignore[method-assign]  # noqa: ARG005
        with pytest.raises(ProviderRefusal) as refusal:
            provider.money_page(now - timedelta(minutes=1), now, None)
        assert refusal.value.code == "PixConsultaInvalida"
        assert not isinstance(refusal.value, AccountRefusal)
        with pytest.raises(AccountRefusal):
            provider.register_callback("no address")


def test_a_page_with_an_unreadable_pix_keeps_the_others():
    now = datetime.now(UTC)
    with StandInBank() as bank:
        provider = provider_for(bank)
        bank.book.receive(PIX_KEY, 100)
        bank.book.receive(PIX_KEY, 200)
        bank.book.money[0]["valor"] = "muito"
        page = provider.money_page(now - timedelta(minutes=1), now + timedelta(minutes=1), None)
        assert [pix.amount_centavos for pix in page.money] == [200]
