"""*Recebimento*: a merchant adds an account at a bank, checks it, and replaces its certificate."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from config import parts_of
from db_models import Environment
from providers import accounts, enrolment
from repository.database import in_unit_of_work, reading
from tests.accounts.people import audit_rows
from tests.portal.signing import CONFIRMED, PASSWORD, make_account, search, sign_in
from tests.providers.certificate_files import new_pair
from tests.providers.enrolled import CLIENT_SECRET, change, enrol, new_account, stored
from tests.providers.stand_in import CLIENT_ID, PIX_KEY, StandInBank
from tests.providers.stand_in import CLIENT_SECRET as BANK_SECRET

NEW, LIST = "/portal/provider/new", "/portal/provider"


@pytest.fixture
def alice(app, clock):
    """Alice's browser, today: the bank's TLS reads the machine's clock."""
    clock.instant = datetime.now(UTC)
    make_account(app, "alice")
    return sign_in(app, "alice")


@pytest.fixture
def open_bank(clock):
    """Open a bank whose clock is that of the app."""
    return partial(StandInBank, now=clock.now)


def fields_for(bank, **changes):
    """The filled form of an account at this bank."""
    overrides = bank.overrides()
    fields = {
        "profile": "standard",
        "environment": "test",
        "pix_key": PIX_KEY,
        "name": "Conta da feira",
        "client_id": CLIENT_ID,
        "client_secret": BANK_SECRET,
        "base_url": overrides["base"],
        "token_url": overrides["token_url"],
        "password": PASSWORD,
    }
    if bank.mutual:
        identity = bank.client_identity
        fields["certificate"] = (io.BytesIO(identity.pfx("shop", "pass-of-file")), "shop.p12")
        fields["certificate_password"] = "pass-of-file"
        fields["authorities"] = (io.BytesIO(bank.authority.certificate_pem), "ca.pem")
    return {**fields, **changes}


def add(browser, bank, **changes):
    """Send the form; returns the address of the new account's page."""
    answer = browser.post(LIST, fields_for(bank, **changes))
    assert answer.status_code == 303, search(answer.text, r'class="wrong"[^>]*>([^<]*)')
    return answer.headers["Location"].partition("?")[0].removeprefix("http://localhost")


def account_of(app, login="alice"):
    with app.app_context(), reading() as work:
        [account] = work.provider_accounts.of_merchant(work.accounts.by_login(login).id)
    return account


def enrol_alice(app, **values):
    return enrol(app, "alice", new_account(**values))


def test_from_an_empty_page_to_a_checked_account(app, alice, open_bank):
    """With a PFX and a password: stored encrypted, used for new payments, and every step works."""
    assert "Nenhuma conta em um banco ainda" in alice.get(LIST).text
    with open_bank(mutual=True) as bank:
        page_url = add(alice, bank)
        page = alice.get(f"{page_url}?done=added").text
        for text in ("Conta da feira", "Teste", "nesta conta", "/providers/"):
            assert text in page, text
        registered = alice.post(f"{page_url}/register")
        assert registered.headers["Location"].endswith("done=registered")
        checked = alice.post(f"{page_url}/check")
    assert checked.text.count("check-step--good") == 10
    account = account_of(app)
    assert account.environment == Environment.TEST
    assert account.certificate_ends_at is not None
    with app.app_context(), reading() as work:
        assert work.accounts.by_login("alice").test_provider_id == account.id
    actions = [row.action for row in audit_rows(app, "alice")]
    assert actions[-2:] == ["provider.added", "provider.registered"]
    listed = alice.get(LIST).text
    assert "recebe as cobranças novas" in listed
    assert PIX_KEY not in listed


def test_the_check_answers_the_table_alone_to_the_script(app, alice, open_bank):
    with open_bank() as bank:
        page_url = add(alice, bank)
        fragment = alice.post(f"{page_url}/check?fragment=check")
    assert fragment.text.lstrip().startswith('<ol class="check-steps">')
    assert "Nenhum endereço registrado" in fragment.text


