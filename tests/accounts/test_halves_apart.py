"""A merchant and its test half share nothing that counts: ids, lists, feeds, tills, clients."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from accounts import oauth_clients, service
from accounts.access import caller_by_token
from accounts.keys import SCOPES
from blueprints.transactions.merchant_sockets import MerchantSockets
from config import parts_of
from core.receipt_errors import TillNotFound
from db_models import Receipt
from payments import tills
from realtime.credentials import Watching, Watchings
from repository.database import in_unit_of_work, reading
from tests.accounts.people import Person, bearer
from tests.db.tables import Tables, receipt_row
from tests.pix_api.charges import EVER, cob_body
from tests.pix_api.clients import PixClient
from tests.support.service import close_app, ready_app, settings_for
from webhooks.numbering import number_events

TXID = "a" * 30
PAYER = "12345678909"
TEST_BANK = {
    "test_bank_url": "https://bank-of-tests.example",
    "test_bank_webhook_secret": "whsec_" + base64.b64encode(bytes(range(32))).decode(),
}


@pytest.fixture
def settings(any_database_url, tmp_path):
    """Production, on each engine."""
    changes = {"app_env": "production", "sign_up": "open", "public_url": "https://shop.example"}
    return settings_for(any_database_url, tmp_path, **changes, **TEST_BANK)


@pytest.fixture
def app(settings, clock):
    """The service in production."""
    app = ready_app(settings, clock)
    yield app
    close_app(app)


@pytest.fixture
def alice(app):
    """Alice, a merchant with a Pix key."""
    person = Person(app, "alice")
    person.sign_up()
    change(app, lambda work, live: work.accounts.change(live.id, {"pix_key": "a@shop.example"}))
    return person


@pytest.fixture
def sides(alice):
    """The headers of a live key and of a test key with all scopes."""
    keys = [alice.key(*SCOPES, livemode=livemode)["key"] for livemode in (True, False)]
    return SimpleNamespace(keys=keys, live=bearer(keys[0]), test=bearer(keys[1]))


@pytest.fixture
def both(app, sides):
    """The accounts of the merchant and of its test half."""
    with app.app_context(), reading() as work:
        live = work.accounts.by_login("alice")
        return live, work.accounts.find_test_half(live.id)


def change(app, do):
    """Run something with Alice's account in a unit of work."""
    with app.app_context():
        return in_unit_of_work(lambda work: do(work, work.accounts.by_login("alice")))


def create(alice: Person, headers: dict[str, str], **more: Any) -> dict[str, Any]:
    """Create a payment of order 7 under the Idempotency-Key `k`."""
    body = {"value": 10, "order_id": "7", **more}
    answer = alice.post("/payments/pix", json=body, headers={**headers, "Idempotency-Key": "k"})
    assert answer.status_code == 201, answer.text
    assert "Idempotent-Replayed" not in answer.headers
    payment: dict[str, Any] = answer.get_json()["payment"]
    return payment


def ids(alice: Person, path: str, headers: dict[str, str], name: str = "id") -> list[str]:
    """The ids in a list."""
    answer = alice.get(path, headers)
    assert answer.status_code == 200, answer.text
    return [row[name] for row in answer.get_json()["data"]]


def test_payments_of_one_order_and_idempotency_key_are_two(alice, sides):
    """Each in its own list, with its own livemode, key of Pix and order."""
    live, test = create(alice, sides.live), create(alice, sides.test)
    assert (live["livemode"], test["livemode"]) == (True, False)
    assert live["id"] != test["id"]
    assert "a@shop.example" in live["pix_code"] or live["pix_code"] != test["pix_code"]
    for headers, own in ((sides.live, live), (sides.test, test)):
        for query in ("", "?order_id=7"):
            assert ids(alice, f"/payments/pix{query}", headers) == [own["id"]]
        again = alice.post("/payments/pix", json={"value": 1, "order_id": "7"}, headers=headers)
        assert again.get_json()["code"] == "order-already-has-payment"
        replay = alice.post(
            "/payments/pix",
            json={"value": 10, "order_id": "7"},
            headers={**headers, "Idempotency-Key": "k"},
        )
        assert replay.headers["Idempotent-Replayed"] == "true"
        assert replay.get_json()["payment"]["id"] == own["id"]


