"""Test mode: a production merchant's browser shows the test half, and no form acts in the other.

Alice has two tabs, of which one was drawn live and the other in test mode; Charlie is another
merchant.
"""

from __future__ import annotations

import base64
import re
import secrets
from typing import Any

import pytest
import sqlalchemy as sa

from config import parts_of
from core.ids import new_public_id
from db_models import Environment, Payment, SignIn
from providers import enrolment
from providers.accounts import NO_NEW_PAYMENTS
from repository.database import in_unit_of_work, ledger, reading
from tests.accounts.people import Person, actions, audit_rows
from tests.portal.signing import PASSWORD, Browser, make_account, search, sign_in
from tests.providers.enrolled import new_account
from tests.support.service import close_app, ready_app, settings_for

STRIP = "Modo de teste: nenhum dinheiro real"
TEST = "Ambiente de teste: nenhum dinheiro real"


@pytest.fixture
def alice(production_app) -> Browser:
    """Alice's browser, signed in, in live mode."""
    make_account(production_app, "alice")
    return sign_in(production_app, "alice")


def token_on(page: str) -> str:
    """The CSRF token of a page's forms."""
    return search(page, r'name="csrf_token" value="([^"]+)"')


def switch(browser: Browser, mode: str, **fields: str) -> Any:
    """Press the switch; the next forms of the browser are of the page in the new mode."""
    answer = browser.post("/portal/mode", {"mode": mode, **fields})
    assert answer.status_code == 303, answer.text
    browser.token = token_on(browser.get("/portal").text)
    return answer


def charge(browser: Browser, value: str = "54,90", **fields: str) -> str:
    """Create a payment by the form; return its id."""
    form = {"value": value, "expires_in": "3600", "form_key": new_public_id(), **fields}
    answer = browser.post("/portal/payments/new", form)
    assert answer.status_code == 303, answer.text
    return search(answer.headers["Location"], r"/portal/payments/([0-9a-f]+)")


def both_halves(app, login: str = "alice") -> tuple[Any, Any]:
    """The merchant and its test half, or None."""
    with app.app_context(), reading() as work:
        merchant = work.accounts.by_login(login)
        return merchant, work.accounts.find_test_half(merchant.id)


def payments_of_all(app) -> int:
    """How many payments the whole installation has."""
    with app.app_context(), reading() as work:
        return int(work.session.execute(sa.select(sa.func.count(Payment.id))).scalar_one())


def test_the_switch_makes_the_test_half_at_its_first_use(production_app, alice):
    assert both_halves(production_app)[1] is None
    page = alice.get("/portal").text
    assert STRIP not in page
    assert re.search(r'value="live" aria-pressed="true"', page)
    answer = switch(alice, "test")
    assert answer.headers["Location"] == "/portal"
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith("test_mode=")
    for attribute in ("HttpOnly", "Secure", "SameSite=Lax", "Path=/"):
        assert attribute in cookie
    page = alice.get("/portal").text
    assert STRIP in page
    assert re.search(r'value="test" aria-pressed="true"', page)
    assert "<title>Teste · " in page
    first = both_halves(production_app)[1]
    switch(alice, "test")
    assert both_halves(production_app)[1].id == first.id
    rows = [row for row in audit_rows(production_app, "alice") if row.details]
    assert rows[-1].action == "account.created"
    assert "test_half" in str(rows[-1].details)


def test_the_switch_leads_to_the_same_page_of_the_other_half(alice):
    assert switch(alice, "test", section="provider").headers["Location"] == "/portal/provider"
    assert switch(alice, "live", section="//evil.example").headers["Location"] == "/portal"


@pytest.mark.parametrize("mode", ["", "other", None])
def test_another_mode_is_refused(alice, mode):
    answer = alice.post("/portal/mode", {} if mode is None else {"mode": mode})
    assert answer.status_code == 400
    assert STRIP not in alice.get("/portal").text


def test_every_page_of_the_portal_says_the_mode(production_app, alice):
    """All pages without an id, from the URL map; a page that has no frame is no page here."""
    switch(alice, "test")
    pages = 0
    for rule in production_app.url_map.iter_rules():
        path = str(rule.rule)
        if not path.startswith("/portal") or "GET" not in (rule.methods or ()) or rule.arguments:
            continue
        answer = alice.get(path)
        if answer.status_code != 200 or "data-portal" not in answer.text:
            continue
        pages += 1
        assert STRIP in answer.text, path
        assert token_on(answer.text).startswith("test."), path
    assert pages >= 12
    payment = charge(alice)
    assert STRIP in alice.get(f"/portal/payments/{payment}").text


