"""`/cobr`: charge a recurrence, read it, list, cancel, try again."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from accounts.service import disable, enable
from blueprints.payer.paying import require_payable
from core.errors import InvalidRequest
from db_models import Payment
from payments.privacy import erase_payer, export_payer
from payments.sweep import expire_batch
from repository.database import in_unit_of_work, reading
from repository.recurring_charges import RecurringCharges
from tests.pix_api.charges import EVER, DemoCalls, paths_of
from tests.pix_api.recurrences import offer
from tests.pix_api.recurring_charges import (
    RETRIES,
    approved,
    charged,
    cobr_body,
    day_after,
    fail,
    order_due,
    pay,
    read,
    words,
)
from tests.support.payer_bank import payer_bank, send_orders
from tests.support.service import DEMO_PASSWORD, BankInTest, close_app, ready_app, settings_for

TXID, OTHER, UNKNOWN = "a" * 30, "b" * 30, "c" * 30
INVALID, UNREADABLE = "CobROperacaoInvalida", "CobRConsultaInvalida"
CANCELLATION = {"status": "CANCELADA"}


@pytest.fixture
def bank(clock):
    """The payer's bank, which records what it is asked to do."""
    with payer_bank(clock) as bank:
        yield bank


@pytest.fixture
def app(tmp_path, clock, bank):
    """The service, which sends its orders to that bank."""
    url = f"sqlite:///{tmp_path / 'balcao.sqlite'}"
    app = ready_app(settings_for(url, tmp_path, bank_url=bank.url), clock)
    yield app
    close_app(app)


@pytest.fixture
def call(app):
    """The demo merchant's calls."""
    return DemoCalls(app)


@pytest.fixture
def rec(app, call, clock):
    """A recurrence whose charges may be tried again."""
    return approved(app, call, clock, politicaRetentativa=RETRIES)


def test_a_charge_is_created_read_and_listed(app, call, clock, rec):
    due_day = day_after(clock, 20)
    cobr = charged(call, rec, due_day, TXID)
    assert (cobr["txid"], cobr["status"], cobr["idRec"]) == (TXID, "CRIADA", rec["idRec"])
    assert cobr["calendario"] == {
        "criacao": str(day_after(clock, 0)),
        "dataDeVencimento": str(due_day),
    }
    assert cobr["recebedor"] == {
        "agencia": "9708",
        "conta": "012682",
        "tipoConta": "CORRENTE",
        "cnpj": rec["recebedor"]["cnpj"],
        "nome": rec["recebedor"]["nome"],
    }
    assert cobr["devedor"]["email"] == "ana@example.com"
    assert (cobr["politicaRetentativa"], cobr["ajusteDiaUtil"]) == (RETRIES, False)
    assert words(cobr) == (["CRIADA"], [])
    assert read(call, cobr) == cobr
    assert call("PUT", f"/cobr/{TXID}", cobr_body(rec, due_day)).get_json() == cobr  # a repetition
    second = approved(app, call, clock, recebedor={"convenio": "Master"})
    other = charged(call, second, due_day)
    lists = {
        "": [TXID, other["txid"]],
        "idRec": ([TXID], rec["idRec"]),
        "convenio": ([other["txid"]], "Master"),
        "cpf": ([TXID, other["txid"]], "12345678909"),
        "cnpj": ([], "11222333000181"),
        "status": ([], "ATIVA"),
    }
    for name, expected in lists.items():
        txids, value = expected if isinstance(expected, tuple) else (expected, "")
        query = {**EVER, **({name: value} if name else {})}
        body = call("GET", "/cobr", query_string=query).get_json()
        assert [one["txid"] for one in body["cobsr"]] == txids, name
    page = {**EVER, "paginacao.itensPorPagina": 1, "paginacao.paginaAtual": 1}
    body = call("GET", "/cobr", query_string=page).get_json()
    assert body["cobsr"] == [other]
    assert body["parametros"]["paginacao"]["quantidadeTotalDeItens"] == 2
    wrong = {**EVER, "idRec": "x", "status": "PAGA"}
    answer = call("GET", "/cobr", query_string=wrong)
    assert sorted(paths_of(answer, UNREADABLE)) == ["idRec", "status"]
    for path in (f"/cobr/{UNKNOWN}", "/cobr/x", f"/cob/{TXID}", f"/cobv/{TXID}"):
        assert call("GET", path).status_code == 404, path
    call.create(OTHER)
    assert call("GET", f"/cobr/{OTHER}").status_code == 404
    answer = call("PUT", f"/cob/{TXID}", call.body())
    assert (answer.status_code, paths_of(answer, "CobOperacaoInvalida")) == (400, ["txid"])
    assert call("GET", "/cob", query_string=EVER).get_json()["cobs"][0]["txid"] == OTHER
    assert len(call("GET", "/loc", query_string=EVER).get_json()["loc"]) == 1


