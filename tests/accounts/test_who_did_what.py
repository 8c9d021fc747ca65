"""Every change by a person or a key leaves an audit row with its author.

The routes come from the URL map: a new route that is not a GET fails here until it has a walk below
with its action, or an exemption with its reason.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from accounts.deed_words import sentence_of
from accounts.keys import SCOPES
from db_models import AuditAction, PaymentEvent
from db_models.base import db
from tests.accounts.people import PASSWORD, Person, audit_rows, bearer
from tests.pix_api.clients import new_client
from tests.portal.signing import make_account, sign_in
from tests.providers.enrolled import enrol_unused

BY_SHOPPER = "somebody with a link; nobody is signed in, and the payment's events record it"
READS = "changes nothing: it answers what the sender asked"
BY_EVENTS = "a program creates it; the payment and its first event are the record"

EXEMPT = {
    "POST /api/payment/create-session": BY_EVENTS,
    "POST /api/start_payment": BY_EVENTS,
    "POST /payments/pix": BY_EVENTS,
    "POST /transactions/": BY_EVENTS,
    "POST /api-pix/v2/cob": BY_EVENTS,
    "PUT /api-pix/v2/cob/<txid>": BY_EVENTS,
    "PATCH /api-pix/v2/cob/<txid>": "a revision's event names its client; a removal leaves a row",
    "PUT /api-pix/v2/cobv/<txid>": BY_EVENTS,
    "PATCH /api-pix/v2/cobv/<txid>": "as a cob: an event names its client, or a removal's row",
    "PUT /api-pix/v2/lotecobv/<batch_id>": "the events of its charges name the client",
    "PATCH /api-pix/v2/lotecobv/<batch_id>": "the same: pix_api/test_batch_authors.py",
    "POST /api-pix/v2/cob/pagar/<txid>": "in development only: the bank's robot pays",
    "POST /api-pix/v2/loc": "a location without a charge holds nothing",
    "DELETE /api-pix/v2/loc/<number>/txid": "the charge's event names its client",
    "POST /api-pix/v2/rec": "the history of the recurrence names its client: pix_api/test_rec.py",
    "PATCH /api-pix/v2/rec/<id_rec>": "as its creation: each change has a row of the history",
    "PUT /api-pix/v2/cobr/<txid>": "the payment's first event names its client",
    "POST /api-pix/v2/cobr": "the payment's first event names its client",
    "PATCH /api-pix/v2/cobr/<txid>": "needs a client of API Pix: pix_api/test_cobr.py",
    "POST /api-pix/v2/cobr/<txid>/retentativa/<data>": "a row of the charge's history",
    "POST /api-pix/v2/solicrec": "as a recurrence: each status has a row of the history",
    "PATCH /api-pix/v2/solicrec/<id_solic_rec>": "as its creation",
    "POST /api-pix/v2/locrec": "a location without a recurrence holds nothing",
    "DELETE /api-pix/v2/locrec/<locrec_id>/idRec": "a row of the recurrence's history",
    "POST /shop/orders": "the demo shop's order; its payment is the record",
    "POST /api/payment/recover-from-qr": BY_SHOPPER,
    "POST /api/payment/upload-screenshot": BY_SHOPPER,
    "POST /api/payment/upload-screenshot-with-qr": BY_SHOPPER,
    "POST /api/payment/verify-qr": READS,
    "POST /payment/recover-from-qr": BY_SHOPPER,
    "POST /payments/pix/<string:payment_id>/check": BY_SHOPPER,
    "POST /providers/<string:token>": "a bank's callback: what it names is asked at the bank",
    "POST /providers/<string:token>/pix": "the same",
    "POST /providers/<string:token>/pix/pix": "the same",
    "POST /payments/pix/<string:payment_id>/expire-soon": BY_SHOPPER,
    "POST /payments/pix/<string:payment_id>/proof": BY_SHOPPER,
    "POST /payments/pix/<string:payment_id>/trace": BY_SHOPPER,
    "POST /payments/pix/collections/failed": "the bank's report; the history of the charge",
    "POST /payments/pix/recurrences/answer": "the bank's report; the history of the recurrence",
    "POST /payments/pix/confirmation": "the bank's report; the receipt is the record",
    "POST /portal/settings/pix-key/kind": READS,
    "POST /portal/mode": "in production only: portal/test_test_mode.py",
    "POST /api-pix/oauth/token": "a client proves itself again; its row has its last use",
    "PUT /api-pix/v2/pix/<e2eid>/devolucao/<refund_id>": (
        "needs the simulated bank: pix_api/test_devolucao.py"
    ),
    "PUT /api-pix/v2/webhook/<chave>": "needs a client of API Pix: pix_api/test_webhook.py",
    "DELETE /api-pix/v2/webhook/<chave>": "needs a client of API Pix: pix_api/test_webhook.py",
    "PUT /api-pix/v2/webhookrec": "needs a client of API Pix: pix_api/test_recurring_webhooks.py",
    "DELETE /api-pix/v2/webhookrec": "as PUT /api-pix/v2/webhookrec",
    "PUT /api-pix/v2/webhookcobr": "as PUT /api-pix/v2/webhookrec",
    "DELETE /api-pix/v2/webhookcobr": "as PUT /api-pix/v2/webhookrec",
    "POST /token/refresh": "the same sign-in goes on; its start has a row",
    "POST /api/pay/<string:code>": "needs the simulated bank: tests/payer/test_paying.py",
    "POST /api/wallet": "needs the simulated bank: tests/payer/test_wallets.py",
    "POST /portal/proofs/<string:proof_id>/delete": "needs a picture: recovery/test_proofs.py",
    "POST /portal/proofs/<string:proof_id>/review": "needs a picture: recovery/test_proofs.py",
    "POST /forgot": "asks for a link by e-mail; the password has not changed",
    "POST /reset/<token>": "needs a link by e-mail: set_password writes password.changed",
    "POST /payments/pix/<string:payment_id>/receipt/mail": BY_SHOPPER,
    "POST /payments/pix/receipts/<string:end_to_end_id>/attach": (
        "needs money without a payment: refunds/test_attached_money.py"
    ),
    "POST /payments/pix/receipts/<string:end_to_end_id>/refunds": (
        "needs money without a payment: refunds/test_attached_money.py"
    ),
    "POST /portal/receipts/<string:end_to_end_id>/attach": (
        "needs money without a payment: portal/test_receipts.py"
    ),
    "POST /portal/receipts/<string:end_to_end_id>/refund": (
        "needs money without a payment: portal/test_receipts.py"
    ),
    "POST /portal/signals/seen": "needs a signal: tests/portal/test_signals.py",
    "POST /portal/provider": "needs a bank: portal/test_provider_page.py",
    "POST /portal/provider/<string:provider_id>/check": READS,
    "POST /portal/provider/<string:provider_id>/register": (
        "needs a bank: portal/test_provider_page.py"
    ),
    "POST /portal/provider/<string:provider_id>/charge": (
        "needs a bank; creating in the portal leaves payment.created"
    ),
}

CONFIRMED = {"confirmed": "1"}
"""The field of the page that asks before what cannot be undone."""

# Each walk: the route, who sends it (a key, a token, a browser), body or form, the action.
WALKS: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST /payments/pix/<string:payment_id>/cancel", "key", {}, "payment.cancelled"),
    ("POST /payments/pix/<string:expired_id>/renew", "key", {}, "payment.renewed"),
    ("POST /payments/pix/<string:paid_id>/refunds", "key", {}, "refund.asked"),
    ("PUT /transactions/<string:transaction_id>", "key", {"status": "cancelled"},
     "payment.cancelled"),
    ("POST /api/keys", "key", {"scopes": ["payments:read"]}, "key.created"),
    ("DELETE /api/keys/<string:key_id>", "key", {}, "key.revoked"),
    ("POST /webhooks", "key", {"url": "http://127.0.0.1:9/"}, "webhook.created"),
    ("PATCH /webhooks/<string:webhook_id>", "key", {"description": "x"}, "webhook.changed"),
    ("POST /webhooks/<string:webhook_id>/rotate", "key", {}, "webhook.rotated"),
    ("POST /webhooks/<string:webhook_id>/ping", "key", {}, "webhook.sent"),
    ("POST /webhooks/deliveries/<string:delivery_id>/redeliver", "key", {}, "webhook.sent"),
    ("POST /webhooks/<string:webhook_id>/replay", "key", {"from": "2026-01-01T00:00:00Z"},
     "webhook.sent"),
    ("DELETE /webhooks/<string:webhook_id>", "key", {}, "webhook.deleted"),
    ("DELETE /api/sessions/<string:session_id>", "key", {}, "session.ended"),
    ("DELETE /api/sessions", "key", {}, "sessions.ended"),
    ("POST /portal/payments/new", "browser", {"value": "10", "expires_in": "1800"},
     "payment.created"),
    ("POST /portal/payments/test", "browser", {}, "payment.created"),
    ("POST /portal/payments/<string:payment_id>/cancel", "browser", CONFIRMED, "payment.cancelled"),
    ("POST /portal/payments/<string:expired_id>/renew", "browser", {}, "payment.renewed"),
    ("POST /portal/payments/<string:paid_id>/refund", "browser", CONFIRMED, "refund.asked"),
    ("POST /portal/provider/<string:provider_id>/use", "browser", {"use": "1"}, "provider.chosen"),
    ("POST /portal/provider/<string:provider_id>/renew", "browser",
     {"client_id": "new-id", "password": PASSWORD}, "provider.renewed"),
    ("POST /portal/provider/<string:provider_id>/remove", "browser", CONFIRMED, "provider.removed"),
    ("POST /portal/counter", "browser", {"value": "10"}, "payment.created"),
    ("POST /portal/counter/payments/<string:payment_id>/cancel", "browser", CONFIRMED,
     "payment.cancelled"),
    ("POST /portal/tills", "browser", {"name": "Balcão 2"}, "till.opened"),
    ("POST /portal/settings/keys", "browser", {"label": "till", "scopes": "payments:read"},
     "key.created"),
    ("POST /portal/settings/keys/<string:key_id>/revoke", "browser", CONFIRMED, "key.revoked"),
    ("POST /portal/settings/logo", "browser", {"remove": "1", **CONFIRMED}, "logo.changed"),
    ("POST /portal/settings/shop", "browser",
     {"name": "Feira", "city": "Recife", "grace_seconds": "0", "brand_color": "#123456"},
     "shop.changed"),
    ("POST /portal/settings/mail", "browser",
     {"email": "alice@example.com", "password": PASSWORD}, "mail.changed"),
    ("POST /portal/settings/pix-key", "browser",
     {"pix_key": "alice@example.com", "password": PASSWORD}, "pix-key.changed"),
    ("POST /portal/settings/sessions/<string:session_id>/end", "browser", CONFIRMED,
     "session.ended"),
    ("POST /portal/settings/password", "browser",
     {"current_password": PASSWORD, "new_password": "another battery",
      "repeated": "another battery"}, "password.changed"),
    ("POST /portal/developers/clients", "browser", {"label": "SDK", "scopes": "cob.read"},
     "oauth-client.created"),
    ("POST /portal/developers/clients/<string:client_id>/revoke", "browser", CONFIRMED,
     "oauth-client.revoked"),
    ("POST /portal/developers/webhooks", "browser", {"url": "http://127.0.0.1:9/", "events": "*"},
     "webhook.created"),
    ("POST /portal/developers/webhooks/<string:webhook_id>", "browser",
     {"url": "http://127.0.0.1:9/x", "events": "*"}, "webhook.changed"),
    ("POST /portal/developers/webhooks/<string:webhook_id>/switch", "browser", {"enabled": "0"},
     "webhook.changed"),
    ("POST /portal/developers/webhooks/<string:webhook_id>/rotate", "browser", CONFIRMED,
     "webhook.rotated"),
    ("POST /portal/developers/webhooks/<string:webhook_id>/ping", "browser", {}, "webhook.sent"),
    ("POST /portal/developers/webhooks/<string:webhook_id>/replay", "browser",
     {"from": "2026-01-01T00:00"}, "webhook.sent"),
    ("POST /portal/developers/webhooks/<string:webhook_id>/delete", "browser", CONFIRMED,
     "webhook.deleted"),
    ("POST /portal/developers/deliveries/<string:delivery_id>/redeliver", "browser", {},
     "webhook.sent"),
    ("POST /users/me/password", "token",
     {"current_password": PASSWORD, "new_password": "another battery"}, "password.changed"),
    ("POST /api/logout", "token", {}, "session.ended"),
    ("POST /api/login", "nobody", {"username": "alice", "password": PASSWORD}, "session.started"),
    ("POST /users/", "nobody", {"username": "zoe", "password": PASSWORD}, "account.created"),
]  # fmt: skip
ELSEWHERE = {
    # Forms without an account, and the administrators' routes, have tests of their own below.
    "POST /token", "POST /signup", "POST /api/payment/cleanup",
    "POST /portal/tills/<string:till_txid>/close",
    "POST /admin/accounts/<string:account_id>/disable",
    "POST /admin/accounts/<string:account_id>/enable",
}  # fmt: skip


def changing_routes(app: Flask) -> set[str]:
    """Every method and route that is not a GET."""
    safe = {"GET", "HEAD", "OPTIONS"}
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - safe
    }


@pytest.fixture
def alice(app) -> Person:
    """A merchant with a Pix key, so that every form of the portal works."""
    alice = Person(app, "alice")
    alice.sign_up()
    browser = alice.enter()
    form = {"pix_key": "alice-shop@example.com", "password": PASSWORD, "csrf_token": alice.csrf}
    assert browser.post("/portal/settings/pix-key", data=form).status_code == 303
    return alice


@pytest.fixture
def ids(alice, bank, clock) -> dict[str, str]:
    """Ids of Alice's things, by the names in the routes."""
    header = alice.bearer()

    def charge(**fields: Any) -> dict[str, Any]:
        answer = alice.post("/payments/pix", json={"value": 10, **fields}, headers=header)
        assert answer.status_code == 201, answer.text
        payment: dict[str, Any] = answer.get_json()["payment"]
        return payment

    expired, paid, pending = charge(expires_in=10), charge(), charge()
    bank.confirm(paid)
    clock.advance(seconds=11)
    sessions = alice.get("/api/sessions", header).get_json()["data"]
    address = {"url": "http://127.0.0.1:9/"}
    webhook = alice.post("/webhooks", json=address, headers=header).get_json()
    deliveries = alice.get(f"/webhooks/{webhook['id']}/deliveries", header).get_json()["data"]
    return {
        "webhook_id": webhook["id"],
        "delivery_id": deliveries[0]["id"],
        "payment_id": pending["id"],
        "transaction_id": pending["id"],
        "expired_id": expired["id"],
        "paid_id": paid["id"],
        "key_id": alice.key("payments:read")["id"],
        "client_id": new_client(alice.app, "alice").client_id,
        "provider_id": enrol_unused(alice.app, "alice").public_id,
        "session_id": next(one["id"] for one in sessions if not one["current"]),
    }


