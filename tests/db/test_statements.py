"""The number of statements of a request on every engine.

Statements on the service's tables are counted, BEGIN and COMMIT are not.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa

from accounts.keys import SCOPES, key_hash, new_api_key
from accounts.refusals import refusal_notes
from blueprints.pix_api.batch_work import work_on_waiting
from core.clock import rfc3339
from core.pix.business_days import brasilia_day
from db_models import ApiKey, RefusedRequest
from repository.accounts import RecentAccounts
from repository.database import ledger
from tests.db.tables import NOON
from tests.pix_api.batches import due_body
from tests.pix_api.charges import EVER, DemoCalls
from tests.pix_api.recurrences import offer, request_of, reserve
from tests.pix_api.recurring_charges import RETRIES, approved, charged, cobr_body, day_after
from webhooks.numbering import number_events

NOT_COUNTED = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
CREATE_MAX, CONFIRM_MAX, PAGE_MAX, POLL_MAX = 4, 6, 2, 1


@pytest.fixture
def count_statements(processes):
    """Record the statements of an app with empty caches: `with count_statements() as list`."""
    with processes.app().app_context():
        app_ledger = ledger()
    engines = {app_ledger.engine, app_ledger.reading_engine}

    @contextmanager
    def listening():
        app_ledger.recent = RecentAccounts()
        statements = []

        def hear(_connection, _cursor, statement, _parameters, _context, _many):
            if not statement.upper().startswith(NOT_COUNTED):
                statements.append(statement)

        for engine in engines:
            sa.event.listen(engine, "before_cursor_execute", hear)
        try:
            yield statements
        finally:
            for engine in engines:
                sa.event.remove(engine, "before_cursor_execute", hear)

    return listening


@pytest.fixture
def api_key(processes):
    """The demo merchant's key, as its programs send it."""
    key = new_api_key()
    row = {"key_sha256": key_hash(key), "label": "till", "created_at": NOON}
    row["scopes"] = " ".join(SCOPES)
    processes.tables.insert(ApiKey, {**row, "account_id": processes.tables.merchant_id()})
    return {"Authorization": f"Bearer {key}"}


def test_creating_takes_at_most_four_statements(processes, count_statements, api_key):
    """Also with a key, an order and an Idempotency-Key: who, the payment, its event, the answer."""
    orders = iter(range(100))
    without: dict[str, str] = {}
    for headers in (without, api_key):
        for more in ({}, {"Idempotency-Key": f"key-{len(headers)}"}):
            fields = {"value": 10, "order_id": f"order-{next(orders)}", "metadata": {"a": "b"}}
            with count_statements() as statements:
                answer = processes.post("/payments/pix", json=fields, headers={**headers, **more})
            assert answer.status_code == 201
            assert 2 <= len(statements) <= CREATE_MAX, statements


def test_a_payment_for_the_robot_costs_two_statements_more(processes, count_statements):
    """The merchant's waiting orders and the new one; all other payments pay nothing for it."""
    numbers = []
    for fields in ({"value": 10}, {"value": 10, "test": {}}):
        with count_statements() as statements:
            assert processes.post("/payments/pix", json=fields).status_code == 201
        numbers.append(len(statements))
    assert numbers[1] == numbers[0] + 2
    assert numbers[1] <= CREATE_MAX + 2


def test_confirming_takes_at_most_six_statements(processes, count_statements):
    """The hot path of a busy day, with an order, and a repetition for less."""
    payment = processes.create(order_id="order-1")
    body = processes.bank().body(payment)
    with count_statements() as first:
        assert processes.bank().tell(body).status_code == 200
    with count_statements() as again:
        assert processes.bank().tell(body).json["duplicate"] is True
    assert len(first) <= CONFIRM_MAX, first
    assert len(again) < len(first)


def test_refusing_takes_at_most_six_statements(processes, count_statements):
    """Refused money must not cost more than accepted money."""
    payment = processes.create(expires_in=10)
    processes.bank().confirm(processes.create())
    with count_statements() as wrong_amount:
        assert processes.bank().confirm(payment, value="1.00").status_code == 400
    processes.clock.advance(seconds=11)
    with count_statements() as too_late:
        assert processes.bank().confirm(payment).status_code == 409
    with count_statements() as unknown:
        nobody = {"id": "0" * 32, "value": 10}
        assert processes.bank().confirm(nobody).status_code == 404
    for statements in (wrong_amount, too_late, unknown):
        assert 1 <= len(statements) <= CONFIRM_MAX, statements


