"""Orders of the service about Pix Automático: requests to clients, ends, charges; all signed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import func, select

from bank.mandates import collections as collections_module
from bank.mandates.requests import OPEN_MAX
from bank.mandates.tables import BankCollection, MandateRequest
from bank.money.notice_queue import LEASE
from bank.money.payers import account_number, payer_by_handle
from core.signing.signatures import signed_headers
from tests.bank.automatic import (
    active_mandate,
    collection_in,
    collection_order,
    request_order,
    schedule,
    send_request,
    signed_post,
)
from tests.bank.conftest import hidden_fields
from tests.bank.test_mandates import mandate_in

NEVER = "R" + "N99999004" + "20260101" + "abcdefghijk"


def code_of(answer):
    """The problem's code of an answer."""
    return answer.get_json()["code"]


def decide(bank, request_id, deed="authorise", **changes):
    """Open a request as Bia, and send one of its forms."""
    page = bank.client.get(f"/requests/{request_id}")
    assert page.status_code == 200, page.text
    form = {**hidden_fields(page.text), "pin": "1234", **changes}
    return bank.client.post(f"/requests/{request_id}/{deed}", data=form)


# --- requests ------------------------------------------------------------------------------------


def test_a_client_authorises_a_request_and_the_service_hears_which(bank, service):
    """The page shows the terms as a code's page does; a repeated form does nothing."""
    bank.log_in()
    assert "pede sua autorização" not in bank.client.get("/").text
    order = send_request(bank)
    id_rec = order["recurrence"]["idRec"]
    for path in ("/", "/mandates"):
        page = bank.client.get(path).text.replace("\xa0", " ")
        assert "Academia Olinda" in page
        assert "R$ 35,00, todo mês" in page
    page = bank.client.get(f"/requests/{order['id']}")
    text = page.text.replace("\xa0", " ")
    for words in ("Autorizar Pix Automático", "12.345.678/0001-95", "Plano mensal", "Decida até"):
        assert words in text
    form = {**hidden_fields(page.text), "pin": "1234"}

    faults = {"pin": "9999", "token": "x", "agreed": "x"}
    statuses = {
        name: bank.client.post(
            f"/requests/{order['id']}/authorise", data={**form, name: wrong}
        ).status_code
        for name, wrong in faults.items()
    }
    assert statuses == {"pin": 403, "token": 400, "agreed": 409}
    assert not service.notices
    for _ in range(2):
        answer = bank.client.post(f"/requests/{order['id']}/authorise", data=form)
        assert answer.status_code == 303

    [notice] = service.notices
    assert notice.members["request"] == order["id"]
    assert (notice.members["answer"], notice.members["journey"]) == ("accepted", 1)
    assert (mandate_in(bank, id_rec).status, mandate_in(bank, id_rec).journey) == ("active", 1)
    assert bank.client.get(answer.location).location == f"/mandates/{id_rec}"
    assert "Pedidos à espera" not in bank.client.get("/mandates").text
    repeated = signed_post(bank, "/api/mandate-requests", order)
    assert (repeated.status_code, repeated.get_json()["request"]["status"]) == (200, "accepted")
    other = request_order(bank, recurrence={"idRec": id_rec}, id="SC" + "1" * 27)
    assert code_of(signed_post(bank, "/api/mandate-requests", other)) == "mandate-taken"
    closed = signed_post(bank, "/api/mandate-requests/cancel", {"id": order["id"]})
    assert (closed.status_code, code_of(closed)) == (409, "request-closed")


def test_a_refusal_needs_no_pin_and_is_told(bank, service):
    bank.log_in()
    order = send_request(bank)
    assert decide(bank, order["id"], "refuse", pin="").status_code == 303
    assert mandate_in(bank, order["recurrence"]["idRec"]).status == "refused"
    [notice] = service.notices
    assert (notice.members["answer"], notice.members["request"]) == ("refused", order["id"])