def test_every_violation_of_a_charge_is_named(app, call, clock, rec):
    def faults(body, path=f"/cobr/{OTHER}"):
        answer = call("PUT", path, body)
        assert answer.status_code == 400, answer.text
        return sorted(paths_of(answer, INVALID))

    due, original = "cobr.calendario.dataDeVencimento", "cobr.valor.original"
    day = day_after(clock, 20)
    for days in (-1, 1, 367):
        assert due in faults(cobr_body(rec, day_after(clock, days)))
    assert faults(cobr_body(rec, day_after(clock, 1), valor={"original": "36.00"})) == [
        due,
        original,
    ]
    assert faults(cobr_body(rec, day, valor={"original": "0.00"})) == [original]
    payee = {"agencia": "12345", "conta": "", "tipoConta": "OUTRA"}
    wrong = cobr_body(rec, day, recebedor=payee, valor={"original": "1"}, devedor={"cep": "1"})
    assert faults(wrong) == [
        "cobr.devedor.cep",
        "cobr.recebedor.agencia",
        "cobr.recebedor.conta",
        "cobr.recebedor.tipoConta",
        original,
    ]
    assert faults({"idRec": rec["idRec"]}) == ["cobr.calendario", "cobr.recebedor", "cobr.valor"]
    assert faults(cobr_body({"idRec": "R" * 29}, day)) == ["cobr.idRec"]
    assert faults(cobr_body(offer(call, clock), day_after(clock, 12))) == ["cobr.idRec"]
    assert faults(cobr_body(rec, day), "/cobr/short") == ["txid"]
    charged(call, rec, day, TXID)
    assert faults(cobr_body(rec, day + timedelta(days=1))) == [due]  # the cycle is in use
    assert faults(cobr_body(rec, day_after(clock, 40)), f"/cobr/{TXID}") == ["cobr.txid"]
    charged(call, rec, day_after(clock, 40), OTHER)
    payee = {"conta": "1", "tipoConta": "POUPANÇA"}
    body = cobr_body(rec, day_after(clock, 71), recebedor=payee, devedor={"cep": "50000-000"})
    answer = call("POST", "/cobr", body, dialect="the standard's own examples")
    assert answer.get_json()["recebedor"]["tipoConta"] == "POUPANCA"


def test_money_ends_attempt_and_charge(app, bank, call, clock, rec):
    """Ordered ten days before, scheduled by the bank, paid on the day; then refunded."""
    cobr = charged(call, rec, day_after(clock, 20), TXID, ajusteDiaUtil=True)
    assert (order_due(app), send_orders(app)) == (0, 0)
    clock.advance(days=12)
    with app.app_context():
        in_unit_of_work(lambda work: disable(work, work.accounts.by_login("demo")))
    assert order_due(app) == 0  # its merchant could not cancel it
    with app.app_context():
        in_unit_of_work(lambda work: enable(work, work.accounts.by_login("demo")))
    assert (order_due(app), order_due(app)) == (1, 0)
    assert words(read(call, cobr)) == (["CRIADA"], [["SOLICITADA"]])
    assert send_orders(app) == 1
    [(path, order)] = bank.orders
    [attempt] = read(call, cobr)["tentativas"]
    assert (path, order["end_to_end_id"]) == ("/api/collections", attempt["endToEndId"])
    assert order == {
        "txid": order["txid"],
        "id_rec": rec["idRec"],
        "end_to_end_id": attempt["endToEndId"],
        "value": "35.00",
        "settles_on": attempt["dataLiquidacao"],
        "kind": "AGND",
        "payee": {"name": rec["recebedor"]["nome"], "document": rec["recebedor"]["cnpj"]},
        "info": "Assinatura de novembro",
    }
    assert words(read(call, cobr)) == (["CRIADA", "ATIVA"], [["SOLICITADA", "AGENDADA"]])
    clock.advance(days=9)
    assert pay(app, clock, order).status_code == 200
    assert pay(app, clock, order).get_json()["duplicate"] is True
    cobr = read(call, cobr)
    history = ["CRIADA", "ATIVA", "CONCLUIDA"]
    assert words(cobr) == (history, [["SOLICITADA", "AGENDADA", "PAGA"]])
    [pix] = cobr["pix"]
    assert (pix["endToEndId"], pix["txid"], pix["valor"]) == (attempt["endToEndId"], TXID, "35.00")
    assert call("GET", f"/pix/{pix['endToEndId']}").get_json()["txid"] == TXID
    assert fail(app, clock, order, "no-funds").get_json()["duplicate"] is True
    assert read(call, cobr) == cobr
    answer = call("PATCH", f"/cobr/{TXID}", CANCELLATION)
    assert "cobr.status" in paths_of(answer, INVALID)