def test_each_fault_is_next_to_its_field_and_nothing_typed_is_lost(alice, open_bank):
    """Except secrets and files, which a page never shows again."""
    with open_bank() as bank:
        answer = alice.post(
            LIST,
            fields_for(bank, pix_key="not a key", client_secret="typed-secret-1", name="Minha"),
        )
    assert answer.status_code == 400
    assert search(answer.text, r'id="pix_key-wrong">([^<]*)').startswith("Não é uma chave Pix")
    assert 'value="Minha"' in answer.text
    assert 'value="standard" selected' in answer.text
    assert "typed-secret-1" not in answer.text
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"profile": ""}, "profile", "Escolha um banco"),
        ({"profile": "nobank"}, "profile", "Escolha um banco"),
        ({"environment": "prod"}, "environment", "Escolha uma das opções"),
        ({"client_id": ""}, "client_id", "pede este campo"),
        ({"client_secret": ""}, "client_secret", "pede este campo"),
        ({"base_url": ""}, "base_url", "pede este campo"),
        ({"base_url": "http://10.0.0.1/"}, "base_url", "https://"),
        ({"token_url": "https://u:p@bank.example/"}, "token_url", "https://"),
        ({"password": "wrong"}, "password", "não confere"),
        ({"profile": "bb"}, "extra.bb.gw-dev-app-key", "Confira"),
    ],
)
def test_every_wrong_field_is_named(app, alice, open_bank, changes, field, sentence):
    with open_bank() as bank:
        answer = alice.post(LIST, fields_for(bank, **changes))
    assert answer.status_code == 400
    assert sentence in search(answer.text, rf'id="{re.escape(field)}-wrong">([^<]*)')
    with app.app_context(), reading() as work:
        assert work.provider_accounts.all() == []


