"""The portal's pages over HTTP: access, filters, paging, figures and statement counts."""

from __future__ import annotations

import html
import re
from datetime import date
from urllib.parse import parse_qs, urlsplit

import pytest

from blueprints.portal.filters import month_days
from core.clock import rfc3339
from repository.database import in_unit_of_work
from tests.portal.signing import search, sign_in
from tests.support.service import end_to_end_id

PAGES = [
    "/portal",
    "/portal/payments",
    "/portal/payments/new",
    "/portal/poster",
    "/portal/signals",
    "/portal/developers",
    "/portal/developers/clients/new",
    "/portal/developers/webhooks/new",
    "/portal/settings",
]
HOME_MAX, LIST_MAX, ROWS_MAX, ONE_MAX, SETTINGS_MAX = 7, 4, 2, 8, 5
"""Statements per page, including those for the sign-in and the badge of signals."""


def rows_of(page: str) -> list[str]:
    """The ids of the rows on a page, in order."""
    return re.findall(r'class="row-item" data-payment-id="([0-9a-f]{32})"', page)


def link(page: str, rel: str) -> str | None:
    """The pager's address for `rel`, if any."""
    match = re.search(rf'rel="{rel}" href="([^"]+)"', page)
    return html.unescape(match[1]) if match else None


@pytest.mark.parametrize("path", [*PAGES, "/portal/payments.csv", "/portal/poster/qr.svg"])
def test_without_a_sign_in_a_page_redirects_to_the_login(client, people, path):
    """Also in development, where only programs act as the demo merchant without credentials."""
    answer = client.get(path, headers={"Accept": "text/html"})

    assert answer.status_code == 303
    assert parse_qs(urlsplit(answer.location).query)["next"] == [path]


@pytest.mark.parametrize("path", PAGES)
def test_a_payer_is_refused(app, people, path):
    """The portal is for merchants."""
    assert sign_in(app, "bob").get(path).status_code == 403


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_drawn_in_both_languages(alice, charge, path):
    """Browsers must not store the pages, because they show money."""
    charge(description="Queijo")
    for language, word in (("pt-BR", "Ajustes"), ("en", "Settings")):
        answer = alice.get(f"{path}?lang={language}")
        assert answer.status_code == 200
        assert word in answer.text
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_merchants_payments_are_absent_from_anothers_portal(alice, charlie, charge):
    """Charlie has the id, and cannot even learn that the payment exists."""
    payment = charge(order_id="secret-order", description="Queijo da Alice")
    own = charge(by=charlie, value="10.00")
    for path in (
        f"/portal/payments/{payment['id']}",
        f"/portal/payments/{payment['id']}?fragment=state",
    ):
        assert charlie.get(path).status_code == 404
    for path in (
        "/portal",
        "/portal/payments",
        "/portal/payments?order=secret-order",
        f"/portal/payments?q={payment['id']}",
        "/portal/payments?q=Queijo",
        f"/portal/payments/rows?ids={payment['id']},{own['id']}",
        "/portal/payments.csv",
    ):
        page = charlie.get(path)
        assert page.status_code == 200
        assert payment["id"] not in page.text.replace(f'value="{payment["id"]}"', "").replace(
            f"“{payment['id']}”", ""
        ).replace(f"q={payment['id']}", "")
        assert "Queijo da Alice" not in page.text
    for verb in ("cancel", "renew", "refund"):
        answer = charlie.post(f"/portal/payments/{payment['id']}/{verb}")
        assert answer.status_code == 404
    assert "Aguardando" in alice.get(f"/portal/payments/{payment['id']}").text


@pytest.mark.parametrize("cursor", ["after=nonsense", "before=" + "0" * 32, "after=a&before=b"])
def test_an_invalid_cursor_is_a_400(alice, charge, cursor):
    """A truncated URL must not be a 500, nor show another page."""
    charge()
    assert alice.get(f"/portal/payments?{cursor}").status_code == 400


def test_another_merchants_payment_is_not_a_cursor(alice, charlie, charge):
    """Otherwise the list would reveal that the payment exists."""
    foreign = charge(by=charlie, value="10.00")
    assert alice.get(f"/portal/payments?after={foreign['id']}").status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "state=paid",
        "from=20-11-2026",
        "to=2026-02-30",
        "from=0001-01-01",
        "q=" + "x" * 141,
        "q=%00",
    ],
)
def test_an_invalid_filter_is_a_400(alice, query):
    """Our forms never send such filters."""
    assert alice.get(f"/portal/payments?{query}").status_code == 400