def test_a_request_that_ended_says_so_and_cannot_be_authorised(bank, service):
    """Its time is over, the company cancelled it, or the client decided by a code."""
    bank.log_in()
    cancelled, late = send_request(bank), send_request(bank)
    forms = {
        order["id"]: hidden_fields(bank.client.get(f"/requests/{order['id']}").text)
        for order in (cancelled, late)
    }
    for _ in range(2):
        answer = signed_post(bank, "/api/mandate-requests/cancel", {"id": cancelled["id"]})
        assert answer.get_json() == {"request": {"id": cancelled["id"], "status": "cancelled"}}
    page = bank.client.get(f"/requests/{cancelled['id']}")
    assert (page.status_code, "A empresa cancelou o pedido" in page.text) == (409, True)
    assert late["id"] in bank.client.get("/mandates").text
    bank.clock.advance(3 * 86_400 + 1)
    bank.log_in()
    assert late["id"] not in bank.client.get("/mandates").text
    page = bank.client.get(f"/requests/{late['id']}")
    assert (page.status_code, "O prazo para decidir acabou" in page.text) == (409, True)
    token = hidden_fields(bank.client.get("/").text)["token"]
    for request_id, form in forms.items():
        data = {**form, "pin": "1234", "token": token}
        answer = bank.client.post(f"/requests/{request_id}/authorise", data=data)
        assert answer.status_code == 409
    assert not service.notices


def test_only_the_client_of_the_account_sees_the_request(bank):
    """The document decides, and the account and the branch if the company knows them."""
    ispb = bank.branch.settings.ispb
    with bank.branch.database.reading() as session:
        number = account_number(payer_by_handle(session, "caio"))
    client = {"document": "11144477735", "ispb": ispb, "account": number, "branch": "1"}
    order = request_order(bank) | {"payer": client}
    for changes in (
        {"document": "00000000191"},
        {"account": "123"},
        {"branch": "2"},
        {"ispb": "00000000"},
    ):
        answer = signed_post(bank, "/api/mandate-requests", order | {"payer": client | changes})
        assert (answer.status_code, code_of(answer)) == (404, "customer-unknown")
    assert signed_post(bank, "/api/mandate-requests", order).status_code == 201
    bank.log_in("bia")
    assert bank.client.get(f"/requests/{order['id']}").status_code == 404
    bank.client.delete_cookie("bank_session")
    bank.log_in("caio")
    page = bank.client.get("/")
    assert f"conta {number}" in page.text
    assert order["id"] in page.text


def test_a_client_has_a_bounded_number_of_open_requests(bank):
    for _ in range(OPEN_MAX):
        send_request(bank)
    answer = signed_post(bank, "/api/mandate-requests", request_order(bank))
    assert (answer.status_code, code_of(answer)) == (409, "requests-full")
    assert (
        signed_post(bank, "/api/mandate-requests", request_order(bank, "caio")).status_code == 201
    )
    bank.log_in()
    assert "Ver todos os pedidos" in bank.client.get("/").text
    bank.clock.advance(4 * 86_400)
    send_request(bank)


MALFORMED_ORDERS: list[tuple[str, dict[str, Any], str]] = [
    ("/api/mandate-requests", {"id": "x"}, "id"),
    ("/api/mandate-requests", {"expires_at": "2031-01-01"}, "expires_at"),
    ("/api/mandate-requests", {"recurrence": []}, "recurrence"),
    ("/api/mandate-requests", {"payer": None}, "payer"),
    ("/api/mandate-requests", {"payer": {"document": 1}}, "payer.document"),
    ("/api/mandate-requests/cancel", {"id": None}, "id"),
    ("/api/mandate-requests/cancel", {"id": "SC" + "1" * 27, "x": 1}, "x"),
    ("/api/mandates/cancel", {"id_rec": "R", "code": "SLCR", "text": ""}, "id_rec"),
    ("/api/mandates/cancel", {"id_rec": NEVER, "code": "", "text": ""}, "code"),
    ("/api/mandates/cancel", {"id_rec": NEVER, "code": "SLCR", "text": 1}, "text"),
    ("/api/collections", {"txid": "é"}, "txid"),
    ("/api/collections", {"end_to_end_id": "D" + "9" * 31}, "end_to_end_id"),
    ("/api/collections", {"value": -1}, "value"),
    ("/api/collections", {"settles_on": "2031-02-30"}, "settles_on"),
    ("/api/collections", {"settles_on": "9999-12-31"}, "settles_on"),
    ("/api/collections", {"kind": "X"}, "kind"),
    ("/api/collections", {"info": 1}, "info"),
    ("/api/collections/cancel", {"end_to_end_id": "\u0000"}, "end_to_end_id"),
]


