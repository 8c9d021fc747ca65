"""`/lotecobv`: batches are stored at once, worked on later, revised, read and listed."""

from __future__ import annotations

import json

import pytest

from blueprints.pix_api import batch_work, due_changes
from payments import charge_batches
from repository.accounts import RecentAccounts
from repository.charge_batches import ChargeBatches
from repository.database import in_unit_of_work, ledger
from tests.pix_api.batches import (
    CREATED,
    REFUSED,
    WAITING,
    BatchCalls,
    paths_of_problem,
    txid_of,
)
from tests.pix_api.charges import EVER
from tests.pix_api.clients import demo_client, new_client
from tests.portal.signing import KEYS, make_account
from tests.support.api_pix import PixApi

INVALID, MISSING = "LoteCobVOperacaoInvalida", "LoteCobVNaoEncontrado"
REMOVED = "REMOVIDA_PELO_USUARIO_RECEBEDOR"
ITEMS = "loteCobV.cobsV"
NOT_CHECKED = "the charges are checked later"


@pytest.fixture
def calls(each_app):
    """The demo merchant's batches, on each engine; each answer is checked."""
    api = PixApi(client=each_app.test_client(), token=demo_client(each_app).token(each_app))
    return BatchCalls(each_app, api, each_app.config["BALCAO"].demo_pix_key)


def test_a_batch_that_was_stored_meanwhile_is_revised(calls, monkeypatch):
    """Two requests at once: the second one finds no batch, and then the txids of the first one."""
    assert calls.put(7, calls.charge(1)).status == 202
    lock, attempts = ChargeBatches.lock, []

    def lock_late(self, *batch):
        attempts.append(batch)
        return None if len(attempts) == 1 else lock(self, *batch)

    monkeypatch.setattr(ChargeBatches, "lock", lock_late)
    assert calls.put(7, calls.charge(1, valor={"original": "7.00"})).status == 202
    assert len(attempts) == 3, "not found, found by its txid, found by the next attempt"
    assert calls.work() == 1
    assert calls.api.get(f"/cobv/{txid_of(1)}").json["valor"]["original"] == "7.00"


def test_a_batch_is_accepted_at_once_and_created_later(calls):
    """Until then its charges do not exist; then they are as `PUT /cobv` would have made them."""
    answer = calls.put(7, calls.charge(1), calls.charge(2))

    assert (answer.status, answer.data) == (202, b"")
    assert calls.api.get("/lotecobv/7").json == {
        "id": 7,
        "descricao": "Mensalidades",
        "criacao": "2026-11-20T15:00:00.000Z",
        "cobsv": [{"txid": txid_of(1), "status": WAITING}, {"txid": txid_of(2), "status": WAITING}],
    }
    assert calls.api.get(f"/cobv/{txid_of(1)}").status == 404
    assert calls.work() == 2
    assert calls.work() == 0
    assert calls.items(7)[0] == {
        "txid": txid_of(1),
        "status": CREATED,
        "criacao": "2026-11-20T15:00:00.000Z",
    }
    charge = calls.api.get(f"/cobv/{txid_of(1)}").json
    assert (charge["status"], charge["revisao"]) == ("ATIVA", 0)
    assert charge["devedor"] == calls.charge(1)["devedor"]
    assert "/qr/v2/cobv/" in charge["location"]
    assert calls.waiting_bodies() == []


