"""What a merchant reads of the bank behind a payment, and whether its money is real."""

from __future__ import annotations

from datetime import timedelta

from payments.at_bank import waiting
from providers.port import ProviderAway
from tests.providers.conftest import use_bank
from webhooks.numbering import number_events

JSON = {"Accept": "application/json"}


def test_a_payment_of_the_simulated_bank_says_so(client, make_payment):
    """The name, the txid and one of three statuses."""
    payment = make_payment()
    simulated = {"name": "simulated", "account": None, "txid": payment["id"]}
    assert payment["provider"] == {**simulated, "status": "open"}
    cancelled = client.post(f"/payments/pix/{payment['id']}/cancel").get_json()["payment"]
    assert cancelled["provider"] == {**simulated, "status": "closed"}
    assert cancelled["livemode"] is False


def test_a_payment_at_a_bank_names_account_and_charge(app, client, rows, scripted):
    """In the answer to the creation, in the list and after a cancellation."""
    row = use_bank(app, rows, scripted, environment="live", profile="efi")
    account = rows.account_row(row).public_id
    answer = client.post("/payments/pix", json={"value": 1}).get_json()["payment"]
    provider = {"name": "efi", "account": account, "txid": answer["id"], "status": "open"}
    assert (answer["provider"], answer["livemode"]) == (provider, True)
    assert client.get("/payments/pix").get_json()["data"][0] == answer
    cancelled = client.post(f"/payments/pix/{answer['id']}/cancel").get_json()["payment"]
    assert cancelled["provider"] == {**provider, "status": "closing"}


def test_the_public_view_says_nothing_of_the_bank(app, rows, client, scripted, account):
    """Only whether the money is real."""
    payment = client.post("/payments/pix", json={"value": 1}).get_json()["payment"]
    stranger = app.test_client()
    headers = {**JSON, "Authorization": "Bearer nonsense"}
    public = stranger.get(f"/payments/pix/{payment['id']}", headers=headers).get_json()["payment"]
    assert "provider" not in public
    assert public["livemode"] is False


def test_an_event_shows_the_payment_as_it_stood(app, client, rows, scripted, monkeypatch):
    """The creation came before the code; a later delivery of it has the same bytes."""
    use_bank(app, rows, scripted, environment="live")
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.2)
    scripted.errors = [ProviderAway("breaker-open", retry_after=timedelta(seconds=1))]
    keyed = {"Idempotency-Key": "k"}
    assert client.post("/payments/pix", json={"value": 1}, headers=keyed).status_code == 503
    with app.app_context():
        number_events()
    [early] = client.get("/events?after=start").get_json()["data"]
    assert client.post("/payments/pix", json={"value": 1}, headers=keyed).status_code == 201
    [late] = client.get("/events?after=start").get_json()["data"]
    assert early == late
    assert (late["type"], late["livemode"]) == ("payment.created", True)
    assert (late["data"]["pix_code"], late["data"]["provider"]["status"]) == ("", "opening")
