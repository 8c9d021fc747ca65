"""The bank in Portuguese and in English: chosen and remembered as in the service."""

from __future__ import annotations

import ast
import html
import io
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from babel.messages.pofile import read_po
from flask import template_rendered
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse

from bank import page_text
from bank.app import create_bank_app
from core.languages import COOKIE
from core.pix import br_code
from tests.bank.automatic import active_mandate, schedule, send_request, signed_post
from tests.bank.conftest import hidden_fields, settings_for
from tests.bank.service_double import PAYEE_KEY

BANK = Path(page_text.__file__).parent
PORTUGUESE = {"Accept-Language": "pt-BR,pt;q=0.9,en;q=0.8"}
ENGLISH = {"Accept-Language": "en-US,en;q=0.9"}
# Names of people, places and products, which both languages write in the same way.
NAMES = {"Pix", "Garoa", "Banco", "Loja", "da", "Alice", "Olinda", "Barraca", "do", "Bob"}
BURST_CUSTOMER, ROBOT_CUSTOMER = "Rajada de Teste", "Pagador de Teste"
# Not the letters between the digits of an identifier, which may spell anything.
WORD = re.compile(r"(?<!\w)[^\W\d_]{2,}(?!\w)")
PLACEHOLDER = re.compile(r"%\(\w+\)s")
# Commands and their output are for developers, and Portuguese only.
COMMANDS = re.compile(r"(?:\w+_)?cli|terminal|audit|burst|burst_report")


def language(client, path="/login", **headers):
    """The language of a page, as its header and its root element say."""
    answer = client.get(path, headers={**PORTUGUESE, **headers})
    assert answer.status_code == 200
    (name,) = re.findall(r'<html lang="([\w-]+)">', answer.text)
    assert answer.headers["Content-Language"] == name
    return name


@pytest.mark.parametrize(
    ("accepted", "name"),
    [
        ("pt-BR", "pt-BR"),
        ("pt-PT", "pt-BR"),
        ("pt", "pt-BR"),
        ("en", "en"),
        ("en-AU;q=0.9,fr", "en"),
        ("en;q=0.5,pt;q=0.9", "pt-BR"),
        ("fr", "pt-BR"),
        ("", "pt-BR"),
    ],
)
def test_the_browser_chooses_the_language(bank, accepted, name):
    """Portuguese unless the browser prefers English."""
    assert language(bank.client, **{"Accept-Language": accepted}) == name


def test_the_setting_decides_for_browsers_that_prefer_neither(service, fresh_database):
    """BANK_LANGUAGE is the default, and no more."""
    settings = settings_for(fresh_database("sqlite"), service)
    object.__setattr__(settings, "language", "en")
    client = create_bank_app(settings).test_client()

    french = client.get("/nowhere", headers={"Accept-Language": "fr"})
    assert french.headers["Content-Language"] == "en"
    assert client.get("/nowhere", headers=PORTUGUESE).headers["Content-Language"] == "pt-BR"


def test_the_chosen_language_stays_on_pages_that_do_not_name_it(bank):
    """The links of the bank carry no `?lang=`: the cookie does it."""
    client = bank.client
    assert language(client) == "pt-BR"
    assert language(client, "/login?lang=en") == "en"
    assert language(client) == "en"
    assert language(client, "/login?lang=pt_br") == "pt-BR"
    assert language(client, **ENGLISH) == "pt-BR"


@pytest.mark.parametrize("value", ["fr", "EN", "", "en; x", "x" * 4000])
def test_a_cookie_that_names_no_language_of_ours_counts_for_nothing(bank, value):
    """Anybody can put anything into a cookie."""
    bank.client.set_cookie(COOKIE, value)
    assert language(bank.client) == "pt-BR"


@pytest.mark.parametrize("root", ["", "/bank"])
def test_the_cookie_is_the_services_own_and_valid_on_the_whole_host(bank, root):
    """Who chose English on the payment page reads the bank in English, and the other way round."""
    answer = bank.client.get(
        "/login?lang=en", headers=PORTUGUESE, environ_overrides={"SCRIPT_NAME": root}
    )
    (cookie,) = (
        header for header in answer.headers.getlist("Set-Cookie") if header.startswith(COOKIE)
    )
    assert cookie.startswith("balcao_language=en;")
    for part in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=31536000"):
        assert part in cookie.split("; ")
    assert {"Accept-Language", "Cookie"} <= set(answer.headers["Vary"].split(", "))


