"""Migrating a database without accounts: every merchant stays, and every key still works."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from flask_migrate import downgrade, upgrade

from accounts.keys import SCOPES, key_hash
from app import create_app
from db_models.base import db
from server.schema import MIGRATIONS
from tests.accounts.people import bearer
from tests.support.service import close_app, settings_for

OLD_KEY = "balcao_" + "k" * 43
PIX = "123e4567-e89b-42d3-a456-426655440099"


@pytest.fixture
def before(any_empty_database_url, tmp_path, clock):
    """The app on a database of the previous revision, with a merchant and its key."""
    app = create_app(settings_for(any_empty_database_url, tmp_path), clock)
    with app.app_context():
        upgrade(directory=str(MIGRATIONS), revision="0002")
        with db.engine.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO accounts (login, name, city, pix_key, grace_seconds, created_at) "
                    "VALUES ('alice', 'Alice', 'Cunha', :pix, 7, '2026-01-31 12:00:00')"
                ),
                {"pix": PIX},
            )
            connection.execute(
                sa.text(
                    "INSERT INTO api_keys (account_id, key_sha256, label, created_at) "
                    "SELECT id, :hash, 'till', '2026-01-31 12:00:00' FROM accounts"
                ),
                {"hash": key_hash(OLD_KEY)},
            )
    yield app
    close_app(app)


def rows(table):
    """Every row of a table."""
    with db.engine.connect() as connection:
        return connection.execute(sa.text(f"SELECT * FROM {table}")).mappings().all()  # noqa: S608


def test_a_merchant_and_its_key_still_work(before):
    """No program has to change for the upgrade."""
    with before.app_context():
        upgrade(directory=str(MIGRATIONS))
        (account,), (key,) = rows("accounts"), rows("api_keys")
    assert (account["role"], account["password_hash"]) == ("merchant", None)
    assert len(account["public_id"]) == len(key["public_id"]) == 32
    assert (account["grace_seconds"], account["pix_key"]) == (7, PIX)
    assert (key["scopes"].split(), key["prefix"]) == (list(SCOPES), "balcao_")
    client = before.test_client()
    header = bearer(OLD_KEY)
    assert client.post("/payments/pix", json={"value": 1}, headers=header).status_code == 201
    assert client.get("/users/me/", headers=header).get_json()["username"] == "alice"


def test_the_downgrade_keeps_the_rows(before):
    """The row of a payer, unknown to the old version, stays for a second upgrade."""
    with before.app_context():
        upgrade(directory=str(MIGRATIONS))
        body = {"username": "bob", "password": "correct horse", "role": "payer"}
        assert before.test_client().post("/users/", json=body).status_code == 201
        downgrade(directory=str(MIGRATIONS), revision="0002")
        back = {row["login"]: row for row in rows("accounts")}
        assert set(back) == {"alice", "bob"}
        assert back["alice"]["pix_key"] == PIX
        assert "role" not in back["alice"]
        assert [row["key_sha256"] for row in rows("api_keys")] == [key_hash(OLD_KEY)]
        upgrade(directory=str(MIGRATIONS))
        assert len(rows("accounts")) == 2