def test_each_half_has_payments_of_its_own(alice):
    live = charge(alice, description="live one")
    switch(alice, "test")
    assert "live one" not in alice.get("/portal/payments").text
    assert alice.get(f"/portal/payments/{live}").status_code == 404
    test = charge(alice, description="test one")
    assert "test one" in alice.get("/portal/payments").text
    assert "test one" in alice.get("/portal/payments.csv").text
    switch(alice, "live")
    assert "test one" not in alice.get("/portal/payments").text
    assert "test one" not in alice.get("/portal/payments.csv").text
    assert alice.get(f"/portal/payments/{test}").status_code == 404


def test_one_key_of_a_form_makes_a_payment_in_each_half(alice):
    """The key makes a repetition safe, in each half for itself."""
    key = new_public_id()
    live = charge(alice, form_key=key)
    switch(alice, "test")
    test = charge(alice, form_key=key)
    assert test != live
    assert charge(alice, form_key=key) == test


def test_the_first_page_says_live_for_the_mode_alone(alice):
    """The list that updates itself said it too, and in test mode the page contradicted itself."""
    switch(alice, "test")
    assert re.findall(r">\s*ao vivo\s*<", alice.get("/portal").text, re.IGNORECASE) == [">Ao vivo<"]


def test_the_merchant_did_what_was_done_in_test_mode(alice):
    """Nobody knows the login of a test half."""
    switch(alice, "test")
    alice.post("/portal/developers/clients", {"label": "sdk", "scopes": ["cob.read"]})
    page = alice.get("/portal/activity").text
    assert "Pela conta alice" in page
    assert "Pela conta test-" not in page


def test_a_downloaded_poster_of_the_test_mode_says_so(alice):
    """A printed one would ask payers for money that no bank can send."""
    for mode, says_test in (("test", True), ("live", False)):
        switch(alice, mode)
        poster = alice.get("/portal/poster/poster.svg")
        assert poster.status_code == 200
        assert (STRIP in poster.text) is says_test


@pytest.mark.parametrize(("page_mode", "other"), [("live", "test"), ("test", "live")])
def test_a_form_never_acts_in_the_other_mode(production_app, alice, page_mode, other):
    """The other tab switched after this page was drawn."""
    switch(alice, page_mode)
    page_token = alice.token
    payment = charge(alice)
    switch(alice, other)
    others = charge(alice)
    form = {"csrf_token": page_token, "confirmed": "1"}
    for txid in (payment, others):
        answer = alice.post(f"/portal/payments/{txid}/cancel", form)
        assert answer.status_code == 403
        assert "O modo mudou em outra aba" in answer.text
        assert "Enviar de novo" not in answer.text
    with production_app.app_context(), reading() as work:
        for txid in (payment, others):
            assert work.payments.by_txid(txid).status == "pending"


def test_no_route_of_the_portal_takes_a_form_of_the_other_mode(production_app, alice):
    """Every route that changes something, from the URL map, so no form can be forgotten."""
    switch(alice, "test")
    before = actions(production_app)
    refused = 0
    for rule in production_app.url_map.iter_rules():
        path = str(rule.rule)
        if not path.startswith("/portal/") or "POST" not in (rule.methods or ()):
            continue
        if path in ("/portal/mode", "/portal/payments/test"):  # the switch; development only
            continue
        address = re.sub(r"<[^>]+>", new_public_id(), path)
        live_token = alice.token.removeprefix("test.")
        answer = alice.post(address, {"csrf_token": live_token})
        assert answer.status_code == 403, path
        assert "O modo mudou em outra aba" in answer.text, path
        refused += 1
    assert refused > 25
    assert actions(production_app) == before


def test_a_form_that_is_kept_over_a_new_sign_in_keeps_its_mode(production_app, alice):
    """It was drawn in test mode; the new sign-in is live, and must not send it as live."""
    switch(alice, "test")
    test_token = alice.token
    answer = alice.client.post("/api/login", json={"username": "alice", "password": PASSWORD})
    assert answer.status_code == 200
    form = {
        "csrf_token": test_token,
        "value": "54,90",
        "expires_in": "3600",
        "form_key": new_public_id(),
    }
    own_page = {"Sec-Fetch-Site": "same-origin"}
    answer = alice.post("/portal/payments/new", form, headers=own_page)
    assert answer.status_code == 403
    assert "Enviar de novo" in answer.text
    form["csrf_token"] = token_on(answer.text)
    assert form["csrf_token"].startswith("test.")
    answer = alice.post("/portal/payments/new", form, headers=own_page)
    assert answer.status_code == 403
    assert "O modo mudou em outra aba" in answer.text
    assert payments_of_all(production_app) == 0


