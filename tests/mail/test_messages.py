"""What the service writes e-mails about: a new password, a payment, a receipt."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import func, select

from accounts import reset
from accounts.tokens import CLOCK_LEEWAY
from db_models import OutgoingMail
from repository.database import reading
from tests.accounts.people import PASSWORD, Person, actions
from tests.support.service import settings_for

NEW_PASSWORD = "a new long password"
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def waiting(app):
    """The number of messages in the queue."""
    with app.app_context(), reading() as work:
        return work.session.scalar(select(func.count()).select_from(OutgoingMail))


@pytest.fixture
def alice(app):
    """A merchant with an e-mail."""
    person = Person(app, "alice")
    person.sign_up(email="alice@example.com")
    return person


def submit(browser, path, **fields):
    """Open a page, and send its form from there."""
    token = TOKEN.search(browser.get(path).text)
    return browser.post(path, data={"csrf_token": token[1] if token else "", **fields})


def link_in(mailbox):
    """The path of the only link that was mailed."""
    (text,) = mailbox.texts()
    match = re.search(r"http://[^/]+(/reset/\S+)", text)
    assert match, text
    return match[1]


@pytest.mark.parametrize(
    "typed_name", ["alice", " Alice ", "alice@example.com", "Alice@Example.com\u200b"]
)
def test_a_forgotten_password_is_replaced_by_a_link(app, alice, send, mailbox, typed_name):
    """By login or e-mail; every session ends, and the link works once."""
    headers = alice.bearer()
    browser = app.test_client()
    page = submit(browser, "/forgot", username=typed_name)
    assert "Se existe uma conta" in page.text
    assert send() == 1
    link = link_in(mailbox)
    assert "alice" in browser.get(link).text
    answer = submit(browser, link, password=NEW_PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?done=password")
    assert "Senha nova guardada" in browser.get("/login?done=password").text
    assert alice.get("/users/me/", headers).status_code == 401
    assert Person(app, "alice", password=PASSWORD).ask_tokens().status_code == 401
    assert Person(app, "alice", password=NEW_PASSWORD).ask_tokens().status_code == 200
    assert "password.changed" in actions(app, "alice")
    again = browser.get(link, headers=HTML)
    assert again.status_code == 410
    assert "já foi usado" in again.text


def test_the_answer_does_not_tell_whether_an_account_exists(app, alice, mailbox):
    """Charlie must not learn who sells here."""
    browser = app.test_client()
    for_alice = submit(browser, "/forgot", username="alice")
    for_nobody = submit(browser, "/forgot", username="nobody")
    strip = lambda answer: re.sub(TOKEN, "", answer.text)  # noqa: E731 - only here
    assert strip(for_alice) == strip(for_nobody)
    assert waiting(app) == 1


def test_one_e_mail_gets_ten_links_a_day_however_many_accounts_have_it(app, clock):
    """A stranger may open accounts with an e-mail that is not theirs."""
    for number in range(12):
        Person(app, f"shop{number}").sign_up(email="bob@example.com")
    for number in range(12):
        browser = app.test_client()
        submit(browser, "/forgot", username=f"shop{number}")
        clock.advance(seconds=600)
    assert waiting(app) == 10


def test_a_link_is_void_after_half_an_hour_and_when_forged(app, alice, send, mailbox, monkeypatch):
    """Both sides of the half hour; a changed character is refused like an old link."""
    browser = app.test_client()
    submit(browser, "/forgot", username="alice")
    send()
    link = link_in(mailbox)
    assert browser.get("/reset/x").get_json(force=True)["code"] == "payload-gone"
    assert browser.get(link).status_code == 200
    for forged in (link[:-1], link + "A", "/reset/x", "/reset/" + "a" * 5000):
        assert browser.get(forged).status_code == 410, forged
    monkeypatch.setattr(reset, "TOKEN_SECONDS", -1 - CLOCK_LEEWAY.total_seconds())
    assert browser.get(link).status_code == 410
    assert submit(browser, link, password=NEW_PASSWORD).status_code in (400, 403, 410)
    assert Person(app, "alice", password=PASSWORD).ask_tokens().status_code == 200


@pytest.mark.parametrize("password", ["short", "x" * 257, ""])
def test_a_new_password_follows_the_same_rules(app, alice, send, mailbox, password):
    """The page says the rule and stays."""
    browser = app.test_client()
    submit(browser, "/forgot", username="alice")
    send()
    answer = submit(browser, link_in(mailbox), password=password)
    assert answer.status_code == 400
    assert "De 8 a 256 caracteres" in answer.text
    assert Person(app, "alice", password=PASSWORD).ask_tokens().status_code == 200


def test_an_account_gets_three_links_an_hour(app, alice):
    """A stranger cannot fill somebody's mailbox; the page says the same."""
    browser = app.test_client()
    for _ in range(5):
        assert "Se existe uma conta" in submit(browser, "/forgot", username="alice").text
    assert waiting(app) == 3


def test_a_network_asks_ten_times_an_hour(app, alice):
    """Then 429 with the time to wait."""
    browser = app.test_client()
    for number in range(10):
        assert submit(browser, "/forgot", username=f"nobody{number}").status_code == 200
    refused = submit(browser, "/forgot", username="alice")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert "Pedidos demais" in refused.text


