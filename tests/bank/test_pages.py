"""The bank's pages, as a payer sees them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest

from bank import app as bank_app
from core.pix import br_code
from tests.bank.conftest import hidden_fields
from tests.bank.service_double import PAYEE_KEY

AXE = next((Path(__file__).resolve().parents[1] / "vendor").rglob("axe.min.js"))


def review_fields(bank, code):
    """The hidden fields of the review's form for this code."""
    page = bank.client.get("/pay", query_string={"code": code}).text
    return hidden_fields(page)


def test_home_shows_balance_and_statement(bank, service):
    """The statement lists payments and returns."""
    code, _ = service.charge(bank.clock.now())
    bank.pay(code)
    service.answers = [(409, "paid-too-late")]
    code, _ = service.charge(bank.clock.now(), amount="1234.56")
    bank.pay(code)

    bank.log_in()
    page = bank.client.get("/").text.replace("\xa0", " ")

    assert "R$ 4.768,60" in page
    assert page.count("Pix enviado") == 2
    assert page.count("Pix devolvido") == 1
    assert "\N{MINUS SIGN}R$ 1.234,56" in page


def test_the_statement_has_pages_without_row_numbers(bank, service):
    """The cursor is a transfer's identifier, which nobody can guess."""
    for amount in ("1.00", "2.00", "3.00"):
        code, _ = service.charge(bank.clock.now(), amount=amount)
        bank.pay(code)

    bank.log_in()
    first = bank.client.get("/api/statement?limit=2").get_json()
    rest = bank.client.get(f"/api/statement?limit=2&after={first['next']}").get_json()

    assert [row["amount_centavos"] for row in first["data"]] == [-300, -200]
    assert [row["amount_centavos"] for row in rest["data"]] == [-100, 482_350]
    assert rest["next"] is None
    assert "mais antigas" in bank.client.get("/?limit=2").text


def test_the_review_shows_payee_amount_and_ids_before_any_pin(bank, service):
    """The payer decides by what the receiver's bank has signed."""
    code, txid = service.charge(bank.clock.now())
    bank.log_in()

    page = bank.client.get("/pay", query_string={"code": code}).text

    for text in ("Loja da Alice", "R$\xa054,90", txid, "Pagar R$\xa054,90"):
        assert text in page
    assert not service.notices


def test_paying_on_the_page_redirects_to_the_receipt(bank, service):
    """With 303, so that a reload of the receipt pays nothing again."""
    code, txid = service.charge(bank.clock.now())

    answer = bank.pay_on_page(code)

    assert answer.status_code == 303
    receipt = bank.client.get(answer.location).text
    assert "Pix confirmado" in receipt
    assert txid in receipt
    assert 'http-equiv="refresh"' not in receipt


def test_a_receipt_refreshes_until_the_service_has_answered(bank, service):
    """Without JavaScript the page reloads; with it, only the changed part is replaced."""
    service.answers = [503]
    code, _ = service.charge(bank.clock.now())

    receipt = bank.client.get(bank.pay_on_page(code).location).text

    assert "Não pague de novo" in receipt
    assert '<noscript><meta http-equiv="refresh"' in receipt


def test_a_returned_payment_shows_the_reason(bank, service):
    """As a sentence for the payer, with the code for developers of the shop."""
    service.answers = [(409, "paid-too-late")]
    code, _ = service.charge(bank.clock.now())

    receipt = bank.client.get(bank.pay_on_page(code).location).text

    assert "Pix devolvido" in receipt
    assert "depois do prazo" in receipt
    assert "paid-too-late (409)" in receipt


def test_a_wrong_pin_keeps_the_payer_on_the_review(bank, service):
    """The page shows how many attempts are left, and the form works again at once."""
    code, _ = service.charge(bank.clock.now())

    refusal = bank.pay_on_page(code, pin="9999")

    assert refusal.status_code == 403
    assert "Você ainda tem 4 tentativas" in refusal.text
    second_try = bank.client.post("/pay", data={**hidden_fields(refusal.text), "pin": "1234"})
    assert second_try.status_code == 303