def test_the_cookie_is_set_only_by_a_choice_on_a_page(bank):
    """Programs and first visits need none, and a repeated choice sends none again."""
    client = bank.client
    assert COOKIE not in str(client.get("/login", headers=PORTUGUESE).headers)
    assert COOKIE not in str(client.get("/login?lang=fr", headers=PORTUGUESE).headers)
    assert COOKIE not in str(client.get("/api/statement?lang=en", headers=PORTUGUESE).headers)
    assert COOKIE in str(client.get("/login?lang=en", headers=PORTUGUESE).headers)
    assert COOKIE not in str(client.get("/login?lang=en", headers=PORTUGUESE).headers)


def test_a_link_with_a_language_keeps_it_through_the_login(bank, service):
    """The payment page may be on another host, whose cookie the bank does not get."""
    code, _ = service.charge(bank.clock.now())
    query = {"code": code, "lang": "en"}
    to_login = bank.client.get("/pay", query_string=query, headers=PORTUGUESE)
    assert to_login.status_code == 303
    login = bank.client.get(to_login.location, headers=PORTUGUESE)
    assert "Sign in to Banco Garoa" in login.text
    # The address to return to has no language, since the payer may choose another one here.
    form = hidden_fields(login.text)
    assert "lang" not in form["next"]
    to_review = bank.client.post("/login", data={**form, "login": "bia", "pin": "1234"})
    assert "Review and pay" in bank.client.get(to_review.location, headers=PORTUGUESE).text


def switch_on(page):
    """The address of the language switch, as in the browser."""
    (address,) = re.findall(r'<a class="language" href="([^"]*)" lang="', page)
    return html.unescape(address)


def test_the_switch_keeps_the_page_and_its_query(bank, service):
    """A code that had to be pasted again would annoy, and a scenario would get lost."""
    code, txid = service.charge(bank.clock.now())
    bank.log_in()
    page = bank.client.get(
        "/pay", query_string={"code": code, "scenario": "double", "lang": "pt"}, headers=PORTUGUESE
    )
    address = switch_on(page.text)
    assert parse_qs(urlsplit(address).query) == {
        "code": [code],
        "scenario": ["double"],
        "lang": ["en"],
    }
    english = bank.client.get(f"/pay{address}", headers=PORTUGUESE).text
    assert txid in english
    assert "Test scenario:" in english
    assert "lang=pt-BR" in switch_on(english)


def test_after_a_refused_form_the_switch_leads_to_the_forms_page(bank, service):
    """The address of a form that was sent has no page; the PIN is in no address."""
    code, txid = service.charge(bank.clock.now())
    refusal = bank.pay_on_page(code, pin="9999", scenario="double")
    address = switch_on(refusal.text)
    # A code may contain any digits by chance, so whole values are compared.
    assert ["9999"] not in parse_qs(urlsplit(address).query).values()
    english = bank.client.get(address).text
    assert txid in english
    assert "Test scenario:" in english
    for path, form, target in (
        ("/chaos", {"mix": "x"}, "/chaos?lang="),
        ("/login", {"next": "/scan"}, "/login?next=/scan&lang="),
        ("/scan", {}, "/scan?lang="),
        ("/doctor", {}, "/?lang="),
        ("/logout", {}, "/?lang="),
        ("/doctor", {"body": "x" * 20_000}, "/?lang="),
    ):
        page = bank.client.post(path, data=form)
        assert switch_on(page.text).startswith(target) or path == "/doctor", path
        assert bank.client.get(switch_on(page.text)).status_code in (200, 303), path


def test_money_numbers_and_times_follow_the_language(bank, service):
    """As on the service's pages."""
    code, _ = service.charge(bank.clock.now(), amount="1234.56")
    receipt = bank.pay_on_page(code).location

    portuguese = bank.client.get(receipt, headers=PORTUGUESE).text
    english = bank.client.get(receipt, headers=ENGLISH).text

    assert "R$\xa01.234,56" in portuguese
    assert re.search(r"\d\d/\d\d/\d{4} às \d\d:\d\d:\d\d, horário de Brasília", portuguese)
    assert "R$1,234.56" in english
    assert re.search(r"\d\d? [A-Z][a-z]{2} \d{4} at \d\d:\d\d:\d\d, Brasília time", english)
    home = bank.client.get("/", headers=ENGLISH).text
    assert "R$3,588.94" in home
    assert "\N{MINUS SIGN}R$1,234.56" in home
    assert re.search(r"\d\d? [A-Z][a-z]{2}, \d\d:\d\d", home)


