"""Pages that are filled into patterns have the bytes of pages that Jinja renders as a whole."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from itertools import product

import pytest
from flask import render_template, render_template_string, request

from blueprints.checkout import page_answers
from core.bounded_cache import BoundedCache
from repository.accounts import RecentAccounts
from repository.database import in_unit_of_work, ledger
from tests.support.looks import HOSTILE, LOOKS
from web import page_patterns
from web.page_patterns import Fact, PageView, render_page

QUERIES = ("", "?lang=en", "?lang=pt", "?fragment=state&lang=en", "?checked=no_answer")
PARTS = ("waiting", "confirmed", "expired", "refused", "cancelled")


@pytest.fixture
def paths(make_payment, client, clock, bank):
    """The pages of payments in many states, and the receipts of those that were paid."""
    shop = {"return_url": "https://shop.example/?%s&a=<", "cancel_url": "https://shop.example/no"}
    expired, late, late_too = (make_payment(expires_in=60, **more) for more in ({}, shop, {}))
    clock.advance(seconds=61)
    bank.confirm(late)
    bank.confirm(late_too)
    waiting = [
        make_payment(),
        make_payment(order_id=HOSTILE, description=HOSTILE),
        make_payment(description="€ — ﬁ ‮ 🎉" * 8, **shop),
        make_payment(value="9876543.21", expires_in=50),
        *(make_payment(expires_in=seconds) for seconds in (290, 4000, 86_400, 200_000)),
    ]
    paid = [make_payment(), make_payment(order_id=f"{HOSTILE}2", **shop)]
    paid.append(make_payment(value="1000000"))
    for payment in paid:
        bank.confirm(payment)
    cancelled = [make_payment(), make_payment(order_id="%s", **shop)]
    for payment in cancelled:
        client.post(f"/payments/pix/{payment['id']}/cancel")
    pages = [
        f"/payments/pix/{one['id']}" for one in (*waiting, *cancelled, expired, late, late_too)
    ]
    for payment in paid:
        pages += [f"/payments/pix/{payment['id']}{part}" for part in ("", "/receipt")]
    return pages


def rendered_plainly(template, **values):
    """The plain form: Jinja renders the whole page."""
    return render_template(template, script_root=request.script_root, **values)


def change_the_shop(look, work):
    """Give the merchant of the payments another look."""
    work.accounts.change(work.accounts.by_login("demo").id, look)


def test_a_page_in_a_pattern_is_the_page_that_jinja_renders(app, client, paths, monkeypatch):
    """For every merchant; each pattern is filled with values of several payments."""
    client.set_cookie("balcao_zone", "Asia/Tokyo")

    def read(query):
        return [
            client.get(f"{path}{query}", headers={"Accept": "text/html"}).text for path in paths
        ]

    texts = ""
    for look in LOOKS:
        with app.app_context():
            in_unit_of_work(partial(change_the_shop, look))
            ledger().recent = RecentAccounts()
        for query in QUERIES:
            quick = [read(query), read(query)]
            with monkeypatch.context() as patch:
                patch.setattr("blueprints.checkout.page_routes.render_page", rendered_plainly)
                patch.setattr(page_answers, "_PATH", re.compile("(?!)"))
                plain = read(query)
            assert quick == [plain, plain]
            assert "mark-" not in "".join(plain).replace("qr-mark", "").replace("fold__mark", "")
            texts += "".join(plain)
    assert all(f'data-page="{part}"' in texts for part in PARTS)
    patterns = app.extensions["balcao_page_patterns"]
    assert 0 < len(patterns) < len(LOOKS) * len(QUERIES) * len(paths)


def test_a_pattern_follows_the_address_of_the_service(client, make_payment):
    """A proxy may serve it below a path."""
    path = f"/payments/pix/{make_payment()['id']}"
    for root in ("", "/a", "/b"):
        answer = client.get(
            path, headers={"Accept": "text/html"}, environ_overrides={"SCRIPT_NAME": root}
        )
        assert f'href="{root}/static/css/base.css' in answer.text
        assert f'data-status-url="{root}{path}/status"' in answer.text


@dataclass(frozen=True)
class Sight(PageView):
    """A view for the tests."""

    text: str
    kind: Fact
    number: int

    @property
    def late(self):
        """A text that is computed when a page writes it."""
        return f"<{self.number}>"


@pytest.fixture
def page(app, monkeypatch):
    """A function that renders this source with a view, in a request."""

    def render(source, *args):
        monkeypatch.setattr(
            page_patterns,
            "render_template",
            lambda _name, **values: render_template_string(source, **values),
        )
        with app.test_request_context():
            return render_page(source, sight=Sight(*args))

    return render


def test_values_are_escaped_and_facts_choose_the_text(page):
    """A percent sign of the template is a percent sign of the page."""
    source = (
        "{{ sight.late }} 100% %s {{ sight.text }}"
        "{% if sight.kind == 'a' %} A{% endif %}"
        "{% if sight.number %} n{{ sight.number }}{% endif %}"
    )
    assert page(source, "x%s", Fact("a"), 1) == "&lt;1&gt; 100% %s x%s A n1"
    assert page(source, "<i>", Fact("a"), 2) == "&lt;2&gt; 100% %s &lt;i&gt; A n2"
    assert page(source, "<i>", Fact("b"), 0) == "&lt;0&gt; 100% %s &lt;i&gt;"
    assert page(source, "", Fact("b"), 3) == "&lt;3&gt; 100% %s  n3"


def test_a_page_without_values_and_one_with_a_single_one(page):
    """The format has no arguments, or one."""
    assert page("fixed 5%", "a", Fact("k"), 1) == "fixed 5%"
    assert page("{{ sight.text }}{{ sight.text }}", "a", Fact("k"), 1) == "aa"
    assert page("{{ sight.text }}!", "a", Fact("k"), 1) == "a!"


@pytest.mark.parametrize(
    "expression",
    [
        "sight.text == 'a'",
        "'a' != sight.text",
        "sight.text|length",
        "sight.text|upper",
        "sight.text ~ ''|trim|upper",
        "sight.text.upper()",
        "sight.text|string",
        "sight.number + 1",
        "sight.number > 1",
        "'%s'|format(sight.number)|upper",
        "'yes' if sight.late",
        "{'a': 1}[sight.text]",
        "'a' in sight.text",
        "request.path",
        "session.user",
        "g.language",
    ],
)
def test_a_template_that_examines_a_value_fails_at_once(page, expression):
    """Otherwise the pages of other payments would have the answer for this one."""
    with pytest.raises((TypeError, RuntimeError)):
        page(f"{{{{ {expression} }}}}", "a", Fact("k"), 2)


def test_patterns_are_bounded_and_the_least_used_one_is_dropped(app, page):
    """Facts come from merchants and clients, and the usual pages must keep their patterns."""
    patterns: BoundedCache[page_patterns.Pattern] = BoundedCache(3)
    app.extensions["balcao_page_patterns"] = patterns
    source = "{{ sight.kind }}{{ sight.number }}"
    page(source, "", Fact("usual"), 1)
    usual = next(iter(patterns))
    for name, number in product("abcd", (0, 1)):
        assert page(source, "", Fact(name), number) == f"{name}{number}"
        assert page(source, "", Fact("usual"), 2) == "usual2"
        assert usual in patterns
        assert len(patterns) <= 3