def test_a_malformed_order_names_its_field(bank):
    """And an order without a signature, or with another body's, is not read."""
    orders = {
        "/api/mandate-requests": request_order(bank),
        "/api/collections": collection_order(bank, NEVER),
    }
    secret = bank.branch.settings.webhook_secret
    other_body = signed_headers(secret, "msg_x", bank.clock.now(), b"{}")
    for path, members, field in MALFORMED_ORDERS:
        order = orders.get(path, {}) | members
        answer = signed_post(bank, path, order)
        assert answer.status_code == 400, order
        assert field in [fault["field"] for fault in answer.get_json()["errors"]], order
        assert bank.client.post(path, json=order).status_code == 401
        assert bank.client.post(path, json=order, headers=other_body).status_code == 401


def test_a_request_with_malformed_terms_is_refused(bank):
    order = request_order(bank, recurrence={"valor": {"valorRec": "x"}})
    answer = signed_post(bank, "/api/mandate-requests", order)
    assert (answer.status_code, code_of(answer)) == (422, "payload-malformed")


# --- the payee ends a recurrence -----------------------------------------------------------------


def test_the_payee_ends_mandates_requests_and_charges(bank, service):
    """Nothing of it is told back: the service knows."""
    id_rec = active_mandate(bank)
    order = schedule(bank, id_rec)
    request_body = send_request(bank, "caio", recurrence={"idRec": id_rec}, id="SC" + "2" * 27)
    notice_count = len(service.notices)
    for _ in range(2):
        cancel = {"id_rec": id_rec, "code": "SLCR", "text": "Cancelado pelo recebedor"}
        answer = signed_post(bank, "/api/mandates/cancel", cancel)
        assert answer.get_json() == {"mandate": {"id_rec": id_rec, "status": "ended"}}
    mandate = mandate_in(bank, id_rec)
    assert (mandate.status, mandate.reason) == ("ended", "cancelled-by-payee")
    collection = collection_in(bank, order)
    assert (collection.status, collection.reason) == ("cancelled", "cancelled-by-payee")
    bank.clock.advance(5 * 86_400)
    assert bank.branch.collections.pay_due() == bank.branch.collection_outbox.send_due() == 0
    bank.log_in()
    page = bank.client.get(f"/mandates/{id_rec}").text
    assert "A empresa cancelou este Pix Automático." in page
    repeated = signed_post(bank, "/api/mandate-requests", request_body)
    assert repeated.get_json()["request"]["status"] == "cancelled"
    late = signed_post(bank, "/api/collections", collection_order(bank, id_rec))
    assert (late.status_code, code_of(late)) == (409, "mandate-ended")
    nothing = signed_post(bank, "/api/mandates/cancel", {**cancel, "id_rec": NEVER})
    assert nothing.status_code == 200
    assert len(service.notices) == notice_count


def test_a_client_reads_that_the_time_to_authorise_is_over(bank, service):
    """Not that the company has cancelled: the authorisation did not arrive in time."""
    service.answers = [503]
    id_rec = active_mandate(bank)
    assert mandate_in(bank, id_rec).status == "accepting"
    expiry = {"id_rec": id_rec, "code": "expired", "text": "O prazo para autorizar acabou"}
    assert signed_post(bank, "/api/mandates/cancel", expiry).status_code == 200
    bank.log_in()
    page = bank.client.get(f"/mandates/{id_rec}").text
    assert "o prazo para autorizar acabou" in page
    assert "Pix Automático encerrado" in page