def test_accounts_that_cannot_sign_in_get_no_link(app, alice):
    """Disabled accounts and accounts without an e-mail."""
    Person(app, "carol").sign_up()
    app.test_cli_runner().invoke(args=["accounts", "disable", "alice"])
    browser = app.test_client()
    for login in ("alice", "carol"):
        submit(browser, "/forgot", username=login)
    assert waiting(app) == 0


def ask_for_mails(app, alice, **changes):
    """Alice asks for an e-mail for each payment."""
    browser = alice.enter()
    match = TOKEN.search(browser.get("/portal/settings").text)
    assert match
    fields = {"email": "alice@example.com", "mails_payments": "1", "password": PASSWORD, **changes}
    return browser.post("/portal/settings/mail", data={"csrf_token": match[1], **fields})


@pytest.fixture
def pay(app, bank):
    """Create a payment of Alice's and confirm it."""

    def create_and_confirm(alice, **fields):
        body = {"value": "54.90", "order_id": "1042", **fields}
        answer = alice.post("/payments/pix", json=body, headers=alice.bearer())
        payment = answer.get_json()["payment"]
        assert bank.confirm(payment).status_code == 200
        return payment

    return create_and_confirm


def test_a_merchant_gets_a_message_for_each_payment_if_asked_for(app, alice, pay, send, mailbox):
    """Off by default; the text has amount, payer and order."""
    pay(alice, order_id="1")
    assert waiting(app) == 0
    assert ask_for_mails(app, alice).status_code == 303
    assert "mail.changed" in actions(app, "alice")
    payment = pay(alice)
    assert send() == 1
    (message,) = mailbox.messages
    assert message["To"] == "alice@example.com"
    assert message["Subject"] == "[Teste] Você recebeu R$ 54,90 por Pix"
    text = message.get_content()
    assert text.startswith("Ambiente de teste: nenhum dinheiro real.")
    for part in ("Valor: R$ 54,90", "De: Bob de Souza", "Pedido: 1042", payment["id"]):
        assert part in text
    assert "12345678909" not in text


def test_a_repeated_confirmation_writes_no_second_message(app, alice, pay, bank):
    """The message belongs to the change, not to the notification."""
    ask_for_mails(app, alice)
    answer = alice.post("/payments/pix", json={"value": 5}, headers=alice.bearer())
    body = bank.body(answer.get_json()["payment"])
    assert [bank.tell(body).status_code for _ in range(3)] == [200, 200, 200]
    assert waiting(app) == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"password": "wrong password"}, "A senha não confere."),
        ({"email": "not an address"}, "Escreva um e-mail"),
    ],
)
def test_the_settings_of_mails_are_guarded(app, alice, changes, sentence):
    """Who has the e-mail can set a new password, so the present one is asked for."""
    answer = ask_for_mails(app, alice, **changes)
    assert answer.status_code == 400
    assert sentence in answer.text


def test_a_shopper_gets_the_receipt_by_mail(app, alice, pay, client, send, mailbox):
    """The link and the amount; the page says that it was sent."""
    payment = pay(alice)
    receipt = f"/payments/pix/{payment['id']}/receipt"
    assert "Receber este recibo por e-mail" in client.get(receipt, headers=HTML).text
    answer = client.post(f"{receipt}/mail", data={"email": " Bob@Example.com "})
    assert answer.status_code == 303
    assert "Pronto" in client.get(answer.headers["Location"], headers=HTML).text
    assert send() == 1
    (message,) = mailbox.messages
    assert message["To"] == "bob@example.com"
    assert "R$" in message["Subject"]
    assert f"{receipt}" in message.get_content()
    assert "Bob de Souza" not in message.get_content()


HTML = {"Accept": "text/html"}


def test_the_receipt_is_mailed_only_after_the_payment_and_within_bounds(app, alice, pay, client):
    """Nobody can use the page to fill mailboxes."""
    pending = client.post("/payments/pix", json={"value": 5}).get_json()["payment"]
    path = "/payments/pix/{}/receipt/mail"
    data = {"email": "bob@example.com"}
    assert client.post(path.format(pending["id"]), data=data).status_code == 404
    assert client.post(path.format("0" * 32), data=data).status_code == 404
    paid = pay(alice)
    assert client.post(path.format(paid["id"]), data={"email": "no"}).status_code == 400
    for _ in range(3):
        assert client.post(path.format(paid["id"]), data=data).status_code == 303
    refused = client.post(path.format(paid["id"]), data={"email": "carol@example.com"})
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert waiting(app) == 3


class TestWithoutSmtp:
    """Every sentence says what to do instead."""

    @pytest.fixture
    def settings(self, fresh_database, tmp_path):
        """A service that sends no e-mail."""
        return settings_for(fresh_database("sqlite"), tmp_path)

    def test_pages_say_what_to_do_instead_and_nothing_is_queued(self, app, alice, pay, client):
        """A row without a server would wait for ever."""
        forgot = client.get("/forgot").text
        assert "não envia e-mails" in forgot
        assert "flask accounts password" in forgot
        submit(app.test_client(), "/forgot", username="alice")
        assert ask_for_mails(app, alice).status_code == 303
        assert "ainda não envia e-mails" in alice.enter().get("/portal/settings").text
        payment = pay(alice)
        receipt = f"/payments/pix/{payment['id']}/receipt"
        assert "por e-mail" not in client.get(receipt, headers=HTML).text
        answer = client.post(f"{receipt}/mail", data={"email": "bob@example.com"})
        assert answer.status_code == 404
        assert waiting(app) == 0