def test_filters_stay_in_links_and_fields(alice, charge, clock):
    """A list is shared by its URL, so every link and field has the filters."""
    for number in range(30):
        charge(order_id=f"order-{number}", description=f"Queijo {number}")
    query = "state=pending&from=2026-11-20&to=2026-11-21&q=Queijo"
    page = alice.get(f"/portal/payments?{query}").text

    assert '<option value="pending" selected>' in page
    assert 'name="from" type="date" value="2026-11-20"' in page
    assert 'value="Queijo"' in page
    older = link(page, "next")
    assert older is not None
    query_fields = parse_qs(urlsplit(older).query)
    assert {name: query_fields[name] for name in ("state", "from", "to", "q")} == {
        "state": ["pending"],
        "from": ["2026-11-20"],
        "to": ["2026-11-21"],
        "q": ["Queijo"],
    }
    export = html.unescape(search(page, r'href="(/portal/payments\.csv[^"]*)"'))
    assert {"state", "from", "to", "q"} <= set(parse_qs(urlsplit(export).query))


def test_paging_both_ways_shows_each_payment_once(alice, charge, clock):
    """60 payments, some of the same instant: down to the oldest, and up again."""
    created_ids = []
    for number in range(60):
        created_ids.append(charge(value="1.00")["id"])
        if number % 3:
            clock.advance(seconds=1)
    newest_first = created_ids[::-1]
    path: str | None = "/portal/payments"
    pages, down = [], []
    while path:
        page = alice.get(path).text
        pages.append(path)
        down.append(rows_of(page))
        path = link(page, "next")
    assert [len(rows) for rows in down] == [25, 25, 10]
    assert [row for rows in down for row in rows] == newest_first

    middle = alice.get(link(alice.get(pages[-1]).text, "prev"))
    assert rows_of(middle.text) == down[1]
    first = alice.get(link(middle.text, "prev"), follow_redirects=True)
    assert rows_of(first.text) == down[0]


def test_a_payment_is_listed_as_expired_before_the_sweep(alice, charge, clock):
    """The filter and the row use the deadline, on both sides of the instant."""
    payment = charge(expires_in=60)
    clock.advance(seconds=60)
    assert rows_of(alice.get("/portal/payments?state=pending").text) == [payment["id"]]
    assert rows_of(alice.get("/portal/payments?state=expired").text) == []
    clock.advance(seconds=1)
    assert rows_of(alice.get("/portal/payments?state=pending").text) == []
    page = alice.get("/portal/payments?state=expired").text
    assert rows_of(page) == [payment["id"]]
    assert 'data-mark="expired"' in page


def test_text_finds_descriptions_orders_ids_and_receipts(alice, charge, bank):
    """Any text that a customer reads out on the telephone finds the payment."""
    paid = charge(description="Café da serra", order_id="FV-77")
    charge(description="Queijo", order_id="FV-78")
    assert bank.confirm(paid, end_to_end_id="E123456782026112015000000001").status_code == 200
    for text in ("café DA", "FV-77", paid["id"], "E123456782026112015000000001"):
        ids = rows_of(alice.get("/portal/payments", query_string={"q": text}).text)
        assert ids == [paid["id"]], text
    for text in ("100%", "_", "FV-7", "Cafe\\"):
        assert rows_of(alice.get("/portal/payments", query_string={"q": text}).text) == []


def list_ids(browser, **query):
    """The ids of the list with these fields."""
    return rows_of(browser.get("/portal/payments", query_string=query).text)


def test_text_finds_amounts_and_payers(alice, charlie, charge, bank, clock):
    """*Did Bia's 77,31 arrive?* is what a shop asks; another shop's payer stays unknown."""
    bia, other = charge(value="77.31"), charge(value="54.90")
    bank.confirm(bia, payer={"name": "Bia Andrade", "document": "52998224725"})
    bank.confirm(other)
    for text in ("77,31", "77.31", "R$ 77,31", "bia", "Andrade"):
        assert list_ids(alice, q=text) == [bia["id"]], text
    for text in ("77", "7731", "77,32", "bia%", "%"):
        assert list_ids(alice, q=text) == [], text
    assert list_ids(charlie, q="bia") == list_ids(charlie, q="77,31") == []
    export = alice.get("/portal/payments.csv?q=bia&by=receipt").text
    assert bia["id"] in export
    assert other["id"] not in export