def test_every_route_that_changes_something_is_walked_or_exempt(app):
    """A new route must say which row it leaves, or why none."""
    routes_of_walks = {re.sub(r":(expired|paid)_id>", ":payment_id>", route) for route, *_ in WALKS}
    assert routes_of_walks | set(EXEMPT) | ELSEWHERE == changing_routes(app)
    assert not routes_of_walks & set(EXEMPT)


@pytest.mark.parametrize(("route", "sender", "body", "action"), WALKS, ids=lambda v: str(v)[:60])
def test_the_change_leaves_a_row_with_its_author(app, alice, ids, route, sender, body, action):
    """Who, by which key, and the id of the request, which is in the log too."""
    method, path = route.split(" ")
    path = re.sub(r"<string:(\w+)>", lambda match: ids[match[1]], path)
    headers = {"X-Request-ID": "the-request"}
    client, options = app.test_client(), {"json": body}
    key: dict[str, Any] = {}
    if sender == "key":
        key = alice.key(*SCOPES, label="till")
        headers |= bearer(key["key"])
    elif sender == "token":
        headers |= alice.bearer()
    elif sender == "browser":
        client, options = alice.enter(), {"data": {**body, "csrf_token": alice.csrf}}

    answer = client.open(path, method=method, headers=headers, **options)

    assert answer.status_code in (200, 201, 204, 303), answer.text
    rows = [row for row in audit_rows(app) if row.request_id == "the-request"]
    assert action in [row.action for row in rows]
    for row in rows:
        assert row.account_id is not None
        if sender == "key":
            assert row.details["key"] == key["id"]
            assert row.details["key_name"].startswith("till (balcao_test_")
            assert key["key"] not in str(row.details)