def test_no_key_reaches_a_payment_of_the_other_half(alice, sides):
    """404 as for a stranger, and no merchant's view."""
    live, test = create(alice, sides.live), create(alice, sides.test)
    for headers, other in ((sides.live, test), (sides.test, live)):
        path = f"/payments/pix/{other['id']}"
        for deed, body in (("cancel", {}), ("refunds", {"value": 1})):
            answer = alice.post(f"{path}/{deed}", json=body, headers=headers)
            assert (answer.status_code, answer.get_json()["code"]) == (404, "payment-not-found")
        as_json = {"Accept": "application/json"}
        visitors: list[dict[str, str]] = [{}, headers, other_of(sides, headers)]
        views = [alice.get(path, {**one, **as_json}).get_json()["payment"] for one in visitors]
        assert views[0] == views[1]
        assert views[2].keys() > views[1].keys()
    for headers, own in ((sides.live, live), (sides.test, test)):
        answer = alice.post(f"/payments/pix/{own['id']}/cancel", headers=headers)
        assert answer.status_code == 200


def other_of(sides, headers):
    """The credentials of the other half."""
    return sides.test if headers is sides.live else sides.live


def test_receipts_are_apart(alice, sides, both, settings):
    tables = Tables(settings.database_url)
    rows = [receipt_row(None, merchant_id=account.id) for account in both]
    tables.insert(Receipt, *rows)
    name = "end_to_end_id"
    for headers, own, other in ((sides.live, *rows), (sides.test, *rows[::-1])):
        assert ids(alice, "/payments/pix/receipts", headers, name) == [own[name]]
        path = "/payments/pix/receipts"
        assert alice.get(f"{path}/{own[name]}", headers).status_code == 200
        assert alice.get(f"{path}/{other[name]}", headers).status_code == 404
        for deed, body in (("attach", {"order_id": "1"}), ("refunds", {"value": 1})):
            answer = alice.post(f"{path}/{other[name]}/{deed}", json=body, headers=headers)
            assert answer.status_code == 404, answer.text