def test_an_id_is_found_however_it_was_pasted(alice, charlie, charge, bank):
    """Messengers break ids in two, phones write capitals, and people paste the whole address."""
    payment = charge(order_id="Pedido 7")
    key, money = payment["id"], end_to_end_id()
    bank.confirm(payment, end_to_end_id=money)
    for text in (
        key.upper(),
        f"\u200b{key[:16]} {key[16:]}\ufeff",
        f"https://pix.example/payments/pix/{key}?lang=en",
        payment["watch_code"],
        f"https://pix.example/watch/{payment['watch_code'].upper()}",
        f" {money[:9]} {money[9:]}\u200b",
        "Pedido\u00a07",
    ):
        assert list_ids(alice, q=text) == [key], text
        assert list_ids(charlie, q=text) == [], text
    for text in (key[:-1], f"{key}0", "pedido8"):
        assert list_ids(alice, q=text) == [], text


def test_payers_are_searched_in_the_newest_payments_first(alice, charge, bank, monkeypatch, clock):
    """A name has no index: the page says that older payments were not looked at, and goes on."""
    monkeypatch.setattr("repository.payment_list.SEARCH_WINDOW", 2)
    bia = charge(value="77.31")
    bank.confirm(bia, payer={"name": "Bia Andrade", "document": "52998224725"})
    for _ in range(3):
        clock.advance(seconds=1)
        charge()
    first = alice.get("/portal/payments?q=bia").text
    assert rows_of(first) == []
    assert "cobranças olhadas" in first
    assert "Procurar nas mais antigas" in first
    assert rows_of(alice.get(link(first, "next")).text) == [bia["id"]]


def test_refunded_and_refused_payments_have_a_filter(alice, charge, bank, give_back, clock):
    """They are labels of the list, so a merchant expects them in its filter."""
    whole, back, refused = charge(value="5.00"), charge(value="8.00"), charge(value="9.00")
    bank.confirm(whole)
    bank.confirm(back)
    give_back(back, "3,00")
    assert bank.confirm(refused, value=1).status_code == 400

    assert list_ids(alice, state="refunded") == [back["id"]]
    assert list_ids(alice, state="refused") == [refused["id"]]
    assert list_ids(alice, state="refunded", q="Bob") == [back["id"]]
    clock.advance(seconds=3600)  # overdue, and no sweep has written it
    assert list_ids(alice, state="refused") == [refused["id"]]
    page = alice.get("/portal/payments?state=refused").text
    assert '<option value="refused" selected>Valor recusado</option>' in page
    assert '<option value="refunded">Devolvido</option>' in page


def test_a_filtered_list_has_its_totals(alice, charge, bank, give_back):
    """Sum and count of all that is filtered, not of the page; received and refunded apart."""
    for value in ("10.00", "20.00"):
        bank.confirm(charge(value=value, description="Queijo"))
    part = charge(value="30.00", description="Queijo")
    bank.confirm(part)
    give_back(part, "5,00")
    charge(value="40.00", description="Queijo")
    charge(value="99.00", description="Pão", order_id="FV-1")

    totals = search(alice.get("/portal/payments?q=queijo").text, r'class="totals">([\s\S]*?)</p>')
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", totals)).strip()
    assert words == "4 cobranças R$ 100,00 recebido: R$ 60,00 devolvido: R$ 5,00"
    paid = alice.get("/portal/payments?state=confirmed").text
    assert "3 cobranças" in paid
    assert "1 cobrança<" in alice.get("/portal/payments?q=FV-1").text
    assert 'class="totals"' not in alice.get("/portal/payments").text
    assert 'class="totals"' not in alice.get("/portal/payments?q=nothing").text


