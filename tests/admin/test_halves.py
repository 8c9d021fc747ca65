"""Test halves in the administration: they count with their merchant, and are changed with it."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from accounts import halves, service
from accounts.keys import key_uses
from config import parts_of
from core.errors import Conflict
from db_models import Payment, Receipt
from repository.database import in_unit_of_work, reading
from tests.accounts.people import Person, actions, bearer
from tests.db.tables import NOON, Tables, payment_row, receipt_row
from tests.portal.signing import PASSWORD, Browser, make_account
from tests.support.service import close_app, ready_app, settings_for

HOST = "https://shop.example"


@pytest.fixture
def settings(fresh_database, tmp_path):
    """Production, behind https."""
    changes = {"app_env": "production", "sign_up": "open", "public_url": HOST}
    return settings_for(fresh_database("sqlite"), tmp_path, **changes)


@pytest.fixture
def app(settings, clock):
    """The service in production."""
    app = ready_app(settings, clock)
    yield app
    close_app(app)


@pytest.fixture
def alice(app):
    """Alice, a merchant."""
    person = Person(app, "alice")
    person.sign_up()
    return person


@pytest.fixture
def test_key(alice):
    """A test key of Alice's, which makes her test half."""
    return alice.key(label="trial", livemode=False)


@pytest.fixture
def half(app, alice, test_key):
    """Alice's test half."""
    with app.app_context(), reading() as work:
        half = work.accounts.find_test_half(work.accounts.by_login("alice").id)
    assert half is not None
    return half


class HttpsBrowser(Browser):
    """Secure cookies travel over https alone."""

    def get(self, path, **options):
        """GET over https."""
        return super().get(path, base_url=HOST, **options)

    def post(self, path, data=None, **options):
        """POST over https."""
        return super().post(path, data, base_url=HOST, **options)


@pytest.fixture
def root(app):
    """Root's browser."""
    make_account(app, "root", "admin")
    client = app.test_client()
    answer = client.post(
        "/api/login", json={"username": "root", "password": PASSWORD}, base_url=HOST
    )
    assert answer.status_code == 200, answer.text
    return HttpsBrowser(client, answer.get_json()["csrf_token"])


@pytest.fixture
def tables(settings):
    """The database, without the service."""
    return Tables(settings.database_url)


@pytest.mark.parametrize("query", ["", "?role=merchant", "?q=test-", "?q=a"])
def test_lists_leave_test_halves_out(root, half, query):
    """Or each merchant would stand there twice."""
    page = root.get(f"/admin/accounts{query}")
    assert page.status_code == 200
    assert half.public_id not in page.text
    assert half.login not in page.text
    assert (">alice<" in page.text) is (query != "?q=test-")


def test_a_merchant_whose_login_looks_like_a_test_half_is_listed(app, root, half):
    """Only the column says what a test half is."""
    Person(app, f"test-{'0' * 32}").sign_up()
    assert f">test-{'0' * 32}<" in root.get("/admin/accounts?q=test-").text


def test_the_merchants_page_shows_the_test_half_with_it(app, root, alice, half, test_key, clock):
    """Keys of both, each test key with its mark, what they did, and when they last worked."""
    alice.key(label="till")
    clock.advance(hours=3)
    alice.post("/payments/pix", json={"value": 1}, headers=bearer(test_key["key"]))
    with app.app_context():
        key_uses().write()
    page = root.get(f"/admin/accounts/{public_id(app, 'alice')}").text
    keys = re.findall(r'class="item__title">(\w+) <code>([^<]+)…</code>(.*?)</p>', page)
    assert {(label, "Teste" in mark) for label, _, mark in keys} == {
        ("till", False),
        ("trial", True),
    }
    assert f"login={half.login}" in page
    assert "nunca entrou" not in page
    assert root.get(f"/admin/audit?login={half.login}").status_code == 200


def test_what_a_test_half_did_names_its_merchant(app, root, alice, half):
    """With a mark, and a link to the merchant's page."""
    scopes = ["account:write", "payments:read"]
    key = alice.key(*scopes, livemode=False)["key"]
    alice.post("/api/keys", json={"scopes": scopes, "label": "second"}, headers=bearer(key))
    assert actions(app, half.login) == ["key.created"]
    for path in (f"/admin/audit?login={half.login}", f"/admin/accounts/{public_id(app, 'alice')}"):
        page = root.get(path).text
        before = page[: page.index("label</span> second")]
        who = before[before.rindex("deed__who") :]
        assert f"/admin/accounts/{public_id(app, 'alice')}" in who
        assert ">alice</a>" in who
        assert "Teste" in who
    assert half.public_id not in root.get("/admin/audit").text


def test_the_pages_of_a_test_half_do_not_exist(app, root, half):
    """It is disabled and enabled with its merchant alone."""
    path = f"/admin/accounts/{half.public_id}"
    assert root.get(path).status_code == 404
    for deed in ("disable", "enable"):
        assert root.post(f"{path}/{deed}").status_code == 404
    with app.app_context(), reading() as work:
        stored = work.accounts.find(half.id)
    assert stored is not None
    assert stored.disabled_at is None