def test_a_refused_item_has_its_problem_and_does_not_exist(calls):
    """The others are created. The problem repeats amounts, dates and locations, and no person."""
    bad_person = {"cpf": "98765432100x", "nome": "Carol Dias"}
    bad = calls.charge(
        2,
        devedor=bad_person,
        valor={"original": "1,00"},
        chave="carol@example.com",
        infoAdicionais=[{"nome": "Carol" * 20, "valor": "1"}],
    )
    calls.put(1, calls.charge(1), bad, dialect=NOT_CHECKED)
    calls.work()

    assert calls.statuses(1) == [CREATED, REFUSED]
    problem = calls.problem(1, 1)
    assert (problem["type"].rpartition("/")[2], problem["status"]) == ("CobVOperacaoInvalida", 400)
    assert {one["propriedade"]: one.get("valor") for one in problem["violacoes"]} == {
        "cobv.devedor.cpf": None,
        "cobv.valor.original": "1,00",
        "cobv.infoAdicionais.0.nome": None,
    }
    for word in ("98765432100", "Carol", "carol@example.com"):
        assert word not in json.dumps(calls.items(1))
    assert calls.api.get(f"/cobv/{txid_of(2)}").status == 404
    assert [one["txid"] for one in calls.api.get("/cobv", **EVER).json["cobs"]] == [txid_of(1)]


def test_what_waits_for_a_disabled_account_is_refused(calls, clock):
    """Neither created nor revised, as its client could not do it any more."""
    calls.put(1, calls.charge(1))
    calls.work()
    calls.put(2, calls.charge(2))
    calls.patch(1, {"txid": txid_of(1), "valor": {"original": "7.00"}})
    set_disabled(calls.app, clock.now())
    assert calls.work() == 2
    set_disabled(calls.app, None)
    assert calls.statuses(2) == [REFUSED]
    assert calls.problem(2)["type"].endswith("/AcessoNegado")
    assert calls.api.get(f"/cobv/{txid_of(2)}").status == 404
    assert calls.api.get(f"/cobv/{txid_of(1)}").json["valor"]["original"] == "100.00"


def set_disabled(app, at):
    """Disable or enable the demo merchant's account."""

    def write(work):
        account_id = work.accounts.by_login("demo").id
        return work.accounts.set_disabled(account_id, at)

    with app.app_context():
        assert in_unit_of_work(write)
        ledger().recent = RecentAccounts()  # the job reads the account again at once


@pytest.mark.parametrize("is_worked", [False, True])
def test_a_txid_that_waits_or_was_refused_is_taken(calls, is_worked):
    """It belongs to its batch: for `PUT /cobv`, and for another batch."""
    charge = calls.charge(1, chave="other@example.com")
    calls.put(1, charge)
    if is_worked:
        calls.work()
    body = {name: value for name, value in calls.charge(1).items() if name != "txid"}

    answer = calls.api.put(f"/cobv/{txid_of(1)}", body)

    assert (answer.kind, answer.violations) == ("CobVOperacaoInvalida", ["txid"])
    other = calls.put(2, calls.charge(1))
    assert (other.status, other.kind, other.violations) == (400, INVALID, [ITEMS])
    calls.put(1, calls.charge(1))
    calls.work()
    assert calls.api.put(f"/cobv/{txid_of(1)}", body).status == 201


def test_a_charge_joins_no_batch_later(calls):
    """Neither one of its own route nor an immediate one, nor one of another batch."""
    body = {name: value for name, value in calls.charge(1).items() if name != "txid"}
    calls.api.put(f"/cobv/{txid_of(1)}", body)
    cob = {"calendario": {"expiracao": 60}, "valor": {"original": "1.00"}, "chave": calls.key}
    calls.api.put(f"/cob/{txid_of(2)}", cob)
    calls.put(1, calls.charge(3))
    calls.work()

    answer = calls.put(2, *(calls.charge(number) for number in (1, 2, 3, 4)))

    assert (answer.status, answer.kind, answer.violations) == (400, INVALID, [ITEMS] * 3)
    values = [one["valor"] for one in answer.json["violacoes"]]
    assert values == [txid_of(1), txid_of(2), txid_of(3)]
    assert calls.api.get("/lotecobv/2").kind == MISSING


def test_a_charge_that_came_first_refuses_the_item(calls):
    """`PUT /cob` does not look into batches, so it can be faster than the job."""
    calls.put(1, calls.charge(1))
    cob = {"calendario": {"expiracao": 60}, "valor": {"original": "1.00"}, "chave": calls.key}
    calls.api.put(f"/cob/{txid_of(1)}", cob)
    calls.work()

    assert calls.statuses(1) == [REFUSED]
    assert paths_of_problem(calls.problem(1)) == ["txid"]
    assert calls.api.get(f"/cob/{txid_of(1)}").json["valor"]["original"] == "1.00"