def test_a_late_notification_takes_at_most_six_statements(processes, count_statements):
    """After an outage every queued notification is late, and must not cost more."""
    payment = processes.create(expires_in=10, order_id="order-1")
    body = processes.bank().body(payment, paid_at=rfc3339(processes.clock.now()))
    processes.clock.advance(seconds=60)
    assert processes.sweep() == 1
    with count_statements() as statements:
        assert processes.bank().tell(body).status_code == 200
    assert len(statements) <= CONFIRM_MAX, statements


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_the_page_takes_at_most_two_statements_in_every_state(processes, count_statements, accept):
    """Shoppers load their page again and again."""
    pending, paid, cancelled = (processes.create(order_id=f"order-{n}") for n in range(3))
    processes.bank().confirm(paid)
    processes.post(f"/payments/pix/{cancelled['id']}/cancel")
    for payment in (pending, paid, cancelled):
        for fragment in ("", "?fragment=state"):
            path = f"/payments/pix/{payment['id']}{fragment}"
            with count_statements() as statements:
                answer = processes.app().test_client().get(path, headers={"Accept": accept})
            assert answer.status_code == 200
            assert 1 <= len(statements) <= PAGE_MAX, statements
    processes.clock.advance(hours=1)
    with count_statements() as statements:
        processes.app().test_client().get(path, headers={"Accept": accept})
    assert 1 <= len(statements) <= PAGE_MAX, statements


def test_a_poll_takes_one_statement(processes, count_statements):
    """Every open page polls; unchanged and unknown payments cost the same."""
    payment = processes.create()
    client = processes.app().test_client()
    path = f"/payments/pix/{payment['id']}/status"
    with count_statements() as first:
        answer = client.get(path)
    with count_statements() as unchanged:
        again = client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (answer.status_code, again.status_code) == (200, 304)
    assert [len(first), len(unchanged)] == [POLL_MAX, POLL_MAX]
    with count_statements() as changed:
        assert client.get(path, headers={"If-None-Match": 'W/"pending-0"'}).status_code == 200
    assert len(changed) == POLL_MAX
    with count_statements() as unknown:
        assert client.get(f"/payments/pix/{'0' * 32}/status").status_code == 404
    assert len(unknown) == POLL_MAX
    with count_statements() as nonsense:
        assert client.get("/payments/pix/' OR 1=1 --/status").status_code == 404
    assert nonsense == []


def test_noting_a_refused_request_takes_no_statement(processes, count_statements, api_key):
    """A loop of wrong requests must not load the database; a job writes the rows later."""
    with count_statements() as refused_early:
        answer = processes.post("/payments/pix", json={"colour": 1}, headers=api_key)
    assert (answer.status_code, refused_early) == (400, [])
    with count_statements() as refused_late:
        answer = processes.post(f"/payments/pix/{'0' * 32}/cancel", headers=api_key)
    assert (answer.status_code, len(refused_late)) == (404, 2)
    with processes.app().app_context():
        assert refusal_notes().write() == 2
    stored = processes.tables.rows(sa.select(RefusedRequest.code).order_by(RefusedRequest.id))
    assert [row[0] for row in stored] == ["invalid-request", "payment-not-found"]


@pytest.mark.parametrize("endpoints", [0, 1])
def test_webhooks_cost_a_change_no_statement(processes, count_statements, endpoints):
    """Numbering and deliveries come after the commit; the event's row is the only write."""
    for _ in range(endpoints):
        assert processes.post("/webhooks", json={"url": "http://127.0.0.1:9/"}).status_code == 201
    with count_statements() as creation:
        payment = processes.create()
    body = processes.bank().body(payment)
    with count_statements() as confirmation:
        assert processes.bank().tell(body).status_code == 200

    # The merchant, the payment, its event; the payment and whether there is a receipt of this id,
    # the update, the event, the receipt.
    assert (len(creation), len(confirmation)) == (3, 4)


@pytest.fixture
def call(processes):
    """The demo merchant's calls of API Pix, in the same app."""
    return DemoCalls(processes.app())


def test_a_charge_of_api_pix_takes_at_most_five_statements(call, count_statements):
    """Who, is there one, the payment, its event; a revision also keeps the old state."""
    with count_statements() as creation:
        call.create("a" * 30)
    with count_statements() as repetition:
        call.create("a" * 30)
    with count_statements() as revision:
        call.create("a" * 30, valor={"original": "11.00"})
    with count_statements() as removal:
        call("PATCH", f"/cob/{'a' * 30}", {"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"})
    counts = [len(one) for one in (creation, repetition, revision, removal)]
    assert counts == [4, 2, 5, 6], counts  # a removal is in the audit log, too


