"""`/cobv`: create, revise, remove, read and list, checked against the official document."""

from __future__ import annotations

from typing import Any

import pytest

from core.signing import jws
from repository.database import reading
from tests.pix_api.charges import EVER
from tests.pix_api.clients import demo_client, new_client
from tests.portal.signing import make_account
from tests.support.api_pix import PixApi

TXID, OTHER, THIRD = "a" * 30, "b" * 26, "Zz9" * 11
INVALID = "CobVOperacaoInvalida"
REMOVED = "REMOVIDA_PELO_USUARIO_RECEBEDOR"


@pytest.fixture
def api(each_app):
    """The demo merchant's calls, on each engine; each answer is checked."""
    return PixApi(client=each_app.test_client(), token=demo_client(each_app).token(each_app))


@pytest.fixture
def body(each_app):
    """A valid body; arguments replace members."""

    def make(**members: Any) -> dict[str, Any]:
        return {
            "calendario": {"dataDeVencimento": "2026-11-23", "validadeAposVencimento": 10},
            "devedor": {
                "cpf": "12345678909",
                "nome": "Bia Lima",
                "email": "bia@example.com",
                "logradouro": "Rua A, 1",
                "cidade": "Recife",
                "uf": "PE",
                "cep": "50000000",
            },
            "valor": {
                "original": "100.00",
                "multa": {"modalidade": 1, "valorPerc": "3.00"},
                "juros": {"modalidade": 1, "valorPerc": "1.00"},
                "abatimento": {"modalidade": 2, "valorPerc": "10.00"},
                "desconto": {
                    "modalidade": 1,
                    "descontoDataFixa": [{"data": "2026-11-22", "valorPerc": "5.00"}],
                },
            },
            "chave": each_app.config["BALCAO"].demo_pix_key,
            "solicitacaoPagador": "Mensalidade",
            "infoAdicionais": [{"nome": "Turma", "valor": "4"}],
            **members,
        }

    return make


def test_a_charge_is_created_and_read_as_it_was_sent(api, body):
    """All members come back, and the default of 30 days is written out."""
    answer = api.put(f"/cobv/{TXID}", body())

    charge = answer.json
    assert (answer.status, charge["status"], charge["revisao"]) == (201, "ATIVA", 0)
    assert charge["calendario"] == {
        "criacao": "2026-11-20T15:00:00.000Z",
        "dataDeVencimento": "2026-11-23",
        "validadeAposVencimento": 10,
    }
    for name in ("devedor", "valor", "chave", "solicitacaoPagador", "infoAdicionais"):
        assert charge[name] == body()[name]
    assert "/qr/v2/cobv/" in charge["location"]
    assert charge["location"] in charge["pixCopiaECola"]
    assert charge["loc"]["tipoCob"] == "cobv"
    assert api.get(f"/cobv/{TXID}").json == charge
    short = body(calendario={"dataDeVencimento": "2026-11-23"}, valor={"original": "1.00"})
    assert api.put(f"/cobv/{OTHER}", short).json["calendario"]["validadeAposVencimento"] == 30


def test_a_charge_is_a_payment_and_costs_the_sum_of_the_day(api, body, each_app, clock):
    """The page shows it, and its location serves the sums."""
    charge = api.put(f"/cobv/{TXID}", body()).json
    client = each_app.test_client()
    token = charge["location"].rpartition("/")[2]

    def payment():
        return client.get("/payments/pix").json["data"][0]

    assert payment()["amount_centavos"] == 8500
    clock.advance(days=5)  # Wednesday: two days late, of 90.00
    assert payment()["amount_centavos"] == 9500
    answer = client.get(f"/qr/v2/cobv/{token}")
    payload = jws.verify(answer.text, client.get("/qr/v2/jwks").get_json(), clock.now())
    assert payload["valor"] == {
        "original": "100.00",
        "multa": "3.00",
        "juros": "2.00",
        "abatimento": "10.00",
        "final": "95.00",
    }
    assert payload["txid"] == TXID
    assert payload["infoAdicionais"] == body()["infoAdicionais"]


def test_each_kind_of_charge_has_its_own_routes(api, body):
    """A txid is used once for a merchant, whatever the kind; the other kind does not see it."""
    api.put(f"/cobv/{TXID}", body())
    cob = {"valor": {"original": "1.00"}, "chave": body()["chave"]}

    assert api.get(f"/cob/{TXID}").kind == "CobNaoEncontrado"
    assert api.put(f"/cob/{TXID}", {**cob, "calendario": {"expiracao": 60}}).status == 400
    api.put(f"/cob/{OTHER}", {**cob, "calendario": {"expiracao": 60}})
    assert api.get(f"/cobv/{OTHER}").kind == "CobVNaoEncontrada"
    assert api.put(f"/cobv/{OTHER}", body()).violations == ["txid"]
    assert api.patch(f"/cobv/{OTHER}", {"status": REMOVED}).status == 404
    assert [one["txid"] for one in api.get("/cobv", **EVER).json["cobs"]] == [TXID]


