"""`/rec`: offer a recurrence, read it with its codes, revise it, cancel it, list."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from core.merchant_errors import RecurrenceUnchangeable
from core.pix.br_code import BrCodeKind, decode
from core.pix.business_days import brasilia_day
from core.pix.recurrence_rules import ID_REC
from db_models import RecurrenceChange
from payments.recurring import recurrences
from payments.recurring.closings import Closing
from payments.recurring.objects import callback_object
from repository.database import reading
from repository.recurrence_callbacks import RecurrenceNews
from tests.pix_api.charges import EVER, DemoCalls, paths_of
from tests.pix_api.clients import new_client
from tests.pix_api.recurrences import PAYER, REJECTION, accept, change, offer, rec_body, reserve
from tests.portal.signing import make_account
from tests.support.api_pix import check_rec_callback

COB, COBV, UNKNOWN, OTHER = "a" * 30, "b" * 30, "c" * 30, "d" * 30
LINK = {"contrato": "1", "devedor": {"cpf": PAYER, "nome": "A"}}
WRONG = {"cpf": "12345678900", "nome": "A"}
INVALID, UNREADABLE = "RecOperacaoInvalida", "RecConsultaInvalida"


@pytest.fixture
def call(app):
    """The demo merchant's calls."""
    return DemoCalls(app)


@pytest.fixture
def charges(call, clock):
    """An immediate charge and one with a due date."""
    call.create(COB)
    due_date = str(brasilia_day(clock.now()) + timedelta(days=5))
    debtor = {"cpf": "12345678909", "nome": "Ana Souza"}
    body = {"calendario": {"dataDeVencimento": due_date}, "devedor": debtor, "chave": call.key}
    answer = call("PUT", f"/cobv/{COBV}", {**body, "valor": {"original": "10.00"}})
    assert answer.status_code == 201, answer.text


def words(rec):
    """The statuses of the history."""
    return [step["status"] for step in rec["atualizacao"]]


def activation(txid):
    return {"ativacao": {"dadosJornada": {"txid": txid}}}


def test_a_recurrence_is_offered_read_and_cancelled(each_app, clock):
    call = DemoCalls(each_app)
    location = reserve(call)
    body = rec_body(clock, loc=location["id"], recebedor={"convenio": "Master"})
    answer = call("POST", "/rec", body)
    rec = answer.get_json()
    assert answer.status_code == 201, answer.text
    assert ID_REC.fullmatch(rec["idRec"])
    day = brasilia_day(clock.now())
    assert rec["idRec"].startswith(f"RN99999004{day:%Y%m%d}")
    for name in ("vinculo", "calendario", "valor", "politicaRetentativa"):
        assert rec[name] == body[name]
    assert rec["loc"] == {**location, "idRec": rec["idRec"]}
    assert rec["recebedor"]["convenio"] == "Master"
    assert rec["ativacao"] == {"tipoJornada": "AGUARDANDO_DEFINICAO"}
    assert (rec["status"], words(rec)) == ("CRIADA", ["CRIADA"])
    full = call("GET", f"/rec/{rec['idRec']}").get_json()
    assert {**rec, "dadosQR": full["dadosQR"]} == full
    cancelled = call("PATCH", f"/rec/{rec['idRec']}", {"status": "CANCELADA"}).get_json()
    assert (cancelled["status"], words(cancelled)) == ("CANCELADA", ["CRIADA", "CANCELADA"])
    assert cancelled["encerramento"]["cancelamento"]["codigo"] == "SLCR"
    again = call("PATCH", f"/rec/{rec['idRec']}", {"status": "CANCELADA"})
    assert (again.status_code, paths_of(again, INVALID)) == (400, ["rec.status"])


def test_the_smallest_recurrence_has_what_was_sent_and_no_code(call, clock):
    body = rec_body(clock, politicaRetentativa="PERMITE_3R_7D")
    del body["valor"], body["calendario"]["dataFinal"], body["vinculo"]["objeto"]
    rec = call("POST", "/rec", body).get_json()
    assert rec["idRec"].startswith("RR")
    assert not {"valor", "loc", "pagador", "encerramento"} & rec.keys()
    assert "dadosQR" not in call("GET", f"/rec/{rec['idRec']}").get_json()


