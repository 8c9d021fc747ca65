"""Each half of Alice's tries every route of the portal with every id of the other half."""

from __future__ import annotations

import re
import secrets

import pytest
import sqlalchemy as sa

import db_models as m
from accounts import halves, oauth_clients, service
from accounts.keys import SCOPES
from db_models.base import db
from repository.database import in_unit_of_work
from tests.db.tables import Tables
from tests.db.whole_half import Half
from tests.portal.signing import PASSWORD, make_account, search, sign_in

MANAGES = "/portal/settings/keys/<string:key_id>/revoke"
"""The merchant itself manages the keys of both halves."""


@pytest.fixture
def full_halves(production_app, clock):
    """Alice's browser, and the ids of both halves by the name of the URL's parameter."""
    make_account(production_app, "alice")
    with production_app.app_context():
        url = db.engine.url.render_as_string(hide_password=False)

        def make(work):
            alice = work.accounts.by_login("alice")
            both = alice, halves.ensure_test_half(work, alice)
            clients = [
                oauth_clients.make_client(work, one, "SDK", oauth_clients.SCOPES)[0].client_id
                for one in both
            ]
            keys = [service.make_key(work, one, "k", tuple(SCOPES), by=None)[0] for one in both]
            return [one.id for one in both], clients, [key.public_id for key in keys]

        accounts, clients, keys = in_unit_of_work(make)
    tables = Tables(url)
    ids = []
    for account, client, key in zip(accounts, clients, keys, strict=True):
        Half(tables, account, clock.now()).fill()
        # Rows without terms: pages cannot show them.
        tables.change("UPDATE payments SET charge_kind = 'cob' WHERE charge_kind = 'cobv'")
        pending = Half(tables, account, clock.now())
        pending.payment(status="pending", resolved_at=None)

        def column(column, model, account=account, on="merchant_id"):
            query = sa.select(column).where(getattr(model, on) == account)
            return [str(row[0]) for row in tables.rows(query)]

        endpoints = sa.select(m.WebhookEndpoint.id).where(m.WebhookEndpoint.merchant_id == account)
        deliveries = sa.select(m.WebhookDelivery.public_id).where(
            m.WebhookDelivery.endpoint_id.in_(endpoints)
        )
        ids.append(
            {
                "payment_id": column(m.Payment.txid, m.Payment),
                "end_to_end_id": column(m.Receipt.end_to_end_id, m.Receipt),
                "proof_id": column(m.RecoveryUpload.public_id, m.RecoveryUpload),
                "provider_id": column(m.ProviderAccount.public_id, m.ProviderAccount),
                "till_txid": column(m.Till.txid, m.Till),
                "webhook_id": column(m.WebhookEndpoint.public_id, m.WebhookEndpoint),
                "delivery_id": [row[0] for row in tables.rows(deliveries)],
                "client_id": [client],
                "key_id": [key],
            }
        )
    return sign_in(production_app, "alice"), ids, tables


def dump(tables):
    """All rows but those of the sign-in."""
    with tables.connected() as connection:
        return {
            table.name: sorted(repr(tuple(row)) for row in connection.execute(table.select()))
            for table in db.metadata.sorted_tables
            if table.name not in ("sign_ins", "feed_entries", "feed_counters")
        }


FIELDS = {
    "confirmed": "1",
    "password": PASSWORD,
    "current_password": PASSWORD,
    "value": "0,01",
    "verdict": "verified",
    "target": "1",
    "url": "https://93.184.216.34/hook",
    "enabled": "1",
    "from": "2026-01-01T00:00",
}


def assert_no_list_names(app, browser, other):
    """No page without an id has one of the other half, whatever its query asks for."""
    every = [one for values in other.values() for one in values]
    page_count = 0
    for rule in app.url_map.iter_rules():
        path = str(rule.rule)
        if "GET" not in rule.methods or rule.arguments or not path.startswith("/portal"):
            continue
        if path == "/portal/developers":
            continue  # it shows the newest event, and these have no body
        for query in (
            "",
            f"?till={other['till_txid'][0]}",
            f"?q={other['payment_id'][0]}",
            f"?q={other['end_to_end_id'][0]}",
        ):
            answer = browser.get(path + query)
            assert answer.status_code < 500, (path, query)
            text = answer.text if answer.status_code == 200 else ""
            word = query.partition("=")[2]
            leaks = [one for one in every if one in text and one != word]
            assert leaks == [], (path, query)
            page_count += 1
    assert page_count > 30


@pytest.mark.parametrize("mode", ["live", "test"])
def test_every_route_refuses_ids_of_the_other_half(production_app, full_halves, mode):
    browser, ids, tables = full_halves
    assert browser.post("/portal/mode", {"mode": mode}).status_code == 303
    page = browser.get("/portal").text
    browser.token = search(page, r'name="csrf_token" value="([^"]+)"')
    own, other = ids if mode == "live" else ids[::-1]
    before = dump(tables)
    wrong, tries = [], 0
    for rule in production_app.url_map.iter_rules():
        path = str(rule.rule)
        names = rule.arguments & set(other)
        if not path.startswith("/portal") or not names:
            continue
        if path == MANAGES and mode == "live":
            continue
        (name,) = names
        for one in other[name]:
            address = re.sub(r"<[^>]+>", one, path)
            tries += 1
            for method in sorted(rule.methods & {"GET", "POST"}):
                fields = {**FIELDS, "form_key": secrets.token_hex(16)}
                is_get = method == "GET"
                answer = browser.get(address) if is_get else browser.post(address, fields)
                if answer.status_code != 404:
                    wrong.append((method, path, answer.status_code))
    assert wrong == []
    assert tries > 50
    assert dump(tables) == before
    assert_no_list_names(production_app, browser, other)
    for path, name in (("payments", "payment_id"), ("provider", "provider_id")):
        assert browser.get(f"/portal/{path}/{own[name][0]}").status_code == 200