def test_a_form_that_outlives_the_session_keeps_its_mode(production_app, alice):
    """The browser has no session when it sends the form; the person then signs in, live."""
    switch(alice, "test")
    form = {"csrf_token": alice.token, "value": "54,90", "expires_in": "3600"}
    form["form_key"] = new_public_id()
    own_page = {"Sec-Fetch-Site": "same-origin"}
    for cookie in ("access_token", "refresh_token", "csrf_access_token", "test_mode"):
        alice.client.delete_cookie(cookie)
    ended = alice.post("/portal/payments/new", form, headers=own_page)
    assert ended.status_code == 401
    form["csrf_token"] = token_on(ended.text)
    answer = alice.client.post("/api/login", json={"username": "alice", "password": PASSWORD})
    assert answer.status_code == 200
    again = alice.post("/portal/payments/new", form, headers=own_page)
    assert again.status_code == 403
    form["csrf_token"] = token_on(again.text)
    answer = alice.post("/portal/payments/new", form, headers=own_page)
    assert answer.status_code == 403
    assert "O modo mudou em outra aba" in answer.text
    assert payments_of_all(production_app) == 0


def test_a_script_of_a_page_in_the_other_mode_gets_no_rows(alice):
    """The live updates of a tab never mix both halves."""
    path = "/portal/payments?fragment=rows"
    assert alice.get(path, headers={"X-Page-Mode": "live"}).status_code == 200
    assert alice.get(path, headers={"X-Page-Mode": "test"}).status_code == 409
    switch(alice, "test")
    assert alice.get(path, headers={"X-Page-Mode": "live"}).status_code == 409
    assert alice.get(path, headers={"X-Page-Mode": "test"}).status_code == 200


def test_sign_out_and_sign_in_end_test_mode(alice):
    switch(alice, "test")
    live_token = alice.token.removeprefix("test.")
    answer = alice.post("/api/logout", {"csrf_token": live_token})
    assert answer.status_code == 303, "a page of either mode signs out"
    assert any(one.startswith("test_mode=;") for one in answer.headers.getlist("Set-Cookie"))
    alice.client.post("/api/login", json={"username": "alice", "password": PASSWORD})
    assert STRIP not in alice.get("/portal").text


def test_the_cookie_of_another_sign_in_does_nothing(production_app, alice):
    """Nor one that somebody has typed: it names a sign-in, and only that one reads it."""
    switch(alice, "test")
    cookie = alice.client.get_cookie("test_mode")
    assert cookie is not None
    second = sign_in(production_app, "alice")
    for value in (cookie.value, "1", ""):
        second.client.set_cookie("test_mode", value)
        assert STRIP not in second.get("/portal").text


def test_a_cookie_without_a_test_half_is_live(production_app, alice):
    """Nothing is made by looking at a page."""
    with production_app.app_context(), reading() as work:
        sign_in_id = work.session.execute(sa.select(SignIn.public_id)).scalar_one()
    alice.client.set_cookie("test_mode", sign_in_id)
    assert STRIP not in alice.get("/portal").text
    assert both_halves(production_app)[1] is None


def test_tokens_and_keys_ignore_the_cookie(production_app, alice):
    """A program that sends both acts as its credentials say."""
    switch(alice, "test")
    charge(alice, description="test one")
    program = Person(production_app, "alice", PASSWORD)
    answer = alice.client.get("/payments/pix", headers=program.bearer())
    assert answer.status_code == 200
    assert answer.get_json()["data"] == []


def test_only_merchants_switch(production_app):
    make_account(production_app, "root", "admin")
    admin = sign_in(production_app, "root")
    assert admin.post("/portal/mode", {"mode": "test"}).status_code == 403
    assert admin.client.get_cookie("test_mode") is None