def test_disabling_a_merchant_refuses_its_test_keys_at_once(app, root, alice, half, test_key):
    path = f"/admin/accounts/{public_id(app, 'alice')}"
    headers = bearer(test_key["key"])
    assert root.post(f"{path}/disable").status_code == 303
    assert alice.get("/payments/pix", headers).status_code == 401
    assert root.post(f"{path}/enable").status_code == 303
    assert alice.get("/payments/pix", headers).status_code == 200


def test_the_overview_names_the_merchant_of_a_test_payment(app, root, half, tables, clock):
    """An overdue payment and refused money, each with the mark of a test."""
    times = {"created_at": NOON - timedelta(days=2), "expires_at": NOON - timedelta(days=1)}
    overdue = payment_row(half.id, **times)
    refused = {"verdict": "refused", "reason": "amount-mismatch", "merchant_id": half.id}
    tables.insert(Payment, overdue)
    tables.insert(Receipt, receipt_row(None, **refused))
    page = root.get("/admin").text
    assert half.login not in page
    mark = r' <span class="mark">Teste</span>'
    assert re.search(rf"{overdue['txid'][:8]}…</a> alice{mark}", page)
    assert re.search(rf'q=alice">alice</a>{mark}', page)


@pytest.mark.parametrize("deed", ["disable", "enable", "password"])
def test_the_operator_changes_a_test_half_with_its_merchant_alone(app, half, deed):
    """With a password somebody could sign in to it."""
    arguments = ["--password-stdin"] if deed == "password" else []
    result = app.test_cli_runner().invoke(
        args=["accounts", deed, half.login, *arguments], input="a long password\n"
    )
    assert result.exit_code == 1
    assert f"{half.login} is the test half of alice: use that account." in result.output
    assert Person(app, half.login, password="a long password").ask_tokens().status_code == 401
    with app.app_context(), pytest.raises(Conflict):
        in_unit_of_work(lambda work: service.disable(work, half))


def test_the_operator_makes_test_keys(app, alice):
    """With --test, also the first one."""
    runner = app.test_cli_runner()
    for flags, prefix in ((["--test"], "balcao_test_"), ([], "balcao_live_")):
        result = runner.invoke(args=["merchant", "key", "alice", *flags])
        assert result.exit_code == 0, result.output
        key = result.stdout.strip().splitlines()[-1]
        assert key.startswith(prefix)
        me = alice.get("/users/me/", bearer(key)).get_json()
        assert (me["username"] == "alice") is (not flags)
    assert actions(app, "alice").count("key.created") == 2


def test_nobody_signs_in_to_a_test_half(app, alice, half):
    """It has no password, no e-mail, and no login that anybody could take."""
    answer = Person(app, half.login).ask_tokens()
    assert (answer.status_code, answer.get_json()["detail"]) == (
        401,
        "The login or the password is wrong.",
    )
    answer = Person(app, half.login.upper()).ask_tokens()
    assert answer.status_code == 401
    body = {"username": half.login, "password": "a long password"}
    answer = alice.post("/users/", json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "login-taken")
    with app.app_context(), reading() as work:
        assert list(work.accounts.for_password_reset(half.login, 5)) == []


def test_a_login_that_looks_like_a_test_half_is_a_login(app):
    """Somebody signs up with it, signs in, and gets a test half, too."""
    person = Person(app, "test-drive")
    person.sign_up()
    assert person.get("/users/me/", person.bearer()).get_json()["username"] == "test-drive"
    key = person.key(livemode=False)["key"]
    me = person.get("/users/me/", bearer(key)).get_json()
    assert me["username"] == f"test-{me['id']}"


def test_a_test_half_is_exported_with_its_merchant(app, alice, half):
    """What its keys did is personal data as well: it has addresses."""
    scopes = ["account:write", "payments:read"]
    key = alice.key(*scopes, livemode=False)["key"]
    alice.post("/api/keys", json={"scopes": scopes}, headers=bearer(key))
    output = app.test_cli_runner().invoke(args=["privacy", "export", "alice", "--login"]).stdout
    data = json.loads(output[output.index("{") :])["test_half"]
    assert (data["login"], data["pix_key"]) == (half.login, half.pix_key)
    (entry,) = data["audit_entries"]
    assert (entry["action"], entry["address"]) == ("key.created", "127.0.0.1")


def public_id(app, login):
    """The public id of an account."""
    with app.app_context(), reading() as work:
        return work.accounts.by_login(login).public_id


def test_the_halves_of_two_merchants_are_not_mixed_up(app, alice, half):
    bob = Person(app, "bob")
    bob.sign_up()
    bob.key(livemode=False)
    with app.app_context(), reading() as work:
        other = work.accounts.find_test_half(work.accounts.by_login("bob").id)
        assert other is not None
        assert other.id != half.id
        assert halves.owner_of(work, other).login == "bob"
        assert parts_of(app).presenter.livemode(half.id) is False