def test_a_charge_that_cannot_be_ordered_does_not_stop_the_batch(
    app, call, clock, rec, monkeypatch
):
    charged(call, rec, day_after(clock, 20))
    ids_to_order = RecurringCharges.ids_to_order
    monkeypatch.setattr(
        RecurringCharges, "ids_to_order", lambda *rest: [0, *ids_to_order(*rest)]
    )  # no charge has the first id
    clock.advance(days=12)
    assert order_due(app) == 1


def test_a_charge_near_its_day_is_ordered_at_once_and_can_be_cancelled(app, bank, call, clock, rec):
    cobr = charged(call, rec, day_after(clock, 3), TXID)
    assert words(cobr) == (["CRIADA"], [["SOLICITADA"]])
    assert send_orders(app) == 1
    assert call("PATCH", f"/cobr/{TXID}", {}).get_json()["status"] == "ATIVA"
    cancelled = call("PATCH", f"/cobr/{TXID}", CANCELLATION).get_json()
    assert words(cancelled) == (
        ["CRIADA", "ATIVA", "CANCELADA"],
        [["SOLICITADA", "AGENDADA", "CANCELADA"]],
    )
    assert cancelled["encerramento"]["cancelamento"]["codigo"] == "SLCR"
    assert send_orders(app) == 1
    order = bank.orders[0][1]
    assert bank.orders[1] == (
        "/api/collections/cancel",
        {"end_to_end_id": order["end_to_end_id"]},
    )
    assert pay(app, clock, order).status_code == 409  # refused: the bank gives the money back
    second = charged(call, rec, day_after(clock, 3), OTHER)  # the cycle is free again
    clock.advance(days=3)
    answer = call("PATCH", f"/cobr/{OTHER}", CANCELLATION)
    assert (answer.status_code, paths_of(answer, INVALID)) == (400, ["cobr.status"])
    assert read(call, second)["status"] == "CRIADA"
    # Another interface must not cancel without the payer's bank.
    with app.app_context(), reading() as work:
        own = work.session.scalars(
            sa.select(Payment.txid).where(Payment.charge_txid == OTHER)
        ).one()
    client = app.test_client()
    assert client.post(f"/payments/pix/{own}/cancel").status_code == 409
    assert client.post(f"/payments/pix/{own}/expire-soon").status_code == 409


