"""The list of payments: newest first, in pages, with filters, only the merchant's own."""

from __future__ import annotations

import pytest

from core.clock import rfc3339
from repository import payment_list
from tests.http.checks import fields, problem


def descriptions(client, query=""):
    """The descriptions in a list."""
    answer = client.get(f"/payments/pix{query}")
    assert answer.status_code == 200, answer.text
    return [payment["description"] for payment in answer.json["data"]]


def test_the_newest_stands_first_and_pages_follow_each_other(make_payment, client):
    """All pages together have each payment once, also while new payments are created."""
    for number in range(5):
        make_payment(description=str(number))
    first = client.get("/payments/pix?limit=2").json
    assert [payment["description"] for payment in first["data"]] == ["4", "3"]
    make_payment(description="new")
    second = client.get(f"/payments/pix?limit=2&after={first['next']}").json
    assert [payment["description"] for payment in second["data"]] == ["2", "1"]
    third = client.get(f"/payments/pix?limit=2&after={second['next']}").json
    assert [payment["description"] for payment in third["data"]] == ["0"]
    assert third["next"] is None


def test_a_page_that_is_just_full_is_the_last(make_payment, client):
    """Otherwise each client would request an empty page."""
    for _ in range(2):
        make_payment()
    assert client.get("/payments/pix?limit=2").json["next"] is None


def test_an_empty_list_is_a_list(client):
    """Not null, not 404."""
    assert client.get("/payments/pix").json == {"data": [], "next": None}


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1.5", "", "1e1", "9" * 400])
def test_a_limit_out_of_1_to_100_is_refused(client, limit):
    """If the limit were lowered silently, a client would miss payments."""
    refusal = problem(client.get(f"/payments/pix?limit={limit}"), 400, "invalid-request")
    assert fields(refusal) == ["limit"]


@pytest.mark.parametrize("limit", ["1", "100"])
def test_the_edges_of_the_limit_are_accepted(client, limit):
    """Both are documented."""
    assert client.get(f"/payments/pix?limit={limit}").status_code == 200


@pytest.mark.parametrize("after", ["", "x", "0" * 32, "1 OR 1=1"])
def test_the_cursor_of_another_list_is_refused(client, after):
    """Starting from the beginning would repeat payments."""
    refusal = problem(client.get(f"/payments/pix?after={after}"), 400, "invalid-request")
    assert fields(refusal) == ["after"]


def test_an_unknown_parameter_is_refused(client):
    """A misspelt filter must not list everything."""
    assert fields(problem(client.get("/payments/pix?state=pending"), 400)) == ["state"]


def test_the_status_filter_goes_by_the_clock(make_payment, client, clock, bank):
    """A payment past its deadline is expired for the list too, also before the sweep."""
    bank.confirm(make_payment(description="paid"))
    cancelled = make_payment(description="cancelled")
    client.post(f"/payments/pix/{cancelled['id']}/cancel")
    make_payment(description="short", expires_in=10)
    make_payment(description="long")
    assert descriptions(client, "?status=pending") == ["long", "short"]
    clock.advance(seconds=11)
    assert descriptions(client, "?status=pending") == ["long"]
    assert descriptions(client, "?status=expired") == ["short"]
    assert descriptions(client, "?status=confirmed") == ["paid"]
    assert descriptions(client, "?status=cancelled") == ["cancelled"]
    problem(client.get("/payments/pix?status=paid"), 400)


def test_the_order_filter_finds_every_payment_of_the_order(make_payment, client, clock):
    """Expired attempts included."""
    make_payment(description="first", order_id="A", expires_in=10)
    make_payment(description="other", order_id="a")
    clock.advance(seconds=11)
    make_payment(description="second", order_id="A")
    assert descriptions(client, "?order_id=A") == ["second", "first"]


def test_the_time_filters_hold_both_their_edges(make_payment, client, clock):
    """`from` and `to` are inclusive, and their offset counts."""
    start = clock.now()
    make_payment(description="0")
    clock.advance(minutes=1)
    make_payment(description="1")
    clock.advance(minutes=1)
    make_payment(description="2")
    one = rfc3339(clock.now().replace(minute=1))
    assert descriptions(client, f"?from={one}") == ["2", "1"]
    assert descriptions(client, f"?to={one}") == ["1", "0"]
    assert descriptions(client, f"?from={one}&to={one}") == ["1"]
    local = f"{start:%Y-%m-%d}T12:01:00-03:00"
    assert descriptions(client, f"?from={local}&to={local}") == ["1"]


