"""The audit log's page: filters, paging, readable details and no secrets."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from accounts import audit
from blueprints.admin.audit_routes import facts
from core.ids import new_public_id
from db_models import AuditEntry
from repository import admin
from repository.database import in_unit_of_work
from tests.db.tables import NOON
from tests.portal.signing import sign_in

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'


def subjects(page: str) -> list[str]:
    """The subjects of a page's entries, in order."""
    return [
        html.unescape(text) for text in re.findall(r'class="deed__subject">([^<]*)</span>', page)
    ]


def walk(browser, path: str) -> tuple[list[str], int]:
    """The subjects of all pages, and the number of pages."""
    all_subjects: list[str] = []
    pages = 0
    next_path: str | None = path
    while next_path:
        page = browser.get(next_path).text
        all_subjects += subjects(page)
        pages += 1
        link = re.search(r'rel="next" href="([^"]+)"', page)
        next_path = html.unescape(link[1]) if link else None
    return all_subjects, pages


@pytest.fixture
def note(app, clock):
    """Write an entry: note("alice", "key.revoked", "its subject", details={…})."""

    def write(login, action, subject="", details=None):
        def record(work):
            account = work.accounts.by_login(login) if login else None
            audit.record(work, account, action, subject, details)

        with app.app_context():
            in_unit_of_work(record)

    return write


@pytest.fixture
def entries(tables):
    """Insert many entries: entries([(account row, action, subject, at), …])."""

    def write(rows):
        tables.insert(
            AuditEntry,
            *[
                {
                    "public_id": new_public_id(),
                    "account_id": account,
                    "action": action,
                    "subject": subject,
                    "details": {},
                    "address": "",
                    "request_id": "",
                    "occurred_at": at,
                }
                for account, action, subject, at in rows
            ],
        )

    return write


@pytest.fixture
def row_of(tables):
    """The row id of an account, by its login."""

    def find(login):
        return tables.rows("SELECT id FROM accounts WHERE login = :login", login=login)[0].id

    return find


def test_an_entry_has_its_account_details_and_address(root, alice, note, id_of):
    """Newest first; the account links to its page."""
    note("alice", "key.created", "k" * 32, {"label": "till", "scopes": ["a:read", "b:write"]})
    note(None, "session.refused", "(unknown)")
    page = root.get("/admin/audit").text
    assert subjects(page)[:2] == ["(unknown)", "k" * 32]
    assert "sem conta" in page
    assert f'href="/admin/accounts/{id_of("alice")}">alice</a>' in page
    assert re.search(r"label</span> till</span>", page)
    assert re.search(r"scopes</span> a:read, b:write</span>", page)
    assert re.search(r"endereço</span> 127\.0\.0\.1", page)


def test_filters_work_alone_and_together(root, note, clock):
    """By action, by account, by whole days of the viewer's zone."""
    note("alice", "key.created", "first")
    clock.advance(hours=24)
    note("alice", "key.revoked", "second")
    note("bob", "key.revoked", "third")
    clock.advance(hours=24)
    note("bob", "key.revoked", "fourth")
    browser = sign_in(root.client.application, "root")

    def matches(query):
        page = browser.get(f"/admin/audit?{query}").text
        return [
            subject
            for subject in subjects(page)
            if subject in ("first", "second", "third", "fourth")
        ]

    assert matches("") == ["fourth", "third", "second", "first"]
    assert matches("action=key.revoked") == ["fourth", "third", "second"]
    assert matches("login=alice") == ["second", "first"]
    assert matches("login=bob&action=key.revoked") == ["fourth", "third"]
    assert matches("login=bob&action=key.created") == []
    assert matches("from=2026-11-21") == ["fourth", "third", "second"]
    assert matches("to=2026-11-21") == ["third", "second", "first"]
    assert matches("from=2026-11-21&to=2026-11-21") == ["third", "second"]
    assert matches("from=2026-11-22&to=2026-11-20") == ["fourth", "third", "second", "first"]
    assert matches("login=alice&from=2026-11-21") == ["second"]
    assert matches("login=alice&action=key.created&to=2026-11-20") == ["first"]
    assert matches("from=2026-11-23") == []
    assert "Não há conta com o usuário “nobody”." in browser.get("/admin/audit?login=nobody").text


def test_a_day_ends_at_the_viewers_midnight(root, entries, row_of):
    """Two entries a second apart, on both sides of midnight in São Paulo and in Tokyo."""
    midnight = NOON.replace(day=22, hour=3, minute=0)
    entries([(row_of("alice"), "key.created", "before", midnight - timedelta(seconds=1))])
    entries([(row_of("alice"), "key.created", "after", midnight)])
    assert subjects(root.get("/admin/audit?login=alice&from=2026-11-22").text) == ["after"]
    assert "before" in subjects(root.get("/admin/audit?login=alice&to=2026-11-21").text)
    root.client.set_cookie("balcao_zone", "Asia/Tokyo", path="/admin")
    days = "from=2026-11-22&to=2026-11-22"
    page = root.get(f"/admin/audit?action=key.created&{days}").text
    assert subjects(page) == ["after", "before"]


