"""The administrators' pages in Chromium: accessible, live, and usable without JavaScript."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visits import (
    DESKTOP,
    NARROW,
    PHONE,
    Visit,
    expect_no_lost_script,
    in_both_schemes,
    scrolls_sideways,
)
from tests.browser.visits import visitor as new_visitor
from tests.support.browser import axe_violations
from tests.support.service import ROOT, ServiceProcess

PASSWORD = "the password of the administrator"
DEMO_PASSWORD = "the password of the demo shop"
JSON = {"Content-Type": "application/json", "Accept": "application/json"}
BOB = {"name": "Bob de Souza", "document": "12345678909"}
SIGNALS_WITHIN_SECONDS = 40


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The service with an administrator, refused money and signals."""
    folder = tmp_path_factory.mktemp("admin")
    with ServiceProcess(
        folder, DEMO_PASSWORD=DEMO_PASSWORD, SIGNAL_CREATIONS=4, SIGN_IN_TRIES_MAX=50
    ) as running:
        command = [sys.executable, "-m", "flask", "--app", "app", "accounts", "create"]
        subprocess.run(
            [*command, "root", "--role", "admin", "--password-stdin"],
            input=f"{PASSWORD}\n".encode(),
            cwd=ROOT,
            env=running.environment,
            check=True,
            capture_output=True,
        )
        for login in ("alice", "charlie"):
            body = {"username": login, "password": PASSWORD, "name": f"Loja <b>{login}</b>"}
            answer = running.request("POST", "/users/", json.dumps(body).encode(), JSON)
            assert answer[0] == 201
        for number in range(4):
            payment = running.create(value="62.00", description=f"Caneca {number}")
        for _ in range(3):
            assert running.tell(payment, value=1, payer=BOB)[0] == 400
        yield running


@pytest.fixture(scope="module")
def cookies(service: ServiceProcess) -> Callable[[str, str], list[dict[str, str]]]:
    """Sign in: cookies(login, password) → the cookies."""
    import urllib.request

    def enter(login: str, password: str) -> list[dict[str, str]]:
        body = json.dumps({"username": login, "password": password}).encode()
        request = urllib.request.Request(service.url + "/api/login", data=body, headers=JSON)
        with urllib.request.urlopen(request, timeout=10) as answer:
            set_cookies = answer.headers.get_all("Set-Cookie")
        pairs = [cookie.split(";")[0].partition("=") for cookie in set_cookies]
        return [{"name": n, "value": v, "url": service.url} for n, _, v in pairs if v]

    return enter


@pytest.fixture
def visit(new_context: Any, service: ServiceProcess, cookies: Any) -> Callable[..., Visit]:
    """Open a signed-in browser: visit("root", viewport=…) → Visit."""

    def begin(login: str = "root", password: str = PASSWORD, **look: Any) -> Visit:
        visit = new_visitor(new_context, service, **look)
        visit.page.context.add_cookies(cookies(login, password))
        return visit

    return begin


@pytest.fixture
def signals(service: ServiceProcess, cookies: Any) -> None:
    """Wait until the counting job has written its signals."""
    header = "; ".join(
        f"{cookie['name']}={cookie['value']}" for cookie in cookies("root", PASSWORD)
    )
    deadline = time.monotonic() + SIGNALS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        _, page, _ = service.request("GET", "/admin", headers={"Cookie": header})
        if b"valor errado" in page and "cobranças criadas".encode() in page:
            return
        time.sleep(0.5)
    raise AssertionError("no signal was written")


def account_of(visitor: Visit, login: str) -> Page:
    """Go to an account's page by the list."""
    page = visitor.open("/admin/accounts")
    page.get_by_label("O usuário começa com").fill(login)
    page.get_by_role("button", name="Filtrar").click()
    page.locator(".person").first.click()
    expect(page.locator("h1")).to_have_text(login)
    return page


def test_an_unreachable_service_is_announced_and_the_figures_stay(visit, service):
    """The figures are old, and the page says so."""
    visitor = visit(**PHONE)
    page = visitor.open("/admin")
    banner = page.locator("#connection")
    expect(banner).to_be_hidden()
    page.route("**/admin?fragment=overview*", lambda route: route.abort())
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(banner).to_contain_text("O serviço não respondeu")
    expect(page.locator(".verdict")).to_be_visible()
    page.unroute("**/admin?fragment=overview*")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(banner).to_be_hidden()


def test_an_overview_whose_session_ended_says_so(visit, service, new_context, cookies):
    """The page stops polling without a session."""
    visitor = visit(**PHONE)
    page = visitor.open("/admin")
    page.context.clear_cookies()
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator("#connection")).to_contain_text("Sua sessão terminou")