def test_webhooks_and_the_feed_are_apart(app, alice, sides):
    """An event of a test must not reach the server that sends parcels."""
    live, test = create(alice, sides.live), create(alice, sides.test)
    endpoints = []
    for headers in (sides.live, sides.test):
        body = {"url": "https://93.184.216.34/hook"}
        answer = alice.post("/webhooks", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        endpoints.append(answer.get_json()["id"])
    for headers, own in ((sides.live, live), (sides.test, test)):
        answer = alice.post(f"/payments/pix/{own['id']}/cancel", headers=headers)
        assert answer.status_code == 200
    with app.app_context():
        assert number_events() > 0
    for place, (headers, own) in enumerate(((sides.live, live), (sides.test, test))):
        events = alice.get("/events?after=start", headers).get_json()["data"]
        assert {event["data"]["id"] for event in events} == {own["id"]}
        assert {event["livemode"] for event in events} == {place == 0}
        assert ids(alice, "/webhooks", headers) == [endpoints[place]]
        path = f"/webhooks/{endpoints[1 - place]}"
        answer = alice.app.test_client().delete(path, headers=headers)
        assert answer.status_code == 404


def test_tills_are_apart(app, alice, both):
    """Both halves may have a till of one name, with codes of their own."""

    def open_both(work, _live):
        return [tills.open_till(work, account, "Barraca").txid for account in both]

    txids = change(app, open_both)
    with app.app_context(), reading() as work:
        for account, own, other in ((both[0], *txids), (both[1], *txids[::-1])):
            assert tills.own_till(work, account, own).name == "Barraca"
            assert [till.txid for till in work.tills.of_merchant(account.id)] == [own]
            with pytest.raises(TillNotFound):
                tills.own_till(work, account, other)


def test_clients_of_api_pix_see_their_own_half(app, alice, both):
    """Both halves have a charge with one txid."""
    charges = []
    for account in both:

        def make(work, _live, account=account):
            stored = work.accounts.find(account.id)
            row, secret = oauth_clients.make_client(work, stored, "SDK", oauth_clients.SCOPES)
            return PixClient(row.client_id, secret)

        headers = bearer(change(app, make).token(app))
        path = f"/api-pix/v2/cob/{TXID}"
        body = cob_body(account.pix_key)
        answer = app.test_client().put(path, json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        charges.append((headers, answer.get_json()))
    locations = [charge["location"] for _, charge in charges]
    assert locations[0] != locations[1]
    for headers, own in charges:
        client = app.test_client()
        read = client.get(f"/api-pix/v2/cob/{TXID}", headers=headers).get_json()
        assert (read["location"], read["chave"]) == (own["location"], own["chave"])
        query = "&".join(f"{name}={value}" for name, value in EVER.items())
        page = client.get(f"/api-pix/v2/cob?{query}", headers=headers).get_json()
        assert [charge["location"] for charge in page["cobs"]] == [own["location"]]
    change(app, lambda work, live: service.disable(work, live))
    for headers, _own in charges:
        answer = app.test_client().get(f"/api-pix/v2/cob/{TXID}", headers=headers)
        assert answer.status_code == 401


class FakeLine:
    """Takes the place of a `Line` and stores the messages."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.is_dropped = False

    def tell(self, text: str) -> bool:
        """Store one message."""
        self.messages.append(json.loads(text))
        return True

    def drop(self) -> None:
        """Store that the line was dropped."""
        self.is_dropped = True


def test_open_connections_hear_their_own_half_until_the_merchant_is_disabled(app, alice, sides):
    watchings = Watchings(app, lambda _do: None, lambda _seconds: None)
    sockets = MerchantSockets(app, watchings, lambda _do: None, lambda _seconds: None)
    lines = []
    for key in sides.keys:
        with app.app_context(), app.test_request_context(), reading() as work:
            caller = caller_by_token(work, key)
        line = FakeLine()
        watching = Watching(caller, line.drop)
        sockets.join(cast("Any", line), watching)
        watchings.add(watching)
        lines.append(line)
    events: list[Any] = []
    parts_of(app).announcer.listeners.append(events.append)
    payments = []
    for headers in (sides.live, sides.test):
        payments.append(create(alice, headers))
        alice.post(f"/payments/pix/{payments[-1]['id']}/cancel", headers=headers)
        sockets.hear(events[-1])
    sockets._send(sockets._next_events())
    payments_of_lines = [[message["payment_id"] for message in line.messages] for line in lines]
    assert payments_of_lines == [[payment["id"]] for payment in payments]
    with app.app_context():
        assert watchings.look() == 0
    change(app, lambda work, live: service.disable(work, live))
    with app.app_context():
        assert watchings.look() == 2
    assert [line.is_dropped for line in lines] == [True, True]


def test_a_payers_data_is_exported_and_erased_in_both_halves(app, both, settings):
    """Charlie's stays."""
    tables = Tables(settings.database_url)
    people = [("Bob", PAYER), ("Charlie", "98765432100")]
    rows = [
        receipt_row(None, merchant_id=account.id, payer_name=name, payer_document=document)
        for account in both
        for name, document in people
    ]
    tables.insert(Receipt, *rows)
    runner = app.test_cli_runner()
    output = runner.invoke(args=["privacy", "export", PAYER]).stdout
    receipts = json.loads(output[output.index("{") :])["receipts"]
    assert {receipt["end_to_end_id"] for receipt in receipts} == {
        row["end_to_end_id"] for row in rows if row["payer_document"] == PAYER
    }
    result = runner.invoke(args=["privacy", "erase", PAYER, "--yes"])
    assert result.exit_code == 0, result.output
    left = tables.rows("SELECT payer_name FROM receipts ORDER BY id")
    assert [row[0] for row in left] == [None, "Charlie", None, "Charlie"]


def test_the_merchants_account_of_a_payment_never_changes(settings, alice, sides, both):
    """What is stored says whose payment it is."""
    created = [create(alice, headers)["id"] for headers in (sides.live, sides.test)]
    rows = Tables(settings.database_url).rows("SELECT txid, merchant_id FROM payments")
    assert dict(map(tuple, rows)) == dict(
        zip(created, [account.id for account in both], strict=True)
    )
