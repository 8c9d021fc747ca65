"""Charlie tries every route with every id of Alice's.

The routes come from the URL map, so a new route is tried too; a route with a new kind of id fails
here until the fixture has such an id of Alice's. Routes that anybody with a link may use are
listed, each with its reason.
"""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from core.pix.business_days import brasilia_day
from core.pix.recurrence_rules import Periodicity, RecurrenceTerms
from db_models.base import db
from payments.recurring import charges, requests
from payments.recurring.charges import NewRecurringCharge
from payments.recurring.locations import reserve
from payments.recurring.recurrences import Acceptance, NewRecurrence, approve, create
from payments.recurring.requests import PayerAccount
from repository.database import Work, in_unit_of_work
from repository.locations import number_of
from repository.recurrences import RecurrenceRecord
from tests.accounts.people import Person, bearer
from tests.pix_api.clients import new_client
from tests.providers.enrolled import enrol_unused
from tests.support.service import BankInTest

# Alice's texts, which must be in no answer to Charlie.
SECRET_WORDS = "Alice keeps this to herself"
ORDER = "order-of-alice"
BATCH = "7312849001"

BY_LINK = {
    "GET /payments/pix/<string:payment_id>": "a payment's page: anybody with the link may pay",
    "GET /payments/pix/<string:payment_id>/status": "what the page polls",
    "GET /payments/pix/<string:payment_id>/receipt": "the payer's receipt, by the same link",
    "GET /payments/pix/<string:payment_id>/receipt/qr.svg": "the receipt's own address",
    "GET /payments/pix/qr_code/<path:name>": "the page's picture",
    "POST /payments/pix/<string:payment_id>/renew": "the shopper asks for a new code",
    "POST /payments/pix/<string:payment_id>/check": "the shopper says it was paid",
    "GET /payments/pix/<string:payment_id>/proof": "the page on which the payer sends a proof",
    "POST /payments/pix/<string:payment_id>/proof": "the payer sends a proof, by the same link",
    "POST /payments/pix/<string:payment_id>/trace": "the page tells that it was opened",
    "POST /payments/pix/<string:payment_id>/expire-soon": "the development profile's test strip",
    "GET /qr/v2/<string:token>": "what the payer's bank fetches",
    "GET /qr/v2/rec/<string:token>": "the same, of a recurrence",
    "GET /watch/<string:watch_code>": "reads one payment, as its code allows",
    "GET /generate_qr/<string:login>": "a shop's poster",
    "GET /pay/<string:code>": "a payer's page: anybody with the link may pay",
    "POST /api/pay/<string:code>": "a payer with the link pays",
    "GET /logos/<string:name>.png": "a shop's logo on its payment pages",
    "GET /brand/<string:color>.css": "a shop's colour on its payment pages",
    "GET /static/<path:filename>": "files",
    "GET /docs/<name>": "documents",
    "GET /reset/<token>": "the token in the e-mail is the proof; a made-up one is gone",
    "POST /reset/<token>": "the same",
    "POST /payments/pix/<string:payment_id>/receipt/mail": "the receipt, by the same link",
    "GET /docs/assets/<path:name>": "files",
    "GET /shop/cart/<slug>": "the demo shop's own cart",
}
OWN_NAMES = {
    # These names mean files of the caller, not of another account.
    "PUT /api-pix/v2/cobv/<txid>": "each shop has its own txids: a charge of Charlie's",
    "PUT /api-pix/v2/cobr/<txid>": "the same; and Charlie has no such recurrence",
    "PUT /api-pix/v2/cob/<txid>": "each shop has its own txids: a charge of Charlie's",
    "PUT /api-pix/v2/lotecobv/<batch_id>": "each shop has its own numbers of batches",
    "PUT /api-pix/v2/webhook/<chave>": "a key of Alice's is a 400: tests/pix_api/test_webhook.py",
    "GET /portal/poster/<any('qr.svg', 'qr.png', 'poster.svg'):name>": "Charlie's own poster",
}
BODIES: dict[str, dict[str, Any]] = {
    "POST /payments/pix/<string:payment_id>/refunds": {"value": "1.00"},
    "POST /portal/proofs/<string:proof_id>/review": {"verdict": "verified"},
    "PUT /transactions/<string:transaction_id>": {"status": "cancelled"},
    "PATCH /webhooks/<string:webhook_id>": {"enabled": False},
    "PUT /api-pix/v2/pix/<e2eid>/devolucao/<refund_id>": {"valor": "1.00"},
    "PATCH /api-pix/v2/rec/<id_rec>": {"status": "CANCELADA"},
    "PATCH /api-pix/v2/cobr/<txid>": {"status": "CANCELADA"},
    "PATCH /api-pix/v2/solicrec/<id_solic_rec>": {"status": "CANCELADA"},
    "POST /webhooks/<string:webhook_id>/replay": {"from": "2026-01-01T00:00:00Z"},
    "POST /payments/pix/receipts/<string:end_to_end_id>/attach": {"order_id": "1"},
    "POST /portal/receipts/<string:end_to_end_id>/attach": {"target": "1"},
}
REFUSED = {401, 403, 404}


