"""Received money: `/pix` is the shop's view of what its bank account got."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from core.clock import rfc3339
from core.pix.due_terms import (
    Abatement,
    AbatementMode,
    Fine,
    FineMode,
    Interest,
    InterestMode,
)
from db_models import Receipt
from repository.database import reading
from tests.http.checks import add_merchant
from tests.pix_api.clients import demo_client, new_client
from tests.support.api_pix import PixApi
from tests.support.due_payments import open_due_charge
from tests.support.service import PIX_KEY, end_to_end_id
from tests.support.town import town

BIA, ALL_DAY = "12345678909", {"inicio": "2000-01-01T00:00:00Z", "fim": "2100-01-01T00:00:00Z"}
PAYER = {"payer": {"name": "Bia Andrade", "document": BIA}}


@pytest.fixture
def api(app, client):
    """API Pix for the demo merchant, with every answer checked."""
    return PixApi(client=client, token=demo_client(app).token(app))


@pytest.fixture
def charlie(app, client):
    """API Pix for another merchant."""
    add_merchant(app)
    return PixApi(client=client, token=new_client(app, "charlie").token(app))


def static_money(bank, clock, **fields):
    """R$ 12.34 for a static code; returns the end_to_end_id."""
    body = {
        "pix_key": PIX_KEY,
        "value": "12.34",
        "end_to_end_id": end_to_end_id(),
        "paid_at": rfc3339(clock.now()),
        **fields,
    }
    assert bank.tell(body).status_code == 200
    return body["end_to_end_id"]


def listed(api, **query):
    """The ids of a list, and its paging."""
    answer = api.get("/pix", **{**ALL_DAY, **query})
    assert answer.status == 200, answer.data
    paging = answer.json["parametros"]["paginacao"]
    return [pix["endToEndId"] for pix in answer.json["pix"]], paging


def test_a_paid_charge_is_a_pix(api, bank, make_payment, clock):
    """With the txid of the charge, the payer's message and the shop's key."""
    payment = make_payment()
    e2eid, paid_at = end_to_end_id(), rfc3339(clock.now())
    bank.confirm(payment, end_to_end_id=e2eid, paid_at=paid_at, payer_message="Mesa 4", **PAYER)

    answer = api.get(f"/pix/{e2eid}")

    assert answer.status == 200
    assert answer.json == {
        "endToEndId": e2eid,
        "txid": payment["id"],
        "valor": "54.90",
        "componentesValor": {"original": {"valor": "54.90"}},
        "chave": PIX_KEY,
        "horario": paid_at,
        "infoPagador": "Mesa 4",
    }


def test_money_without_a_charge_is_a_pix_and_refused_money_is_none(api, bank, make_payment, clock):
    """A static code's txid is the Pix's; refused money goes back and is none of the shop's."""
    plain = static_money(bank, clock)
    with_txid = static_money(bank, clock, reference="MESA7")
    refused = end_to_end_id()
    assert bank.confirm(make_payment(), value="1.00", end_to_end_id=refused).status_code == 400

    assert "txid" not in api.get(f"/pix/{plain}").json
    assert api.get(f"/pix/{with_txid}").json["txid"] == "MESA7"
    assert api.get(f"/pix/{refused}").status == 404
    assert listed(api)[0] == [plain, with_txid]


def test_the_list_is_in_the_order_of_settlement_and_in_pages(api, bank, clock):
    """A page past the end is empty and has the true totals."""
    ids: list[str] = []
    for number in range(5):
        at = rfc3339(clock.now() - timedelta(minutes=number))
        ids.insert(0, static_money(bank, clock, paid_at=at))

    assert listed(api)[0] == ids
    page, paging = listed(api, **{"paginacao.itensPorPagina": 2, "paginacao.paginaAtual": 2})
    assert page == ids[4:]
    assert paging == {
        "paginaAtual": 2,
        "itensPorPagina": 2,
        "quantidadeDePaginas": 3,
        "quantidadeTotalDeItens": 5,
    }
    page, paging = listed(api, **{"paginacao.itensPorPagina": 2, "paginacao.paginaAtual": 3})
    assert (page, paging["quantidadeTotalDeItens"]) == ([], 5)