def test_a_repeated_put_changes_nothing_and_another_body_makes_a_revision(api, body):
    """The old revision can still be read."""
    first = api.put(f"/cobv/{TXID}", body()).json
    assert api.put(f"/cobv/{TXID}", body()).json == first
    changed = api.put(f"/cobv/{TXID}", body(valor={"original": "7.00"})).json
    assert (changed["revisao"], changed["valor"]) == (1, {"original": "7.00"})
    assert api.get(f"/cobv/{TXID}", revisao=0).json["valor"] == first["valor"]
    assert api.get(f"/cobv/{TXID}", revisao=2).violations == ["revisao"]


def test_a_patch_merges_objects_and_replaces_arrays(api, body):
    """Members that are not sent stay; the two forms of a discount replace each other."""
    api.put(f"/cobv/{TXID}", body())

    charge = api.patch(
        f"/cobv/{TXID}",
        {
            "calendario": {"dataDeVencimento": "2026-11-25"},
            "devedor": {"cpf": "12345678909", "nome": "Bia Lima", "cep": "51000000"},
            "valor": {"desconto": {"modalidade": 3, "valorPerc": "0.50"}},
        },
    ).json

    assert charge["calendario"]["validadeAposVencimento"] == 10
    assert charge["devedor"] == {**body()["devedor"], "cep": "51000000"}
    assert charge["valor"]["desconto"] == {"modalidade": 3, "valorPerc": "0.50"}
    assert charge["valor"]["multa"] == body()["valor"]["multa"]
    assert charge["revisao"] == 1


def test_a_later_due_date_makes_an_expired_charge_payable_again(api, body, each_app, clock):
    """It stayed ATIVA, because API Pix has no status for an expired charge."""
    charge = api.put(f"/cobv/{TXID}", body()).json
    location = charge["location"].partition("/")[2]
    client = each_app.test_client()
    clock.advance(days=20)
    assert client.get(f"/{location}").status_code == 410
    api = api.as_bearer(demo_client(each_app).token(each_app))
    assert api.get(f"/cobv/{TXID}").json["status"] == "ATIVA"

    later = api.patch(f"/cobv/{TXID}", {"calendario": {"dataDeVencimento": "2026-12-20"}})

    assert later.status == 200
    assert client.get(f"/{location}").status_code == 200
    assert client.get("/payments/pix").json["data"][0]["status"] == "pending"


def test_a_removed_charge_is_final(api, body):
    """And a removal comes alone."""
    api.put(f"/cobv/{TXID}", body())
    mixed = {"status": REMOVED, "valor": {"original": "1.00"}}
    assert api.patch(f"/cobv/{TXID}", mixed).violations == ["cobv.valor"]
    answer = api.patch(f"/cobv/{TXID}", {"status": REMOVED})
    assert (answer.status, answer.json["status"], answer.json["revisao"]) == (200, REMOVED, 1)
    for refused in (
        api.put(f"/cobv/{TXID}", body()),
        api.patch(f"/cobv/{TXID}", {"solicitacaoPagador": "x"}),
        api.patch(f"/cobv/{TXID}", {"status": REMOVED}),
    ):
        assert (refused.kind, refused.violations) == (INVALID, ["cobv.status"])