@pytest.mark.parametrize("query", ["", "login=alice&", "action=key.created&"])
def test_entries_written_out_of_order_are_listed_on_their_day(root, entries, row_of, query):
    """After a wrong clock, or with overlapping units of work, no entry may be missing."""
    alice, midnight = row_of("alice"), NOON.replace(hour=3, minute=0)
    hours = [-30, 40, -1, 0, 20, 59, -59, 10, -400, 400]
    entries([(alice, "key.created", str(at), midnight + timedelta(hours=at)) for at in hours])
    listed = subjects(root.get(f"/admin/audit?{query}from=2026-11-20").text)
    after_midnight = [subject for subject in listed if subject.isdigit()]
    assert after_midnight == ["400", "59", "40", "20", "10", "0"]
    listed = subjects(root.get(f"/admin/audit?{query}to=2026-11-19").text)
    assert listed == ["-1", "-30", "-59", "-400"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "action=key.created",
        "login=alice",
        "login=alice&action=key.created",
        "from=2026-11-20",
        "login=alice&from=2026-11-20&to=2026-11-20",
        "login=alice&action=key.created&to=2026-11-20",
    ],
)
def test_paging_shows_each_entry_once(root, entries, row_of, query):
    """120 entries of one instant, with any filters."""
    numbers = [str(number) for number in range(120)]
    entries([(row_of("alice"), "key.created", number, NOON) for number in numbers])
    listed, pages = walk(root, f"/admin/audit?{query}")
    assert [subject for subject in listed if subject in set(numbers)] == numbers[::-1]
    assert pages >= 3


def test_a_rare_action_of_a_busy_account_is_searched_window_by_window(
    root, entries, row_of, monkeypatch
):
    """A page reads a limited number of entries; the next page continues after them."""
    monkeypatch.setattr(admin, "WINDOW_ROWS", 40)
    alice = row_of("alice")
    entries([(alice, "key.revoked", "rare", NOON)])
    entries([(alice, "session.started", str(number), NOON) for number in range(95)])
    for days in ("", "&from=2026-11-20"):
        path = f"/admin/audit?login=alice&action=key.revoked{days}"
        page = root.get(path).text
        assert subjects(page) == []
        assert "anotações olhadas" in page
        assert walk(root, path) == (["rare"], 3)


@pytest.mark.parametrize(
    "query", ["after=x", "from=20-11-2026", "action=" + "x" * 41, "login=" + "x" * 65, "login=%00"]
)
def test_an_invalid_query_is_a_400(root, query):
    """Our forms never send such queries."""
    assert root.get(f"/admin/audit?{query}").status_code == 400


def test_subjects_and_details_are_escaped(root, note):
    """Subjects, names and values may come from attackers."""
    note("alice", "shop.changed", HOSTILE, {HOSTILE: HOSTILE, "list": [HOSTILE]})
    page = root.get("/admin/audit").text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert page.count("&lt;script&gt;alert(1)") == 4
    hostile = root.get("/admin/audit", query_string={"login": HOSTILE[:64]}).text
    assert "<script>alert" not in hostile


def test_details_that_are_named_like_a_secret_are_masked():
    """A second protection: entries must not have secrets at all."""
    details = {"password": "hunter2", "refresh_token": "eyJ", "pin": "1234", "card_number": "5"}
    assert [value for _, value in facts(details)] == ["•••"] * 4
    harmless = {"label": "till", "count": 3, "none": None, "long": "x" * 300, "shipping": "fast"}
    assert facts(harmless) == [
        ("label", "till"),
        ("count", "3"),
        ("none", "—"),
        ("long", "x" * 200 + "…"),
        ("shipping", "fast"),
    ]


def test_the_filter_suggests_only_actions_that_happened(root, note):
    """Nobody knows all names of actions by heart."""
    note("alice", "shop.changed")
    page = root.get("/admin/audit").text
    choices = re.findall(r'<option value="([^"]+)">', page)
    assert "shop.changed" in choices
    assert choices == sorted(set(choices))
    assert "signals.seen" not in choices


def test_an_entry_is_a_sentence_beside_its_code(root, note):
    """People read the sentence; the filter and the documents use the code."""
    note("alice", "payment.pin-refused", "a card")
    page = root.get("/admin/audit").text
    assert '<span class="deed__sentence">Senha do cartão errada</span>' in page
    assert '<code class="deed__action">payment.pin-refused</code>' in page
    assert '<option value="payment.pin-refused">Senha do cartão errada</option>' in page
    english = root.get("/admin/audit?lang=en").text
    assert '<span class="deed__sentence">Wrong card PIN</span>' in english