def test_a_failed_charge_is_tried_again_and_expires(app, bank, call, clock, rec):
    """Three further attempts within seven days; money counts also after a failure."""
    first_day = day_after(clock, 2)
    cobr = charged(call, rec, first_day, TXID)
    send_orders(app)

    def retry(day):
        return call("POST", f"/cobr/{TXID}/retentativa/{day}")

    assert paths_of(retry(first_day + timedelta(days=1)), INVALID) == ["data"]  # one is open
    clock.advance(days=2)
    order = bank.orders[-1][1]
    assert fail(app, clock, order, "no-funds", txid="0" * 32).status_code == 404
    assert fail(app, clock, {**order, "end_to_end_id": "E" * 32}, "no-funds").status_code == 404
    assert fail(app, clock, order, "too-late").status_code == 400
    assert fail(app, clock, order, "no-funds").get_json()["duplicate"] is False
    assert fail(app, clock, order, "no-funds").get_json()["duplicate"] is True
    for day in (first_day, "2026-02-30", first_day + timedelta(days=8)):
        answer = retry(day)
        assert (answer.status_code, set(paths_of(answer, INVALID))) == (400, {"data"})
    for days, kind, failure in ((1, "NTAG", "account-blocked"), (3, "RIFL", "no-funds")):
        day = first_day + timedelta(days=days)
        answer = retry(day)
        assert answer.status_code == 201, answer.text
        attempt = answer.get_json()["tentativas"][-1]
        assert (attempt["tipo"], attempt["dataLiquidacao"]) == (kind, str(day))
        send_orders(app)
        clock.advance(days=1)
        assert fail(app, clock, bank.orders[-1][1], failure).status_code == 200
    rejection = read(call, cobr)["tentativas"][1]["rejeicao"]
    assert rejection["codigo"] == "AC06"
    last = first_day + timedelta(days=7)
    assert retry(last).status_code == 201
    send_orders(app)
    attempts = [["SOLICITADA", "AGENDADA", end] for end in ("EXPIRADA", "REJEITADA", "EXPIRADA")]
    assert words(read(call, cobr)) == (
        ["CRIADA", "ATIVA"],
        [*attempts, ["SOLICITADA", "AGENDADA"]],
    )
    order = bank.orders[-1][1]
    clock.advance(days=4)
    paid_at = clock.now().isoformat()
    clock.advance(days=2)
    with app.app_context():
        assert expire_batch(10) == (1, 1)
    cobr = read(call, cobr)
    assert (cobr["status"], cobr["tentativas"][-1]["status"]) == ("EXPIRADA", "EXPIRADA")
    assert paths_of(retry(day_after(clock, 1)), INVALID)[0] == "cobr.status"
    assert pay(app, clock, order, paid_at=paid_at).status_code == 200  # paid in time, told late
    cobr = read(call, cobr)
    assert (cobr["status"], cobr["tentativas"][-1]["status"]) == ("CONCLUIDA", "PAGA")


def test_the_charges_of_a_batch_expire_together(app, call, clock):
    """Each with its attempt, whose order was never sent."""
    recs = [approved(app, call, clock) for _ in range(2)]
    cobrs = [charged(call, rec, day_after(clock, 3)) for rec in recs]
    clock.advance(days=5)
    with app.app_context():
        assert expire_batch(10) == (2, 2)
    call = DemoCalls(app)
    for cobr in cobrs:
        assert words(read(call, cobr)) == (["CRIADA", "EXPIRADA"], [["SOLICITADA", "EXPIRADA"]])


def test_a_refusal_of_the_bank_rejects_attempt_or_charge(app, bank, call, clock, rec):
    """By the code, as CobRTentativas says; and a payer's own cancellation ends the charge."""
    bank.refuse(409, "amount-over-limit")
    cobr = charged(call, rec, day_after(clock, 3), TXID)
    assert send_orders(app) == 1
    cobr = read(call, cobr)
    assert (cobr["status"], words(cobr)[1]) == ("CRIADA", [["SOLICITADA", "REJEITADA"]])
    assert cobr["tentativas"][0]["rejeicao"]["codigo"] == "AM02"
    # Nothing is taken before the day on which the charge is due.
    answer = call("POST", f"/cobr/{TXID}/retentativa/{day_after(clock, 2)}")
    assert (answer.status_code, paths_of(answer, INVALID)) == (400, ["data"])
    bank.refuse(409, "mandate-ended")
    answer = call("POST", f"/cobr/{TXID}/retentativa/{day_after(clock, 4)}")
    assert answer.get_json()["tentativas"][1]["tipo"] == "RIFL"
    assert send_orders(app) == 1
    cobr = read(call, cobr)
    assert (cobr["status"], cobr["encerramento"]["rejeicao"]["codigo"]) == ("REJEITADA", "MSUC")
    bank.answer = lambda *_: (201, {})
    for failure, code in (("cancelled-by-payer", "SLBD"), ("mandate-ended", "CCLD")):
        cobr = charged(call, rec, day_after(clock, 3))
        send_orders(app)
        assert fail(app, clock, bank.orders[-1][1], failure).status_code == 200
        cobr = read(call, cobr)
        assert (cobr["status"], cobr["tentativas"][0]["status"]) == ("CANCELADA", "CANCELADA")
        assert cobr["encerramento"]["cancelamento"]["codigo"] == code


