"""The API for the service: signed look-ups, lists of payments, and refunds."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from bank.app import close_bank_app, create_bank_app
from bank.branch import EXTENSION
from bank.models import BankAccount, Transfer
from bank.money.audit import audit
from bank.money.ledger import balance_centavos
from core.clock import rfc3339
from core.pix import br_code
from core.signing.signatures import signed_headers
from tests.bank.service_double import PAYEE_KEY


def make_payment(bank, service, **changes):
    """The end_to_end_id of a new payment of R$ 54,90 by Bia."""
    code, _ = service.charge(bank.clock.now())
    return bank.pay(code, **changes).get_json()["end_to_end_id"]


def request_refund(bank, members, client=None):
    """Request a refund, signed over the body."""
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    headers = signed_headers(bank.branch.settings.webhook_secret, "msg_r", bank.clock.now(), body)
    sender = client or bank.client
    return sender.post("/api/refunds", data=body, headers=headers, content_type="application/json")


def order(payment, refund_id="R1", value=54.90):
    """The body of a refund request."""
    return {"end_to_end_id": payment, "refund_id": refund_id, "value": value}


def window(bank, start=-3600, end=3600, **more):
    """The target of a list of the payments around now; offsets in seconds."""
    now = bank.clock.now()
    times = {"from": now + timedelta(seconds=start), "to": now + timedelta(seconds=end)}
    query = {name: rfc3339(at) for name, at in times.items()} | more
    return "/api/settled?" + urlencode(query)


def test_the_signature_of_one_look_up_is_refused_at_another(bank, service):
    """Somebody who has seen a look-up cannot read another payment with its headers."""
    mine, others = make_payment(bank, service), make_payment(bank, service)
    secret, now = bank.branch.settings.webhook_secret, bank.clock.now()
    caught = signed_headers(secret, "msg_1", now, f"GET /api/transfers/{mine}".encode())

    assert bank.client.get(f"/api/transfers/{mine}", headers=caught).status_code == 200
    for target in (f"/api/transfers/{others}", f"/api/transfers/{mine}?x=1", window(bank)):
        assert bank.client.get(target, headers=caught).status_code == 401


def test_the_service_signs_the_path_below_the_mount(bank, service, bank_url):
    """At /bank the service signs /api/…, as it does for a bank that runs by itself."""
    import urllib3

    payment = make_payment(bank, service)
    target = f"/api/transfers/{payment}"
    body = f"GET {target}".encode()
    secret = bank.branch.settings.webhook_secret
    headers = signed_headers(secret, "msg_1", bank.clock.now(), body)

    answer = urllib3.request("GET", bank_url + target, headers=headers)

    assert answer.json()["transfer"]["end_to_end_id"] == payment


def test_a_transfer_lists_its_refunds_and_returns(bank, service):
    """One payment was refunded, another one was refused."""
    payment = make_payment(bank, service)
    request_refund(bank, order(payment, value=10))
    service.answers = [(409, "already-paid")]
    refused_id = make_payment(bank, service)

    refunded = bank.signed_get(f"/api/transfers/{payment}").get_json()["transfer"]
    transfer = bank.signed_get(f"/api/transfers/{refused_id}").get_json()["transfer"]

    entries = [(row["kind"], row["amount_centavos"]) for row in refunded["returns"]]
    assert entries == [("refund", 1000)]
    assert (transfer["status"], transfer["returns"][0]["kind"]) == ("returned", "return")
    assert (
        bank.signed_get(f"/api/transfers/{refunded['returns'][0]['return_id']}").status_code == 404
    )


def test_a_window_lists_its_payments_oldest_first(any_bank, service):
    """Pages have no gap and no duplicate; static payments are listed by key, without a txid."""
    payments = [make_payment(any_bank, service) for _ in range(4)]
    static = br_code.encode_static(PAYEE_KEY, "Barraca", "Olinda", amount_centavos=100)
    payments.append(any_bank.pay(static).get_json()["end_to_end_id"])

    rows, after = [], None
    for _ in range(3):
        page = any_bank.signed_get(window(any_bank, limit=2, **({"after": after} if after else {})))
        rows += page.get_json()["data"]
        after = page.get_json()["next"]

    assert after is None
    assert [entry["end_to_end_id"] for entry in rows] == payments
    assert {"value", "paid_at", "status", "payer", "bank_payment_id"} <= set(rows[0])
    assert rows[0]["payer"]["document"] == "12345678909"
    assert (rows[-1]["bank_payment_id"], rows[-1]["status"]) == (None, "confirmed")
    assert (rows[-1]["key"], rows[-1]["payer"]) == (PAYEE_KEY, rows[0]["payer"])
    assert any_bank.signed_get(window(any_bank, start=60)).get_json()["data"] == []
    assert any_bank.signed_get(window(any_bank, end=-60)).get_json()["data"] == []


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?from=2026-01-01T00:00:00Z",
        "?from=x&to=y",
        "?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "?from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z",
        "?from=2026-01-01T00:00:00&to=2026-01-02T00:00:00",
        "?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&limit=0",
        "?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&after=%00",
        "?from=%ff%00&to=2026-01-02T00:00:00Z",
    ],
)
def test_an_invalid_window_gets_a_400(bank, query):
    """The problem names the field."""
    answer = bank.signed_get(f"/api/settled{query}")

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid-request")


def test_refunds_never_exceed_the_payment(any_bank, service):
    """In full or in part, to the centavo, and the ledger stays balanced."""
    payment = make_payment(any_bank, service)

    parts = [request_refund(any_bank, order(payment, f"R{n}", 20)) for n in range(2)]
    too_much = request_refund(any_bank, order(payment, "R9", "14.91"))
    last = request_refund(any_bank, order(payment, "R3", "14.90"))

    assert [part.status_code for part in (*parts, last)] == [201] * 3
    assert last.get_json()["status"] == "done"
    assert last.get_json()["return_id"].startswith("D")
    assert (too_much.status_code, too_much.get_json()["code"]) == (409, "refund-exceeds-payment")
    assert any_bank.balance() == 482_350
    assert audit(any_bank.branch.database).faults == ()
    answer = any_bank.signed_get("/api/refunds/R3").get_json()
    assert (answer["status"], answer["amount_centavos"]) == ("done", 1490)


def test_a_repeated_refund_request_refunds_once(bank, service):
    """The answer may be lost; another refund needs another id."""
    payment = make_payment(bank, service)

    first, repeated = (request_refund(bank, order(payment)) for _ in range(2))
    other = request_refund(bank, order(payment, value=1))

    assert first.get_json() == repeated.get_json()
    assert (repeated.status_code, repeated.headers["Idempotent-Replayed"]) == (201, "true")
    assert (other.status_code, other.get_json()["code"]) == (409, "idempotency-conflict")
    assert bank.balance() == 482_350


def test_refunds_at_once_never_exceed_the_payment(any_bank, service):
    """Many requests at the same moment, with the same id and with different ids."""
    payment = make_payment(any_bank, service)
    orders = [order(payment, "SAME", 10)] * 3 + [order(payment, f"N{n}", 20) for n in range(3)]

    def send(members):
        return request_refund(any_bank, members, any_bank.app.test_client()).status_code

    with ThreadPoolExecutor(6) as senders:
        statuses = list(senders.map(send, orders))

    assert statuses[:3] == [201] * 3
    assert sorted(statuses[3:]) == [201, 201, 409]
    assert any_bank.balance() == 482_350 - 5490 + 5000
    assert audit(any_bank.branch.database).faults == ()


def test_a_payment_that_cannot_be_refunded_gets_its_own_code(bank, service):
    """Unknown, already returned, or more than 90 days old."""
    payment = make_payment(bank, service)
    service.answers = [(409, "already-paid")]
    returned_id = make_payment(bank, service)
    unknown = payment[:-3] + "aaa"

    codes = [
        request_refund(bank, order(end_to_end_id, "R1")).get_json()["code"]
        for end_to_end_id in (unknown, returned_id)
    ]
    bank.clock.advance(90 * 86_400 + 60)
    codes.append(request_refund(bank, order(payment, "R2")).get_json()["code"])

    assert codes == ["transfer-not-found", "payment-returned", "refund-too-late"]
    assert bank.signed_get("/api/refunds/R1").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"end_to_end_id": 1, "refund_id": [], "value": {}}',
        b'{"end_to_end_id": "E1", "refund_id": "R1", "value": 1}',
        b'{"end_to_end_id": "\\u0000", "refund_id": "\\u0000", "value": NaN}',
        b'{"end_to_end_id": "x", "refund_id": "a b", "value": 1e400}',
        b"\xff\xfe",
        b"[" * 9000,
    ],
)
def test_a_hostile_refund_is_a_problem_and_never_a_500(bank, body):
    """The request is signed, but its fields are not valid."""
    try:
        answer = request_refund(bank, body)
    except UnicodeDecodeError:
        answer = bank.client.post("/api/refunds", data=body, content_type="application/json")

    assert answer.status_code in (400, 401)
    assert answer.mimetype == "application/problem+json"


def test_a_delayed_refund_is_processing_until_it_is_due(bank, service):
    """Meanwhile the amount is reserved, so that it cannot be refunded twice."""
    settings = replace(bank.branch.settings, refund_delay_seconds=30)
    payment = make_payment(bank, service)
    slow = create_bank_app(settings, bank.clock)
    branch = slow.extensions[EXTENSION]

    bank_refund = request_refund(bank, order(payment), slow.test_client()).get_json()
    more = request_refund(bank, order(payment, "R2", 1), slow.test_client())

    assert (bank_refund["status"], more.status_code) == ("processing", 409)
    assert (branch.refunds.settle_due(), bank.balance()) == (0, 482_350 - 5490)
    bank.log_in()
    assert "está devolvendo" in bank.client.get(f"/transfers/{payment}").text
    bank.clock.advance(31)
    assert (branch.refunds.settle_due(), branch.refunds.settle_due()) == (1, 0)
    assert bank.balance() == 482_350
    assert bank.signed_get("/api/refunds/R1").get_json()["status"] == "done"
    assert "A loja devolveu" in bank.client.get(f"/transfers/{payment}").text
    assert "Devolução da loja" in bank.client.get("/").text
    close_bank_app(slow)


def test_a_refund_fails_if_the_payee_has_spent_the_money(bank, service):
    """Pix calls it *devolução não realizada*; no money moves."""
    payment = make_payment(bank, service)
    with bank.branch.database.writing() as session:
        payee = session.query(BankAccount).filter_by(name=f"payee:{PAYEE_KEY}").one()
        source = session.query(BankAccount).filter_by(kind="opening").one()
        session.add(
            Transfer(
                identifier="O" + "0" * 31,
                kind="opening",
                debit_account_id=payee.id,
                credit_account_id=source.id,
                amount_centavos=balance_centavos(session, payee.id),
                made_at=bank.clock.now(),
            )
        )

    bank_refund = request_refund(bank, order(payment)).get_json()

    assert bank_refund["status"] == "failed"
    assert bank.balance() == 482_350 - 5490
    bank.log_in()
    assert "não tinha saldo" in bank.client.get(f"/transfers/{payment}").text
    assert request_refund(bank, order(payment, "R2")).get_json()["status"] == "failed"