def test_an_amount_may_be_typed_as_either_language_writes_it(bank):
    """The placeholder shows how, and the other way works too."""
    free = br_code.encode_static(PAYEE_KEY, "Barraca do Bob", "Olinda")
    bank.log_in()
    for entry, headers, sample, amount in (
        ("12.50", ENGLISH, "0.00", "R$12.50"),
        ("12,50", ENGLISH, "0.00", "R$12.50"),
        ("12.50", PORTUGUESE, "0,00", "R$\xa012,50"),
    ):
        question = bank.client.get("/pay", query_string={"code": free}, headers=headers).text
        assert f'placeholder="{sample}"' in question
        query = {"code": free, "value": entry}
        assert amount in bank.client.get("/pay", query_string=query, headers=headers).text


def test_the_api_answers_in_portuguese_unless_english_is_accepted(bank):
    """Codes and fields are for programs and stay; the sentence is for people."""
    body = {"code": "00020126", "pin": "1234"}
    plain = bank.client.post("/api/pay", json=body).get_json()
    english = bank.client.post("/api/pay", json=body, headers=ENGLISH).get_json()
    assert (plain["code"], plain["title"]) == ("code-unreadable", "Não conseguimos ler este código")
    assert (english["code"], english["title"]) == ("code-unreadable", "We couldn’t read this code")
    assert {**english, "request_id": "", "title": "", "detail": "", "message": ""} == {
        **plain,
        "request_id": "",
        "title": "",
        "detail": "",
        "message": "",
    }


def test_a_page_says_in_its_language_that_an_address_is_wrong(bank):
    """The fault of the field is in English, and comes behind the sentence."""
    bank.log_in()
    for headers, sentence in (
        (PORTUGUESE, "Confira o endereço e o que foi enviado. (limit must be 1 to 100.)"),
        (ENGLISH, "Check the address and what you sent. (limit must be 1 to 100.)"),
    ):
        assert sentence in bank.client.get("/?limit=999", headers=headers).text
    answer = bank.client.get("/api/statement?limit=999", headers=ENGLISH).get_json()
    assert answer["detail"] == "limit must be 1 to 100."


def test_a_receipt_says_that_the_shop_did_not_answer(bank, service):
    """The reason is a note of the network, which is English."""
    code, _ = service.charge(bank.clock.now())
    receipt = bank.pay_on_page(code, scenario="lost-once").location
    for headers, sentence in (
        (PORTUGUESE, "Última resposta: nenhuma"),
        (ENGLISH, "Last answer: none"),
    ):
        assert f"{sentence} (the notice was" in bank.client.get(receipt, headers=headers).text


def test_a_fault_of_a_code_is_said_with_the_services_own_translation(bank):
    """The sentences of core/ are in one catalogue for both applications."""
    code = br_code.encode_static(PAYEE_KEY, "Barraca do Bob", "Olinda")
    bank.log_in()
    changed = code.replace("Olinda", "olinda")
    page = bank.client.get("/pay", query_string={"code": changed}, headers=ENGLISH)
    assert page.status_code == 422
    assert "The code is complete" in page.text


def test_jobs_speak_portuguese():
    """A job has no request whose language it could take."""
    assert page_text.brl(123_456) == "R$\xa01.234,56"


# --- nothing is left in Portuguese ----------------------------------------------------------------


def visible_text(page: str) -> str:
    """The texts of a page and of its attributes that people see or hear."""
    body = re.sub(r'<[^>]*\blang="pt-BR"[^>]*hreflang.*?</a>', " ", page)
    attributes = re.findall(
        r'(?:placeholder|title|alt|aria-label|content|data-(?!camera|token|receipt)[\w-]+)="([^"]*)"',
        body,
    )
    return html.unescape(" ".join([re.sub(r"<[^>]+>", " ", body), *attributes]))