# --- charges -------------------------------------------------------------------------------------


def test_a_charge_is_scheduled_once_and_cancelled_once(bank):
    id_rec = active_mandate(bank)
    order = schedule(bank, id_rec, info="Mensalidade de março")
    entry = {
        "end_to_end_id": order["end_to_end_id"],
        "txid": order["txid"],
        "value": 35.0,
        "settles_on": order["settles_on"],
        "status": "scheduled",
        "reason": None,
    }
    repeated = signed_post(bank, "/api/collections", order)
    assert (repeated.status_code, repeated.get_json()) == (200, {"collection": entry})
    reused = signed_post(bank, "/api/collections", order | {"value": 34.00})
    assert (reused.status_code, code_of(reused)) == (409, "idempotency-conflict")
    twin = collection_order(bank, id_rec, txid=order["txid"])
    assert code_of(signed_post(bank, "/api/collections", twin)) == "already-scheduled"
    for _ in range(2):
        cancel = {"end_to_end_id": order["end_to_end_id"]}
        answer = signed_post(bank, "/api/collections/cancel", cancel)
        assert answer.get_json()["collection"]["status"] == "cancelled"
    assert signed_post(bank, "/api/collections", twin).status_code == 201
    unknown = signed_post(
        bank,
        "/api/collections/cancel",
        {"end_to_end_id": collection_order(bank, id_rec)["end_to_end_id"]},
    )
    assert (unknown.status_code, code_of(unknown)) == (404, "collection-not-found")


def test_charges_that_no_mandate_covers_are_refused(bank, service, monkeypatch):
    """Each with a code of its own; an acceptance without an answer is worth another try."""
    id_rec = active_mandate(bank)
    variable = active_mandate(bank, "caio", valor=None)

    def refusal(recurrence, days=3, **changes):
        order = collection_order(bank, recurrence, days, **changes)
        answer = signed_post(bank, "/api/collections", order)
        return answer.status_code, code_of(answer)

    assert refusal(NEVER) == (422, "mandate-unknown")
    assert refusal(id_rec, value=35.01) == (422, "amount-over-limit")
    assert refusal(variable, value=1000.01) == (422, "amount-over-limit")
    schedule(bank, variable, value=1000.00)
    assert refusal(id_rec, days=-1) == (422, "settlement-day-past")
    schedule(bank, id_rec, days=0)
    monkeypatch.setattr(collections_module, "COLLECTIONS_MAX", 1)
    assert refusal(id_rec) == (409, "collections-full")
    service.answers = [503, 200]
    waiting = active_mandate(bank, "dora")
    assert refusal(waiting) == (503, "mandate-not-ready")
    bank.clock.advance(LEASE.total_seconds() + 61)
    bank.branch.mandate_outbox.send_due()
    schedule(bank, waiting)


def test_copies_of_orders_at_once_store_one_row(any_bank):
    """On every engine: the copies that lose find the row."""
    request_body = request_order(any_bank)
    id_rec = active_mandate(any_bank)
    order = collection_order(any_bank, id_rec)

    def post(number):
        path, members = (
            ("/api/collections", order) if number % 2 else ("/api/mandate-requests", request_body)
        )
        body = json.dumps(members).encode()
        secret = any_bank.branch.settings.webhook_secret
        headers = signed_headers(secret, "msg_o", any_bank.clock.now(), body)
        client = any_bank.app.test_client()
        answer = client.post(path, data=body, headers=headers, content_type="application/json")
        return answer.status_code

    with ThreadPoolExecutor(6) as senders:
        statuses = list(senders.map(post, range(6)))
    assert sorted(statuses) == [200, 200, 200, 200, 201, 201]
    with any_bank.branch.database.reading() as session:
        assert session.scalar(select(func.count(BankCollection.id))) == 1
        assert session.scalar(select(func.count(MandateRequest.id))) == 2