def test_every_violation_is_told_at_once(call, clock):
    today = brasilia_day(clock.now())
    yesterday = str(today - timedelta(days=1))
    calendar = {"dataInicial": yesterday, "dataFinal": "2020-01-01", "periodicidade": "ANUAL"}
    value = {"valorRec": "0.00", "valorMinimoRecebedor": "1.00"}
    more = activation(UNKNOWN)
    answer = call("POST", "/rec", rec_body(clock, calendario=calendar, valor=value, loc=7, **more))
    assert answer.status_code == 400
    assert paths_of(answer, INVALID) == [
        "rec.calendario.dataInicial",
        "rec.calendario.dataFinal",
        "rec.valor.valorRec",
        "rec.valor.valorMinimoRecebedor",
        "rec.loc",
        "rec.ativacao.dadosJornada.txid",
    ]


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"vinculo": {"contrato": "1"}}, "rec.vinculo.devedor"),
        ({"vinculo": {**LINK, "contrato": "c" * 36}}, "rec.vinculo.contrato"),
        (
            {"vinculo": {**LINK, "devedor": {"cpf": "12345678900", "nome": "A"}}},
            "rec.vinculo.devedor.cpf",
        ),
        ({"politicaRetentativa": "PERMITE"}, "rec.politicaRetentativa"),
        ({"valor": {"valorRec": "1"}}, "rec.valor.valorRec"),
        ({"recebedor": {"convenio": "c" * 61}}, "rec.recebedor.convenio"),
        ({"loc": "x"}, "rec.loc"),
        ({"ativacao": {"dadosJornada": {"txid": "x"}}}, "rec.ativacao.dadosJornada.txid"),
    ],
)
def test_a_malformed_member_is_named(call, clock, members, path):
    answer = call("POST", "/rec", rec_body(clock, **members))
    assert (answer.status_code, paths_of(answer, INVALID)) == (400, [path])


def test_the_payee_is_a_company(app, clock):
    """The standard has no person as the payee of a recurrence."""
    make_account(app, "alice")
    answer = DemoCalls(app, "alice")("POST", "/rec", rec_body(clock))
    assert (answer.status_code, paths_of(answer, INVALID)) == (400, ["rec.recebedor"])


def test_the_code_of_each_journey(call, clock, charges):
    """Alone, with the charge that accepts it when paid, and with a charge that has a due date."""
    rec = offer(call, clock, loc=reserve(call)["id"], **activation(COB))
    assert rec["ativacao"]["dadosJornada"] == {"txid": COB}
    kinds = {
        None: (BrCodeKind.RECURRENCE_ONLY, "JORNADA_2"),
        COB: (BrCodeKind.COMPOSITE_DYNAMIC, "JORNADA_3"),
        COBV: (BrCodeKind.COMPOSITE_DYNAMIC, "JORNADA_4"),
    }
    for txid, (kind, journey) in kinds.items():
        query = {"txid": txid} if txid else {}
        data = call("GET", f"/rec/{rec['idRec']}", query_string=query).get_json()["dadosQR"]
        read = decode(data["pixCopiaECola"], strict=True)
        assert (data["jornada"], read.kind) == (journey, kind)
        assert read.recurrence_url == rec["loc"]["location"]
        resource = "cob" if txid == COB else "cobv"
        charge = call("GET", f"/{resource}/{txid}").get_json() if txid else {}
        assert read.url == charge.get("location")


def test_no_code_without_both_locations(call, clock, charges):
    rec = offer(call, clock, loc=reserve(call)["id"], **activation(COB))
    number = call("GET", f"/cob/{COB}").get_json()["loc"]["id"]
    call("DELETE", f"/loc/{number}/txid")
    path = f"/rec/{rec['idRec']}"
    assert "dadosQR" not in call("GET", f"{path}?txid={COB}").get_json()
    assert "dadosQR" in call("GET", path).get_json()


