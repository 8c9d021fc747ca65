"""The accounts' pages: the list, one account, disabling and enabling."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from accounts import service
from accounts.keys import key_uses
from config import parts_of
from core.errors import Conflict
from db_models import Account
from repository.database import in_unit_of_work
from tests.accounts.people import actions, audit_rows, bearer
from tests.db.tables import NOON, Tables
from tests.portal.signing import PASSWORD, make_account, sign_in
from tests.support.service import close_app, ready_app, settings_for

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'


def logins(page: str) -> list[str]:
    """The logins of a list, in order."""
    return re.findall(r'class="person__login">([^<]+)<', page)


def account_row(login: str, role: str = "payer", **changes: object) -> dict[str, object]:
    """A row of `accounts`."""
    return {
        "public_id": login.encode().hex().rjust(32, "0")[-32:],
        "login": login,
        "role": role,
        "name": login.title(),
        "city": "Recife",
        "pix_key": f"{login}@example.com" if role == "merchant" else None,
        "grace_seconds": 0,
        "created_at": NOON,
        **changes,
    }


@pytest.fixture
def key(alice):
    """An API key of Alice's, as its programs send it."""
    answer = alice.client.post("/api/keys", json={}, headers={"X-CSRF-TOKEN": alice.token})
    assert answer.status_code == 201
    return bearer(answer.get_json()["key"])


def test_the_list_has_all_accounts(root, alice, tables):
    """In order of login, with role, name, last sign-in and state."""
    page = root.get("/admin/accounts").text
    assert logins(page) == sorted(row.login for row in tables.rows("SELECT login FROM accounts"))
    assert "Loja de Alice" in page
    bob = page[page.index(">bob<") : page.index(">demo<")]
    assert "Pagador" in bob
    assert "nunca entrou" in bob
    alices = page[page.index(">alice<") : page.index(">bob<")]
    assert "Lojista" in alices
    assert "vista em" in alices


def test_an_account_that_works_with_a_key_was_seen(app, key, clock, tables, id_of):
    """A shop whose programs charge all day does not *never sign in*."""
    tables.change("UPDATE accounts SET signed_in_at = NULL")
    tables.change("DELETE FROM sign_ins")
    clock.advance(days=3)
    root = sign_in(app, "root")
    page = root.get("/admin/accounts").text
    assert "nunca entrou" in page[page.index(">alice<") : page.index(">bob<")]
    assert app.test_client().get("/payments/pix", headers=key).status_code == 200
    with app.app_context():
        key_uses().write()
    page = root.get("/admin/accounts").text
    assert "23 de nov." in page[page.index(">alice<") : page.index(">bob<")]
    assert "23 de nov." in root.get(f"/admin/accounts/{id_of('alice')}").text


def test_the_list_is_filtered_by_role_and_by_the_prefix_of_a_login(root, tables):
    """A prefix in small letters finds small letters, and LIKE's wildcards have no meaning in it."""
    for login in ("mara", "Mara", "maria", "mar_x", "mar%y", "ma", "zmar"):
        if "%" not in login:
            tables.insert(Account, account_row(login))
    assert logins(root.get("/admin/accounts?q=mar").text) == ["mar_x", "mara", "maria"]
    assert logins(root.get("/admin/accounts?q=mar_").text) == ["mar_x"]
    assert logins(root.get("/admin/accounts?q=mar%25").text) == []
    # An old login may have capital letters; a phone writes them for a new one too.
    assert logins(root.get("/admin/accounts?q=Mara").text) == ["Mara", "mara"]
    assert logins(root.get("/admin/accounts?role=admin").text) == ["rita", "root"]
    assert logins(root.get("/admin/accounts?role=admin&q=ro").text) == ["root"]
    assert "Nenhuma conta com estes filtros." in root.get("/admin/accounts?q=nobody").text


@pytest.mark.mysql
@pytest.mark.postgres
@pytest.mark.parametrize("engine", ["mysql", "postgres"])
def test_a_login_prefix_means_the_same_on_every_engine(fresh_database, tmp_path, clock, engine):
    """Collations differ between engines; the result must not."""
    url = fresh_database(engine)
    app = ready_app(settings_for(url, tmp_path), clock)
    tables = Tables(url)
    for login in ("mara", "Mara", "maria", "mar_x", "mar-x", "ma", "zmar", "m-ara"):
        tables.insert(Account, account_row(login))
    make_account(app, "root", "admin")
    root = sign_in(app, "root")
    try:
        matches = set(logins(root.get("/admin/accounts?q=mar").text))
        assert matches == {"mara", "maria", "mar_x", "mar-x"}
        assert logins(root.get("/admin/accounts?q=mar_").text) == ["mar_x"]
        all_logins = {row.login for row in tables.rows("SELECT login FROM accounts")}
        assert set(logins(root.get("/admin/accounts").text)) == all_logins
    finally:
        close_app(app)