def test_totals_of_a_long_list_say_what_they_are_of(alice, charge, monkeypatch):
    """The sum is bounded, as the search is."""
    for module in ("repository.payment_list", "blueprints.portal.list_routes"):
        monkeypatch.setattr(f"{module}.SEARCH_WINDOW", 2)
    for _ in range(3):
        charge(value="10.00")
    page = alice.get("/portal/payments?state=pending").text
    assert "Nas 2 mais novas:" in page
    assert "2 cobranças" in page


@pytest.mark.parametrize(
    ("months_back", "days"),
    [(0, ("2026-01-01", "2026-01-31")), (1, ("2025-12-01", "2025-12-31"))],
)
def test_a_month_has_its_first_and_last_day(months_back, days):
    """Also over the turn of the year."""
    assert month_days(date(2026, 1, 31), months_back) == tuple(map(date.fromisoformat, days))


def test_this_month_and_the_last_are_one_tap(alice, charge, clock):
    """The other filters stay."""
    first = charge(order_id="A")
    page = alice.get("/portal/payments?state=pending").text
    this_month = html.unescape(search(page, r'href="([^"]*)">Este mês'))
    assert parse_qs(urlsplit(this_month).query) == {
        "state": ["pending"], "from": ["2026-11-01"], "to": ["2026-11-30"]
    }  # fmt: skip
    assert rows_of(alice.get(this_month).text) == [first["id"]]
    assert 'aria-current="true">Este mês' in alice.get(this_month).text
    last_month = html.unescape(search(page, r'href="([^"]*)">Mês passado'))
    assert rows_of(alice.get(last_month).text) == []


def test_days_are_those_of_the_viewers_zone(alice, charge, clock):
    """Noon of 20 November in São Paulo is the 21st in Auckland."""
    payment = charge()  # 15:00 UTC: 12:00 in São Paulo, 04:00 of the 21st in Auckland
    day = "/portal/payments?from=2026-11-20&to=2026-11-20"
    next_day = "/portal/payments?from=2026-11-21&to=2026-11-21"
    assert rows_of(alice.get(day).text) == [payment["id"]]
    assert rows_of(alice.get(next_day).text) == []
    alice.client.set_cookie("balcao_zone", "Pacific/Auckland", path="/portal")
    assert rows_of(alice.get(day).text) == []
    page = alice.get(next_day).text
    assert rows_of(page) == [payment["id"]]
    assert "04:00" in page


def test_shoppers_pages_keep_brazils_time(alice, charge, bank):
    """The zone cookie is for portal and admin pages; a receipt is the same for everyone."""
    payment = charge()  # made at 15:00 UTC
    bank.confirm(payment)
    alice.client.set_cookie("balcao_zone", "Pacific/Auckland", path="/portal")
    receipt = alice.get(f"/payments/pix/{payment['id']}/receipt").text
    assert "às 12:00<noscript> (horário de Brasília)" in receipt
    assert "UTC+13:00" not in receipt


@pytest.mark.parametrize("zone", ["Nowhere/City", "../../etc/passwd", "", "x" * 3000])
def test_an_invalid_zone_means_sao_paulo(alice, charge, zone):
    """Anybody can put anything into a cookie."""
    charge()
    alice.client.set_cookie("balcao_zone", zone, path="/portal")
    page = alice.get("/portal/payments")
    assert page.status_code == 200
    assert 'data-zone="America/Sao_Paulo"' in page.text


def test_the_figures_are_of_the_viewers_day(alice, charge, bank, clock):
    """A day ends at the viewer's midnight."""
    bank.confirm(charge(value="10.00"))
    clock.advance(hours=12)  # 00:00 of the 21st in São Paulo
    quick = charge(value="100.00")
    clock.advance(seconds=10)
    bank.confirm(quick)
    clock.advance(seconds=20)
    slow = charge(value="200.00")
    charge(value="999.00")
    clock.advance(seconds=90)
    bank.confirm(slow)
    page = alice.get("/portal").text

    assert re.search(r"data-takings>R\$\xa0300,00<", page)
    assert "Ontem: R$\xa010,00" in page
    assert re.search(r"data-count>2<", page)
    assert "2 de 3 cobranças de hoje" in page
    assert "67%" in page
    assert "50 s" in page  # the median of 10 and 90
    days = search(page, r'data-days="([^"]+)"')
    assert "2026-11-20&quot;,1000,1],[&quot;2026-11-21&quot;,30000,2]" in days