def test_reading_charges_of_api_pix_takes_two_statements(call, processes, count_statements):
    """The token's client, and the charges with their Pix and refunds, however many there are."""
    for number in range(3):
        call.create(f"{number}" * 30)
    payments = processes.app().test_client().get("/payments/pix").json["data"]
    for payment in payments[:2]:
        assert processes.bank().confirm(payment).status_code == 200
    for path in (f"/cob/{'0' * 30}", f"/cob/{'2' * 30}", f"/cob/{'9' * 30}"):
        with count_statements() as statements:
            call("GET", path)
        assert len(statements) == 2, statements
    for query in ({}, {"paginacao.itensPorPagina": 1}, {"paginacao.paginaAtual": 9}):
        for path in ("/cob", "/loc", "/pix"):
            with count_statements() as statements:
                assert call("GET", path, query_string={**EVER, **query}).status_code == 200
            assert len(statements) == 2, statements


def test_a_charge_with_a_due_date_takes_as_many_statements(call, processes, count_statements):
    """The terms are one column of the payment, and the sums are computed, not stored.

    A creation also asks whether the txid belongs to a batch, where it may wait without a charge.
    """
    due_date = str(brasilia_day(processes.clock.now()) + timedelta(days=5))
    body = {
        "calendario": {"dataDeVencimento": due_date},
        "devedor": {"cpf": "12345678909", "nome": "Bia Lima"},
        "valor": {"original": "10.00", "juros": {"modalidade": 8, "valorPerc": "12.00"}},
        "chave": call.key,
    }
    path = f"/cobv/{'a' * 30}"
    counts = []
    for method, changes in (
        ("PUT", body),
        ("PUT", body),
        ("PATCH", {"valor": {"original": "11.00"}}),
        ("GET", None),
    ):
        with count_statements() as statements:
            assert call(method, path, changes).status_code in (200, 201)
        counts.append(len(statements))
    assert counts == [5, 2, 5, 2], counts
    location = call("GET", path).json["location"].partition("/")[2]
    for is_first in (True, False):  # the first fetch of all makes the signing key
        with count_statements() as fetches:
            assert processes.app().test_client().get(f"/{location}").status_code == 200
        assert is_first or len(fetches) <= 2, fetches


def test_a_batch_takes_as_many_statements_as_one_charge(call, processes, count_statements):
    """However many charges it has: to store, replace, revise, read and list it.

    Each charge is carried out alone: the request, its deletion, its item, the charge as above
    without the client, and the item's status.
    """
    due_date = str(brasilia_day(processes.clock.now()) + timedelta(days=5))
    counts = []
    for batch, size in ((1, 1), (2, 40)):
        items = [
            {
                "txid": f"{batch}{number:030d}",
                **due_body(call.key, calendario={"dataDeVencimento": due_date}),
            }
            for number in range(size)
        ]
        body = {"descricao": "Mensalidades", "cobsv": items}
        path = f"/lotecobv/{batch}"
        for method, sent in (
            ("PUT", body),
            ("PUT", body),
            ("PATCH", {"cobsv": items}),
            ("GET", None),
        ):
            with count_statements() as statements:
                assert call(method, path, sent).status_code in (200, 202)
            counts.append(len(statements))
        with count_statements() as statements:
            assert call("GET", "/lotecobv", query_string=EVER).status_code == 200
        counts.append(len(statements))
        with processes.app().app_context(), count_statements() as statements:
            assert work_on_waiting() == size
        per_charge = (len(statements) - 2) // size  # the ids that wait, and the merchant once
        assert per_charge <= 8, statements[:12]
    assert counts == [7, 7, 8, 2, 3] * 2, counts


def test_a_request_to_a_payer_takes_at_most_eight_statements(call, processes, count_statements):
    """Who, the recurrence, its open request, its number, the request, its history, the order."""
    rec = offer(call, processes.clock)["idRec"]
    counts = []
    with count_statements() as statements:
        path = f"/solicrec/{request_of(call, processes.clock, rec)['idSolicRec']}"
    counts.append(len(statements))
    for method, body in (("GET", None), ("PATCH", {"status": "CANCELADA"})):
        with count_statements() as statements:
            assert call(method, path, body).status_code in (200, 201)
        counts.append(len(statements))
    assert counts == [7, 3, 5], counts