@pytest.mark.parametrize("query", ["", "role=payer", "q=p"])
def test_paging_shows_each_account_once(root, tables, query):
    """60 payers and some others; the links keep the filters."""
    tables.insert(Account, *[account_row(f"p{number:03}") for number in range(60)])
    path: str | None = f"/admin/accounts?{query}"
    listed, pages = [], 0
    while path:
        page = root.get(path).text
        listed += logins(page)
        pages += 1
        link = re.search(r'rel="next" href="([^"]+)"', page)
        path = html.unescape(link[1]) if link else None
    assert pages == 3
    assert listed == sorted(set(listed))
    assert {f"p{number:03}" for number in range(60)} <= set(listed)


@pytest.mark.parametrize("query", ["role=boss", "after=x", "q=" + "x" * 65, "q=%00"])
def test_an_invalid_query_is_a_400(root, query):
    """Our forms never send such queries."""
    assert root.get(f"/admin/accounts?{query}").status_code == 400


@pytest.mark.parametrize("account_id", ["x", "0" * 32, "%00"])
def test_an_unknown_account_is_a_404(root, account_id):
    """For its page and for disabling."""
    assert root.get(f"/admin/accounts/{account_id}").status_code == 404
    assert root.post(f"/admin/accounts/{account_id}/disable").status_code == 404


def test_an_accounts_page_has_its_keys_sessions_and_actions(root, alice, key, client, app, id_of):
    """Keys show their prefix and scopes; the page has no secrets."""
    assert client.get("/payments/pix", headers=key).status_code == 200
    with app.app_context():
        parts_of(app).key_uses.write()
    page = root.get(f"/admin/accounts/{id_of('alice')}").text
    token = key["Authorization"].removeprefix("Bearer ")
    assert f"<code>{token[: len('balcao_test_') + 4]}…</code>" in page
    assert token not in page
    assert "payments:read, payments:write" in page
    assert "usada em" in page
    assert "127.0.0.1" in page
    assert page.index("key.created") < page.index("session.started") < page.index("account.created")
    assert "argon2" not in page
    assert alice.token not in page


def test_disabling_ends_sessions_and_keys_at_once_and_is_audited(
    app, root, alice, key, client, id_of
):
    """When the answer arrives, no session and no key works."""
    path = f"/admin/accounts/{id_of('alice')}"
    assert "Sim, desativar alice" in root.get(path).text
    answer = root.post(f"{path}/disable")
    assert (answer.status_code, answer.location) == (303, f"{path}?done=disabled")
    assert alice.get("/portal").status_code == 303
    assert client.get("/payments/pix", headers=key).status_code == 401
    again = client.post("/token", data={"username": "alice", "password": PASSWORD})
    assert again.status_code == 401
    [entry] = [row for row in audit_rows(app, "root") if row.action == "account.disabled"]
    assert (entry.subject, entry.address) == ("alice", "127.0.0.1")
    assert "sessions.ended" in actions(app, "alice")
    page = root.get(answer.location).text
    assert "Conta desativada" in page
    assert "account.disabled" in page
    assert "Sim, ativar alice" in page
    assert "Sim, desativar" not in page


def test_enabling_restores_the_keys_but_no_session(app, root, alice, key, client, id_of):
    """Everybody must sign in again."""
    path = f"/admin/accounts/{id_of('alice')}"
    root.post(f"{path}/disable")
    assert root.post(f"{path}/enable").location == f"{path}?done=enabled"
    assert client.get("/payments/pix", headers=key).status_code == 200
    assert alice.get("/portal").status_code == 303
    assert sign_in(app, "alice").get("/portal").status_code == 200
    assert actions(app, "root")[-2:] == ["account.disabled", "account.enabled"]


def test_disabling_or_enabling_twice_is_one_action(app, root, id_of):
    """Two administrators may press the button at the same time."""
    path = f"/admin/accounts/{id_of('alice')}"
    for verb in ("disable", "disable", "enable", "enable"):
        assert root.post(f"{path}/{verb}").status_code == 303
    assert actions(app, "root")[-2:] == ["account.disabled", "account.enabled"]