def portuguese_words() -> set[str]:
    """The words of the catalogue's Portuguese sentences that no English sentence has."""
    words: dict[str, set[str]] = {"id": set(), "string": set()}
    for folder in (BANK, BANK.parent):
        with (folder / "translations/en/LC_MESSAGES/messages.po").open("rb") as file:
            catalogue = read_po(file, locale="en")
        for message in catalogue:
            for side, found_words in words.items():
                forms = getattr(message, side)
                for form in (forms,) if isinstance(forms, str) else forms:
                    found_words |= {
                        word.lower() for word in WORD.findall(PLACEHOLDER.sub("", form))
                    }
    return words["id"] - words["string"] - {name.lower() for name in NAMES}


PORTUGUESE_WORDS = portuguese_words()


def test_the_search_for_portuguese_words_finds_them():
    """A search that finds nothing would pass always."""
    assert {"não", "senha", "cobrança", "código", "devolvido", "nada"} <= PORTUGUESE_WORDS
    assert not {"code", "payment", "error", "pin"} & PORTUGUESE_WORDS


def every_page(bank, service) -> Iterator[tuple[str, Callable[[], TestResponse]]]:
    """Each page and its main states, as a name and a request in English."""
    client, now = bank.client, bank.clock.now

    def get(path, **query):
        return lambda: client.get(path, query_string=query, headers=ENGLISH)

    def post(path, form):
        return lambda: client.post(path, data=form, headers=ENGLISH)

    token = {"token": hidden_fields(client.get("/login").text)["token"]}
    yield "login", get("/login")
    yield "login to pay", get("/login", next="/pay?code=x")
    yield "wrong login", post("/login", {**token, "login": "bia", "pin": "9999"})
    yield "login with a short PIN", post("/login", {**token, "login": "bia", "pin": "1"})
    yield "old form", post("/login", {"login": "bia", "pin": "1234"})
    yield "logout with an old form", post("/logout", {})
    yield "no such page", get("/nowhere")
    yield "wrong method", post("/nowhere", {})
    yield "wrong method", post("/transfers/x", {})
    yield "chaos", get("/chaos")
    for mix in ("x", "double,double", "double=0", "double=x", "x" * 501):
        yield f"mix {mix[:20]}", post("/chaos", {**token, "mix": mix})
    yield "seed", post("/chaos", {**token, "preset": "normal", "seed": "x"})
    yield "doctor", get("/doctor")
    yield "doctor, nothing", post("/doctor", token)
    yield "doctor, all wrong", post("/doctor", {**token, "headers": DOCTOR_HEADERS, "body": "{}"})
    yield "doctor, too large", post("/doctor", {**token, "body": "x" * 12_500})
    yield "too large", post("/doctor", {**token, "body": "x" * 20_000})
    bank.log_in()
    token = {"token": hidden_fields(client.get("/scan").text)["token"]}
    yield "empty home", get("/")
    yield "scan", get("/scan")
    for data in (b"x", b"%PDF-1.7", b""):
        file = FileStorage(io.BytesIO(data), "x.png")
        yield f"scan {data!r}", post("/scan", {**token, "picture": file})
    code, _ = service.charge(now())
    yield "review", get("/pay", code=code)
    for scenario in ("pay-less", "late", "lost", "paid-after-deadline"):
        yield f"review, {scenario}", get("/pay", code=code, scenario=scenario)
    for pin in ("9999", "1"):
        form = hidden_fields(client.get("/pay", query_string={"code": code}).text)
        yield f"review, PIN {pin}", post("/pay", {**form, "pin": pin})
    yield "review, other amount", post("/pay", {**form, "pin": "1234", "agreed": "1"})
    free = br_code.encode_static(PAYEE_KEY, "Barraca do Bob", "Olinda")
    yield "free amount", get("/pay", code=free)
    yield "free amount, refused", get("/pay", code=free, value="x")
    yield "static", get("/pay", code=free, value="12")
    for broken in ("x", "00020126", code[:-1], code[:-4] + "0000", free.replace("BRL", "")):
        yield f"broken {broken[:10]}", get("/pay", code=broken)
    for status in ("CONCLUIDA", "REMOVIDA_PELO_PSP", "EM_PROCESSAMENTO"):
        yield status, get("/pay", code=service.charge(now(), status=status)[0])
    yield "expired", get("/pay", code=service.charge(now(), seconds=0)[0])
    for answers in ([200], [503], [(409, "paid-too-late")], [(409, "x-y")]):
        service.answers = list(answers)
        receipt = bank.pay_on_page(service.charge(now())[0]).location
        yield f"receipt {answers}", get(receipt)
    service.answers = [200]
    yield from every_mandate_page(bank, service, get)
    yield "receipt, static", get(bank.pay_on_page(f"{free}").headers.get("Location", "/"))
    yield "home", get("/")
    yield "older", get("/", limit="2", after=receipt.rpartition("/")[2])
    yield "no such transfer", get("/transfers/x")