def test_filters(api, bank, make_payment, clock):
    """By span, txid, its presence, and the payer."""
    payment = make_payment()
    charge = end_to_end_id()
    earlier = rfc3339(clock.now() - timedelta(minutes=5))
    bank.confirm(payment, end_to_end_id=charge, paid_at=earlier, **PAYER)
    plain = static_money(bank, clock)
    with_txid = static_money(bank, clock, reference="MESA7")

    assert listed(api, txid=payment["id"])[0] == [charge]
    assert listed(api, txid="MESA7")[0] == [with_txid]
    assert listed(api, txid="mesa7")[0] == []
    assert listed(api, txIdPresente="true")[0] == [charge, with_txid]
    assert listed(api, txIdPresente="false")[0] == [plain]
    assert listed(api, devolucaoPresente="true")[0] == []
    assert listed(api, devolucaoPresente="false")[0] == [charge, plain, with_txid]
    assert listed(api, cpf=BIA)[0] == [charge]
    assert listed(api, cnpj="12345678000195")[0] == []
    assert listed(api, inicio=earlier, fim=earlier)[0] == [charge]
    assert listed(api, inicio=rfc3339(clock.now()))[0] == [plain, with_txid]


@pytest.mark.parametrize(
    ("query", "violations"),
    [
        ({"inicio": None}, ["inicio"]),
        ({"inicio": "ontem", "fim": "hoje"}, ["inicio", "fim"]),
        ({"inicio": "2100-01-01T00:00:01Z"}, ["fim"]),
        ({"cpf": BIA, "cnpj": "12345678000195"}, ["cpf"]),
        ({"cpf": "11111111111"}, ["cpf"]),
        ({"txid": "a b"}, ["txid"]),
        (
            {"txIdPresente": "sim", "devolucaoPresente": "não"},
            ["txIdPresente", "devolucaoPresente"],
        ),
        ({"paginacao.paginaAtual": -1}, ["paginacao.paginaAtual"]),
        ({"paginacao.itensPorPagina": 1001}, ["paginacao.itensPorPagina"]),
    ],
)
def test_a_wrong_query_names_every_parameter_at_fault(api, query, violations):
    """PixConsultaInvalida (API Pix 2.9.0, Tag Pix)."""
    full = {name: value for name, value in {**ALL_DAY, **query}.items() if value is not None}
    answer = api.get("/pix", **full)
    assert (answer.status, answer.kind) == (400, "PixConsultaInvalida")
    assert answer.violations == violations


def test_another_merchants_money_does_not_exist(api, charlie, bank, clock):
    """A stranger learns nothing, neither by id nor by list."""
    e2eid = static_money(bank, clock, reference="MESA7")
    for path in (f"/pix/{e2eid}", f"/pix/{end_to_end_id()}", "/pix/E1"):
        answer = charlie.get(path)
        assert (answer.status, answer.kind) == (404, "PixNaoEncontrado")
    assert listed(charlie)[0] == []
    assert listed(charlie, txid="MESA7")[0] == []
    answer = charlie.put(f"/pix/{e2eid}/devolucao/1", {"valor": "1.00"})
    assert (answer.status, answer.kind) == (404, "PixNaoEncontrado")
    answer = charlie.get(f"/pix/{e2eid}/devolucao/1")
    assert (answer.status, answer.kind) == (404, "PixDevolucaoNaoEncontrada")


def test_every_operation_asks_for_its_scope(app, client):
    """A token without the scope is 403, no token 401."""
    narrow = PixApi(client=client, token=new_client(app, "demo", ["cob.read"]).token(app))
    for method, path, body in (
        ("GET", "/pix/E1", None),
        ("GET", "/pix", None),
        ("PUT", "/pix/E1/devolucao/1", {"valor": "1.00"}),
        ("GET", "/pix/E1/devolucao/1", None),
        ("PUT", f"/webhook/{PIX_KEY}", {"webhookUrl": "https://a.example.com/b"}),
        ("GET", f"/webhook/{PIX_KEY}", None),
        ("DELETE", f"/webhook/{PIX_KEY}", None),
        ("GET", "/webhook", None),
    ):
        assert narrow.request(method, path, body=body).status == 403
        assert narrow.as_bearer("").request(method, path, body=body).status == 401


@pytest.mark.parametrize("path", ["/pix", "/pix/{e2eid}", "/pix/{e2eid}/devolucao/1"])
def test_a_reading_runs_two_statements(app, api, bank, clock, path):
    """The authentication, and one for the page with its total and its refunds."""
    e2eid = static_money(bank, clock)
    api.get(path.format(e2eid=e2eid), **(ALL_DAY if path == "/pix" else {}))
    statements = []

    def store(_connection, _cursor, statement, _parameters, _context, _many):
        if not statement.startswith(("BEGIN", "PRAGMA")):
            statements.append(statement)

    with app.app_context(), reading() as work:
        engine = work.session.get_bind().engine
    sa.event.listen(engine, "before_cursor_execute", store)
    try:
        api.get(path.format(e2eid=e2eid), **(ALL_DAY if path == "/pix" else {}))
    finally:
        sa.event.remove(engine, "before_cursor_execute", store)
    assert 1 <= len(statements) <= 2, statements