def test_a_recurrence_takes_at_most_seven_statements(call, processes, count_statements):
    """Who, the recurrence, its request, its change, the history, callback, order; lists take two.

    The callback takes one statement, whether its merchant has an address or not.
    """
    number, txid = reserve(call)["id"], call.create("a" * 30)["txid"]
    counts = []
    with count_statements() as statements:
        rec = offer(call, processes.clock, loc=number, ativacao={"dadosJornada": {"txid": txid}})
    counts.append(len(statements))
    for _ in range(3):
        offer(call, processes.clock)
    path, rest = f"/rec/{rec['idRec']}", {"paginacao.itensPorPagina": 2}
    for method, fragment, body in (
        ("GET", path, None),
        ("GET", f"{path}?txid={txid}", None),
        ("PATCH", path, {"vinculo": {"devedor": {"nome": "Bia"}}}),
        ("PATCH", path, {"status": "CANCELADA"}),
        ("POST", "/locrec", None),
        ("GET", f"/locrec/{number}", None),
        ("DELETE", f"/locrec/{number}/idRec", None),
    ):
        with count_statements() as statements:
            assert call(method, fragment, body).status_code in (200, 201)
        counts.append(len(statements))
    assert counts == [5, 2, 3, 4, 7, 2, 2, 4], counts
    call("PUT", "/webhookrec", {"webhookUrl": "https://shop.example.com/"})
    path = f"/rec/{offer(call, processes.clock)['idRec']}"
    with count_statements() as statements:
        assert call("PATCH", path, {"status": "CANCELADA"}).status_code == 200
    assert len(statements) == 7, statements
    for query in ({}, rest, {"paginacao.paginaAtual": 9}):
        for list_path in ("/rec", "/locrec"):
            with count_statements() as statements:
                assert call("GET", list_path, query_string={**EVER, **query}).status_code == 200
            assert len(statements) == 2, statements
    location = offer(call, processes.clock, loc=number)["loc"]["location"].partition("/")[2]
    for is_first in (True, False):  # the first fetch of all makes the signing key
        with count_statements() as statements:
            assert processes.app().test_client().get(f"/{location}").status_code == 200
        assert is_first or len(statements) == 1, statements


def test_a_recurring_charge_takes_at_most_eight_statements(call, processes, count_statements):
    """Who, the recurrence, its change, the payment, its event, the charge; an attempt, its order.

    Reading and listing take three, however many charges there are.
    """
    app, clock = processes.app(), processes.clock
    rec = approved(app, call, clock, politicaRetentativa=RETRIES)
    counts = []
    for days, txid in ((40, "a" * 30), (3, "b" * 30)):
        body = cobr_body(rec, day_after(clock, days))
        with count_statements() as statements:
            assert call("PUT", f"/cobr/{txid}", body).status_code == 201
        counts.append(len(statements))
    assert counts == [6, 8], counts
    assert len(charged(call, rec, day_after(clock, 71))) > 0
    for path in (f"/cobr/{'b' * 30}", f"/cobr/{'9' * 30}"):
        with count_statements() as statements:
            call("GET", path)
        assert len(statements) <= 3, statements
    for query in ({}, {"paginacao.itensPorPagina": 1}, {"paginacao.paginaAtual": 9}):
        with count_statements() as statements:
            assert call("GET", "/cobr", query_string={**EVER, **query}).status_code == 200
        assert len(statements) <= 3, statements
    with count_statements() as statements:
        answer = call("PATCH", f"/cobr/{'b' * 30}", {"status": "CANCELADA"})
    assert answer.status_code == 200
    assert len(statements) <= 12, statements


def test_numbering_an_event_without_receivers_takes_five_statements(processes, count_statements):
    """Events and counter; its lock, its move, the entry, the mark. Endpoints cost two more."""
    processes.create()
    with count_statements() as without, processes.app().app_context():
        assert number_events() == 1
    assert processes.post("/webhooks", json={"url": "http://127.0.0.1:9/"}).status_code == 201
    processes.create()
    with count_statements() as with_endpoint, processes.app().app_context():
        assert number_events() == 1
    with count_statements() as idle, processes.app().app_context():
        assert number_events() == 0
    assert [len(one) for one in (without, with_endpoint, idle)] == [5, 7, 1]


def test_the_first_trace_takes_two_statements_and_a_repeated_one_takes_one(
    processes, count_statements
):
    """Each visit of a payment page sends one."""
    path = f"/payments/pix/{processes.create()['id']}/trace"
    counts = []
    for _ in range(2):
        with count_statements() as statements:
            assert processes.post(path, json={"what": "opened"}).status_code == 204
        counts.append(len(statements))
    assert counts == [2, 1]