def every_mandate_page(bank, service, get) -> Iterator[tuple[str, Callable[[], TestResponse]]]:
    """The pages of Pix Automático and their states; Bia is logged in."""
    client, now = bank.client, bank.clock.now
    yield "no mandates", get("/mandates")
    link = {"contrato": "1", "devedor": {"cnpj": "12345678000195", "nome": "Bar"}}
    offers: dict[str, dict[str, Any]] = {
        "fixed amount": {},
        "variable amount": {"valor": {"valorMinimoRecebedor": "8.00"}, "vinculo": link},
        "accepted by another": {"atualizacao": [{"status": "APROVADA"}]},
        "ended": {"atualizacao": [{"status": "CANCELADA"}]},
        "malformed": {"vinculo": None},
    }
    for name, changes in offers.items():
        code, _ = service.recurrence(now(), **changes)
        yield name, get("/mandates/authorise", code=code)
    for answer in (200, 503, (409, "recurrence-taken"), (409, "recurrence-ended")):
        for deed in ("authorise", "refuse"):
            service.answers = [answer]
            code, id_rec = service.recurrence(now())
            page = client.get("/mandates/authorise", query_string={"code": code})
            client.post(f"/mandates/{deed}", data={**hidden_fields(page.text), "pin": "1234"})
            yield f"{deed} {answer}", get(f"/mandates/{id_rec}")
    service.answers = [200]
    code, id_rec = service.recurrence(now())
    form = hidden_fields(client.get("/mandates/authorise", query_string={"code": code}).text)
    client.post("/mandates/authorise", data={**form, "pin": "1234"})
    yield "cancel", get(f"/mandates/{id_rec}/cancel")
    client.post(f"/mandates/{id_rec}/cancel", data=form)
    yield "cancelled", get(f"/mandates/{id_rec}")
    yield "mandates", get("/mandates")
    yield "no such mandate", get("/mandates/x")
    yield from every_page_of_charges(bank, get)


def every_page_of_charges(bank, get) -> Iterator[tuple[str, Callable[[], TestResponse]]]:
    """Requests of companies, and charges in each status; Bia is logged in."""
    order = send_request(bank)
    request_page = f"/requests/{order['id']}"
    yield "home with a request", get("/")
    yield "open requests", get("/mandates")
    yield "request", get(request_page)
    yield (
        "old form of a request",
        lambda: bank.client.post(f"{request_page}/refuse", headers=ENGLISH),
    )
    signed_post(bank, "/api/mandate-requests/cancel", {"id": order["id"]})
    yield "cancelled request", get(request_page)
    yield "no such request", get("/requests/x")
    id_rec = active_mandate(bank, valor=None)
    orders = [schedule(bank, id_rec, days=days, info="Olinda") for days in (0, 3, 3)]
    orders.append(schedule(bank, id_rec, value=5000.00, kind="NTAG"))
    for paid in (orders[2], orders[3]):
        bank.branch.collections.pay_now(paid["end_to_end_id"])
    for one in orders:
        page = f"/collections/{one['end_to_end_id']}"
        yield "charge", get(page)
        yield "old form of a charge", partial(bank.client.post, f"{page}/cancel", headers=ENGLISH)
    form = hidden_fields(bank.client.get("/").text)
    bank.client.post(f"/collections/{orders[1]['end_to_end_id']}/cancel", data=form)
    yield "cancelled charge", get(f"/collections/{orders[1]['end_to_end_id']}")
    yield "mandate with charges", get(f"/mandates/{id_rec}")
    yield "no such charge", get("/collections/x")


DOCTOR_HEADERS = json.dumps(
    {"webhook-id": "a b", "webhook-timestamp": "1", "webhook-signature": "v2,abc x v1,-_="}
)


