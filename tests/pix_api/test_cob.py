"""`/cob`: create, revise, remove, read and list, on every engine."""

from __future__ import annotations

import pytest

from tests.pix_api.charges import EVER, DemoCalls, paths_of
from tests.pix_api.clients import new_client
from tests.portal.signing import make_account

TXID, OTHER, THIRD = "a" * 30, "b" * 26, "Zz9" * 11
INVALID = "CobOperacaoInvalida"
REMOVED = "REMOVIDA_PELO_USUARIO_RECEBEDOR"


@pytest.fixture
def call(each_app):
    """The demo merchant's calls, on each engine."""
    return DemoCalls(each_app)


def test_a_charge_is_created_and_read_as_it_was_sent(call):
    charge = call.create(TXID)
    assert charge["status"] == "ATIVA"
    assert charge["revisao"] == 0
    assert charge["calendario"] == {"criacao": "2026-11-20T15:00:00.000Z", "expiracao": 3600}
    for name in ("devedor", "valor", "chave", "solicitacaoPagador", "infoAdicionais"):
        assert charge[name] == call.body()[name]
    assert charge["loc"]["location"] == charge["location"]
    assert charge["location"] in charge["pixCopiaECola"]
    assert call("GET", f"/cob/{TXID}").json == charge


def test_a_charge_is_a_payment_with_an_id_of_its_own(call, each_app):
    """A txid may be easy to guess, so no page is found by it."""
    call.create(TXID)
    client = each_app.test_client()
    payment = client.get("/payments/pix").json["data"][0]
    assert payment["amount_centavos"] == 1000
    assert payment["payer"] == {"name": "Ana Souza", "document": "***.456.789-**"}
    assert payment["id"] != TXID
    assert client.get(f"/payments/pix/{TXID}/status").status_code == 404
    assert client.get(f"/payments/pix/{payment['id']}/status").json["status"] == "pending"


def test_a_payment_of_the_other_interface_is_a_charge(call, each_app):
    payment = each_app.test_client().post("/payments/pix", json={"value": 10}).get_json()["payment"]
    charge = call("GET", f"/cob/{payment['id']}").json
    assert (charge["txid"], charge["valor"]) == (payment["id"], {"original": "10.00"})
    assert charge["pixCopiaECola"] == payment["pix_code"]
    assert (
        call("PATCH", f"/cob/{payment['id']}", {"valor": {"original": "9.00"}}).json["revisao"] == 1
    )


def test_a_repeated_put_changes_nothing_and_another_body_makes_a_revision(call):
    call.create(TXID)
    assert call.create(TXID)["revisao"] == 0
    changed = call.create(TXID, valor={"original": "11.00"}, infoAdicionais=[])
    assert changed["revisao"] == 1
    assert changed["valor"] == {"original": "11.00"}
    assert "infoAdicionais" not in changed
    old = call("GET", f"/cob/{TXID}?revisao=0").json
    assert (old["revisao"], old["valor"]["original"]) == (0, "10.00")
    assert old["infoAdicionais"] == [{"nome": "Mesa", "valor": "4"}]
    for unknown in ("2", "-1", "x", "99999999999"):
        answer = call("GET", f"/cob/{TXID}?revisao={unknown}")
        assert (answer.status_code, paths_of(answer, "CobConsultaInvalida")) == (400, ["revisao"])


def test_a_patch_merges_objects_and_replaces_arrays(call):
    call.create(TXID)
    changes = {
        "devedor": {"cnpj": "12ABC34501DE35"},
        "infoAdicionais": [{"nome": "Sala", "valor": "1"}],
        "solicitacaoPagador": None,
    }
    charge = call("PATCH", f"/cob/{TXID}", changes, dialect="parts of objects, and null").json
    assert charge["devedor"] == {"cnpj": "12ABC34501DE35", "nome": "Ana Souza"}
    assert charge["infoAdicionais"] == [{"nome": "Sala", "valor": "1"}]
    assert charge["solicitacaoPagador"] == "Mesa 4"
    assert charge["revisao"] == 1
    assert call("PATCH", f"/cob/{TXID}", {}).json["revisao"] == 1