def test_a_payment_names_the_key_that_created_it(app, alice):
    """In its first event and in the portal's timeline; another payment's key is not there."""
    key = alice.key("payments:write", label="loja virtual")
    headers = {**bearer(key["key"]), "X-Request-ID": "order-71"}
    by_key = alice.post("/payments/pix", json={"value": 10}, headers=headers).get_json()["payment"]
    header = alice.bearer()
    by_person = alice.post("/payments/pix", json={"value": 10}, headers=header).get_json()

    browser = alice.enter()
    page = browser.get(f"/portal/payments/{by_key['id']}").text
    other_page = browser.get(f"/portal/payments/{by_person['payment']['id']}").text

    assert "Pela chave de API loja virtual" in page
    assert "Pela chave de API" not in other_page
    with app.app_context():
        rows = db.session.scalars(select(PaymentEvent).order_by(PaymentEvent.id)).all()
    author = rows[0].data["author"]
    assert (author["key"], author["request_id"]) == (key["id"], "order-71")
    assert key["key"] not in str(author)
    assert "key" not in rows[1].data["author"]


def test_a_payment_names_the_client_of_api_pix_that_created_it(app, alice):
    """A client is no API key, so the timeline does not call it one."""
    token = new_client(app, "alice", label="SDK da loja").token(app)
    body = {"valor": {"original": "1.00"}, "chave": "alice-shop@example.com"}
    answer = app.test_client().post("/api-pix/v2/cob", json=body, headers=bearer(token))
    assert answer.status_code == 201, answer.text
    page = alice.enter().get(f"/portal/payments/{answer.get_json()['txid']}").text
    assert "Pelo cliente da API Pix SDK da loja" in page
    assert "Pela chave de API" not in page


