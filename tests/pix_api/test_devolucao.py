"""Devoluções: a shop gives back a Pix, whole or in parts, by API Pix."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from core.pix import br_code
from db_models import AuditAction
from tests.db.crowd import at_once
from tests.pix_api.clients import demo_client
from tests.support.api_pix import PixApi
from tests.support.service import PIX_KEY
from tests.support.town import town

STATIC = br_code.encode_static(PIX_KEY, "Feira da Vila", "Cunha", amount_centavos=5490)


@pytest.fixture
def here(fresh_database, tmp_path):
    """The service and the bank on SQLite."""
    with town(fresh_database("sqlite"), tmp_path) as new_town:
        yield new_town


@pytest.fixture
def anywhere(any_database_url, tmp_path):
    """The service and the bank on each database engine in turn."""
    with town(any_database_url, tmp_path) as new_town:
        yield new_town


def api_of(here):
    """API Pix for the demo merchant, with every answer checked."""
    client = demo_client(here.app)
    return PixApi(client=here.client(), token=client.token(here.app))


def paid(here, value="10.00"):
    """The end_to_end_id of a paid charge."""
    return here.payment(here.paid(value=value))["end_to_end_id"]


def static_money(here):
    """R$ 54.90 for a static code; returns the end_to_end_id."""
    return here.pay({"pix_code": STATIC})["end_to_end_id"]


def give_back(here, e2eid, refund_id, valor, **members):
    """Ask for a devolução; returns the answer."""
    api = api_of(here)
    return api.put(f"/pix/{e2eid}/devolucao/{refund_id}", {"valor": valor, **members})


def test_a_part_is_given_back_and_shown_wherever_the_pix_is(here):
    """201 with DEVOLVIDO, because this bank answers at once."""
    e2eid = paid(here)
    before = here.balance()

    answer = give_back(here, e2eid, "123ABC", "4.00", descricao="Faltou um")

    assert answer.status == 201
    refund = answer.json
    assert refund["id"] == "123ABC"
    assert (refund["valor"], refund["natureza"], refund["status"]) == (
        "4.00",
        "ORIGINAL",
        "DEVOLVIDO",
    )
    assert refund["descricao"] == "Faltou um"
    assert set(refund["horario"]) == {"solicitacao", "liquidacao"}
    assert here.balance() == before + 400
    api = api_of(here)
    assert api.get(f"/pix/{e2eid}/devolucao/123ABC").json == refund
    assert api.get(f"/pix/{e2eid}").json["devolucoes"] == [refund]
    span = {"inicio": "2000-01-01T00:00:00Z", "fim": "2100-01-01T00:00:00Z"}
    assert api.get("/pix", **span, devolucaoPresente="true").json["pix"][0]["devolucoes"] == [
        refund
    ]
    missing = api.get(f"/pix/{e2eid}/devolucao/123abc")
    assert (missing.status, missing.kind) == (404, "PixDevolucaoNaoEncontrada")


def test_the_same_id_and_body_again_give_the_first_result(here):
    """A client that got no answer repeats its request, and the money goes back once."""
    e2eid = paid(here)
    before = here.balance()
    first, second = (give_back(here, e2eid, "a", "4.00") for _ in range(2))
    assert (first.status, second.status, first.json) == (201, 201, second.json)
    for valor, members in (("4.01", {}), ("4.00", {"descricao": "x"})):
        answer = give_back(here, e2eid, "a", valor, **members)
        assert (answer.status, answer.kind) == (400, "PixDevolucaoInvalida")
        assert answer.violations == ["id"]
    assert here.balance() == before + 400


def test_money_for_a_static_code_goes_back_too(here):
    """It gets a payment of its own, as when the portal gives it back; the Pix stays as it was."""
    e2eid = static_money(here)
    before = api_of(here).get(f"/pix/{e2eid}").json

    assert give_back(here, e2eid, "a", "4.90").json["status"] == "DEVOLVIDO"
    assert give_back(here, e2eid, "b", "50.00").json["status"] == "DEVOLVIDO"

    after = api_of(here).get(f"/pix/{e2eid}").json
    assert [one["id"] for one in after.pop("devolucoes")] == ["a", "b"]
    assert after == before


def test_a_refund_of_the_portal_is_listed_too(here):
    """Also one that was not ordered by API Pix, with an id of ours."""
    payment = here.paid(value="10.00")
    assert here.refund(payment, value="1.00").status_code == 201
    [refund] = api_of(here).get(f"/pix/{here.payment(payment)['end_to_end_id']}").json["devolucoes"]
    assert (refund["valor"], refund["status"]) == ("1.00", "DEVOLVIDO")


def test_while_the_bank_does_not_answer_it_is_being_processed_with_its_rtr_id(here):
    """The answer waits for nobody's transaction, and the rtrId stays what it was."""
    e2eid = paid(here)
    here.close_bank()
    answer = give_back(here, e2eid, "a", "4.00")
    assert (answer.status, answer.json["status"]) == (201, "EM_PROCESSAMENTO")
    assert set(answer.json["horario"]) == {"solicitacao"}
    here.open_bank()
    here.clock.advance(minutes=1)
    here.run_refunds()
    refund = api_of(here).get(f"/pix/{e2eid}/devolucao/a").json
    assert refund["status"] == "DEVOLVIDO"
    assert refund["rtrId"] == answer.json["rtrId"]