def test_a_post_gets_a_txid_of_ours(call):
    charge = call("POST", "/cob", call.body()).json
    assert len(charge["txid"]) == 32
    assert call("GET", f"/cob/{charge['txid']}").status_code == 200


def test_a_removed_charge_is_final(call, each_app):
    call.create(TXID)
    removal = call("PATCH", f"/cob/{TXID}", {"status": REMOVED})
    assert (removal.status_code, removal.json["status"], removal.json["revisao"]) == (
        200,
        REMOVED,
        1,
    )
    for answer in (
        call("PUT", f"/cob/{TXID}", call.body()),
        call("PATCH", f"/cob/{TXID}", {"valor": {"original": "1.00"}}),
        call("PATCH", f"/cob/{TXID}", {"status": REMOVED}),
    ):
        assert (answer.status_code, paths_of(answer, INVALID)) == (400, ["cob.status"])
    payment = each_app.test_client().get("/payments/pix").json["data"][0]
    assert payment["status"] == "cancelled"


@pytest.mark.parametrize(
    "changes", [{"status": REMOVED, "valor": {"original": "1.00"}}, {"status": "CONCLUIDA"}]
)
def test_a_removal_comes_alone(call, changes):
    call.create(TXID)
    answer = call("PATCH", f"/cob/{TXID}", changes)
    assert answer.status_code == 400
    assert call("GET", f"/cob/{TXID}").get_json()["status"] == "ATIVA"


def test_an_expired_charge_stays_active_and_can_be_made_payable_again(call, each_app, clock):
    charge = call.create(TXID)
    token = charge["location"].rsplit("/", 1)[1]
    client = each_app.test_client()
    clock.advance(seconds=3601)
    assert client.get(f"/qr/v2/{token}").status_code == 410
    assert call("GET", f"/cob/{TXID}").get_json()["status"] == "ATIVA"
    later = call("PATCH", f"/cob/{TXID}", {"calendario": {"expiracao": 7200}})
    assert (later.status_code, later.get_json()["calendario"]["expiracao"]) == (200, 7200)
    assert client.get(f"/qr/v2/{token}").status_code == 200
    assert client.get("/payments/pix").json["data"][0]["status"] == "pending"


def test_a_list_has_filters_pages_and_totals(call):
    for txid in (TXID, OTHER, THIRD):
        call.create(txid)
    call("PATCH", f"/cob/{OTHER}", {"status": REMOVED})
    call.create(THIRD, devedor={"cnpj": "12345678000195", "nome": "Loja"})

    def txids(**query):
        body = call("GET", "/cob", query_string={**EVER, **query}).json
        return [charge["txid"] for charge in body["cobs"]], body["parametros"]

    everything, parameters = txids()
    assert everything == [TXID, OTHER, THIRD]
    assert parameters["paginacao"]["quantidadeTotalDeItens"] == 3
    assert txids(status="ATIVA")[0] == [TXID, THIRD]
    assert txids(status=REMOVED)[0] == [OTHER]
    assert txids(status="REMOVIDA_PELO_PSP")[0] == []
    assert txids(cnpj="12345678000195")[0] == [THIRD]
    assert txids(cpf="12345678909")[0] == [TXID, OTHER]
    assert txids(locationPresente="false")[0] == []
    page = {"paginacao.itensPorPagina": 2}
    assert txids(**page)[0] == [TXID, OTHER]
    assert txids(**page, **{"paginacao.paginaAtual": 1})[0] == [THIRD]
    past_end, parameters = txids(**page, **{"paginacao.paginaAtual": 7})
    assert past_end == []
    assert parameters["paginacao"]["quantidadeDePaginas"] == 2
    assert parameters["paginacao"]["quantidadeTotalDeItens"] == 3