@pytest.mark.parametrize("token", [None, "", "x", "é"])
def test_a_form_of_another_site_pays_nothing(bank, service, token):
    """The form needs the session's CSRF token, which another site cannot know."""
    code, _ = service.charge(bank.clock.now())
    bank.log_in()
    form = review_fields(bank, code)
    form.pop("token")
    if token is not None:
        form["token"] = token

    answer = bank.client.post("/pay", data={**form, "pin": "1234"})

    assert answer.status_code == 400
    assert bank.balance() == 482_350
    assert bank.client.post("/logout", data={"token": "x"}).status_code == 400
    assert bank.client.get("/").status_code == 200


def test_the_session_decides_who_pays(bank, service):
    """Another client pays from its own account."""
    bank.log_in("caio")
    code, _ = service.charge(bank.clock.now())

    bank.pay_on_page(code)

    assert (bank.balance("bia"), bank.balance("caio")) == (482_350, 125_000 - 5490)


def test_a_code_that_cannot_be_paid_gets_an_error_page(bank, service):
    """It has the same look, the right status and a link back."""
    code, _ = service.charge(bank.clock.now(), seconds=0)
    bank.log_in()

    answer = bank.client.get("/pay", query_string={"code": code})

    assert answer.status_code == 409
    assert "O prazo desta cobrança acabou" in answer.text
    assert "Nada foi pago" in answer.text


def test_pages_forbid_foreign_and_inline_content(bank, service):
    """A strict policy, no caching, and no inline script or style that the policy would block."""
    code, _ = service.charge(bank.clock.now())
    login = bank.client.get("/login")
    bank.log_in()
    for path in ("/", f"/pay?code={quote(code)}", "/scan", "/nowhere"):
        answer = bank.client.get(path)
        assert answer.headers["Permissions-Policy"] == login.headers["Permissions-Policy"]
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script>|https?://(?!www\.w3)", answer.text)


def test_names_from_outside_are_escaped(bank, service):
    """A name must not become HTML."""
    code, _ = service.charge(bank.clock.now(), recebedor={"nome": "<script>alert(1)</script>"})
    bank.log_in()

    page = bank.client.get("/pay", query_string={"code": code}).text

    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_bank_pays_in_a_browser_mounted_under_a_prefix(bank, service, bank_url, new_context):
    """All steps at /bank on a phone: link, PIN, receipt that refreshes, home."""
    service.answers = [503, 200]
    code, _ = service.charge(bank.clock.now())
    page = new_context(viewport={"width": 390, "height": 844}).new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))

    page.goto(f"{bank_url}/pay?code={quote(code)}")
    page.click("text=Entrar como Bia Andrade")
    page.fill("#pin", "1234")
    page.click("button:has-text('Pagar')")
    page.wait_for_url("**/bank/transfers/E*")
    assert page.inner_text("h1") == "Pix enviado"
    bank.clock.advance(2)
    bank.branch.outbox.send_due()
    page.wait_for_selector("h1:has-text('Pix confirmado')", timeout=5000)
    assert page.title().startswith("Pix confirmado")
    page.click("text=Voltar ao início")
    assert "4.768,60" in page.inner_text(".balance")
    assert not faults


def test_bank_pays_in_a_browser_without_javascript(bank, service, bank_url, new_context):
    """Forms and a reload are enough."""
    service.answers = [503, 200]
    code, _ = service.charge(bank.clock.now())
    page = new_context(java_script_enabled=False).new_page()

    page.goto(f"{bank_url}/")
    page.fill("#login", "9990 0123 4567 0018")
    page.fill("#login-pin", "1234")
    page.click("button:text-is('Entrar')")
    page.fill("#code", code)
    page.click("text=Continuar")
    page.fill("#pin", "1234")
    page.click("button:has-text('Pagar')")
    bank.clock.advance(2)
    bank.branch.outbox.send_due()

    page.wait_for_selector("h1:has-text('Pix confirmado')", timeout=8000)
    assert page.locator("dl.facts").is_visible()