def test_settings_of_the_shop_are_the_merchants_in_both_modes(production_app, alice):
    switch(alice, "test")
    form = {"name": "Feira da Vila", "city": "Recife", "brand_color": "#00aa33"}
    answer = alice.post("/portal/settings/shop", {**form, "grace_seconds": "60"})
    assert answer.status_code == 303, answer.text
    mail = {"email": "ana@feira.example", "mails_payments": "1", "password": PASSWORD}
    assert alice.post("/portal/settings/mail", mail).status_code == 303
    merchant, half = both_halves(production_app)
    assert (merchant.name, merchant.city, merchant.email) == (
        *("Feira da Vila", "Recife"),
        "ana@feira.example",
    )
    assert (half.name, half.email) == ("Feira da Vila", None)
    page = alice.get("/portal/settings").text
    assert "ana@feira.example" in page
    assert "Feira da Vila" in page


def test_the_password_and_the_sessions_are_the_persons_in_both_modes(production_app, alice):
    other = sign_in(production_app, "alice")
    switch(alice, "test")
    page = alice.get("/portal/settings").text
    session = search(page, r"/portal/settings/sessions/([0-9a-f]+)/end")
    answer = alice.post(f"/portal/settings/sessions/{session}/end", {"confirmed": "1"})
    assert answer.status_code == 303
    assert other.get("/portal").status_code == 303
    new = "another password of six words"
    form = {"current_password": PASSWORD, "new_password": new, "repeated": new}
    assert alice.post("/portal/settings/password", form).status_code == 303
    entry = production_app.test_client().post(
        "/api/login", json={"username": "alice", "password": new}
    )
    assert entry.status_code == 200
    assert STRIP in alice.get("/portal").text


def test_the_test_half_has_a_pix_key_of_its_own(production_app, alice):
    switch(alice, "test")
    merchant, half = both_halves(production_app)
    page = alice.get("/portal/settings").text
    assert half.pix_key in page
    assert merchant.pix_key not in page
    assert "/portal/settings/pix-key" not in page.replace("/portal/settings/pix-key/kind", "")
    form = {"pix_key": "feira@outra.example", "password": PASSWORD}
    assert alice.post("/portal/settings/pix-key", form).status_code == 409
    assert [one.pix_key for one in both_halves(production_app)] == [
        merchant.pix_key,
        half.pix_key,
    ]


def test_keys_belong_to_the_half_that_is_shown(production_app, alice):
    switch(alice, "test")
    form = {"label": "Caixa de teste", "scopes": "payments:read"}
    page = alice.post("/portal/settings/keys", form).text
    assert "Caixa de teste" in page
    assert "Caixa de teste" in alice.get("/portal/settings").text
    switch(alice, "live")
    assert "Caixa de teste" not in alice.get("/portal/settings").text


def test_in_development_there_is_no_switch(app):
    """All money is simulated there, and today's marks say so."""
    make_account(app, "alice")
    alice = sign_in(app, "alice")
    page = alice.get("/portal").text
    assert "/portal/mode" not in page
    assert "Ambiente de teste" in page
    assert alice.post("/portal/mode", {"mode": "test"}).status_code == 404


def test_test_mode_costs_a_page_no_statement_more(production_app, alice):
    """The merchant and its test half are read together."""
    counts = []
    for mode in ("live", "test"):
        switch(alice, mode)
        statements: list[str] = []

        def append(_connection, _cursor, statement, *_rest, to=statements) -> None:
            to.append(statement)

        with production_app.app_context():
            engine = ledger().reading_engine
        sa.event.listen(engine, "before_cursor_execute", append)
        try:
            assert alice.get("/portal/settings").status_code == 200
        finally:
            sa.event.remove(engine, "before_cursor_execute", append)
        counts.append(len(statements))
    assert counts[0] == counts[1] > 0


def test_recebimento_shows_the_accounts_of_the_mode(production_app, alice):
    """An account for tests belongs to the test half; a live page neither lists nor opens it."""
    switch(alice, "test")
    with production_app.app_context():
        account = in_unit_of_work(_enrol_for_tests)
    path = f"/portal/provider/{account}"
    assert path in alice.get("/portal/provider").text
    assert alice.get(path).status_code == 200
    switch(alice, "live")
    assert path not in alice.get("/portal/provider").text
    assert alice.get(path).status_code == 404
    assert alice.post(f"{path}/use", {"use": "0"}).status_code == 404


def _enrol_for_tests(work) -> str:
    merchant = work.accounts.by_login("alice")
    return enrolment.add(work, merchant, new_account(Environment.TEST)).public_id