@pytest.mark.parametrize("scripts", [True, False])
def test_an_account_is_disabled_in_two_steps_and_enabled_again(visit, service, scripts):
    """With and without JavaScript, one click never disables an account."""
    visitor = visit(**PHONE, java_script_enabled=scripts)
    page = account_of(visitor, "charlie")
    button = page.get_by_role("button", name="Sim, desativar charlie")
    expect(button).to_be_hidden()
    page.locator("summary", has_text="Desativar esta conta").click()
    button.click()
    expect(page.get_by_role("status").first).to_contain_text("Conta desativada")
    body = json.dumps({"username": "charlie", "password": PASSWORD}).encode()
    assert service.request("POST", "/api/login", body, JSON)[0] == 401
    page.locator("summary", has_text="Ativar de novo").click()
    page.get_by_role("button", name="Sim, ativar charlie").click()
    expect(page.get_by_role("status").first).to_contain_text("Conta em uso de novo")
    assert service.request("POST", "/api/login", body, JSON)[0] == 200


def test_the_pages_work_by_keyboard(new_context, service):
    """From the sign-in page by the overview and the list to an account."""
    visitor = new_visitor(new_context, service, **DESKTOP)
    page = visitor.open("/login")
    page.locator("input[name=username], input[name=login]").first.fill("root")
    page.locator("input[type=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(service.url + "/admin")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.get_by_role("link", name="Contas").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Contas")
    page.locator(".person").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/accounts/*")


def test_times_are_those_of_the_viewers_zone(visit):
    """Days of the audit log are in the administrator's zone."""
    visitor = visit(**DESKTOP, timezone_id="Asia/Tokyo")
    page = visitor.open("/admin/audit")
    expect(page.locator(".portal")).to_have_attribute("data-zone", "Asia/Tokyo")
    expect(page.locator(".deed time").first).to_contain_text("(UTC+09:00)")


# These need the signals, which are counted every 15 s: they come last.


@pytest.mark.parametrize(
    "windows", [(PHONE, NARROW), (DESKTOP,)], ids=["phone-and-320px", "desktop"]
)
def test_every_page_is_accessible_quiet_and_fits(visit, signals, windows):
    """With figures, lists and open folds: no axe violations, no sideways scrolling."""
    visitor = visit(**windows[0])
    account_of(visitor, "alice")
    account_path = visitor.page.url.removeprefix(visitor.service.url)
    for path in (
        "/admin",
        "/admin?lang=en",
        "/admin/accounts",
        "/admin/accounts?q=nobody-of-the-kind",
        account_path,
        "/admin/audit",
        "/admin/audit?action=account.created&login=alice",
        "/admin/audit?login=nobody-of-the-kind",
    ):
        page = visitor.open(path)
        expect(page.locator("h1")).to_be_visible()
        # Not by clicks: each one would change which folds the locator still finds.
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        for window, scheme in zip((windows[0], windows[-1]), in_both_schemes(page), strict=True):
            page.set_viewport_size(window["viewport"])
            assert axe_violations(page) == [], (path, scheme)
            assert scrolls_sideways(page) == [], path
    assert visitor.foreign_requests == []
    assert visitor.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_merchants_signals_are_accessible_and_fit(visit, signals, scheme):
    """The list, the badge, and the notice on a payment's page."""
    visitor = visit("demo", DEMO_PASSWORD, **(NARROW if scheme == "dark" else DESKTOP))
    page = visitor.open("/portal/signals")
    expect(page.locator(".nav__badge").first).to_be_visible()
    assert axe_violations(page) == []
    assert scrolls_sideways(page) == []
    page.get_by_role("link", name="Ver a cobrança").first.click()
    expect(page.locator(".notice--warn")).to_contain_text("valor errado")
    assert axe_violations(page) == []
    assert scrolls_sideways(page) == []
    assert visitor.complaints == []


def test_the_overview_updates_itself_in_place(visit, signals, service):
    """New events appear; scroll position and focus stay, and the page does not reload."""
    visitor = visit(**DESKTOP)
    visitor.page.clock.install()
    page = visitor.open("/admin")
    lines = page.locator("section[aria-labelledby='refused-title'] .line")
    before = lines.count()
    assert before >= 3
    page.set_viewport_size({"width": 1280, "height": 400})
    focused_link = page.locator(".line__note a").nth(2)
    focused_link.focus()
    page.evaluate("window.scrollTo({ top: 260, behavior: 'instant' })")
    page.evaluate("() => { window.isSamePage = true; }")
    scroll_y = page.evaluate("window.scrollY")
    assert scroll_y > 100
    payment = service.create(value="9.99")
    assert service.tell(payment, value=1)[0] == 400
    page.clock.run_for(10_500)
    expect(lines).to_have_count(min(before + 1, 20))
    assert page.evaluate("window.scrollY") == scroll_y
    assert page.evaluate("window.isSamePage") is True
    assert page.evaluate("document.activeElement.closest('.line__note') !== null") is True
    assert visitor.complaints == []


@pytest.mark.parametrize(
    ("script", "is_said"), [("forms.js", False), ("zone.js", False), ("admin.js", True)]
)
def test_only_a_lost_main_script_is_said(visit, script, is_said):
    """Without the main script, the figures of the service stand still."""
    visitor = visit(**DESKTOP)
    visitor.page.route(f"**/{script}*", lambda route: route.abort())
    page = visitor.open("/admin")
    if is_said:
        expect(page.locator("#lost-script")).to_be_visible()
    else:
        expect_no_lost_script(page)