def test_a_refund_that_the_bank_refuses_says_why_and_frees_its_sum(here):
    """NAO_REALIZADO with `motivo`; another refund may take the sum."""
    payment = here.create(value="10.00")
    here.pay(payment, scenario="refund-refused")
    e2eid = here.payment(payment)["end_to_end_id"]
    answer = give_back(here, e2eid, "a", "10.00")
    assert (answer.status, answer.json["status"]) == (201, "NAO_REALIZADO")
    assert 0 < len(answer.json["motivo"]) <= 140
    assert "liquidacao" not in answer.json["horario"]
    assert give_back(here, e2eid, "b", "10.00").status == 201


@pytest.mark.parametrize(
    ("refund_id", "body", "violations"),
    [
        ("a", {}, ["devolucao.valor"]),
        ("a", {"valor": "1,00"}, ["devolucao.valor"]),
        ("a", {"valor": 1}, ["devolucao.valor"]),
        ("a", {"valor": "0.00"}, ["devolucao.valor"]),
        ("a", {"valor": "10.01"}, ["devolucao.valor"]),
        ("a", {"valor": "1.00", "descricao": "a" * 141}, ["devolucao.descricao"]),
        ("a", {"valor": "1.00", "natureza": "MED_FRAUDE"}, ["devolucao.natureza"]),
        ("a", {"valor": "1.00", "natureza": "RETIRADA"}, ["devolucao.natureza"]),
        ("a", {"valor": "x", "natureza": 7}, ["devolucao.valor", "devolucao.natureza"]),
        ("a-b", {"valor": "1.00"}, ["id"]),
        ("a" * 36, {"valor": "1.00"}, ["id"]),
    ],
)
def test_a_wrong_refund_is_refused_with_every_violation(here, refund_id, body, violations):
    """PixDevolucaoInvalida, and nothing moves."""
    e2eid = paid(here)
    answer = api_of(here).put(f"/pix/{e2eid}/devolucao/{refund_id}", body)
    assert (answer.status, answer.kind) == (400, "PixDevolucaoInvalida")
    assert answer.violations == violations
    assert "devolucoes" not in api_of(here).get(f"/pix/{e2eid}").json


def test_after_ninety_days_nothing_goes_back(here):
    """Counted from the settlement (API Pix 2.9.0, PixDevolucaoInvalida); both sides of the edge."""
    e2eid = paid(here)
    here.clock.advance(days=90, seconds=-30)
    assert give_back(here, e2eid, "a", "1.00").status == 201
    here.clock.advance(seconds=60)
    answer = give_back(here, e2eid, "b", "1.00")
    assert (answer.status, answer.kind, answer.violations) == (
        400,
        "PixDevolucaoInvalida",
        ["e2eid"],
    )


@pytest.mark.parametrize("money", [paid, static_money])
def test_of_two_refunds_of_the_last_centavo_one_wins(anywhere, money):
    """At the same instant, on every engine, also for money that has no payment yet."""
    e2eid = money(anywhere)
    whole = api_of(anywhere).get(f"/pix/{e2eid}").json["valor"]
    before = anywhere.balance()
    answers = at_once([partial(give_back, anywhere, e2eid, name, whole) for name in ("a", "b")])
    assert Counter(answer.status for answer in answers) == {201: 1, 400: 1}
    anywhere.clock.advance(seconds=30)
    anywhere.run_refunds()
    assert anywhere.balance() == before + int(whole.replace(".", ""))
    assert anywhere.audit().faults == ()


def test_a_refund_has_an_audit_row_of_its_merchant(here):
    """Who gave money back can be read later."""
    e2eid = paid(here)
    give_back(here, e2eid, "a", "1.00")
    rows = here.tables.rows(
        "SELECT subject FROM audit_entries WHERE action = :action", action=AuditAction.REFUND_ASKED
    )
    assert [row.subject for row in rows] == ["a"]