def test_forms_and_administrators_leave_their_rows(app, alice):
    """The last routes: the forms without an account, and those of the administrators."""
    make_account(app, "root", "admin")
    root = sign_in(app, "root")
    json_header = {"X-CSRF-TOKEN": root.token}
    links = root.get("/admin/accounts").text.split('"')
    account = next(link for link in links if link.startswith("/admin/accounts/"))
    client = app.test_client()
    client.post("/token", data={"username": "alice", "password": PASSWORD})
    client.post("/signup", data={"username": "yara", "password": PASSWORD})
    assert root.client.post("/api/payment/cleanup", headers=json_header).status_code == 200
    for verb in ("disable", "enable"):
        root.post(f"{account.split('?')[0]}/{verb}")

    row_actions = [row.action for row in audit_rows(app)]

    assert row_actions.count("account.created") >= 3
    for action in ("proofs.cleaned", "account.disabled", "account.enabled", "session.started"):
        assert action in row_actions, action


def test_a_till_that_is_closed_leaves_a_row(app, alice):
    """Its own test, because the only till cannot be closed."""
    browser = alice.enter()
    browser.get("/portal/poster")  # the first till
    form = {"name": "Balcão 2", "csrf_token": alice.csrf}
    assert browser.post("/portal/tills", data=form).status_code == 303
    till = next(row.subject for row in audit_rows(app, "alice") if row.action == "till.opened")
    assert (
        browser.post(f"/portal/tills/{till}/close", data={**form, **CONFIRMED}).status_code == 303
    )
    row = audit_rows(app, "alice")[-1]
    assert (row.action, row.subject) == ("till.closed", till)