def test_takings_are_cached_for_past_days_only(alice, charge, bank, clock, count_statements):
    """After the first visit, only today's takings are queried."""
    bank.confirm(charge(value="10.00"))
    clock.advance(days=1)
    alice.get("/portal")
    with count_statements() as statements:
        first = alice.get("/portal").text
    assert sum("UNION ALL" in text and "sum(" in text.lower() for text in statements) == 0
    assert "Ontem: R$\xa010,00" in first
    bank.confirm(charge(value="20.00"))
    assert re.search(r"data-takings>R\$\xa020,00<", alice.get("/portal").text)


def test_the_statements_of_a_page_do_not_grow_with_its_rows(alice, charge, bank, count_statements):
    """Counted with one payment and with thirty."""
    payment = charge(order_id="one")
    for _ in range(2):
        for path, maximum in (
            ("/portal", HOME_MAX),
            ("/portal/payments", LIST_MAX),
            (f"/portal/payments/rows?ids={payment['id']}", ROWS_MAX),
            (f"/portal/payments/{payment['id']}", ONE_MAX),
            ("/portal/settings", SETTINGS_MAX),
        ):
            with count_statements() as statements:
                assert alice.get(path).status_code == 200
            assert 1 < len(statements) <= maximum, (path, statements)
        for _ in range(30):
            bank.confirm(charge())


def steps_of(page: str) -> dict[str, bool]:
    """The links of the first steps, each with whether its step is done."""
    steps = re.findall(r'(?s)<li class="step( step--done)?">.*?href="([^"]+)"', page)
    return {href: bool(mark) for mark, href in steps}


def test_the_first_steps_end_when_money_came(alice, charge, bank):
    """An unpaid test ends nothing; logo and colour may stay open."""
    new = "/portal/payments/new"
    keys = [f"/portal/settings#{name}" for name in ("pix-key", "logo", "brand_color")]
    page = alice.get("/portal").text
    assert steps_of(page) == dict.fromkeys([*keys, new], False) | {keys[0]: True}
    assert "curl http" in page
    answer = alice.post("/portal/payments/test")
    assert answer.status_code == 303
    assert "Pagamento de teste" in alice.get(answer.location).text
    steps = steps_of(alice.get("/portal").text)
    assert [steps[key] for key in [*keys, new]] == [True, False, False, True]
    assert answer.location.split("?")[0] in steps
    bank.confirm(charge())
    assert steps_of(alice.get("/portal").text) == {}


def test_the_first_steps_tick_what_the_shop_has(app, alice, charlie):
    """Charlie's own steps do not change with Alice's."""
    with app.app_context():
        in_unit_of_work(
            lambda work: work.accounts.change(
                work.accounts.by_login("alice").id,
                {"pix_key": None, "logo_url": "/logos/x.png", "brand_color": "#aa3300"},
            )
        )
    steps = steps_of(alice.get("/portal").text)
    assert list(steps.values())[:3] == [False, True, True]
    assert list(steps_of(charlie.get("/portal").text).values())[:3] == [True, False, False]


def test_money_of_long_ago_ends_the_first_steps(app, alice, charge, bank, clock, count_statements):
    """The figures know thirty days; an EXISTS in one of their statements finds older money."""
    bank.confirm(charge())
    clock.advance(days=60)
    browser = sign_in(app, "alice")
    with count_statements() as statements:
        page = browser.get("/portal").text
    assert steps_of(page) == {}
    assert len(statements) <= HOME_MAX


def test_money_without_a_payment_ends_the_first_steps(alice, bank, clock):
    """A shop that only has the poster on its counter creates no payment."""
    assert steps_of(alice.get("/portal").text) != {}
    body = {
        "pix_key": "alice@feira.example",
        "value": "5.00",
        "end_to_end_id": end_to_end_id(),
        "paid_at": rfc3339(clock.now()),
    }
    assert bank.tell(body).status_code == 200
    assert steps_of(alice.get("/portal").text) == {}


def test_an_english_viewer_reads_times_and_money_in_english(alice, charge):
    """Every link of the page keeps the URL's language."""
    payment = charge(value="1234.56")
    page = alice.get("/portal/payments?lang=en").text
    assert "R$1,234.56" in page
    assert f'href="/portal/payments/{payment["id"]}?lang=en"' in page
