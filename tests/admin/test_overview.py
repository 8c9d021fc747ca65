"""Each figure of the overview, on both sides of its limit."""

from __future__ import annotations

import re
import socket
import time
from datetime import timedelta

import pytest

from accounts.throttle import SIGN_IN
from blueprints.admin.overview import ASKING_LATE, NEWEST, REFUND_LATE, UNANNOUNCED_LATE
from config import parts_of
from core.runtime.throttle import Throttle
from db_models import Payment, Receipt
from payments import look_ups
from payments.reconciliation import Reconciler
from payments.sweep import Sweep
from providers.accounts import signing_banks
from providers.simulated import bank_client
from repository.admin import COUNT_MAX
from tests.accounts.people import Person
from tests.db.tables import NOON, payment_row, receipt_row
from tests.portal.signing import make_account, sign_in
from tests.support.service import close_app, end_to_end_id, ready_app, settings_for
from tests.support.stub_bank import StubBank
from web.health import LAG_MAX
from web.limits import Limits, limit_names

STATEMENTS_MAX = 14
ENTRY = re.compile(r'data-vital="([a-z-]+)">(.*?)(?=data-vital=|</section>)', re.S)
MARK = re.compile(r'class="mark(?: mark--(\w+))?">([^<]+)</span>')


def vitals(browser) -> dict[str, tuple[str, str]]:
    """The marks of the overview by name: (confirmed, refused or nothing, text)."""
    page = browser.get("/admin?fragment=overview").text
    marks = {}
    for name, text in ENTRY.findall(page):
        mark = MARK.search(text)
        assert mark, name
        marks[name] = (mark[1] or "", mark[2].strip())
    return marks


def verdict(browser) -> str:
    """The overview's first sentence."""
    match = re.search(r'class="verdict[^"]*">\s*<strong>([^<]+)', browser.get("/admin").text)
    assert match
    return match[1]


@pytest.fixture
def healthy(app, tables):
    """Record that the bank's list was read just now."""
    tables.change(
        "INSERT INTO reconciliations (name, walked_to, not_before) VALUES ('settled', :at, :at)",
        at=NOON.strftime("%Y-%m-%d %H:%M:%S.%f"),
    )


def test_a_fresh_service_is_in_order(root, healthy):
    """Nothing is late and nothing was refused."""
    assert verdict(root) == "Tudo em ordem"
    assert vitals(root) == {
        "database": ("confirmed", "No ar"),
        "redis": ("", "Não configurado"),
        "sweep": ("confirmed", "No ar"),
        "bank": ("confirmed", "No ar"),
        "unannounced": ("confirmed", "0"),
        "overdue": ("confirmed", "0"),
        "refunds": ("confirmed", "0"),
        "look-ups": ("confirmed", "0"),
        "reading": ("confirmed", "Em dia"),
    }


def test_an_unannounced_event_is_counted_until_its_announcement(
    app, root, make_payment, bank, clock
):
    """No job announces events in this test until the test does."""
    payment = make_payment()
    assert vitals(root)["unannounced"] == ("confirmed", "0")
    bank.confirm(payment)
    clock.advance(seconds=UNANNOUNCED_LATE.seconds)
    assert vitals(root)["unannounced"] == ("confirmed", "1")
    clock.advance(seconds=1)
    assert vitals(root)["unannounced"] == ("refused", "1")
    assert "há 16 s" in root.get("/admin").text
    with app.app_context():
        parts_of(app).announcer.flush()
    assert vitals(root)["unannounced"] == ("confirmed", "0")


def test_an_overdue_payment_is_counted_and_named(app, root, alice, clock, settings):
    """Only after the sweep's allowed lag; with its merchant, until the sweep expires it."""
    answer = alice.client.post(
        "/payments/pix",
        json={"value": 1, "expires_in": 10},
        headers={"X-CSRF-TOKEN": alice.token},
    )
    txid = answer.get_json()["payment"]["id"]
    lag_max = LAG_MAX.seconds + settings.sweep_start_grace_seconds
    clock.advance(seconds=10 + lag_max)
    marks = vitals(root)
    assert (marks["overdue"], marks["sweep"][0]) == (("confirmed", "0"), "confirmed")
    clock.advance(seconds=1)
    marks = vitals(root)
    assert (marks["overdue"], marks["sweep"]) == (("refused", "1"), ("refused", "Com problema"))
    page = root.get("/admin").text
    assert f'href="/payments/pix/{txid}"' in page
    assert re.search(rf"{txid[:8]}…</a> alice", page)
    assert "The sweep is 41 s behind." in page
    with app.app_context():
        assert Sweep.starting_at(clock.now(), timedelta(0)).run() == 1
    assert vitals(root)["overdue"] == ("confirmed", "0")