def test_the_payers_message_is_erased_with_the_payer(app, bank, clock):
    """It is personal data as the name and the document are (docs/privacy.md)."""
    static_money(bank, clock, payer_message="Da Bia", **PAYER)
    runner = app.test_cli_runner()
    answer = runner.invoke(args=["privacy", "erase", BIA, "--yes"])
    assert answer.exit_code == 0, answer.output
    with app.app_context(), reading() as work:
        row = work.session.scalars(sa.select(Receipt)).one()
    assert (row.payer_name, row.payer_document, row.payer_message) == (None, None, None)


def test_an_unreadable_message_costs_no_money(api, bank, clock):
    """What is not needed is read leniently: a 4xx would send the money back."""
    e2eid = static_money(bank, clock, payer_message={"no": "text"})
    long = static_money(bank, clock, payer_message="a" * 500)
    assert "infoPagador" not in api.get(f"/pix/{e2eid}").json
    assert api.get(f"/pix/{long}").json["infoPagador"] == "a" * 140


@pytest.mark.parametrize("scenario", ["normal", "lost"])
def test_what_the_payer_typed_at_the_bank_reaches_the_shop(fresh_database, tmp_path, scenario):
    """By the notification, and by the look-up when the notification was lost."""
    with town(fresh_database("sqlite"), tmp_path) as here:
        api = PixApi(client=here.client(), token=demo_client(here.app).token(here.app))
        payment = here.create()
        here.pay(payment, scenario=scenario, message="  Mesa 4,\n obrigada!  ")
        here.clock.advance(seconds=40)
        here.reconcile()
        e2eid = here.payment(payment)["end_to_end_id"]
        assert api.get(f"/pix/{e2eid}").json["infoPagador"] == "Mesa 4, obrigada!"


def test_the_sums_of_a_charge_with_a_due_date_explain_the_amount(app, api, bank, clock):
    """`valor` is the original amount, plus fine and interest, less abatement and discount."""
    charge = open_due_charge(
        app,
        date(2026, 11, 23),
        fine=Fine(FineMode.REAIS, Decimal("3.00")),
        interest=Interest(InterestMode.REAIS_PER_DAY, Decimal("1.00")),
        abatement=Abatement(AbatementMode.REAIS, Decimal("10.00")),
    )
    clock.advance(days=5)  # two days late
    api = api.as_bearer(demo_client(app).token(app))
    e2eid = end_to_end_id()
    assert bank.confirm(charge, value="95.00", end_to_end_id=e2eid).status_code == 200

    pix = api.get(f"/pix/{e2eid}").json

    assert pix["valor"] == "95.00"
    assert pix["componentesValor"] == {
        "original": {"valor": "100.00"},
        "multa": {"valor": "3.00"},
        "juros": {"valor": "2.00"},
        "abatimento": {"valor": "10.00"},
    }
    assert listed_pix(api) == [pix]


@pytest.mark.parametrize(("kind", "original"), [("saque", "0.00"), ("troco", "80.00")])
def test_a_withdrawal_explains_the_amount(api, bank, kind, original):
    """Cash that the payer takes along is a part of its own."""
    cash = {"modalidadeAgente": "AGTEC", "prestadorDoServicoDeSaque": "12345678"}
    body = {
        "valor": {"original": original, "retirada": {kind: {"valor": "20.00", **cash}}},
        "chave": PIX_KEY,
    }
    txid = api.post("/cob", body).json["txid"]
    e2eid = end_to_end_id()
    total = "20.00" if kind == "saque" else "100.00"
    assert bank.confirm({"id": txid, "value": total}, end_to_end_id=e2eid).status_code == 200

    pix = api.get(f"/pix/{e2eid}").json

    assert (pix["txid"], pix["valor"]) == (txid, total)
    assert pix["componentesValor"] == {
        "original": {"valor": original},
        kind: {"valor": "20.00", **cash},
    }
    assert listed_pix(api) == [pix]
    assert api.get(f"/cob/{txid}").json["pix"] == [pix]


def test_a_chosen_txid_is_the_one_of_the_pix(api, bank, client):
    """The id of the page stays a secret of its own."""
    txid = "Pedido2026x" * 3
    api.put(f"/cob/{txid}", {"valor": {"original": "54.90"}, "chave": PIX_KEY})
    [payment] = client.get("/payments/pix").get_json()["data"]
    e2eid = end_to_end_id()
    assert bank.confirm(payment, end_to_end_id=e2eid).status_code == 200
    assert api.get(f"/pix/{e2eid}").json["txid"] == txid
    assert listed(api, txid=txid)[0] == [e2eid]
    assert listed(api, txid=payment["id"])[0] == []


def listed_pix(api):
    """All Pix of the list."""
    return api.get("/pix", **ALL_DAY).json["pix"]