@pytest.mark.parametrize(
    ("data", "field", "sentence"),
    [
        (b"not a certificate", "certificate", "não pode ser lido"),
        (b"x" * 70_000, "certificate", "grande demais"),
        (None, "certificate_key", "Falta a chave"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_explained(alice, open_bank, data, field, sentence):
    """The sentence says what to send instead; None stands for a certificate without its key."""
    data = data or new_pair("shop", None, datetime.now(UTC)).pem
    with open_bank() as bank:
        file = {"certificate": (io.BytesIO(data), "file.pem")}
        answer = alice.post(LIST, fields_for(bank, **file))
    assert answer.status_code == 400
    assert sentence in search(answer.text, rf'id="{field}-wrong">([^<]*)')


def test_a_body_over_the_limit_is_refused(alice, open_bank):
    with open_bank() as bank:
        huge = {"certificate": (io.BytesIO(b"x" * 300_000), "huge.pem")}
        assert alice.post(LIST, fields_for(bank, **huge)).status_code == 413


def test_in_production_a_merchant_cannot_type_addresses(app, alice, monkeypatch, open_bank):
    """They could send the service's requests into its own network."""
    settings = app.config["BALCAO"]
    app.config["BALCAO"] = settings.model_copy(update={"webhook_allow_private": False})
    page = alice.get(NEW).text
    assert "base_url" not in page
    assert 'value="standard"' not in page
    assert 'value="efi"' in page
    with open_bank() as bank:
        answer = alice.post(LIST, fields_for(bank))
    assert answer.status_code == 400


def test_a_new_certificate_comes_alone(app, alice, open_bank):
    """Once a year; client id and secret stay, and the bank hears the new one at once."""
    with open_bank(mutual=True) as bank:
        page_url = add(alice, bank)
        before = account_of(app)
        identity = bank.client_identity
        files = {
            "certificate": (io.BytesIO(identity.certificate_pem), "shop.crt"),
            "certificate_key": (io.BytesIO(identity.key_pem), "shop.key"),
        }
        answer = alice.post(f"{page_url}/renew", {"password": PASSWORD, **files})
        assert answer.status_code == 303
        checked = alice.post(f"{page_url}/check")
    assert checked.text.count("check-step--bad") == 0
    after = account_of(app)
    assert after.version == before.version + 1
    with app.app_context():
        assert accounts.vault().open(after.sealed).client_secret == BANK_SECRET


def test_renewing_needs_something_new_and_the_password(app, alice):
    account = enrol_alice(app)
    url = f"{LIST}/{account.public_id}/renew"
    assert "Preencha o que é novo" in alice.post(url, {"password": PASSWORD}).text
    wrong = alice.post(url, {"client_id": "new-id", "password": "wrong"})
    assert wrong.status_code == 400
    assert "não confere" in wrong.text
    assert stored(app, account).version == account.version


def test_the_account_of_new_payments_is_chosen_and_left(app, alice):
    first, second = enrol_alice(app, name="Primeira"), enrol_alice(app, name="Segunda")
    alice.post(f"{LIST}/{first.public_id}/use")
    assert "nesta conta" in alice.get(f"{LIST}/{first.public_id}").text
    assert "em outra conta" in alice.get(f"{LIST}/{second.public_id}").text
    old_page = alice.post(f"{LIST}/{second.public_id}/use", {"use": "0"})
    assert old_page.status_code == 409
    assert "nesta conta" in alice.get(f"{LIST}/{first.public_id}").text
    alice.post(f"{LIST}/{first.public_id}/use", {"use": "0"})
    with app.app_context(), reading() as work:
        assert work.accounts.by_login("alice").test_provider_id is None
    for account in (first, second):
        assert "em nenhuma conta de banco" in alice.get(f"{LIST}/{account.public_id}").text


def test_removing_asks_first(app, alice):
    account = enrol_alice(app)
    url = f"{LIST}/{account.public_id}/remove"
    question = alice.post(url)
    assert "Remover esta conta?" in question.text
    assert stored(app, account).removed_at is None
    assert alice.post(url, CONFIRMED).status_code == 303
    assert stored(app, account).removed_at is not None
    assert "Removidas (1)" in alice.get(LIST).text


def test_faults_and_the_certificates_end_are_said_in_sentences(app, alice, clock):
    """On both pages: what is wrong, and what to do."""
    account = enrol_alice(app, ends_at=clock.now() + timedelta(days=5, hours=1))
    change(
        app,
        account,
        fault="unauthorized",
        fault_at=clock.now(),
        callback_fault="none-came",
        answered_at=clock.now(),
    )
    for path in (LIST, f"{LIST}/{account.public_id}"):
        page = alice.get(path).text
        assert "O banco recusou as credenciais" in page
        assert "mais 5 dias" in page
        assert "O banco não avisou de vários Pix" in page
    assert "Emita um novo no banco" in alice.get(f"{LIST}/{account.public_id}").text
    english = alice.get(f"{LIST}?lang=en").text
    assert "The bank refused the credentials" in english


def test_a_failed_registration_says_why(app, alice, open_bank):
    with open_bank() as bank:
        page_url = add(alice, bank, client_secret="another-wrong-secret")
        answer = alice.post(f"{page_url}/register")
    assert answer.status_code == 502
    assert "confira Client ID" in answer.text
    assert [row.action for row in audit_rows(app, "alice")][-1] == "provider.added"


def test_a_registration_with_a_removed_profile_says_that_the_operator_must_act(app, alice):
    account = enrol_alice(app)
    change(app, account, profile="removed-since")
    answer = alice.post(f"{LIST}/{account.public_id}/register")
    assert answer.status_code == 409
    assert "o operador vê o motivo no registro" in answer.text


def test_lost_secrets_are_said_and_can_be_entered_again(app, alice):
    account = enrol_alice(app)
    change(app, account, sealed="gAAAAA-not-ours")
    page = alice.get(f"{LIST}/{account.public_id}").text
    assert "SECRET_KEY mudou" in page
    fields = {"client_id": "new-id", "client_secret": "new-secret", "password": PASSWORD}
    assert alice.post(f"{LIST}/{account.public_id}/renew", fields).status_code == 303
    assert "/providers/" in alice.get(f"{LIST}/{account.public_id}").text


def test_charlie_finds_nothing_of_alices(app, alice):
    """With her id, every route answers 404, and his list is empty."""
    account = enrol_alice(app)
    make_account(app, "charlie")
    charlie = sign_in(app, "charlie")
    path = f"{LIST}/{account.public_id}"
    assert charlie.get(path).status_code == 404
    for deed in ("check", "register", "use", "renew", "remove", "charge"):
        assert charlie.post(f"{path}/{deed}", CONFIRMED).status_code == 404, deed
    assert account.public_id not in charlie.get(LIST).text
    assert stored(app, account).version == account.version


def test_nothing_secret_is_in_pages_the_audit_the_log_or_the_database(
    app, alice, open_bank, capfd, tmp_path
):
    """A run with a distinctive secret, password and key, through good and bad answers."""
    secrets = {"file": "pass-of-file", "client": BANK_SECRET}
    pages = []
    with open_bank(mutual=True) as bank:
        key_lines = bank.client_identity.key_pem.decode().splitlines()[1:-1]
        secrets |= {f"key {number}": line for number, line in enumerate(key_lines)}
        page_url = add(alice, bank)
        bank.book.callbacks[PIX_KEY] = "https://elsewhere.example/callback-secret-part"
        pages += [alice.get(page_url), alice.post(f"{page_url}/check"), alice.get(LIST)]
        with app.app_context():
            client: Any = accounts.provider_of(account_of(app).id)
            token = client.exchange._tokens.text()
        bank.tokens.clear()
        pages.append(alice.post(f"{page_url}/check"))
        bad = fields_for(bank, client_secret=f"{BANK_SECRET}-wrong", pix_key="no key")
        pages.append(alice.post(LIST, bad))
    pages.append(app.test_client().get("/metrics"))
    pages.append(alice.get("/portal/activity"))
    secrets["token"] = token
    with app.app_context():
        sealed = account_of(app).sealed
        secrets["callback"] = callback = accounts.vault().open(sealed).callback_token
    dump = b"".join(path.read_bytes() for path in tmp_path.rglob("*.sqlite3*"))
    dump += b"".join(path.read_bytes() for path in tmp_path.rglob("*.db*"))
    out = "".join(capfd.readouterr())
    audit = "".join(f"{row.subject}{row.details}" for row in audit_rows(app, "alice"))
    assert CLIENT_ID.encode() not in dump
    for name, secret in secrets.items():
        assert secret not in out, f"{name} in the log"
        assert secret not in audit, f"{name} in the audit"
        assert secret.encode() not in dump, f"{name} in the database"
        leaks = [page.text for page in pages if secret in page.text]
        # The address of callbacks is on the account's own page, to be copied.
        assert not leaks or secret == callback, f"{name} in a page"
    assert "callback-secret-part" not in "".join(page.text for page in pages)
    assert CLIENT_SECRET not in dump.decode("latin-1")


def test_a_payment_of_one_centavo_is_made_at_the_chosen_account_only(app, alice):
    """At another account it would prove nothing."""
    first = enrol_alice(app)
    enrol_alice(app)
    answer = alice.post(f"{LIST}/{first.public_id}/charge")
    assert answer.status_code == 409
    with app.app_context():
        in_unit_of_work(lambda work: enrolment.choose(work, work.accounts.by_login("alice"), first))
    assert "Cobrança de R$ 0,01" in alice.get(f"{LIST}/{first.public_id}").text


def test_the_centavo_is_charged_at_the_bank(app, alice, open_bank):
    """With its code from the bank, on the payment's page in the portal."""
    with open_bank() as bank:
        page_url = add(alice, bank)
        answer = alice.post(f"{page_url}/charge")
        assert answer.status_code == 303, answer.text
        assert "/portal/payments/" in answer.headers["Location"]
        assert alice.get(answer.headers["Location"]).status_code == 200
        # The page is shown at once, and the bank answers beside it.
        page_url = answer.headers["Location"].partition("?")[0]
        call = parts_of(app).charge_calls.call_of(page_url.rpartition("/")[2])
        assert call is None or call.wait(20)
        [put] = [one for one in bank.requests if one.operation == "put-cob"]
        assert "br.gov.bcb.pix" in alice.get(page_url).text.lower()
    assert b'"0.01"' in put.body


def test_the_first_page_says_which_account_needs_somebody(app, alice, clock):
    """A fault, or a certificate that ends; nothing of accounts that are well or removed."""
    well = enrol_alice(app, name="Conta sadia", ends_at=clock.now() + timedelta(days=90))
    ending = enrol_alice(app, name="Conta velha", ends_at=clock.now() + timedelta(days=3, hours=1))
    failing = enrol_alice(app, name="Conta parada")
    change(app, failing, fault="timeout", fault_at=clock.now())
    page = alice.get("/portal").text
    assert "Conta sadia" not in page
    assert "mais 3 dias" in page
    assert "O banco não respondeu a tempo" in page
    assert f'href="{LIST}/{ending.public_id}"' in page
    for account in (well, ending, failing):
        change(app, account, removed_at=clock.now())
    assert "Conta parada" not in alice.get("/portal").text


def test_the_administrators_page_lists_accounts_in_trouble_with_their_shop(app, clock):
    """The operator can tell the shop, which may not look at its portal."""
    make_account(app, "root", "admin")
    root = sign_in(app, "root")
    assert "Nenhuma conta em um banco tem problemas" in root.get("/admin").text
    ending = clock.now() + timedelta(days=2, hours=1)
    account = enrol(app, new=new_account(name="Conta velha", ends_at=ending))
    change(app, account, fault="forbidden", fault_at=clock.now())
    page = root.get("/admin").text
    for text in ("Conta velha", "O banco negou o acesso", "mais 2 dias", "q=demo"):
        assert text in page, text


def test_nobody_renews_a_payment_of_a_disabled_shop(app, client, clock, make_payment):
    """A shopper with the link could else make new charges at the shop's bank."""
    payment = make_payment(expires_in=10)
    clock.advance(seconds=20)
    app.test_cli_runner().invoke(args=["accounts", "disable", "demo"])
    answer = app.test_client().post(
        f"/payments/pix/{payment['id']}/renew", headers={"Accept": "application/json"}
    )
    assert answer.status_code == 409
    assert answer.get_json()["code"] == "not-renewable"