def test_a_refund_that_the_bank_does_not_answer_is_slow(root, alice, client, clock, bank):
    """No bank listens here, so the refund stays open."""
    headers = {"X-CSRF-TOKEN": alice.token}
    answer = alice.client.post("/payments/pix", json={"value": 5}, headers=headers)
    payment = answer.get_json()["payment"]
    assert bank.confirm(payment).status_code == 200
    answer = alice.client.post(
        f"/payments/pix/{payment['id']}/refunds", json={"value": 1}, headers=headers
    )
    assert answer.status_code == 201
    clock.advance(seconds=REFUND_LATE.total_seconds())
    assert vitals(root)["refunds"] == ("confirmed", "0")
    clock.advance(seconds=1)
    assert vitals(root)["refunds"] == ("refused", "1")
    assert re.search(rf"{payment['id'][:8]}…</a> alice", root.get("/admin").text)


def test_late_queries_to_the_bank_are_counted(app, root, make_payment, clock, settings):
    """The first query is due twenty seconds after a payment was created."""
    make_payment(expires_in=86_400)
    lag_max = 2 * settings.reconcile_interval_seconds + ASKING_LATE.seconds
    clock.advance(seconds=20 + lag_max)
    assert vitals(root)["look-ups"] == ("confirmed", "0")
    clock.advance(seconds=1)
    assert vitals(root)["look-ups"] == ("refused", "1")


def test_the_overview_says_how_far_the_banks_list_was_read(
    clock, tmp_path, fresh_database, monkeypatch
):
    """Never, then up to now, then late, because the bank does not answer."""
    monkeypatch.setattr(look_ups, "_look_ups", Throttle(0))
    monkeypatch.setattr(bank_client, "_availability_log", bank_client._AvailabilityLog())
    with StubBank(clock) as bank:
        settings = settings_for(fresh_database("sqlite"), tmp_path, bank_url=bank.url)
        app = ready_app(settings, clock)
        make_account(app, "root", "admin")
        root = sign_in(app, "root")
        assert vitals(root)["reading"] == ("refused", "Nunca lida")
        with app.app_context():
            job = Reconciler(signing_banks()[0], timedelta(seconds=15))
            job.run()
        assert vitals(root)["reading"] == ("confirmed", "Em dia")
        bank.misbehave = lambda _question: (503, b"")
        clock.advance(seconds=2 * 15 + 120)
        with app.app_context():
            job.run()
        assert vitals(root)["reading"] == ("confirmed", "Em dia")
        clock.advance(seconds=1)
        assert vitals(root)["reading"] == ("refused", "Atrasada")
        close_app(app)


def test_without_a_bank_to_ask_nothing_is_late(app, root, settings, make_payment, clock):
    """In production without BANK_URL only notices settle payments, which is not a fault."""
    make_payment(expires_in=86_400)
    clock.advance(seconds=3600)
    app.config["BALCAO"] = settings.model_copy(update={"app_env": "production"})
    marks = vitals(root)
    assert marks["reading"] == ("", "Não configurado")
    assert "look-ups" not in marks


def test_refused_money_is_listed_with_its_merchant(root, alice, bank, make_payment):
    """Of every merchant, newest first, also money without a payment of this service."""
    payment = make_payment()
    assert bank.confirm(payment, value=1.23).status_code == 400
    stray = {**bank.body(payment), "bank_payment_id": "0" * 32, "value": 77.5}
    stray["end_to_end_id"] = end_to_end_id()
    assert bank.tell(stray).status_code == 404
    page = root.get("/admin").text
    titles = re.findall(r'class="line__title">([^<]+)<', page)
    assert titles == [
        "Nenhuma cobrança daqui tem este identificador.",
        "O valor pago não era o da cobrança.",
    ]
    amounts = re.findall(r'class="line__amount money">([^<]+)<', page)
    assert amounts == ["R$\xa077,50", "R$\xa01,23"]
    assert "de ninguém daqui" in page
    assert ">Feira da Vila</a>" in page
    bank.confirm(payment)
    assert len(re.findall(r'class="line__title"', root.get("/admin").text)) == 2


def test_only_the_newest_refusals_are_shown(root, tables):
    """The page has a limit."""
    merchant = tables.merchant_id()
    refusal = {"verdict": "refused", "reason": "paid-too-late", "merchant_id": merchant}
    rows = [receipt_row(None, amount_centavos=100 + n, **refusal) for n in range(25)]
    tables.insert(Receipt, *rows)
    amounts = re.findall(r'line__amount money">([^<]+)<', root.get("/admin").text)
    assert amounts == [f"R$\xa01,{n:02}" for n in range(24, 24 - NEWEST, -1)]


def test_a_limit_that_was_reached_is_counted_under_its_name(
    app, root, client, clock, settings, make_payment
):
    """Sign-in attempts have their own name; a route is named by its path."""
    page = root.get("/admin").text
    assert limit(page, SIGN_IN) == 0
    person = Person(app, "alice")
    for _ in range(settings.sign_in_tries_max + 3):
        answer = person.ask_tokens(username="alice", password="a guess")
    assert answer.status_code == 429
    path = f"/payments/pix/{make_payment()['id']}/trace"
    statuses = [client.post(path, json={"what": "opened"}).status_code for _ in range(62)]
    assert (statuses[59], statuses[60], statuses[61]) == (204, 429, 429)
    page = root.get("/admin").text
    assert (limit(page, SIGN_IN), limit(page, "traces.trace")) == (3, 2)
    assert "<code>POST /payments/pix/&lt;payment_id&gt;/trace</code>" in page
    # Both windows end within a day of the app's clock.
    clock.advance(hours=25)
    assert limit(sign_in(app, "root").get("/admin").text, SIGN_IN) == 0


