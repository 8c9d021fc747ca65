"""A shop rotates its webhook's secret while the operator encrypts all secrets anew."""

from __future__ import annotations

import threading

import pytest

from tests.providers.test_reencryption import NEW_KEY, reencrypt, replace_key, rows_of_webhooks
from tests.support.plugin import SERVERS
from tests.support.service import close_app, ready_app, settings_for
from tests.webhooks.shops import open_shop
from webhooks.secrets import SecretBox


@pytest.fixture(params=SERVERS)
def settings(request, fresh_database, tmp_path):
    """On a database where a transaction does not stop the others."""
    return settings_for(fresh_database(request.param), tmp_path)


@pytest.fixture
def app(settings, clock):
    """The service."""
    app = ready_app(settings, clock)
    yield app
    close_app(app)


def test_a_rotation_of_the_secret_meanwhile_is_kept(app, settings, clock, monkeypatch):
    """The batch read the row before; writing its secret would bring the old one back."""
    client = app.test_client()
    with open_shop(clock) as shop:
        webhook = client.post("/webhooks", json={"url": shop.url}).get_json()
    replace_key(app, settings)
    renewed = SecretBox.renewed
    rotations = []

    def rotate():
        rotations.append(client.post(f"/webhooks/{webhook['id']}/rotate").get_json())

    def renew_slowly(box, sealed):
        answer = renewed(box, sealed)
        if not rotations:
            # In a thread, so that it has a unit of work of its own.
            thread = threading.Thread(target=rotate)
            thread.start()
            thread.join(30)
        return answer

    monkeypatch.setattr(SecretBox, "renewed", renew_slowly)
    assert "Webhooks: 0 encrypted anew, 1 current already" not in reencrypt(app)
    [row] = rows_of_webhooks(app)
    box = SecretBox(NEW_KEY)
    secrets = [box.open(row.secret), box.open(row.previous_secret)]
    assert secrets == [rotations[0]["secret"], webhook["secret"]]