BAD: list[tuple[dict, list[str]]] = [
    ({"valor": None}, ["cob.valor"]),
    ({"valor": {"original": "0.00"}}, ["cob.valor.original"]),
    ({"valor": {"original": "1,00"}}, ["cob.valor.original"]),
    ({"valor": {"original": "99999999999.00"}}, ["cob.valor.original"]),
    ({"valor": {"original": 10}}, ["cob.valor.original"]),
    ({"valor": {"original": "\u0661.00"}}, ["cob.valor.original"]),
    ({"valor": {"original": "1.00", "modalidadeAlteracao": 2}}, ["cob.valor.modalidadeAlteracao"]),
    ({"calendario": {"expiracao": 0}}, ["cob.calendario.expiracao"]),
    ({"calendario": {"expiracao": 2**40}}, ["cob.calendario.expiracao"]),
    ({"calendario": {"expiracao": 1.5}}, ["cob.calendario.expiracao"]),
    ({"devedor": {"cpf": "12345678900", "nome": "A"}}, ["cob.devedor.cpf"]),
    ({"devedor": {"cnpj": "12ABC34501DE36", "nome": "A"}}, ["cob.devedor.cnpj"]),
    ({"devedor": {"cpf": "12345678909"}}, ["cob.devedor.nome"]),
    ({"devedor": {"nome": "A"}}, ["cob.devedor"]),
    ({"devedor": {"cpf": "12345678909", "nome": "A" * 201}}, ["cob.devedor.nome"]),
    ({"chave": "someone@example.com"}, ["cob.chave"]),
    ({"solicitacaoPagador": "x" * 141}, ["cob.solicitacaoPagador"]),
    ({"infoAdicionais": [{"nome": "a", "valor": "b"}] * 51}, ["cob.infoAdicionais"]),
    ({"infoAdicionais": [{"nome": "a" * 51, "valor": "b"}]}, ["cob.infoAdicionais.0.nome"]),
    ({"loc": {"id": 7}}, ["cob.loc.id"]),
    ({"loc": {"id": -7}}, ["cob.loc.id"]),
    (
        {"valor": {"original": "x"}, "chave": "", "calendario": {"expiracao": "soon"}},
        ["cob.calendario.expiracao", "cob.valor.original", "cob.chave"],
    ),
    (
        {"valor": {"original": "0.00"}, "chave": "a@b.com", "calendario": {"expiracao": -1}},
        ["cob.valor.original", "cob.chave", "cob.calendario.expiracao"],
    ),
]


@pytest.mark.parametrize(("members", "paths"), BAD, ids=lambda value: str(value)[:40])
def test_a_bad_body_names_every_violation_and_stores_nothing(client, app, members, paths):
    call = DemoCalls(app)
    answer = call("PUT", f"/cob/{TXID}", call.body(**members))
    assert (answer.status_code, paths_of(answer, INVALID)) == (400, paths)
    assert call("GET", f"/cob/{TXID}").status_code == 404
    assert client.get("/payments/pix").json["data"] == []


@pytest.mark.parametrize("txid", ["a" * 25, "a" * 36, "a" * 29 + "-", "é" * 30])
def test_a_txid_has_26_to_35_letters_and_digits(app, txid):
    call = DemoCalls(app)
    answer = call("PUT", f"/cob/{txid}", call.body())
    assert (answer.status_code, paths_of(answer, INVALID)) == (400, ["txid"])
    assert call("GET", f"/cob/{txid}").get_json()["type"].endswith("/CobNaoEncontrado")
    assert call("PATCH", f"/cob/{txid}", {}).status_code == 404


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"a": NaN}', b'{"a":1,"a":2}'])
def test_bytes_that_are_no_json_object_are_an_invalid_request(app, data):
    answer = DemoCalls(app)("PUT", f"/cob/{TXID}", data=data)
    assert answer.status_code == 400
    assert answer.get_json()["type"].endswith("/RequisicaoInvalida")


