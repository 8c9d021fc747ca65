"""The sign-in and sign-up pages, and Swagger UI's Authorize, in a browser without internet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect
from pydantic import ValidationError

from accounts.schemas import NewUser
from tests.accounts.people import PASSWORD
from tests.accounts.test_login_spelling import SPELLINGS
from tests.browser.visits import DESKTOP, NARROW, PHONE
from tests.support.browser import NewContext, axe_violations
from tests.support.service import ServiceProcess

LOOKS = {"phone": PHONE, "narrow": NARROW, "desktop": DESKTOP}
# The browser itself writes the status of a refused form to the console.
EXPECTED_COMPLAINT = "Failed to load resource"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The service in development, with Alice's account."""
    folder = tmp_path_factory.mktemp("pages")
    with ServiceProcess(folder, SIGN_UPS_PER_ADDRESS_MAX=1000, SIGN_IN_TRIES_MAX=1000) as running:
        body = json.dumps({"username": "alice", "password": PASSWORD}).encode()
        head = {"Content-Type": "application/json"}
        assert running.request("POST", "/users/", body, head)[0] == 201
        yield running


@pytest.fixture
def open_page(new_context: NewContext, service: ServiceProcess) -> Iterator[Any]:
    """Open a path: open_page("/login", **look) → page; fails on other hosts or script errors."""
    urls: list[str] = []
    complaints: list[str] = []

    def begin(path: str, **look: Any) -> Page:
        page: Page = new_context(**look).new_page()
        page.set_default_timeout(10_000)
        page.on("request", lambda request: urls.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda line: complaints.append(line.text) if line.type == "error" else None,
        )
        page.goto(service.url + path)
        return page

    yield begin
    own = urlsplit(service.url).netloc
    outside = [url for url in urls if urlsplit(url).netloc not in (own, "")]
    assert urls
    assert outside == []
    assert [text for text in complaints if EXPECTED_COMPLAINT not in text] == []


def enter(page: Page, password: str = PASSWORD) -> None:
    """Fill the sign-in form and send it."""
    page.get_by_label("Usuário").fill("alice")
    page.get_by_label("Senha", exact=True).fill(password)
    page.locator("main button[type=submit]").last.click()


