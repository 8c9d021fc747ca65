"""The payment's page while its bank makes the code, and after the bank has refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from db_models import Account
from payments.at_bank import waiting
from providers.port import ProviderAway, ProviderRefusal
from repository.database import reading
from tests.portal.signing import make_account, sign_in
from tests.providers.test_opening import until

PAGE = {"Accept": "text/html"}


@pytest.fixture
def opening(client, scripted, account, monkeypatch):
    """The id of a payment whose bank does not answer."""
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.1)
    scripted.errors = [ProviderAway("breaker-open", retry_after=timedelta(seconds=30))]
    answer = client.post("/payments/pix", json={"value": "54.90"}, headers={"Idempotency-Key": "k"})
    return answer.get_json()["payment_id"]


def page_of(client, txid, **query):
    """The payment's page as a browser gets it."""
    return client.get(f"/payments/pix/{txid}", headers=PAGE, query_string=query).text


def test_the_page_says_that_the_code_is_being_made(client, opening):
    """With the deadline, without anything to pay by, and it reloads without JavaScript.

    An account for tests moves no real money, but no tool of the simulated bank can pay its charge.
    """
    page = page_of(client, opening)
    assert "Estamos gerando o código Pix" in page
    assert "Costuma levar alguns segundos; esta página se atualiza" in page
    assert 'http-equiv="refresh"' in page
    assert "data-countdown" in page
    assert "Ambiente de teste: nenhum dinheiro real" in page
    for absent in ("Copiar código", "Já paguei", "retirou o código", "test-strip__tools"):
        assert absent not in page
    assert "We are making the Pix code" in page_of(client, opening, lang="en")
    assert client.get(f"/payments/pix/qr_code/qr_code_payment_{opening}.png").status_code == 404


def test_the_poll_brings_the_code(client, opening):
    """The sequence grows when the code is there, so that the page draws itself anew."""
    before = client.get(f"/payments/pix/{opening}/status").get_json()
    assert client.post(
        "/payments/pix", json={"value": "54.90"}, headers={"Idempotency-Key": "k"}
    ).get_json()["payment"]["pix_code"] in page_of(client, opening)
    after = client.get(f"/payments/pix/{opening}/status").get_json()
    assert (before["status"], after["status"]) == ("pending", "pending")
    assert after["sequence"] == before["sequence"] + 1
    assert client.get(f"/payments/pix/qr_code/qr_code_payment_{opening}.png").status_code == 200


def test_a_payment_whose_charge_was_refused_says_that_nothing_was_charged(
    client, scripted, account
):
    """The shopper goes back to the shop."""
    scripted.errors = [ProviderRefusal("CobOperacaoInvalida", "A chave não é sua.")]
    assert client.post("/payments/pix", json={"value": 1}).status_code == 409
    page = page_of(client, scripted.opened[0].txid)
    assert "Este pagamento foi cancelado" in page
    assert "nada foi cobrado" in page
    assert "A chave não é sua" not in page


def test_a_renewal_by_a_form_leads_to_the_page_at_once(client, rows, scripted, account, clock):
    """A browser waits for no bank; a program gets the code, and a repeat the same bytes."""
    first = client.post("/payments/pix", json={"value": 1, "expires_in": 600}).get_json()["payment"]
    clock.advance(seconds=601)
    scripted.errors = [ProviderAway("breaker-open", retry_after=timedelta(seconds=30))]
    address = f"/payments/pix/{first['id']}/renew"
    form = client.post(address, headers=PAGE)
    assert form.status_code == 303
    until(lambda: rows.charge_row(form.headers["Location"][-32:]).fault == "breaker-open")
    keyed = {"Idempotency-Key": "k"}
    answer = client.post(address, headers=keyed)
    assert answer.status_code == 201
    renewal = answer.get_json()["payment"]
    assert form.headers["Location"].endswith(renewal["id"])
    assert renewal["pix_code"]
    assert client.post(address, headers=keyed).data == answer.data
    assert rows.charge_row(renewal["id"]).lifetime_seconds == 600


def test_the_counter_waits_for_the_code(app, scripted, account, rows):
    """Who stands at the counter sees the QR, and the portal says why there is none yet."""
    make_account(app, "alice")
    with app.app_context(), reading() as work:
        alice = work.accounts.by_login("alice").id
    rows.write(Account, alice, test_provider_id=account)
    browser = sign_in(app, "alice")
    form = {"value": "12,00", "way": "dynamic", "form_key": "k" * 24}
    answer = browser.post("/portal/counter", form)
    assert answer.status_code == 303
    code_page = browser.get(answer.headers["Location"])
    assert (code_page.status_code, "counter__qr" in code_page.text) == (200, True)
    scripted.errors = [ProviderRefusal("x", "A chave não é sua.")]
    second_answer = browser.post("/portal/counter", {**form, "form_key": "m" * 24})
    redirection = browser.get(second_answer.headers["Location"])
    assert redirection.status_code == 303
    assert "O banco recusou a cobrança." in browser.get(redirection.headers["Location"]).text