@pytest.mark.parametrize(
    ("members", "paths"),
    [
        (
            {"calendario": {"dataDeVencimento": "2026-11-19"}, "valor": {"original": "1.00"}},
            ["calendario.dataDeVencimento"],
        ),
        ({"calendario": {"dataDeVencimento": "2026-02-30"}}, ["calendario.dataDeVencimento"]),
        ({"calendario": {"dataDeVencimento": "9999-12-31"}}, ["calendario.dataDeVencimento"]),
        (
            {"calendario": {"dataDeVencimento": "0001-01-01"}},
            ["calendario.dataDeVencimento", "valor.desconto.descontoDataFixa.0.data"],
        ),
        ({"calendario": {"dataDeVencimento": 20261123}}, ["calendario.dataDeVencimento"]),
        (
            {"calendario": {"dataDeVencimento": "2026-11-23", "validadeAposVencimento": -1}},
            ["calendario.validadeAposVencimento"],
        ),
        (
            {"calendario": {"dataDeVencimento": "2026-11-23", "validadeAposVencimento": 2**31 - 1}},
            ["calendario.validadeAposVencimento"],
        ),
        ({"devedor": None}, ["devedor"]),
        ({"devedor": {"nome": "Bia"}}, ["devedor"]),
        ({"devedor": {"cpf": "12345678900", "nome": "Bia"}}, ["devedor.cpf"]),
        ({"chave": "other@example.com"}, ["chave"]),
        ({"loc": {"id": 1}}, ["loc.id"]),
        ({"valor": {"original": "0.00"}}, ["valor.original"]),
        ({"valor": {"original": "1,00"}}, ["valor.original"]),
        (
            {"valor": {"original": "1.00", "multa": {"modalidade": 3, "valorPerc": "1"}}},
            ["valor.multa.modalidade", "valor.multa.valorPerc"],
        ),
        (
            {"valor": {"original": "1.00", "abatimento": {"modalidade": 1, "valorPerc": "1.00"}}},
            ["valor.abatimento.valorPerc"],
        ),
        (
            {"valor": {"original": "1.00", "desconto": {"modalidade": 1, "valorPerc": "0.10"}}},
            ["valor.desconto.valorPerc", "valor.desconto.descontoDataFixa"],
        ),
        (
            {
                "valor": {
                    "original": "1.00",
                    "desconto": {
                        "modalidade": 2,
                        "descontoDataFixa": [{"data": "2026-11-24", "valorPerc": "100.00"}],
                    },
                }
            },
            [
                "valor.desconto.descontoDataFixa.0.data",
                "valor.desconto.descontoDataFixa.0.valorPerc",
            ],
        ),
        (
            {
                "calendario": {"dataDeVencimento": "2026-11-19", "validadeAposVencimento": -1},
                "valor": {
                    "original": "0.00",
                    "abatimento": {"modalidade": 2, "valorPerc": "100.00"},
                },
                "chave": "other@example.com",
            },
            [
                "calendario.dataDeVencimento",
                "calendario.validadeAposVencimento",
                "valor.abatimento.valorPerc",
                "valor.original",
                "chave",
            ],
        ),
    ],
)
def test_a_bad_body_names_every_field_at_fault(api, body, members, paths):
    """CobVOperacaoInvalida; nothing is created."""
    answer = api.put(f"/cobv/{TXID}", body(**members))

    assert (answer.status, answer.kind) == (400, INVALID)
    assert answer.violations == [f"cobv.{path}" for path in paths]
    assert api.get(f"/cobv/{TXID}").status == 404


def test_a_location_must_be_for_charges_with_a_due_date(api, body):
    """And it shows the charge that takes it; its code stays."""
    cob, cobv = (api.post("/loc", {"tipoCob": kind}).json for kind in ("cob", "cobv"))

    wrong = api.put(f"/cobv/{TXID}", body(loc={"id": cob["id"]}))
    right = api.put(f"/cobv/{TXID}", body(loc={"id": cobv["id"]}))

    assert (wrong.kind, wrong.violations) == (INVALID, ["cobv.loc.id"])
    assert right.json["location"] == cobv["location"]
    freed = api.delete(f"/loc/{cobv['id']}/txid")
    assert "txid" not in freed.json
    assert "location" not in api.get(f"/cobv/{TXID}").json


def test_a_list_has_filters_and_totals(api, body):
    """`cobs` is the array of this list, too."""
    for txid in (TXID, OTHER, THIRD):
        api.put(f"/cobv/{txid}", body())
    api.patch(f"/cobv/{OTHER}", {"status": REMOVED})
    company = {"cnpj": "12345678000195", "nome": "Loja"}
    api.put(f"/cobv/{THIRD}", body(devedor=company))

    def txids(**query: Any) -> list[str]:
        return [one["txid"] for one in api.get("/cobv", **EVER, **query).json["cobs"]]

    assert txids() == [TXID, OTHER, THIRD]
    assert txids(status="ATIVA") == [TXID, THIRD]
    assert txids(cnpj="12345678000195") == [THIRD]
    assert txids(cpf="12345678909") == [TXID, OTHER]
    assert api.get("/cobv", **EVER, cpf="1").kind == "CobVConsultaInvalida"


def test_the_debtors_hyphen_is_dropped(api, body):
    """The standard's examples write one, its schema has no room for it."""
    devedor = {"cpf": "12345678909", "nome": "Bia", "cep": "50000-000"}
    answer = api.put(f"/cobv/{TXID}", body(devedor=devedor), dialect="cep with a hyphen")

    assert answer.json["devedor"]["cep"] == "50000000"


def test_a_merchant_without_a_document_is_told_to_enter_it(each_app, body):
    """The standard shows the payee's CPF or CNPJ, and an e-mail as Pix key is neither."""
    make_account(each_app, "alice")
    token = new_client(each_app, "alice").token(each_app)
    api = PixApi(client=each_app.test_client(), token=token)
    with each_app.app_context(), reading() as work:
        key = work.accounts.by_login("alice").pix_key

    answer = api.put(f"/cobv/{TXID}", body(chave=key))

    assert (answer.status, answer.kind, answer.violations) == (400, INVALID, ["cobv.chave"])
    assert "configurações da loja" in answer.json["detail"]
