"""SECRET_KEY is replaced: all can be read meanwhile, and is encrypted anew by one command."""

from __future__ import annotations

import pytest

from config import parts_of
from db_models import EventName
from payments.location import KeyRing
from providers.secrets import AccountVault
from realtime.channel import Channel
from repository.database import reading
from repository.events import StoredEvent
from repository.webhook_endpoints import WebhookEndpoints
from server import reencryption
from tests.accounts.people import Person, audit_rows
from tests.providers.enrolled import enrol
from tests.webhooks.shops import open_shop
from webhooks.secrets import SecretBox

NEW_KEY = "a-new-key-of-at-least-thirty-two-characters"


@pytest.fixture
def shop(clock):
    """The server of a shop that takes webhooks."""
    with open_shop(clock) as opened:
        yield opened


def replace_key(app, settings, *, forget_old=False):
    """Go on as a process does that was started again with the new key."""
    previous = None if forget_old else settings.secret_key
    fresh = settings.model_copy(update={"secret_key": NEW_KEY, "secret_key_previous": previous})
    app.config["BALCAO"] = fresh
    parts = parts_of(app)
    parts.provider_clients.vault = AccountVault(NEW_KEY, previous)
    vars(parts.webhooks.secrets).update(vars(SecretBox(NEW_KEY, previous)))
    vars(parts.key_ring).update(vars(KeyRing(fresh)))


def reencrypt(app, status=0, command="secrets"):
    result = app.test_cli_runner().invoke(args=[command, "reencrypt"])
    assert result.exit_code == status, result.output
    return result.output


def new_webhook(client, shop):
    return client.post("/webhooks", json={"url": shop.url}).get_json()


def rows_of_webhooks(app):
    with app.app_context(), reading() as work:
        return WebhookEndpoints(work.session).after(0, 100)


def test_a_webhooks_secret_survives_a_replaced_key(app, client, settings, shop):
    """The shop would have to change its secret with every rotation otherwise."""
    webhook = new_webhook(client, shop)
    replace_key(app, settings)
    [row] = rows_of_webhooks(app)
    assert parts_of(app).webhooks.secrets.open(row.secret) == webhook["secret"]
    assert "Webhooks: 1 encrypted anew, 0 current already, 0 unreadable." in reencrypt(app)
    replace_key(app, settings, forget_old=True)
    [row] = rows_of_webhooks(app)
    assert SecretBox(NEW_KEY).open(row.secret) == webhook["secret"]
    assert "Webhooks: 0 encrypted anew, 1 current already" in reencrypt(app, command="provider")


def test_both_secrets_of_a_rotated_webhook_are_encrypted_anew(app, client, settings, shop):
    webhook = new_webhook(client, shop)
    rotated = client.post(f"/webhooks/{webhook['id']}/rotate").get_json()
    replace_key(app, settings)
    reencrypt(app)
    [row] = rows_of_webhooks(app)
    box = SecretBox(NEW_KEY)
    secrets = [box.open(row.secret), box.open(row.previous_secret)]
    assert secrets == [rotated["secret"], webhook["secret"]]


def test_batches_reach_every_row(app, client, settings, shop, monkeypatch):
    """Also the last one of a full batch, and what lies after it."""
    monkeypatch.setattr(reencryption, "BATCH", 2)
    for _ in range(3):
        new_webhook(client, shop)
        enrol(app)
    new_webhook(client, shop)
    replace_key(app, settings)
    text = reencrypt(app)
    assert "Accounts at banks: 3 encrypted anew" in text
    assert "Webhooks: 4 encrypted anew" in text
    [row] = [row for row in audit_rows(app) if row.action == "providers.reencrypted"]
    assert (row.subject, row.details["webhooks"]) == ("3", 4)


def test_a_lost_key_is_named_row_by_row(app, client, settings, shop):
    webhook, account = new_webhook(client, shop), enrol(app)
    replace_key(app, settings, forget_old=True)
    text = reencrypt(app, status=1)
    assert webhook["id"] in text
    assert account.public_id in text
    assert "rotate" in text


def test_the_key_of_payloads_signs_on(app, client, settings, clock):
    """A process with the new key must not retire it: others still sign with it."""
    with app.app_context():
        before = parts_of(app).key_ring.active(clock.now()).kid
        replace_key(app, settings)
        assert parts_of(app).key_ring.active(clock.now()).kid == before
    assert "Signing keys: 1 encrypted anew" in reencrypt(app)
    replace_key(app, settings, forget_old=True)
    with app.app_context():
        assert parts_of(app).key_ring.active(clock.now()).kid == before


def test_a_repeated_creation_of_a_key_gets_the_same_key(app, settings):
    """The shop's answer was lost, and SECRET_KEY was replaced before it asked again."""
    alice = Person(app, "alice")
    alice.sign_up()
    headers = {**alice.bearer(), "Idempotency-Key": "key-1"}
    body = {"label": "Caixa"}
    first = alice.post("/api/keys", json=body, headers=headers).get_json()["key"]
    replace_key(app, settings)
    assert alice.post("/api/keys", json=body, headers=headers).get_json()["key"] == first
    replace_key(app, settings, forget_old=True)
    lost = alice.post("/api/keys", json=body, headers=headers)
    assert (lost.status_code, lost.get_json()["code"]) == (409, "conflict")


class Heard(Exception):
    """Both events came."""


def test_processes_with_both_keys_hear_the_others(redis_url, clock):
    """Else pages at a new process would not hear of payments that an old one confirmed."""
    old, new = Channel(redis_url, "old"), Channel(redis_url, NEW_KEY, "old")
    both = Channel(redis_url, "old", NEW_KEY)
    event = StoredEvent(EventName.PAYMENT_CONFIRMED, 1, 1, "t", "paid", 1, clock.now(), "m")
    for listener in (new, both):
        txids: list[str] = []
        subscribed: list[int] = []

        def publish(_since, subscribed=subscribed):
            subscribed.append(1)
            if len(subscribed) == 2:
                old.publish(event._replace(txid="old"))
                new.publish(event._replace(txid="new"))

        def note(one, txids=txids):
            txids.append(one.txid)
            if len(txids) == 2:
                raise Heard

        with pytest.raises(Heard):
            listener.listen(note, publish, clock.now)
        assert txids == ["old", "new"]