def test_numerals_in_text_and_unknown_members_are_accepted(app):
    call = DemoCalls(app)
    dialect = "numerals as text, no calendario"
    charge = call.create(TXID, dialect=dialect, calendario={"expiracao": "60"}, novoCampo={"a": 1})
    assert charge["calendario"]["expiracao"] == 60
    body = call.body()
    del body["calendario"]
    assert (
        call("PUT", f"/cob/{OTHER}", body, dialect=dialect).get_json()["calendario"]["expiracao"]
        == 86_400
    )


def test_the_payer_may_change_an_open_amount_and_a_withdrawal_is_part_of_the_sum(app):
    call = DemoCalls(app)
    open_amount = {"original": "0.00", "modalidadeAlteracao": 1}
    assert call.create(TXID, valor=open_amount)["valor"] == open_amount
    troco = {
        "valor": "5.00",
        "modalidadeAlteracao": 0,
        "modalidadeAgente": "AGTEC",
        "prestadorDoServicoDeSaque": "12345678",
    }
    valor = {"original": "10.00", "retirada": {"troco": troco}}
    assert call.create(OTHER, valor=valor)["valor"] == valor
    totals = [p["amount_centavos"] for p in app.test_client().get("/payments/pix").json["data"]]
    assert totals == [1500, 0]
    for wrong, path in (
        ({"original": "0.00", "retirada": {"troco": troco}}, "cob.valor.original"),
        ({"original": "1.00", "retirada": {"saque": troco}}, "cob.valor.original"),
        ({"original": "1.00", "retirada": {"saque": troco, "troco": troco}}, "cob.valor.retirada"),
    ):
        answer = call("PUT", f"/cob/{THIRD}", call.body(valor=wrong))
        assert paths_of(answer, INVALID) == [path]


def test_another_merchant_neither_sees_nor_changes_a_charge(app):
    call = DemoCalls(app)
    call.create(TXID)
    make_account(app, "alice")
    token = new_client(app, "alice").token(app)
    headers = {"Authorization": f"Bearer {token}"}
    client = app.test_client()
    for method, body in (("GET", None), ("PATCH", {"status": REMOVED})):
        answer = client.open(f"/api-pix/v2/cob/{TXID}", method=method, json=body, headers=headers)
        assert (answer.status_code, answer.get_json()["type"].rsplit("/", 1)[1]) == (
            404,
            "CobNaoEncontrado",
        )
    answer = client.get("/api-pix/v2/cob", query_string=EVER, headers=headers)
    assert answer.json["cobs"] == []
    assert call("GET", f"/cob/{TXID}").get_json()["status"] == "ATIVA"


def test_a_token_is_needed_and_its_scope_counts(app):
    client = app.test_client()
    answer = client.get(f"/api-pix/v2/cob/{TXID}")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.get_json()["type"].endswith("/AcessoNegado")
    make_account(app, "alice")
    reader = new_client(app, "alice", ["cob.read"]).token(app)
    headers = {"Authorization": f"Bearer {reader}"}
    answer = client.put(f"/api-pix/v2/cob/{TXID}", json={}, headers=headers)
    assert (answer.status_code, answer.get_json()["type"].rsplit("/", 1)[1]) == (
        403,
        "AcessoNegado",
    )


def test_creations_and_revisions_have_one_bound(app):
    """A loop of revisions must not fill the table of old ones."""
    app.config["BALCAO"] = app.config["BALCAO"].model_copy(update={"creations_per_minute": 3})
    call = DemoCalls(app)
    statuses = [
        call("PUT", f"/cob/{TXID}", call.body(valor={"original": f"{n}.00"})).status_code
        for n in range(1, 6)
    ]
    assert statuses == [201, 201, 201, 429, 429]
    assert call("GET", f"/cob/{TXID}").get_json()["revisao"] == 2
    assert call("POST", "/loc", {"tipoCob": "cob"}).status_code == 429