def test_no_code_with_a_charge_that_cannot_be_paid(app, call, clock, charges):
    """No error: a client that polls with its `txid` reads how the recurrence goes on."""
    rec = offer(call, clock, loc=reserve(call)["id"], **activation(COB))
    path = f"/rec/{rec['idRec']}"
    clock.advance(days=40)
    call = DemoCalls(app)  # the old token has expired
    removal = {"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"}
    call.create(OTHER)
    assert call("PATCH", path, activation(OTHER)).status_code == 200
    assert "dadosQR" in call("GET", f"{path}?txid={OTHER}").get_json()
    assert call("PATCH", f"/cob/{OTHER}", removal).status_code == 200
    for txid in (OTHER, COBV):
        answer = call("GET", f"{path}?txid={txid}")
        assert (answer.status_code, "dadosQR" in answer.get_json()) == (200, False)


def test_a_charge_that_does_not_fit_is_refused(app, call, clock, charges):
    """Another immediate charge than the one named, an unknown one, one of another journey."""
    call.create(OTHER)
    rec = offer(call, clock, loc=reserve(call)["id"], **activation(OTHER))
    path = f"/rec/{rec['idRec']}"
    for txid in (COB, UNKNOWN, "x"):
        answer = call("GET", f"{path}?txid={txid}")
        assert (answer.status_code, paths_of(answer, UNREADABLE)) == (400, ["txid"])
    assert call("GET", f"{path}?txid={COBV}").status_code == 200
    accept(app, rec["idRec"], journey=2)
    assert call("GET", f"{path}?txid={COBV}").status_code == 400


def test_only_the_payment_of_an_immediate_charge_accepts_a_recurrence(call, clock, charges):
    """A charge with a due date stands beside the offer: its payment does not accept anything."""
    rec = offer(call, clock)
    for method, path, sent in (
        ("POST", "/rec", rec_body(clock, **activation(COBV))),
        ("PATCH", f"/rec/{rec['idRec']}", activation(COBV)),
    ):
        answer = call(method, path, sent)
        assert answer.status_code == 400
        assert paths_of(answer, INVALID) == ["rec.ativacao.dadosJornada.txid"]


def test_terms_change_until_a_payer_accepts(app, call, clock, charges):
    rec = offer(call, clock)
    path = f"/rec/{rec['idRec']}"
    day = str(brasilia_day(clock.now()) + timedelta(days=30))
    first, second = reserve(call), reserve(call)
    changes = {
        "loc": first["id"],
        "vinculo": {"devedor": {"nome": "Ana Lima"}},
        "calendario": {"dataInicial": day},
        **activation(COB),
    }
    rec = call("PATCH", path, changes).get_json()
    assert rec["vinculo"]["devedor"] == {"cpf": "12345678909", "nome": "Ana Lima"}
    assert (rec["calendario"]["dataInicial"], rec["loc"]["id"]) == (day, first["id"])
    assert rec["ativacao"]["dadosJornada"] == {"txid": COB}
    assert words(rec) == ["CRIADA"]
    moved = call("PATCH", path, {"loc": second["id"]}).get_json()
    assert moved["loc"]["id"] == second["id"]
    assert "idRec" not in call("GET", f"/locrec/{first['id']}").get_json()
    accept(app, rec["idRec"], journey=3)
    same = {"loc": second["id"], "calendario": {"dataInicial": day}}
    assert call("PATCH", path, same).status_code == 200
    late = {"loc": first["id"], "calendario": {"dataInicial": str(brasilia_day(clock.now()))}}
    answer = call("PATCH", path, late)
    assert paths_of(answer, INVALID) == ["rec.calendario.dataInicial", "rec.loc"]
    renamed = call("PATCH", path, {"vinculo": {"devedor": {"nome": "Bia"}}, "status": "CANCELADA"})
    assert renamed.get_json()["vinculo"]["devedor"]["nome"] == "Bia"
    assert words(renamed.get_json()) == ["CRIADA", "APROVADA", "CANCELADA"]
    for body in ({"vinculo": {"devedor": {"nome": "Zoe"}}}, activation(COB)):
        assert paths_of(call("PATCH", path, body), INVALID) == ["rec.status"]


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"status": "APROVADA"}, "rec.status"),
        ({"loc": 7}, "rec.loc"),
        ({"calendario": {"dataInicial": "2020-01-01"}}, "rec.calendario.dataInicial"),
        ({"calendario": {"dataInicial": "2120-01-01"}}, "rec.calendario.dataInicial"),
        ({"vinculo": {"devedor": {}}}, "rec.vinculo.devedor.nome"),
        (activation(UNKNOWN), "rec.ativacao.dadosJornada.txid"),
    ],
)
def test_a_wrong_revision_changes_nothing(call, clock, members, path):
    rec = offer(call, clock)
    answer = call("PATCH", f"/rec/{rec['idRec']}", members)
    assert answer.status_code == 400
    assert paths_of(answer, INVALID)[0] == path
    assert call("GET", f"/rec/{rec['idRec']}").get_json() == rec