def test_the_merchant_reads_what_was_done_and_charlie_does_not(app, alice, ids):
    """In sentences, with the key's name and the request's id; never another account's rows."""
    charlie = Person(app, "charlie")
    charlie.sign_up()
    key = alice.key("payments:write", label="caixa 1")
    headers = {**bearer(key["key"]), "X-Request-ID": "call-17"}
    alice.post(f"/payments/pix/{ids['payment_id']}/cancel", headers=headers)

    page = alice.enter().get("/portal/activity", headers={"Accept": "text/html"})

    assert page.status_code == 200
    for text in ("Cobrança cancelada", "caixa 1", "call-17", ids["payment_id"], "Conta criada"):
        assert text in page.text, text
    assert "payment.cancelled" not in page.text
    others = charlie.enter().get("/portal/activity", headers={"Accept": "text/html"}).text
    assert "Conta criada" in others
    for text in ("call-17", "caixa 1", ids["payment_id"]):
        assert text not in others


def test_the_activity_goes_page_by_page(app, alice):
    """An account with many rows shows fifty at a time, and every row once."""
    for _ in range(60):
        alice.bearer()
    browser = alice.enter()
    first = browser.get("/portal/activity").text
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = browser.get(older[1].replace("&amp;", "&")).text
    assert first.count('class="item__title"') == 50
    assert 10 < second.count('class="item__title"') < 50
    assert 'rel="next"' not in second


def test_every_action_has_a_sentence(app):
    """A merchant reads sentences, not codes."""
    with app.test_request_context():
        assert [action for action in AuditAction if sentence_of(action) == action] == []


def test_a_new_signing_key_has_a_row(app):
    """The operator's command changes what every bank checks."""
    result = app.test_cli_runner().invoke(args=["keys", "rotate"])
    assert result.exit_code == 0, result.output
    row = audit_rows(app)[-1]
    assert (row.action, row.account_id) == ("signing-key.rotated", None)
    assert row.subject in result.output