def test_an_administrator_does_not_disable_itself(app, root, id_of, tables):
    """Otherwise the last administrator could lock everybody out."""
    path = f"/admin/accounts/{id_of('root')}"
    assert "Sim, desativar" not in root.get(path).text
    answer = root.post(f"{path}/disable")
    assert answer.status_code == 409
    assert "A própria conta não se desativa" in answer.text
    assert root.get("/admin").status_code == 200
    assert tables.rows("SELECT login FROM accounts WHERE disabled_at IS NOT NULL") == []
    assert root.post(f"/admin/accounts/{id_of('rita')}/disable").status_code == 303

    def disable_itself(work):
        own = work.accounts.by_login("root")
        service.disable(work, own, own)

    with app.app_context(), pytest.raises(Conflict):
        in_unit_of_work(disable_itself)


@pytest.mark.parametrize("verb", ["disable", "enable"])
def test_a_form_without_the_csrf_token_changes_nothing(root, id_of, tables, verb):
    """Another site's page must not be able to press the button."""
    tables.change("UPDATE accounts SET disabled_at = created_at WHERE login = 'bob'")
    for login in ("alice", "bob"):
        path = f"/admin/accounts/{id_of(login)}/{verb}"
        assert root.client.post(path, data={"csrf_token": "forged"}).status_code in (401, 403)
        assert root.client.post(path).status_code == 403
        assert root.client.get(path).status_code == 405
    rows = tables.rows("SELECT login FROM accounts WHERE disabled_at IS NOT NULL")
    assert [row.login for row in rows] == ["bob"]


def test_the_command_does_the_same(app, alice, root, id_of):
    """`flask accounts disable` has the same effects as the page."""
    run = app.test_cli_runner().invoke
    assert run(args=["accounts", "disable", "alice"]).exit_code == 0
    assert alice.get("/portal").status_code == 303
    assert "Sim, ativar alice" in root.get(f"/admin/accounts/{id_of('alice')}").text
    assert run(args=["accounts", "disable", "alice"]).exit_code == 0
    assert actions(app, "alice").count("account.disabled") == 1
    assert run(args=["accounts", "enable", "alice"]).exit_code == 0
    assert sign_in(app, "alice").get("/portal").status_code == 200


def test_an_account_disabled_in_one_process_is_refused_in_the_other_at_once(
    any_database_url, tmp_path, clock
):
    """Two apps on one database, each with the account in its cache."""
    settings = settings_for(any_database_url, tmp_path)
    first, second = ready_app(settings, clock), ready_app(settings, clock)
    try:
        make_account(first, "alice")
        make_account(first, "root", "admin")
        alice, root = sign_in(second, "alice"), sign_in(first, "root")
        answer = alice.client.post("/api/keys", json={}, headers={"X-CSRF-TOKEN": alice.token})
        key = bearer(answer.get_json()["key"])
        for app in (first, second):
            assert app.test_client().get("/payments/pix", headers=key).status_code == 200
        assert alice.get("/portal").status_code == 200
        rows = Tables(any_database_url).rows("SELECT public_id FROM accounts WHERE login = 'alice'")
        path = f"/admin/accounts/{rows[0].public_id}"
        assert root.post(f"{path}/disable").status_code == 303
        for app in (second, first):
            assert app.test_client().get("/payments/pix", headers=key).status_code == 401
        assert alice.get("/portal").status_code == 303
        assert root.post(f"{path}/enable").status_code == 303
        assert second.test_client().get("/payments/pix", headers=key).status_code == 200
        assert alice.get("/portal").status_code == 303
    finally:
        close_app(first)
        close_app(second)


def test_a_merchants_name_is_escaped(root, tables, id_of):
    """In the list, on the account's page and beside refused money."""
    tables.change("UPDATE accounts SET name = :name WHERE login = 'alice'", name=HOSTILE)
    tables.change(
        "INSERT INTO receipts (end_to_end_id, bank_payment_id, merchant_id, amount_centavos,"
        " paid_at, told_at, verdict, reason) SELECT 'E1', 'x', id, 100, created_at, created_at,"
        " 'refused', 'amount-mismatch' FROM accounts WHERE login = 'alice'"
    )
    for path in ("/admin", "/admin/accounts", f"/admin/accounts/{id_of('alice')}"):
        page = root.get(path).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "&lt;script&gt;alert(1)" in page, path


def test_old_dates_have_their_year(root, tables, id_of):
    """Without a year, an old date would look like one of this year."""
    old = NOON - timedelta(days=800)
    tables.change("UPDATE accounts SET created_at = :at WHERE login = 'bob'", at=str(old)[:26])
    assert f"{old:%Y-%m-%d}T" in root.get(f"/admin/accounts/{id_of('bob')}").text