def fits(page: Page) -> bool:
    """Whether the page does not scroll sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("look", LOOKS)
def test_the_pages_are_accessible_in_every_state(open_page, look, scheme):
    """When they open, and after each mistake."""
    page = open_page("/login", **LOOKS[look], color_scheme=scheme)
    states = ["sign in"]
    assert axe_violations(page) == []
    assert fits(page)
    enter(page, "not the password")
    expect(page.get_by_role("alert")).to_have_text("Usuário ou senha não conferem.")
    assert axe_violations(page) == []
    page.get_by_role("link", name="Criar conta").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Criar conta")
    assert axe_violations(page) == []
    assert fits(page)
    page.get_by_label("Usuário").fill("alice")
    page.get_by_label("Senha", exact=True).fill("12345678")
    page.get_by_role("button", name="Criar conta").click()
    field = page.get_by_label("Usuário")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description("Este usuário já existe. Escolha outro.")
    assert axe_violations(page) == []
    assert fits(page)
    states.append("sign up")
    assert states == ["sign in", "sign up"]


def test_signing_in_and_out_by_keyboard_alone(open_page, service):
    """Sign in with Tab and Enter, then sign out."""
    page = open_page("/login?next=/users/me/", **DESKTOP)
    page.get_by_label("Usuário").focus()
    page.keyboard.type("alice")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(service.url + "/users/me/")
    assert json.loads(page.locator("body").inner_text())["username"] == "alice"
    cookies = {cookie["name"]: cookie for cookie in page.context.cookies()}
    assert cookies["access_token"]["httpOnly"] is True
    assert cookies["csrf_access_token"]["httpOnly"] is False
    page.goto(service.url + "/login")
    expect(page.get_by_text("Você já entrou como alice.")).to_be_visible()
    assert axe_violations(page) == []
    page.get_by_role("button", name="Sair").click()
    page.wait_for_url(service.url + "/login")
    expect(page.get_by_text("Você já entrou")).to_have_count(0)
    assert "access_token" not in {cookie["name"] for cookie in page.context.cookies()}


def test_a_new_visitor_signs_up_without_javascript(open_page, service):
    """The whole form, in English."""
    page = open_page("/signup?next=/users/me/&lang=en", **PHONE, java_script_enabled=False)
    page.get_by_label("Username").fill("bob")
    page.get_by_label("Pay with a card").check()
    page.get_by_label("Password", exact=True).fill("a password of his")
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url(service.url + "/users/me/")
    assert json.loads(page.locator("body").inner_text())["role"] == "payer"


GOOD_LOGINS = [
    *SPELLINGS,
    "a",
    "7",
    "ana.souza-2@loja+x_y",
    "a" * 64,
    "alice\u00a0",
    "\u200b alice\t",
]
WRONG_LOGINS = [
    "",
    " ",
    "ali ce",
    "-alice",
    "_alice",
    "@alice",
    "joão",
    "ali,ce",
    "ali/ce",
    "ali\\ce",
]
GOOD_EMAILS = [
    *("ana@exemplo.com.br", "Ana@Exemplo.com", " ana@exemplo.com ", "a.b+c%d_e-f@x-y.example"),
    *(
        "ana@exemplo.com\u00a0",
        "\u200bana@exemplo.com",
        "ana@\u200eexemplo.com",
        "\uff41na@exemplo.com",
    ),
]
WRONG_EMAILS = ["ana", "ana@", "@exemplo.com", "ana@exemplo", "ana@bia@exemplo.com"]


@pytest.mark.parametrize(
    ("name", "good", "wrong"),
    [("username", GOOD_LOGINS, WRONG_LOGINS), ("email", GOOD_EMAILS, WRONG_EMAILS)],
)
def test_browser_and_server_agree_on_spellings(open_page, name, good, wrong):
    """The keyboard of a phone adds a space after a word; messengers add what nobody sees."""
    page = open_page("/signup")
    field = page.locator(f"#{name}")

    def browser_sends(text: str) -> bool:
        field.evaluate("(field, text) => { field.required = true; field.value = text; }", text)
        return bool(field.evaluate("field => field.checkValidity()"))

    def server_reads(text: str) -> bool:
        try:
            NewUser.model_validate({"username": "alice", "password": PASSWORD, name: text})
        except ValidationError:
            return False
        return True

    for accepts in (browser_sends, server_reads):
        assert [text for text in good if not accepts(text)] == []
        assert [text for text in wrong if accepts(text)] == []


def test_a_sign_up_with_a_space_after_the_login_arrives(open_page, service):
    """The account has the login without the space, and the sign-in forgives the space too."""
    page = open_page("/signup?next=/users/me/", **PHONE)
    page.get_by_label("Usuário").fill("Dora ")
    page.get_by_label("Senha", exact=True).fill("a password of hers")
    page.get_by_role("button", name="Criar conta").click()
    page.wait_for_url(service.url + "/users/me/")
    assert json.loads(page.locator("body").inner_text())["username"] == "dora"

    page = open_page("/login?next=/users/me/", **PHONE)
    page.get_by_label("Usuário").fill(" Dora ")
    page.get_by_label("Senha", exact=True).fill("a password of hers")
    page.locator("main button[type=submit]").last.click()
    page.wait_for_url(service.url + "/users/me/")


def test_the_password_can_be_shown_before_it_is_sent(open_page):
    """Long passwords are easily mistyped."""
    page = open_page("/login", **PHONE)
    field = page.locator("#password")
    page.get_by_label("Usuário").fill("alice")
    field.fill(PASSWORD)
    button = page.get_by_role("button", name="Mostrar a senha")
    expect(button).to_have_attribute("aria-pressed", "false")
    button.click()
    expect(field).to_have_attribute("type", "text")
    expect(button).to_have_attribute("aria-pressed", "true")
    assert axe_violations(page) == []
    button.click()
    expect(field).to_have_attribute("type", "password")


def test_a_browser_keeps_what_was_typed_when_the_sign_in_is_newer_than_the_page(open_page, service):
    """Chromium itself says where the form comes from: our pages send no referrer."""
    page = open_page("/login?next=/portal/payments/new", **DESKTOP)
    enter(page)
    page.wait_for_url("**/portal/payments/new")
    page.locator("[name=value]").fill("9,99")
    page.locator("[name=description]").fill("Café <b>")
    newer = {"login": "alice", "password": PASSWORD}
    assert page.context.request.post(f"{service.url}/api/login", data=newer).status == 200
    with page.expect_response(lambda answer: answer.request.method == "POST") as waited:
        page.locator("form:has([name=value]) [type=submit]").first.click()
    assert waited.value.status == 403
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Você entrou de novo em outra aba")
    expect(page.get_by_label("Valor")).to_have_value("9,99")
    expect(page.get_by_label("Descrição")).to_have_value("Café <b>")


def test_swagger_uis_authorize_takes_login_and_password(open_page, service):
    """A developer's first steps: Authorize, Try it out, the own account."""
    page = open_page("/docs/swagger", **DESKTOP)
    page.get_by_role("button", name="Load Swagger UI").click()
    page.get_by_role("button", name="Authorize").first.click()
    form = page.locator(".auth-container", has_text="OAuth2, password")
    form.locator("#oauth_username").fill("alice")
    form.locator("#oauth_password").fill(PASSWORD)
    form.get_by_role("button", name="Apply given OAuth2 credentials").click()
    expect(form.get_by_role("button", name="Remove authorization")).to_be_visible()
    page.get_by_role("button", name="Close").last.click()
    route = page.locator(".opblock", has_text="Who am I").first
    route.locator(".opblock-summary").click()
    route.get_by_role("button", name="Try it out").click()
    with page.expect_response("**/users/me/") as waited:
        route.get_by_role("button", name="Execute").click()
    answer = waited.value
    assert answer.request.headers["authorization"].startswith("Bearer ey")
    assert (answer.status, answer.json()["username"]) == (200, "alice")
    expect(route.locator(".live-responses-table")).to_contain_text('"username": "alice"')
