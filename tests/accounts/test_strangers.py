"""Charlie tries every route there is, with every id of Alice's.

The routes come from the URL map: one that is added later is tried as well, and one with a new kind
of id fails here until it is said what Alice's would be. What anybody may do with a link is listed,
each with its reason.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from db_models.base import db
from tests.accounts.people import Person, bearer
from tests.support.service import BankInTest

# Alice's words, which must be in no answer of Charlie's.
SECRET_WORDS = "Alice keeps this to herself"
ORDER = "order-of-alice"

BY_LINK = {
    "GET /payments/pix/<string:payment_id>": "a payment's page: whoever has the link pays",
    "GET /payments/pix/<string:payment_id>/status": "what the page polls",
    "GET /payments/pix/<string:payment_id>/receipt": "the payer's receipt, by the same link",
    "GET /payments/pix/<string:payment_id>/receipt/qr.svg": "the receipt's own address",
    "GET /payments/pix/qr_code/<path:name>": "the page's picture",
    "POST /payments/pix/<string:payment_id>/renew": "the shopper asks for a new code",
    "POST /payments/pix/<string:payment_id>/check": "the shopper says it was paid",
    "POST /payments/pix/<string:payment_id>/trace": "the page tells that it was opened",
    "POST /payments/pix/<string:payment_id>/expire-soon": "the development profile's test strip",
    "GET /qr/v2/<string:token>": "what the payer's bank fetches",
    "GET /watch/<string:watch_code>": "reads one payment, as its code allows",
    "GET /generate_qr/<string:login>": "a shop's poster",
    "GET /pay/<string:code>": "a payer's page: whoever has the link pays",
    "POST /api/pay/<string:code>": "a payer pays whose link it has",
    "GET /logos/<string:name>.png": "a shop's logo on its payment pages",
    "GET /brand/<string:color>.css": "a shop's colour on its payment pages",
    "GET /static/<path:filename>": "files",
    "GET /docs/assets/<path:name>": "files",
    "GET /shop/cart/<slug>": "the demo shop's own cart",
}
OWN_NAMES = {
    # A name of the caller's own things that says nothing of anybody else's.
    "GET /portal/poster/<any('qr.svg', 'qr.png', 'poster.svg'):name>": "Charlie's own poster",
}
BODIES: dict[str, dict[str, Any]] = {
    "POST /payments/pix/<string:payment_id>/refunds": {"value": "1.00"},
    "POST /portal/proofs/<string:proof_id>/review": {"verdict": "verified"},
    "PUT /transactions/<string:transaction_id>": {"status": "cancelled"},
}
REFUSED = {401, 403, 404}


@dataclass
class Alices:
    """What is Alice's, by the name an address gives it."""

    ids: dict[str, list[str]]

    def addresses(self, app: Flask, rule: Rule) -> Iterator[str]:
        """Every address of a rule with Alice's ids in it."""
        names = sorted(rule.arguments)
        unknown = [name for name in names if name not in self.ids]
        assert not unknown, f"{rule.rule}: what would Alice's {unknown} be?"
        with app.test_request_context():
            adapter = app.url_map.bind("localhost")
            for values in itertools.product(*(self.ids[name] for name in names)):
                yield adapter.build(rule.endpoint, dict(zip(names, values, strict=True)))