def test_a_put_revises_the_whole_batch(calls):
    """Exactly the same charges: none more, none less; and the description may change."""
    calls.put(1, calls.charge(1), calls.charge(2))
    calls.work()

    more = calls.put(1, *(calls.charge(number) for number in (1, 2, 3)))
    fewer = calls.put(1, calls.charge(2))
    other = calls.put(1, calls.charge(2), calls.charge(3))

    for answer, txids in ((more, [3]), (fewer, [1]), (other, [3, 1])):
        assert (answer.status, answer.kind) == (400, INVALID)
        values = [one["valor"] for one in answer.json["violacoes"]]
        assert values == [txid_of(number) for number in txids]
    charges = [calls.charge(2, valor={"original": "9.00"}), calls.charge(1)]
    body = {"descricao": "Novas", "cobsv": charges}
    assert calls.api.put("/lotecobv/1", body).status == 202
    assert calls.statuses(1) == [WAITING, WAITING]
    assert calls.api.get(f"/cobv/{txid_of(2)}").json["valor"]["original"] == "100.00"
    assert calls.work() == 2
    assert calls.api.get("/lotecobv/1").json["descricao"] == "Novas"
    charges = [calls.api.get(f"/cobv/{txid_of(number)}").json for number in (1, 2)]
    assert [one["revisao"] for one in charges] == [0, 1]
    assert charges[1]["valor"]["original"] == "9.00"


def test_a_patch_revises_some_charges(calls):
    """By its members; a charge that is not in the batch is refused, and nothing changes."""
    calls.put(1, calls.charge(1), calls.charge(2))
    calls.work()
    change = {"txid": txid_of(2), "valor": {"original": "8.00"}}

    answer = calls.patch(1, change, {"txid": txid_of(3)})

    assert (answer.status, answer.kind, answer.violations) == (400, INVALID, [ITEMS])
    assert calls.statuses(1) == [CREATED, CREATED]
    assert calls.patch(1, change).status == 202
    assert calls.statuses(1) == [CREATED, WAITING]
    calls.work()
    charge = calls.api.get(f"/cobv/{txid_of(2)}").json
    assert (charge["valor"], charge["revisao"]) == ({"original": "8.00"}, 1)
    assert charge["devedor"] == calls.charge(2)["devedor"]
    assert calls.api.patch("/lotecobv/1", {"descricao": "Outra"}).status == 202
    assert calls.api.get("/lotecobv/1").json["descricao"] == "Outra"
    assert calls.work() == 0


def test_a_refused_revision_leaves_the_charge_as_it_is(calls):
    """The item is NEGADA, because its newest request is; the next one makes it CRIADA again."""
    calls.put(1, calls.charge(1))
    calls.work()
    calls.patch(1, {"txid": txid_of(1), "valor": {"original": "0.00"}})
    calls.work()

    [item] = calls.items(1)
    assert (item["status"], item["criacao"]) == (REFUSED, "2026-11-20T15:00:00.000Z")
    assert paths_of_problem(item["problema"]) == ["cobv.valor.original"]
    assert calls.api.get(f"/cobv/{txid_of(1)}").json["valor"]["original"] == "100.00"
    calls.patch(1, {"txid": txid_of(1), "valor": {"original": "5.00"}})
    calls.work()
    [item] = calls.items(1)
    assert (item["status"], "problema" in item) == (CREATED, False)