@pytest.mark.parametrize(("mode", "other"), [("live", "test"), ("test", "live")])
def test_the_form_of_an_account_offers_the_modes_environment_alone(alice, mode, other):
    switch(alice, mode)
    page = alice.get("/portal/provider/new").text
    assert 'name="environment"' not in page
    form = {"profile": "efi", "environment": other, "pix_key": "ana@feira.example"}
    answer = alice.post("/portal/provider", {**form, "password": PASSWORD})
    assert answer.status_code == 400
    assert "Contas de teste se adicionam no modo de teste" in answer.text


def test_recebimento_says_what_new_charges_use_without_an_account(alice):
    """No bank is named in the settings for real money here."""
    assert "nenhum banco é consultado" in alice.get("/portal/provider").text


def test_recebimento_leads_to_the_simulated_bank_of_test_mode(tmp_path, fresh_database, clock):
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    settings = settings_for(
        fresh_database("sqlite"),
        tmp_path,
        app_env="production",
        public_url="https://shop.example",
        test_bank_url="https://bank.example",
        test_bank_webhook_secret=secret,
    )
    app = ready_app(settings, clock)
    make_account(app, "alice")
    alice = sign_in(app, "alice")
    assert "https://bank.example" not in alice.get("/portal/provider").text
    switch(alice, "test")
    page = alice.get("/portal/provider").text
    assert "As cobranças de teste usam o banco simulado." in page
    assert 'href="https://bank.example"' in page
    close_app(app)


def test_a_shop_without_any_account_in_use_hears_it_from_the_form(production_app, alice):
    """Its last account was taken out of use, so no bank can take its money."""
    with production_app.app_context():
        in_unit_of_work(
            lambda work: work.accounts.change(
                work.accounts.by_login("alice").id, {"live_provider_id": NO_NEW_PAYMENTS}
            )
        )
    form = {"value": "54,90", "expires_in": "3600", "form_key": new_public_id()}
    answer = alice.post("/portal/payments/new", form)
    assert answer.status_code == 409
    assert "escolha uma em Recebimento" in answer.text
    assert "Cobranças novas são recusadas" in alice.get("/portal/provider").text


@pytest.mark.parametrize(("mode", "prefix"), [("live", "balcao_live_"), ("test", "balcao_test_")])
def test_examples_and_the_developers_page_have_the_keys_of_the_mode(alice, mode, prefix):
    switch(alice, mode)
    assert f"Bearer {prefix}" in alice.get("/portal").text
    page = alice.get("/portal/developers").text
    assert f"<code>{prefix}</code>" in page
    assert f'"livemode": {"true" if mode == "live" else "false"}' in page


def test_a_new_merchant_hears_of_test_mode(alice):
    page = alice.get("/portal").text
    assert "Experimentar no modo de teste" in page
    switch(alice, "test")
    assert "Experimentar no modo de teste" not in alice.get("/portal").text


def test_the_socket_of_a_page_joins_no_room_of_the_other_mode(production_app, alice):
    """The handshake has the browser's cookies of now; the page may be older."""
    socketio = parts_of(production_app).socketio

    def watch(mode: str) -> Any:
        client = socketio.test_client(production_app, flask_test_client=alice.client)
        answer = client.emit("watch_merchant", {"mode": mode}, callback=True)
        client.disconnect()
        return answer

    assert watch("live")["ok"]
    assert watch("test")["code"] == "conflict"
    switch(alice, "test")
    assert watch("test")["ok"]
    assert watch("live")["code"] == "conflict"


def test_what_a_payer_sees_and_what_is_filed_says_test(alice):
    """A poster is printed without its page, the counter's code covers it, and files travel."""
    for mode in ("live", "test"):
        switch(alice, mode)
        is_test = mode == "test"
        code = alice.post("/portal/counter", {"value": "10", "way": "dynamic"}).location
        fixed = alice.post("/portal/counter", {"value": "10", "way": "static"}).location
        assert (STRIP in alice.get("/portal/poster/poster.svg").text) is is_test
        for path in ("/portal/poster", code, fixed):
            assert (TEST in alice.get(path).text) is is_test, path
        for path in ("poster/poster.svg", "poster/qr.svg", "poster/qr.png", "payments.csv"):
            name = alice.get(f"/portal/{path}").headers["Content-Disposition"]
            assert ("teste" in name) is is_test, name