def routes(app: Flask) -> list[tuple[str, str, Rule]]:
    """Every method of every route: its name here, the method, the rule."""
    return [
        (f"{method} {rule.rule}", method, rule)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


@pytest.fixture
def alices(app, client, clock, alice) -> Alices:
    """A pending and a paid payment of Alice's, a key, a session."""
    headers = alice.bearer()
    made = []
    for order in (ORDER, f"{ORDER}-2"):
        fields = {"value": "12.34", "description": SECRET_WORDS, "order_id": order}
        answer = client.post("/payments/pix", json=fields, headers=headers)
        assert answer.status_code == 201, answer.text
        made.append(answer.get_json()["payment"])
    assert BankInTest(client, clock).confirm(made[1]).status_code == 200
    key = alice.key("payments:read", label="till")
    assert prove(client, made[0]["id"]).status_code == 201
    [proof_id] = public_ids(app, "recovery_uploads")
    [session, *_] = client.get("/api/sessions", headers=headers).get_json()["data"]
    payments = [payment["id"] for payment in made]
    return Alices(
        {
            "payment_id": payments,
            "transaction_id": payments,
            "code": payments,
            "watch_code": [payment["watch_code"] for payment in made],
            "token": [payment["watch_code"] for payment in made],
            "key_id": [key["id"]],
            "proof_id": [proof_id],
            "session_id": [session["id"]],
            "account_id": [client.get("/users/me/", headers=headers).get_json()["id"]],
            "login": ["alice"],
            "name": ["qr.svg"],
            "color": ["1a7f37"],
            "filename": ["css/tokens.css"],
            "slug": ["cafe"],
        }
    )


def prove(client: FlaskClient, session_id: str) -> TestResponse:
    """Bob sends Alice a picture as proof that he paid."""
    picture = io.BytesIO()
    Image.new("RGB", (40, 40), (4, 105, 79)).save(picture, "PNG")
    picture.seek(0)
    data = {"file": (picture, "print.png"), "session_id": session_id}
    return client.post("/api/payment/upload-screenshot", data=data)


def public_ids(app: Flask, table: str) -> list[str]:
    """The ids by which a table's rows are addressed."""
    with app.app_context(), db.engine.connect() as connection:
        return list(connection.execute(sa.text(f"SELECT public_id FROM {table}")).scalars())  # noqa: S608


@dataclass
class Stranger:
    """One way to come: as nobody, with a token, or with cookies and the CSRF token."""

    name: str
    person: Person | None
    by_cookie: bool = False

    def ask(self, app: Flask, method: str, path: str, body: Any) -> TestResponse:
        """Send the request as this stranger; a page is not asked for."""
        if self.person is None:
            client, headers = app.test_client(), {"Authorization": "Bearer nothing"}
        elif self.by_cookie:
            client, headers = self.person.enter(), self.person.with_csrf()
        else:
            client, headers = app.test_client(), bearer(self.person.tokens()["access_token"])
        kind = "data" if path.startswith("/portal") else "json"  # its pages send forms
        options = {} if method == "GET" else {kind: body}
        return client.open(path, method=method, headers=headers, **options)


@pytest.fixture
def strangers(person) -> list[Stranger]:
    """Charlie sells too, Bob pays; and there is whoever has no account."""
    charlie, bob = person("charlie"), person("bob", role="payer")
    return [
        Stranger("nobody", None),
        Stranger("charlie's token", charlie),
        Stranger("charlie's browser", charlie, by_cookie=True),
        Stranger("bob's token", bob),
    ]


def is_refusal(answer: TestResponse) -> bool:
    """Whether nothing was shown or done; a page sends whoever is not signed in to do that."""
    to_sign_in = answer.status_code == 303 and urlsplit(answer.headers["Location"]).path == "/login"
    return to_sign_in or answer.status_code in REFUSED


def state(app: Flask) -> dict[str, list[Any]]:
    """Everything of Alice's, row by row."""
    queries = {
        "payments": "SELECT p.* FROM payments p JOIN accounts a ON a.id = p.merchant_id",
        "api_keys": "SELECT k.* FROM api_keys k JOIN accounts a ON a.id = k.account_id",
        "sign_ins": "SELECT s.* FROM sign_ins s JOIN accounts a ON a.id = s.account_id",
        "accounts": "SELECT a.* FROM accounts a",
        "recovery_uploads": "SELECT u.* FROM recovery_uploads u"
        " JOIN accounts a ON a.id = u.merchant_id",
    }
    with app.app_context(), db.engine.connect() as connection:
        return {
            table: [
                tuple(row) for row in connection.execute(sa.text(f"{query} WHERE a.login='alice'"))
            ]
            for table, query in queries.items()
        }


@pytest.mark.slow
def test_every_route_with_an_id_refuses_whoever_it_is_not_of(app, alices, strangers):
    """404 or 403, and nothing of Alice's has changed."""
    before = state(app)
    wrong = []
    tried = 0
    for name, method, rule in routes(app):
        if not rule.arguments or name in BY_LINK or name in OWN_NAMES:
            continue
        for path in alices.addresses(app, rule):
            for stranger in strangers:
                answer = stranger.ask(app, method, path, BODIES.get(name, {}))
                tried += 1
                if not is_refusal(answer) or SECRET_WORDS in answer.text:
                    wrong.append((stranger.name, method, path, answer.status_code))
    assert wrong == []
    assert tried > 50
    assert state(app) == before


@pytest.mark.slow
def test_every_route_without_an_id_answers_for_the_caller_alone(app, alices, strangers):
    """Lists, exports, figures: none of Alice's ids or words is in what the others are shown."""
    hers = {SECRET_WORDS, ORDER, *itertools.chain(*alices.ids.values())} - {
        "alice",  # a login is public: it is in the address of a poster
        *alices.ids["name"],
        *alices.ids["color"],
        *alices.ids["filename"],
        *alices.ids["slug"],
    }
    before = state(app)
    told = []
    for name, method, rule in routes(app):
        if rule.arguments or method != "GET":
            continue
        for stranger in strangers:
            answer = stranger.ask(app, method, rule.rule, None)
            assert answer.status_code != 500, (name, answer.text)  # 503: there is no bank here
            told += [(stranger.name, name, one) for one in hers if one in answer.text]
    assert told == []
    assert state(app) == before


def test_what_anybody_may_do_with_a_link_is_a_route_that_exists(app):
    """A list of exceptions that nobody prunes hides the next mistake."""
    known = {name for name, _, _ in routes(app)}
    assert (set(BY_LINK) | set(OWN_NAMES) | set(BODIES)) - known == set()


def test_two_shops_with_the_same_order_do_not_meet(app, client, alice, person):
    """Each shop numbers its own orders."""
    charlie = person("charlie")
    made = []
    for who in (alice, charlie):
        fields = {"value": 10, "order_id": "1"}
        made.append(client.post("/payments/pix", json=fields, headers=who.bearer()))
    assert [answer.status_code for answer in made] == [201, 201]
    for who, answer in zip((alice, charlie), made, strict=True):
        listed = client.get("/payments/pix?order_id=1", headers=who.bearer()).get_json()["data"]
        assert [payment["id"] for payment in listed] == [answer.get_json()["payment"]["id"]]