def test_a_location_shows_one_recurrence_until_it_ends(call, clock):
    number = reserve(call)["id"]
    rec = offer(call, clock, loc=number)
    other = offer(call, clock)
    refusal = call("POST", "/rec", rec_body(clock, loc=number))
    assert (refusal.status_code, paths_of(refusal, INVALID)) == (400, ["rec.loc"])
    refusal = call("PATCH", f"/rec/{other['idRec']}", {"loc": number})
    assert (refusal.status_code, paths_of(refusal, INVALID)) == (400, ["rec.loc"])
    call("PATCH", f"/rec/{rec['idRec']}", {"status": "CANCELADA"})
    moved = call("PATCH", f"/rec/{other['idRec']}", {"loc": number}).get_json()
    assert moved["loc"]["idRec"] == other["idRec"]
    assert "loc" not in call("GET", f"/rec/{rec['idRec']}").get_json()


def test_a_payer_accepts(app, call, clock, charges):
    """By the payment of the charge; by another journey the charge is forgotten."""
    for journey, data in ((3, {"txid": COB}), (4, None), (1, None)):
        rec = offer(call, clock, **activation(COB))
        record = accept(app, rec["idRec"], journey)
        body = call("GET", f"/rec/{rec['idRec']}").get_json()
        assert body["pagador"] == {"cpf": PAYER, "ispbParticipante": "99999004"}
        assert body["ativacao"]["tipoJornada"] == f"JORNADA_{journey}"
        assert body["ativacao"].get("dadosJornada") == data
        assert words(body) == ["CRIADA", "APROVADA"]
        notification = callback_object(RecurrenceNews(record, record.changes[-1]))
        assert notification == {name: body[name] for name in notification}
        check_rec_callback({"recs": [notification]})
        with pytest.raises(RecurrenceUnchangeable):
            accept(app, rec["idRec"], journey)


def test_the_payment_journey_needs_its_charge(app, call, clock):
    rec = offer(call, clock)
    with pytest.raises(RecurrenceUnchangeable):
        accept(app, rec["idRec"], journey=3)
    accept(app, rec["idRec"], journey=4)
    answer = call("PATCH", f"/rec/{rec['idRec']}", activation(call.create(COB)["txid"]))
    assert paths_of(answer, INVALID) == ["rec.ativacao.dadosJornada.txid"]


def test_a_payer_refuses_or_never_answers(app, call, clock):
    rejected, expired = offer(call, clock), offer(call, clock)
    record = change(app, rejected["idRec"], recurrences.reject, REJECTION)
    notification = callback_object(RecurrenceNews(record, record.changes[-1]))
    check_rec_callback({"recs": [notification]})
    change(app, expired["idRec"], recurrences.expire)
    body = call("GET", f"/rec/{rejected['idRec']}").get_json()
    assert body["encerramento"] == {"rejeicao": {"codigo": "AP13", "descricao": REJECTION.text}}
    assert words(body) == ["CRIADA", "REJEITADA"]
    body = call("GET", f"/rec/{expired['idRec']}").get_json()
    assert (words(body), "encerramento" in body) == (["CRIADA", "EXPIRADA"], False)
    for rec in (rejected, expired):
        with pytest.raises(RecurrenceUnchangeable):
            accept(app, rec["idRec"])
        answer = call("PATCH", f"/rec/{rec['idRec']}", {"status": "CANCELADA"})
        assert paths_of(answer, INVALID) == ["rec.status"]


def test_a_closing_has_a_code_of_its_kind(app, call, clock):
    rec = offer(call, clock)
    for verb in (recurrences.reject, recurrences.cancel):
        with pytest.raises(ValueError, match="must be a closing"):
            change(app, rec["idRec"], verb, Closing("XXXX", "?"))