def test_what_waits_is_revised_before_it_is_created(calls):
    """A PATCH joins the request that waits, and a PUT replaces it."""
    calls.put(1, calls.charge(1), calls.charge(2))
    calls.patch(1, {"txid": txid_of(1), "valor": {"original": "7.00"}})
    calls.patch(
        1,
        {"txid": txid_of(1), "calendario": {"validadeAposVencimento": 3}},
        dialect="the due date stays",
    )
    assert calls.work() == 2

    charge = calls.api.get(f"/cobv/{txid_of(1)}").json
    assert (charge["revisao"], charge["valor"]) == (0, {"original": "7.00"})
    assert charge["calendario"]["validadeAposVencimento"] == 3
    calls.patch(1, {"txid": txid_of(2), "valor": {"original": "0.00"}})
    calls.put(1, calls.charge(1, valor={"original": "7.00"}), calls.charge(2))
    calls.work()
    assert calls.statuses(1) == [CREATED, CREATED]


def test_a_refused_item_needs_the_whole_charge(calls):
    """Nothing of a refused body is stored."""
    calls.put(1, calls.charge(1, chave="other@example.com"))
    calls.work()
    calls.patch(1, {"txid": txid_of(1), "chave": calls.key})
    calls.work()
    required = ["cobv.calendario", "cobv.devedor", "cobv.valor"]
    assert paths_of_problem(calls.problem(1)) == required
    calls.patch(1, calls.charge(1))
    calls.work()
    assert calls.statuses(1) == [CREATED]


def test_a_patch_removes_charges(calls):
    """As `PATCH /cobv` does: alone, and not what does not exist."""
    calls.put(1, calls.charge(1), calls.charge(2), calls.charge(3, chave="other@example.com"))
    calls.work()
    mixed = {"txid": txid_of(2), "status": REMOVED, "valor": {"original": "1.00"}}
    calls.patch(1, {"txid": txid_of(1), "status": REMOVED}, mixed)
    calls.patch(1, {"txid": txid_of(3), "status": REMOVED})
    calls.work()

    assert calls.statuses(1) == [CREATED, REFUSED, REFUSED]
    assert calls.api.get(f"/cobv/{txid_of(1)}").json["status"] == REMOVED
    assert calls.api.get(f"/cobv/{txid_of(2)}").json["status"] == "ATIVA"
    assert paths_of_problem(calls.problem(1, 1)) == ["cobv.valor"]
    assert paths_of_problem(calls.problem(1, 2)) == ["cobv.status"]
    calls.put(1, calls.charge(1), calls.charge(2), calls.charge(3))
    calls.work()
    assert calls.statuses(1) == [REFUSED, CREATED, CREATED]
    assert paths_of_problem(calls.problem(1)) == ["cobv.status"]


@pytest.mark.parametrize(
    ("members", "paths"),
    [
        ({"cobsv": None}, [ITEMS]),
        ({"cobsv": []}, [ITEMS]),
        ({"cobsv": {}}, [ITEMS]),
        ({"cobsv": [1, {}]}, [f"{ITEMS}.0", f"{ITEMS}.1.txid"]),
        ({"cobsv": [{"txid": "a" * 25}, {"txid": 5}]}, [f"{ITEMS}.0.txid", f"{ITEMS}.1.txid"]),
        ({"cobsv": [{"txid": "a" * 26}, {"txid": "a" * 26}]}, [f"{ITEMS}.1.txid"]),
        ({"descricao": None, "cobsv": []}, ["loteCobV.descricao", ITEMS]),
        ({"descricao": "d" * 256}, ["loteCobV.descricao"]),
        ({"descricao": 5}, ["loteCobV.descricao"]),
        ({"cobsv": [{"txid": f"{n:030d}"} for n in range(1001)]}, [ITEMS]),
        ({"cobsv": [{} for _ in range(1000)]}, [f"{ITEMS}.{n}.txid" for n in range(100)]),
    ],
)
def test_a_bad_frame_is_refused_at_once(app, members, paths):
    """With every violation, at most a hundred; nothing is stored."""
    api = PixApi(client=app.test_client(), token=demo_client(app).token(app))
    body = {"descricao": "Mensalidades", "cobsv": [{"txid": "b" * 26}], **members}

    answer = api.put("/lotecobv/1", body)

    assert (answer.status, answer.kind, answer.violations) == (400, INVALID, paths)
    assert api.get("/lotecobv/1").status == 404