def test_no_page_in_english_contains_portuguese(bank, service):
    """A screen reader would read Portuguese words with an English voice."""
    templates: set[str] = set()

    def note(_sender, template, **_more):
        templates.add(template.name)

    remains = {}
    with template_rendered.connected_to(note, bank.app):
        for name, ask in every_page(bank, service):
            answer = ask()
            assert answer.status_code in (200, 400, 403, 404, 405, 409, 413, 422), name
            assert '<html lang="en">' in answer.text, (name, answer.text)
            words = {word.lower() for word in WORD.findall(visible_text(answer.text))}
            if wrong := words & PORTUGUESE_WORDS:
                remains[name] = wrong
    assert remains == {}
    pages = {f"bank/{path.name}" for path in (BANK / "templates/bank").glob("[!_]*.html")}
    assert pages - {"bank/base.html"} <= templates


def test_templates_hold_no_text_outside_of_the_catalogue():
    """A sentence without `_(…)` is Portuguese on English pages too."""
    same_in_both = {"Garoa", "Banco", "CPF", "English", "Português", "normal"}
    samples = ("00020101", "normal=", "webhook-id")
    remains = []
    for path in sorted((BANK / "templates").rglob("*.html")):
        source = path.read_text("utf-8")
        plain = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", " ", source, flags=re.S)
        pieces = re.findall(r'(?:placeholder|title|alt|aria-label|data-once)="([^"]*)"', plain)
        pieces = [piece for piece in pieces if not piece.startswith(samples)]
        pieces.append(re.sub(r"<[^>]*>|data-[\w-]+=\"[^\"]*\"", " ", plain))
        words = {word for piece in pieces for word in WORD.findall(piece)} - same_in_both
        remains += [f"{path.name}: {word}" for word in sorted(words)]
        # Texts in expressions: `{{ "Extrato" if … }}` instead of `{{ _("Extrato") if … }}`.
        for expression in re.findall(r"\{\{.*?\}\}|\{%.*?%\}", source, flags=re.S):
            bare = re.sub(r"\b_\((?:\"[^\"]*\"|'[^']*')", " ", expression)
            quoted = ["".join(pair) for pair in re.findall(r"\"([^\"]*)\"|'([^']*)'", bare)]
            sentences = [text for text in quoted if not re.fullmatch(r"[a-z_./-]*", text)]
            words = {word.lower() for text in sentences for word in WORD.findall(text)}
            remains += [f"{path.name}: {word}" for word in sorted(words & PORTUGUESE_WORDS)]
    assert remains == []


def test_scripts_hold_no_text_of_their_own():
    """Their texts come from the page, in its language."""
    for path in (BANK / "static/js").glob("*.js"):
        code = re.sub(r"/\*.*?\*/|//[^\n]*", " ", path.read_text("utf-8"), flags=re.S)
        quoted = [text for groups in re.findall(r'"([^"]*)"|`([^`]*)`', code) for text in groups]
        words = {word.lower() for text in quoted for word in WORD.findall(text)}
        assert words & PORTUGUESE_WORDS == set(), path.name


def bare_texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The texts in a module that no `_`, `N_` or `ngettext` marks, without docstrings."""
    marked = {
        id(node)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("_", "N_", "ngettext")
        for node in ast.walk(call)
    }
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            marked.add(id(statement.value))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in marked:
            continue
        if isinstance(node.value, str):
            yield node.lineno, node.value


def test_code_holds_no_sentence_outside_of_the_catalogue():
    """But for commands, which are for developers."""
    remains = []
    for path in sorted(BANK.rglob("*.py")):
        if COMMANDS.fullmatch(path.stem) or "migrations" in path.parts:
            continue
        for line, sentence in bare_texts(ast.parse(path.read_text("utf-8"))):
            words = [word for word in WORD.findall(sentence) if word.lower() in PORTUGUESE_WORDS]
            if sentence in (BURST_CUSTOMER, ROBOT_CUSTOMER):
                continue
            # A single word may be a member of an API of Pix, as `calendario`.
            if len(words) > 1 or re.search(r"[ãõçáéíóúâêô]", sentence):
                remains.append(f"{path.relative_to(BANK)}:{line} {sentence}")
    assert remains == []