@dataclass
class Alices:
    """Alice's ids, by the name of the URL parameter."""

    ids: dict[str, list[str]]

    def addresses(self, app: Flask, rule: Rule) -> list[str]:
        """Every URL of a rule, with Alice's ids.

        A list: requests within this context would share its `g`, and so the first one's caller.
        """
        names = sorted(rule.arguments)
        unknown = [name for name in names if name not in self.ids]
        assert not unknown, f"{rule.rule}: the fixture has no {unknown} of Alice's"
        with app.test_request_context():
            adapter = app.url_map.bind("localhost")
            return [
                adapter.build(rule.endpoint, dict(zip(names, values, strict=True)))
                for values in itertools.product(*(self.ids[name] for name in names))
            ]


def routes(app: Flask) -> list[tuple[str, str, Rule]]:
    """Every method of every route: its name in this file, the method, the rule."""
    return [
        (f"{method} {rule.rule}", method, rule)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


@pytest.fixture
def alices(app, client, clock, alice) -> Alices:
    """Payments of Alice's, pending and paid, money without a payment, a till, a key, a session."""
    headers = alice.bearer()
    created = []
    for order in (ORDER, f"{ORDER}-2"):
        fields = {"value": "12.34", "description": SECRET_WORDS, "order_id": order}
        answer = client.post("/payments/pix", json=fields, headers=headers)
        assert answer.status_code == 201, answer.text
        created.append(answer.get_json()["payment"])
    assert BankInTest(client, clock).confirm(created[1]).status_code == 200
    key = alice.key("payments:read", label="till")
    assert prove(client, created[0]["id"]).status_code == 201
    [proof_id] = public_ids(app, "recovery_uploads")
    [session, *_] = client.get("/api/sessions", headers=headers).get_json()["data"]
    payments = [payment["id"] for payment in created]
    me = client.get("/users/me/", headers=headers).get_json()
    money = {"id": None, "value": 12.34}
    free = BankInTest(client, clock).body(money, pix_key=me["pix_key"])
    assert BankInTest(client, clock).tell(free).status_code == 200
    assert client.get("/generate_qr/alice").status_code == 200  # opens her first till
    webhook = client.post("/webhooks", json={"url": "http://127.0.0.1:9/"}, headers=headers)
    webhook_id = webhook.get_json()["id"]
    deliveries = client.get(f"/webhooks/{webhook_id}/deliveries", headers=headers).get_json()
    [till_txid] = public_ids(app, "tills", "txid")
    pix_client = new_client(app, "alice", label=SECRET_WORDS)
    batch = {"descricao": SECRET_WORDS, "cobsv": [{"txid": "a" * 30}]}
    batch_url = f"/api-pix/v2/lotecobv/{BATCH}"
    answer = client.put(batch_url, json=batch, headers=bearer(pix_client.token(app)))
    assert answer.status_code == 202, answer.text
    rec = recurrence_of(app, clock)
    return Alices(
        {
            "payment_id": payments,
            "end_to_end_id": [free["end_to_end_id"]],
            "e2eid": [free["end_to_end_id"]],
            "refund_id": ["AlicesRefund1"],
            "chave": [me["pix_key"]],
            "till_txid": [till_txid],
            "transaction_id": payments,
            "code": payments,
            "watch_code": [payment["watch_code"] for payment in created],
            "token": [payment["watch_code"] for payment in created],
            "key_id": [key["id"]],
            "client_id": [pix_client.client_id],
            "webhook_id": [webhook_id],
            "provider_id": [enrol_unused(app, "alice").public_id],
            "delivery_id": [one["id"] for one in deliveries["data"]],
            "proof_id": [proof_id],
            "session_id": [session["id"]],
            "account_id": [me["id"]],
            "login": ["alice"],
            "name": ["qr.svg"],
            "color": ["1a7f37"],
            "txid": [*payments, recurring_charge_of(app, clock)],
            "data": ["2099-01-01"],
            "batch_id": [BATCH],
            "number": [str(number_of(payment["watch_code"])) for payment in created],
            "id_rec": [rec.recurrence.id_rec],
            "id_solic_rec": public_ids(app, "recurrence_requests", "id_solic_rec"),
            "locrec_id": [str(number_of(rec.location.token))] if rec.location else [],
            "filename": ["css/tokens.css"],
            "slug": ["cafe"],
        }
    )


def recurrence_of(app: Flask, clock: Any) -> RecurrenceRecord:
    """Alice offers a recurrence, which a location shows, and asks a payer."""

    def make(work: Work) -> RecurrenceRecord:
        merchant = work.accounts.by_login("alice")
        rec = create(work, merchant, terms_of_alice(clock), reserve(work, merchant))
        payer = PayerAccount("52998224725", "99999004", SECRET_WORDS[:20])
        requests.create(work, merchant, rec, payer, work.now + timedelta(days=1))
        return rec

    with app.app_context():
        return in_unit_of_work(make)


def terms_of_alice(clock: Any) -> NewRecurrence:
    """A monthly recurrence from today on."""
    terms = RecurrenceTerms(brasilia_day(clock.now()), Periodicity.MONTHLY, True)
    return NewRecurrence(terms, "1", SECRET_WORDS, "12345678909")


def recurring_charge_of(app: Flask, clock: Any) -> str:
    """Alice charges another recurrence, which a payer has accepted; returns the txid."""

    def make(work: Work) -> str:
        merchant = work.accounts.by_login("alice")
        record = create(work, merchant, terms_of_alice(clock), None)
        recurrence = approve(work, record, Acceptance(2, "52998224725", "99999004")).recurrence
        due_day = brasilia_day(clock.now()) + timedelta(days=20)
        charge = NewRecurringCharge(1234, due_day, True, "1", "CORRENTE", info=SECRET_WORDS)
        return charges.create(work, merchant, recurrence, charge, None).payment.txid

    with app.app_context():
        return in_unit_of_work(make)


def prove(client: FlaskClient, session_id: str) -> TestResponse:
    """Bob sends Alice a screenshot as proof that he paid."""
    picture = io.BytesIO()
    Image.new("RGB", (40, 40), (4, 105, 79)).save(picture, "PNG")
    picture.seek(0)
    data = {"file": (picture, "print.png"), "session_id": session_id}
    return client.post("/api/payment/upload-screenshot", data=data)


def public_ids(app: Flask, table: str, column: str = "public_id") -> list[str]:
    """The public ids of a table's rows."""
    with app.app_context(), db.engine.connect() as connection:
        return list(connection.execute(sa.text(f"SELECT {column} FROM {table}")).scalars())  # noqa: S608


@dataclass
class Stranger:
    """A caller: without an account, with a token, or with cookies and the CSRF token."""

    name: str
    person: Person | None
    by_cookie: bool = False
    pix_tokens: dict[str, str] = field(default_factory=dict)

    def pix_token(self, app: Flask) -> str:
        """The token of a client of this merchant's for API Pix."""
        if self.person is not None and not self.pix_tokens:
            self.pix_tokens["api-pix"] = new_client(app, self.person.login).token(app)
        return self.pix_tokens["api-pix"]

    def ask(self, app: Flask, method: str, path: str, body: Any) -> TestResponse:
        """Send the request as this stranger."""
        if self.person is None:
            client, headers = app.test_client(), {"Authorization": "Bearer nothing"}
        elif path.startswith("/api-pix/v2") and self.person.login == "charlie":
            client, headers = app.test_client(), bearer(self.pix_token(app))
        elif self.by_cookie:
            client, headers = self.person.enter(), self.person.with_csrf()
        else:
            client, headers = app.test_client(), bearer(self.person.tokens()["access_token"])
        kind = "data" if path.startswith("/portal") else "json"  # the portal takes forms
        options = {} if method == "GET" else {kind: body}
        return client.open(path, method=method, headers=headers, **options)


@pytest.fixture
def strangers(person) -> list[Stranger]:
    """Charlie is a merchant, Bob a payer, and 'nobody' has no account."""
    charlie, bob = person("charlie"), person("bob", role="payer")
    return [
        Stranger("nobody", None),
        Stranger("charlie's token", charlie),
        Stranger("charlie's browser", charlie, by_cookie=True),
        Stranger("bob's token", bob),
    ]


def is_refusal(answer: TestResponse) -> bool:
    """Whether the answer is a refusal, or a redirect to the sign-in page."""
    to_sign_in = answer.status_code == 303 and urlsplit(answer.headers["Location"]).path == "/login"
    return to_sign_in or answer.status_code in REFUSED


def state(app: Flask) -> dict[str, list[Any]]:
    """All rows of Alice's account."""
    queries = {
        "payments": "SELECT p.* FROM payments p JOIN accounts a ON a.id = p.merchant_id",
        "api_keys": "SELECT k.* FROM api_keys k JOIN accounts a ON a.id = k.account_id",
        "oauth_clients": "SELECT c.* FROM oauth_clients c JOIN accounts a ON a.id = c.account_id",
        "sign_ins": "SELECT s.* FROM sign_ins s JOIN accounts a ON a.id = s.account_id",
        "accounts": "SELECT a.* FROM accounts a",
        "recovery_uploads": "SELECT u.* FROM recovery_uploads u"
        " JOIN accounts a ON a.id = u.merchant_id",
        "receipts": "SELECT r.* FROM receipts r JOIN accounts a ON a.id = r.merchant_id",
        "recurrences": "SELECT r.* FROM recurrences r JOIN accounts a ON a.id = r.merchant_id",
        "recurrence_requests": "SELECT q.* FROM recurrence_requests q"
        " JOIN recurrences r ON r.id = q.recurrence_id JOIN accounts a ON a.id = r.merchant_id",
        "provider_accounts": "SELECT p.* FROM provider_accounts p"
        " JOIN accounts a ON a.id = p.merchant_id",
        "tills": "SELECT t.* FROM tills t JOIN accounts a ON a.id = t.merchant_id",
        "charge_batches": "SELECT b.* FROM charge_batches b"
        " JOIN accounts a ON a.id = b.merchant_id",
        "charge_batch_requests": "SELECT r.* FROM charge_batch_requests r"
        " JOIN accounts a ON a.id = r.merchant_id",
    }
    with app.app_context(), db.engine.connect() as connection:
        return {
            table: [
                tuple(row) for row in connection.execute(sa.text(f"{query} WHERE a.login='alice'"))
            ]
            for table, query in queries.items()
        }


@pytest.mark.slow
def test_every_route_with_an_id_refuses_other_accounts(app, alices, strangers):
    """And nothing of Alice's has changed."""
    before = state(app)
    wrong = []
    requests = 0
    for name, method, rule in routes(app):
        if not rule.arguments or name in BY_LINK or name in OWN_NAMES:
            continue
        for path in alices.addresses(app, rule):
            for stranger in strangers:
                answer = stranger.ask(app, method, path, BODIES.get(name, {}))
                requests += 1
                if not is_refusal(answer) or SECRET_WORDS in answer.text:
                    wrong.append((stranger.name, method, path, answer.status_code))
    assert wrong == []
    assert requests > 50
    assert state(app) == before


@pytest.mark.slow
def test_every_route_without_an_id_answers_only_for_the_caller(app, alices, strangers):
    """Lists, exports and figures of others contain none of Alice's ids or texts."""
    hers = {SECRET_WORDS, ORDER, *itertools.chain(*alices.ids.values())} - {
        "alice",  # a login is public: it is in the address of a poster
        *alices.ids["name"],
        *alices.ids["color"],
        *alices.ids["filename"],
        *alices.ids["slug"],
    }
    before = state(app)
    leaks = []
    for name, method, rule in routes(app):
        if rule.arguments or method != "GET":
            continue
        for stranger in strangers:
            answer = stranger.ask(app, method, rule.rule, None)
            assert answer.status_code != 500, (name, answer.text)  # 503: there is no bank here
            leaks += [(stranger.name, name, text) for text in hers if text in answer.text]
    assert leaks == []
    assert state(app) == before


def test_the_listed_exceptions_are_routes_that_exist(app):
    """An outdated exception could hide the next mistake."""
    existing = {name for name, _, _ in routes(app)}
    assert (set(BY_LINK) | set(OWN_NAMES) | set(BODIES)) - existing == set()


def test_two_shops_may_use_the_same_order_id(app, client, alice, person):
    """Each shop numbers its own orders."""
    charlie = person("charlie")
    answers = []
    for who in (alice, charlie):
        fields = {"value": 10, "order_id": "1"}
        answers.append(client.post("/payments/pix", json=fields, headers=who.bearer()))
    assert [answer.status_code for answer in answers] == [201, 201]
    for who, answer in zip((alice, charlie), answers, strict=True):
        listed = client.get("/payments/pix?order_id=1", headers=who.bearer()).get_json()["data"]
        assert [payment["id"] for payment in listed] == [answer.get_json()["payment"]["id"]]