def test_the_end_of_a_recurrence_cancels_its_charges(app, bank, call, clock, rec):
    near = charged(call, rec, day_after(clock, 3))
    far = charged(call, rec, day_after(clock, 40))
    send_orders(app)
    assert call("PATCH", f"/rec/{rec['idRec']}", CANCELLATION).status_code == 200
    for cobr in (near, far):
        cobr = read(call, cobr)
        assert cobr["status"] == "CANCELADA"
        assert cobr["encerramento"]["cancelamento"]["solicitante"] == "USUARIO_RECEBEDOR"
    send_orders(app)
    paths = [path for path, _ in bank.orders]
    assert paths.count("/api/collections/cancel") == 1
    clock.advance(days=40)
    assert order_due(app) == 0
    answer = call("PUT", f"/cobr/{OTHER}", cobr_body(rec, day_after(clock, 9)))
    assert "cobr.idRec" in paths_of(answer, INVALID)


def test_a_due_day_that_is_no_business_day_moves_where_the_payer_lives(app, call, clock):
    """Both days stay in the answer: the due day in `calendario`, the other in the attempt."""
    rec = approved(app, call, clock)
    due_day = next(day for day in (day_after(clock, n) for n in range(2, 9)) if day.weekday() == 6)
    cobr = charged(call, rec, due_day, ajusteDiaUtil=True)
    assert cobr["calendario"]["dataDeVencimento"] == str(due_day)
    assert date.fromisoformat(cobr["tentativas"][0]["dataLiquidacao"]) == due_day + timedelta(1)
    answer = call("POST", f"/cobr/{cobr['txid']}/retentativa/{due_day + timedelta(days=2)}")
    reasons = [one["razao"] for one in answer.get_json()["violacoes"]]
    assert reasons[0].startswith("A política configurada na recorrência não permite")


def test_pages_show_a_charge_without_a_code_and_people_are_erased(app, call, clock, rec):
    """The page offers nothing to scan, and says who pays."""
    charged(call, rec, day_after(clock, 3), TXID)
    with app.app_context(), reading() as work:
        own = work.session.scalars(sa.select(Payment.txid).where(Payment.charge_txid == TXID)).one()
    client = app.test_client()
    page = client.get(f"/payments/pix/{own}", headers={"Accept": "text/html"}).text
    assert "o seu banco paga esta cobrança no dia" in page
    assert "A loja retirou o código" not in page
    assert client.get(f"/payments/pix/qr_code/qr_code_payment_{own}.svg").status_code == 404
    credentials = {"username": "demo", "password": DEMO_PASSWORD}
    assert client.post("/api/login", json=credentials).status_code == 200
    page = client.get(f"/portal/payments/{own}", headers={"Accept": "text/html"}).text
    assert "<dt>Última tentativa até</dt>" in page
    for words_of_other_charges in ("Vence em", "Cancelar cobrança", "Copiar link"):
        assert words_of_other_charges not in page
    with app.app_context(), reading() as work, pytest.raises(InvalidRequest):
        require_payable(work, work.payments.by_txid(own))  # a payer with the link must not
    with app.app_context():
        with reading() as work:
            [exported] = export_payer(work, "12345678909")["payments"]
        assert exported["charge_terms"]["debtor"]["email"] == "ana@example.com"
        in_unit_of_work(lambda work: erase_payer(work, "12345678909"))
    assert "devedor" not in call("GET", f"/cobr/{TXID}").get_json()


def test_other_money_for_a_charge_stops_the_bank(app, bank, call, clock, rec):
    """The merchant attaches money without a payment, so nobody may collect the charge as well."""
    cobr = charged(call, rec, day_after(clock, 3), TXID)
    send_orders(app)
    with app.app_context(), reading() as work:
        own = work.session.scalars(sa.select(Payment.txid).where(Payment.charge_txid == TXID)).one()
    client = app.test_client()
    teller = BankInTest(client, clock)
    money = teller.body({"id": None, "value": 35}, pix_key=call.key)
    assert teller.tell(money).status_code == 200
    path = f"/payments/pix/receipts/{money['end_to_end_id']}/attach"
    assert client.post(path, json={"payment_id": own}).status_code == 200
    cobr = read(call, cobr)
    assert words(cobr) == (
        ["CRIADA", "ATIVA", "CONCLUIDA"],
        [["SOLICITADA", "AGENDADA", "CANCELADA"]],
    )
    send_orders(app)
    assert bank.orders[-1][0] == "/api/collections/cancel"
    assert pay(app, clock, bank.orders[0][1]).status_code == 409