@pytest.mark.parametrize(
    ("scheme", "language"), [("light", "pt-BR"), ("dark", "pt-BR"), ("light", "en")]
)
def test_every_page_is_accessible_and_fits_320_px(
    bank, service, bank_url, new_context, scheme, language
):
    """axe finds no fault, and no page scrolls sideways."""
    confirmed_url = bank.pay_on_page(service.charge(bank.clock.now())[0]).location
    service.answers = [503]
    sent_url = bank.pay_on_page(service.charge(bank.clock.now(), amount="1000.00")[0]).location
    service.answers = [(409, "already-paid")]
    returned_url = bank.pay_on_page(service.charge(bank.clock.now())[0]).location
    code, _ = service.charge(bank.clock.now())
    page = new_context(
        viewport={"width": 320, "height": 640},
        color_scheme=scheme,
        locale=language,
        bypass_csp=True,
    ).new_page()
    page.goto(f"{bank_url}/login")
    pages_of_strangers = ("/login", "/login?next=/pay?code=x")
    for path in pages_of_strangers:
        check_page(page, bank_url, path)
    enter = "Entrar como Bia Andrade" if language == "pt-BR" else "Sign in as Bia Andrade"
    page.click(f"text={enter}")

    review = f"/pay?scenario=double&code={quote(code)}"
    free = br_code.encode_static(PAYEE_KEY, "Barraca do Bob", "Olinda")
    static = f"/pay?code={quote(free)}"
    paths = (
        "/",
        "/scan",
        "/chaos",
        "/doctor",
        review,
        static,
        f"{static}&value=12",
        confirmed_url,
        sent_url,
        returned_url,
        "/nowhere",
    )
    for path in paths:
        check_page(page, bank_url, path)
        assert page.get_attribute("html", "lang") == language, path


def check_page(page, bank_url, path):
    """Open a page of the bank, run axe on it and compare its width with the screen's."""
    page.goto(bank_url + path)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.evaluate(AXE.read_text())
    violations = page.evaluate("axe.run().then((run) => run.violations.map((one) => one.id))")
    assert violations == [], path
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, path


def test_every_field_looks_like_a_field_and_has_letters_of_16_pixels(bank):
    """The doctor's field for a secret had no style; iOS zooms into smaller letters."""
    pages = [bank.client.get("/login").text]
    bank.log_in()
    pages += [bank.client.get(path).text for path in ("/", "/doctor", "/chaos")]
    inputs = [tag for page in pages for tag in re.findall(r"<input[^>]*>", page)]
    visible = [tag for tag in inputs if 'type="hidden"' not in tag and 'type="file"' not in tag]
    styled = re.compile(r'class="(?:text|pin|value)"|inputmode="numeric"')
    assert len(visible) >= 4
    assert [tag for tag in visible if not styled.search(tag)] == []
    css = (Path(bank_app.__file__).parent / "static/css/bank.css").read_text("utf-8")
    rules = re.findall(r"([^{}]*)\{([^{}]*)\}", css)
    fields = [body for head, body in rules if re.search(r"\b(?:textarea|select|input)\b", head)]
    sizes = [float(size) for body in fields for size in re.findall(r"font-size: ([\d.]+)rem", body)]
    assert min(sizes, default=1.0) >= 1


def test_a_message_to_the_payee_is_in_the_notice(bank, service):
    """It stays in the field after a wrong PIN, and its repetition is the same payment."""
    code, _ = service.charge(bank.clock.now())
    bank.log_in()
    review = bank.client.get("/pay", query_string={"code": code})
    form = {**hidden_fields(review.text), "message": "Mesa 4 \x07 <b>"}
    refused = bank.client.post("/pay", data={**form, "pin": "9999"})
    assert re.search(r'id="message"[^>]* value="Mesa 4[^"]*&lt;b&gt;"', refused.text)
    assert bank.client.post("/pay", data={**form, "pin": "1234"}).status_code == 303
    assert bank.client.post("/pay", data={**form, "pin": "1234"}).status_code == 303
    [notice] = service.notices
    assert notice.members["payer_message"] == "Mesa 4 <b>"