@pytest.mark.parametrize("number", ["x", "-1", "01", str(2**63), "1.0", "٣"])
def test_the_id_of_a_batch_is_a_number(app, number):
    """API Pix 2.9.0, LoteCobVConsultado: an int64. Others exist nowhere."""
    api = PixApi(client=app.test_client(), token=demo_client(app).token(app))
    put = api.put(f"/lotecobv/{number}", {"descricao": "x", "cobsv": [{"txid": "b" * 26}]})
    assert (put.status, put.kind, put.violations) == (400, INVALID, ["id"])
    for answer in (api.get(f"/lotecobv/{number}"), api.patch(f"/lotecobv/{number}", {})):
        assert (answer.status, answer.kind) == (404, MISSING)


def test_batches_are_listed_by_their_creation(calls, clock):
    """A page has at most ten batches, and says so, because each may have a thousand charges."""
    for number in range(12):
        calls.put(2**63 - 1 - number, calls.charge(number))
        clock.advance(seconds=1)
    calls.work()

    first = calls.api.get("/lotecobv", **EVER).json
    second = calls.api.get("/lotecobv", **EVER, **{"paginacao.paginaAtual": 1}).json

    assert first["parametros"]["paginacao"] == {
        "paginaAtual": 0,
        "itensPorPagina": 10,
        "quantidadeDePaginas": 2,
        "quantidadeTotalDeItens": 12,
    }
    numbers = [one["id"] for page in (first, second) for one in page["lotes"]]
    assert numbers == [2**63 - 1 - number for number in range(12)]
    assert first["lotes"][3]["cobsv"][0]["txid"] == txid_of(3)
    past = calls.api.get("/lotecobv", **EVER, **{"paginacao.paginaAtual": 9}).json
    assert (past["lotes"], past["parametros"]["paginacao"]["quantidadeTotalDeItens"]) == ([], 12)
    span = {"inicio": "2026-11-20T15:00:03Z", "fim": "2026-11-20T15:00:04Z"}
    assert len(calls.api.get("/lotecobv", **span).json["lotes"]) == 2
    bad = calls.api.get("/lotecobv", inicio=span["fim"], fim=span["inicio"])
    assert (bad.kind, bad.violations) == ("LoteCobVConsultaInvalida", ["fim"])


def test_charges_are_listed_by_their_batch(calls):
    """`loteCobVId` of `GET /cobv`; a refused item is no charge."""
    calls.put(1, calls.charge(1), calls.charge(2, chave="other@example.com"))
    calls.put(2, calls.charge(3))
    calls.work()

    answer = calls.api.get("/cobv", **EVER, loteCobVId=1)

    assert [one["txid"] for one in answer.json["cobs"]] == [txid_of(1)]
    assert answer.json["parametros"]["loteCobVId"] == 1
    assert calls.api.get("/cobv", **EVER, loteCobVId=9).json["cobs"] == []
    bad = calls.api.get("/cobv", **EVER, loteCobVId="x")
    assert (bad.kind, bad.violations) == ("CobVConsultaInvalida", ["loteCobVId"])


def test_another_merchants_batch_does_not_exist(calls):
    """Each merchant has numbers and txids of its own."""
    make_account(calls.app, "alice")
    token = new_client(calls.app, "alice").token(calls.app)
    alice = BatchCalls(calls.app, calls.api.as_bearer(token), KEYS["alice"])
    calls.put(1, calls.charge(1))

    assert alice.api.get("/lotecobv/1").kind == MISSING
    assert alice.patch(1, {"txid": txid_of(1)}).kind == MISSING
    assert alice.api.get("/lotecobv", **EVER).json["lotes"] == []
    assert alice.put(1, alice.charge(1)).status == 202
    calls.work()
    assert (calls.statuses(1), alice.statuses(1)) == ([CREATED], [REFUSED])
    assert paths_of_problem(alice.problem(1)) == ["cobv.chave"]  # she has no CPF or CNPJ