def test_a_list_has_filters_and_pages(each_app, clock):
    call = DemoCalls(each_app)
    company = {"contrato": "1", "devedor": {"cnpj": "12345678000195", "nome": "Padaria"}}
    first = offer(call, clock, loc=reserve(call)["id"], recebedor={"convenio": "Master"})["idRec"]
    clock.advance(seconds=1)
    second = offer(call, clock, vinculo=company)["idRec"]
    accept(each_app, second)

    def ids(**query):
        body = call("GET", "/rec", query_string={**EVER, **query}).get_json()
        return [rec["idRec"] for rec in body["recs"]]

    assert ids() == [first, second]
    assert ids(cpf="12345678909") == ids(locationPresente="true") == [first]
    assert ids(cnpj="12345678000195") == ids(locationPresente="false") == [second]
    assert ids(status="CRIADA") == ids(convenio="Master") == [first]
    assert ids(status="APROVADA") == [second]
    assert ids(convenio="master") == []
    pages = [ids(**{"paginacao.itensPorPagina": 1, "paginacao.paginaAtual": n}) for n in range(3)]
    assert pages == [[first], [second], []]
    body = call("GET", "/rec", query_string={**EVER, "convenio": "Master"}).get_json()
    assert body["parametros"]["recebedor"] == {"convenio": "Master"}
    assert body["parametros"]["paginacao"]["quantidadeTotalDeItens"] == 1
    full = call("GET", f"/rec/{first}").get_json()
    del full["dadosQR"]
    assert body["recs"] == [full]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"inicio": None}, ["inicio"]),
        ({"status": "ATIVA", "cpf": "1"}, ["cpf", "status"]),
        ({"cpf": "12345678909", "cnpj": "12345678000195"}, ["cpf"]),
        ({"convenio": "c" * 61}, ["convenio"]),
        ({"paginacao.paginaAtual": "-1"}, ["paginacao.paginaAtual"]),
    ],
)
def test_a_wrong_query_is_refused(call, query, names):
    merged = {name: value for name, value in {**EVER, **query}.items() if value is not None}
    answer = call("GET", "/rec", query_string=merged)
    assert (answer.status_code, paths_of(answer, UNREADABLE)) == (400, names)


def test_another_merchants_recurrence_is_not_there(app, call, clock):
    number = reserve(call)["id"]
    rec = offer(call, clock, loc=number)
    make_account(app, "alice")
    headers = {"Authorization": f"Bearer {new_client(app, 'alice').token(app)}"}
    client = app.test_client()
    path = f"/api-pix/v2/rec/{rec['idRec']}"
    assert client.get(path, headers=headers).status_code == 404
    body = {"status": "CANCELADA"}
    assert client.patch(path, json=body, headers=headers).status_code == 404
    listed = client.get("/api-pix/v2/rec", query_string=EVER, headers=headers).get_json()
    assert listed["recs"] == []
    assert call("GET", f"/rec/{'x' * 29}").status_code == 404


def test_a_client_needs_the_scope(app, clock, pix_client):
    headers = {"Authorization": f"Bearer {pix_client.token(app)}"}
    client = app.test_client()
    for method, path in (("GET", "/rec"), ("POST", "/rec"), ("POST", "/locrec")):
        answer = client.open(f"/api-pix/v2{path}", method=method, headers=headers)
        assert answer.status_code == 403


def test_the_history_names_the_client_and_what_changed(app, call, clock):
    """For a merchant who asks which program did it; no name of a person is in it."""
    number = reserve(call)["id"]
    path = f"/rec/{offer(call, clock)['idRec']}"
    call("PATCH", path, {"loc": number, "vinculo": {"devedor": {"nome": "Bia Lima"}}})
    call("DELETE", f"/locrec/{number}/idRec")
    call("PATCH", path, {"status": "CANCELADA"})
    with app.app_context(), reading() as work:
        query = select(RecurrenceChange.details).order_by(RecurrenceChange.id)
        rows = work.session.scalars(query).all()
    assert [row.get("changed") for row in rows] == [
        None,
        ["debtor-name", "location"],
        ["no-location"],
        None,
    ]
    assert {row["key_name"] for row in rows} == {"API Pix (demo)"}
    assert len({row["request_id"] for row in rows}) == 4
    assert "Bia" not in str(rows)