@pytest.mark.parametrize(
    "moment", ["2026-11-20", "2026-11-20T15:00:00", "x", "", "2026-02-30T00:00:00Z", "1763650800"]
)
def test_a_time_without_its_offset_is_refused(client, moment):
    """Local time taken for UTC would be wrong by three hours."""
    for name in ("from", "to"):
        assert fields(problem(client.get(f"/payments/pix?{name}={moment}"), 400)) == [name]


def test_the_search_finds_words_and_whole_ids(make_payment, client, bank):
    """Words of the description, order ids, payment ids and end_to_end_ids."""
    cheese = make_payment(description="Queijo 100% curado", order_id="Q-1")
    make_payment(description="Mel")
    notification = bank.body(cheese)
    bank.tell(notification)
    for text in ("queijo", "CURADO", "100%25", "Q-1", cheese["id"], notification["end_to_end_id"]):
        assert descriptions(client, f"?q={text}") == ["Queijo 100% curado"], text


def test_wildcards_in_the_search_are_plain_characters(make_payment, client):
    """% and _ match only themselves."""
    make_payment(description="abc")
    assert descriptions(client, "?q=%25") == []
    assert descriptions(client, "?q=a_c") == []
    assert descriptions(client, "?q=\\") == []


def test_filters_narrow_each_other(make_payment, client, bank):
    """A payment must match all filters."""
    bank.confirm(make_payment(description="pão", order_id="A"))
    make_payment(description="pão", order_id="B")
    assert len(descriptions(client, "?q=p%C3%A3o&status=confirmed")) == 1
    assert descriptions(client, "?q=p%C3%A3o&status=confirmed&order_id=B") == []


def descriptions_by_page(client, query):
    """The descriptions of each page, until `next` is null."""
    pages: list[list[str]] = []
    after = ""
    while after is not None and len(pages) < 20:
        page = client.get(f"/payments/pix{query}{after}").json
        pages.append([payment["description"] for payment in page["data"]])
        after = page["next"] and f"&after={page['next']}"
    return pages


def test_a_search_looks_at_so_many_and_leads_on_also_from_an_empty_page(
    make_payment, client, monkeypatch
):
    """A word nobody wrote costs the same with a million payments: `next` goes on, data or not."""
    monkeypatch.setattr(payment_list, "SEARCH_WINDOW", 3)
    for text in ("mel", "sal", "mel", "sal", "sal", "sal", "sal"):
        make_payment(description=text)
    assert descriptions_by_page(client, "?q=mel") == [[], ["mel"], ["mel"]]
    assert descriptions_by_page(client, "?q=mel&limit=1") == [[], ["mel"], ["mel"]]
    assert descriptions_by_page(client, "?q=sal&limit=2") == [
        ["sal", "sal"],
        ["sal", "sal"],
        ["sal"],
    ]
    assert descriptions_by_page(client, "?q=nothing") == [[], [], []]


@pytest.mark.parametrize("limit", [1, 2, 3, 20])
def test_a_whole_id_is_found_at_once_and_each_payment_once(
    make_payment, client, clock, monkeypatch, limit
):
    """Orders and ids have an index, so they are found however old they are, and not again later."""
    monkeypatch.setattr(payment_list, "SEARCH_WINDOW", 3)
    for text in ("first A-1", "x", "second", "x", "x", "third A-1", "x", "x", "the word a-1", "x"):
        order = {} if text == "x" or "word" in text else {"order_id": "A-1", "expires_in": 10}
        make_payment(description=text, **order)
        clock.advance(seconds=11)
    pages = descriptions_by_page(client, f"?q=A-1&limit={limit}")
    assert sorted(text for page in pages for text in page) == [
        "first A-1",
        "second",
        "the word a-1",
        "third A-1",
    ]
    assert pages[0][0] == "the word a-1"
    assert len(pages[0]) == min(limit, 4)


def test_an_order_and_a_search_narrow_each_other(make_payment, client):
    """An id of another order is no match within this one."""
    make_payment(description="one", order_id="A")
    other = make_payment(description="two", order_id="B")
    assert descriptions(client, f"?order_id=A&q={other['id']}") == []
    assert descriptions(client, "?order_id=B&q=B") == ["two"]


def test_another_merchant_sees_no_payment_of_the_list(make_payment, client, charlie):
    """Charlie's list is empty with every filter."""
    payment = make_payment(description="Alice", order_id="A")
    for query in ("", "?q=Alice", f"?q={payment['id']}", "?order_id=A", "?status=pending"):
        assert descriptions(charlie, query) == []
    problem(charlie.get(f"/payments/pix?after={payment['id']}"), 400)
    assert descriptions(client) == ["Alice"]