def test_numbers_are_stored_safely(calls):
    """What no database stores, or JSON of two kinds reads differently, is refused as in `/cobv`."""
    charges = [
        calls.charge(1, valor={"original": 100.5}),
        calls.charge(2, loc={"id": 10**300}),
        calls.charge(
            3, calendario={"dataDeVencimento": "2026-12-23", "validadeAposVencimento": 1.5}
        ),
        calls.charge(4, valor={"original": "1.00", "novo": {"a": [1.25, 10**40]}}),
    ]
    assert calls.put(1, *charges, dialect=NOT_CHECKED).status == 202
    calls.work()

    assert calls.statuses(1) == [REFUSED, REFUSED, REFUSED, CREATED]
    paths = [paths_of_problem(calls.problem(1, position)) for position in range(3)]
    assert paths == [
        ["cobv.valor.original"],
        ["cobv.loc.id"],
        ["cobv.calendario.validadeAposVencimento"],
    ]


def test_only_members_of_a_charge_are_stored(calls):
    """Unknown ones are ignored, and `status` belongs to a revision."""
    calls.put(1, {**calls.charge(1), "status": REMOVED, "novo": "x", "revisao": 4})
    [body] = calls.waiting_bodies()
    assert set(body) == set(calls.charge(1)) - {"txid"}


def test_a_location_shows_a_charge_of_a_batch(calls):
    """And not two of them."""
    location = calls.api.post("/loc", {"tipoCob": "cobv"}).json
    charges = [calls.charge(number, loc={"id": location["id"]}) for number in (1, 2)]
    calls.put(1, *charges)
    calls.work()

    assert calls.statuses(1) == [CREATED, REFUSED]
    assert paths_of_problem(calls.problem(1, 1)) == ["cobv.loc.id"]
    assert calls.api.get(f"/cobv/{txid_of(1)}").json["location"] == location["location"]


def test_a_thousand_charges_are_one_batch_and_five_thousand_may_wait(app, monkeypatch):
    """A body of a thousand charges fits; a request that replaces others needs no further room."""
    monkeypatch.setattr(charge_batches, "WAITING_MAX", 1001)
    api = PixApi(client=app.test_client(), token=demo_client(app).token(app))
    calls = BatchCalls(app, api, app.config["BALCAO"].demo_pix_key)
    long = {"solicitacaoPagador": "x" * 140, "infoAdicionais": [{"nome": "a", "valor": "b" * 200}]}
    thousand = [calls.charge(number, **long) for number in range(1000)]
    assert calls.put(1, *thousand).status == 202

    refused = calls.put(2, calls.charge(1000), calls.charge(1001))

    assert (refused.status, refused.kind, refused.violations) == (400, INVALID, [ITEMS])
    assert calls.put(1, *thousand).status == 202
    assert calls.put(2, calls.charge(1000)).status == 202
    large = api.put("/lotecobv/3", {"descricao": "x", "cobsv": [{"txid": "y" * 1_048_600}]})
    assert (large.status, large.kind) == (413, "RequisicaoInvalida")


def test_a_fault_of_ours_refuses_the_item_and_holds_up_no_other(calls, monkeypatch):
    """It would come again and again."""
    create = due_changes.create

    def fail(work, merchant, body, txid):
        if txid == txid_of(1):
            raise RuntimeError("a bug")
        return create(work, merchant, body, txid)

    monkeypatch.setattr(due_changes, "create", fail)
    calls.put(1, calls.charge(1), calls.charge(2))
    calls.work()

    assert calls.statuses(1) == [REFUSED, CREATED]
    problem = calls.problem(1)
    assert (problem["type"].rpartition("/")[2], problem["status"]) == ("ErroInternoDoServidor", 500)


def test_a_run_stops_when_the_process_does(calls):
    """And the rest waits for the next one."""
    calls.put(1, *(calls.charge(number) for number in range(5)))
    goes_on = iter([True, True, False])
    with calls.app.app_context():
        assert batch_work.work_on_waiting(lambda: next(goes_on)) == 2
    assert calls.statuses(1) == [CREATED] * 2 + [WAITING] * 3
    assert calls.work() == 3