def limit(page: str, name: str) -> int:
    """How often a limit was reached, from the table."""
    match = re.search(rf'data-limit="{re.escape(name)}".*?<td>(\d+)</td>', page, re.S)
    assert match, name
    return int(match[1])


def test_every_limited_route_is_in_the_table(app):
    """The names come from the limiter, so that new limits appear by themselves."""
    with app.test_request_context("/"):
        names = limit_names()
    routes = {"people.sign_up", "login.sign_up", "payer.pay", "traces.trace"}
    assert {SIGN_IN} | routes <= set(names)
    assert "payments.create_payment" not in names
    assert len(names) == len(set(names))


def test_a_limit_reached_in_one_process_is_counted_in_the_other(
    clock, tmp_path, fresh_database, redis_url
):
    """With Redis, all processes count together."""
    settings = settings_for(fresh_database("sqlite"), tmp_path, redis_url=redis_url)
    first, second = ready_app(settings, clock), ready_app(settings, clock)
    try:
        make_account(first, "root", "admin")
        for _ in range(settings.sign_in_tries_max + 1):
            Person(first, "alice").ask_tokens(username="alice", password="a guess")
        page = sign_in(second, "root").get("/admin").text
        assert limit(page, SIGN_IN) == 1
        assert vitals(sign_in(second, "root"))["redis"] == ("confirmed", "No ar")
    finally:
        close_app(first)
        close_app(second)


def test_the_overview_waits_for_a_silent_redis_only_once(app):
    """A day has 24 counters for each name: one timeout for each would take too long."""
    with socket.create_server(("127.0.0.1", 0)) as silent, app.app_context():
        counter = parts_of(app).metrics.reached_limits
        counts = Limits(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", counter)
        started = time.monotonic()
        assert counts.hits(*[f"name-{n}" for n in range(20)]) == {f"name-{n}": 0 for n in range(20)}
        assert time.monotonic() - started < 10


def test_the_merchants_signals_are_listed(app, root, tables, make_payment, clock):
    """The signals of all merchants, with the merchant."""
    payment = make_payment()
    tables.change(
        "INSERT INTO signals (public_id, merchant_id, kind, subject, payment_id, times, threshold,"
        " window_seconds, window_at, first_at, last_at) SELECT :id, merchant_id, 'wrong-pins',"
        " txid, id, 4, 3, 600, created_at, created_at, created_at FROM payments",
        id="5" * 32,
    )
    page = root.get("/admin").text
    assert "4 senhas erradas para a mesma cobrança em 10 minutos." in page
    assert f'href="/payments/pix/{payment["id"]}"' in page
    assert 'href="/admin/accounts?q=demo"' in page


def test_paused_webhooks_are_listed_with_their_shop(app, root, client, tables, clock):
    """The operator can tell the shop, which may not look at its portal."""
    webhook = client.post("/webhooks", json={"url": "http://127.0.0.1:9/hook"}).get_json()
    assert "Todos os servidores das lojas estão respondendo." in root.get("/admin").text
    tables.change("UPDATE webhook_endpoints SET paused_at = created_at")
    page = root.get("/admin").text
    assert "http://127.0.0.1:9/hook" in page
    assert 'href="/admin/accounts?q=demo"' in page

    assert client.patch(f"/webhooks/{webhook['id']}", json={"enabled": True}).status_code == 200
    assert "http://127.0.0.1:9/hook" not in root.get("/admin").text


def test_counts_have_a_maximum(root, tables, clock):
    """Counting more overdue payments would cost time and tell nothing new."""
    merchant = tables.merchant_id()
    long_ago = {"created_at": NOON - timedelta(days=2), "expires_at": NOON - timedelta(days=1)}
    rows = [payment_row(merchant, **long_ago) for _ in range(COUNT_MAX)]
    tables.insert(Payment, *rows)
    assert vitals(root)["overdue"] == ("refused", f"{COUNT_MAX:,}".replace(",", "."))
    tables.insert(Payment, payment_row(merchant, **long_ago))
    assert vitals(root)["overdue"] == ("refused", f"{COUNT_MAX:,}+".replace(",", "."))
    assert "há 1 d 0 h" in root.get("/admin").text


def test_the_page_needs_few_statements(root, make_payment, bank, count_statements):
    """An open page requests the overview every ten seconds."""
    bank.confirm(make_payment(), value=2)
    root.get("/admin")
    for path in ("/admin", "/admin?fragment=overview"):
        with count_statements() as statements:
            root.get(path)
        assert len(statements) <= STATEMENTS_MAX, statements
