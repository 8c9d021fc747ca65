"""Each form of a text finds its payment, and never another one."""

from __future__ import annotations

import random

import pytest

from blueprints.recovery.reading import khqr_text, order_text
from tests.recovery.conftest import ask, picture, recover, upload

FORMS = {
    "the code itself": lambda p: p["pix_code"],
    "broken over lines": lambda p: f"{p['pix_code'][:40]}\n{p['pix_code'][40:]}",
    "its end lost": lambda p: p["pix_code"][:-8],
    "the location": lambda p: f"127.0.0.1/qr/v2/{p['watch_code']}",
    "the page's address": lambda p: p["payment_url"],
    "the picture's address": lambda p: p["qr_code_url"],
    "the id, typed": lambda p: p["id"].upper(),
    "the watch code, typed": lambda p: p["watch_code"],
    "KHQR": lambda p: khqr_text(p["order_id"], p["id"], p["amount_centavos"]),
    "ORDER": lambda p: order_text(p["order_id"], p["id"], p["amount_centavos"]),
    "KHQR without its amount": lambda p: khqr_text(p["order_id"], p["id"], 100).rpartition(":")[0],
    "a KHQR of Bakong": lambda p: bakong(p["id"][:25]),
}


@pytest.fixture
def here(one_town):
    """One town for this file, because other payments do not affect what is found."""
    return one_town


def bakong(bill_number: str) -> str:
    """A complete KHQR with this bill number, as another shop's software writes it."""
    from core.pix.br_code import crc16

    def obj(name: str, value: str) -> str:
        return f"{name}{len(value):02d}{value}"

    parts = [
        obj("00", "01"),
        obj("01", "12"),
        obj("29", obj("00", "alice@bank")),
        obj("52", "5999"),
        obj("53", "840"),
        obj("58", "KH"),
        obj("59", "Alice"),
        obj("60", "Phnom Penh"),
        obj("62", obj("01", bill_number)),
    ]
    text = "".join(parts) + "6304"
    return text + crc16(text)


@pytest.mark.parametrize("name", FORMS)
def test_each_form_of_a_code_finds_its_payment(here, name):
    """The payer may have kept only one of these forms; each names one payment."""
    order = f"A_1: é {list(FORMS).index(name)}"
    payment = here.create(order_id=order)
    here.create(order_id=f"another, {name}")
    text = FORMS[name](payment)
    if name == "the location":
        text = text.replace("127.0.0.1", here.url.removeprefix("http://"))

    answer = ask(here, "verify-qr", text)

    assert answer.status_code == 200, answer.text
    body = answer.get_json()
    assert body["session_id"] == body["payment_id"] == body["transaction_id"] == payment["id"]
    assert (body["order_id"], body["amount"], body["status"]) == (order, 54.9, "pending")


@pytest.mark.parametrize(
    "text",
    [
        lambda p: khqr_text("2", p["id"], 5490),
        lambda p: khqr_text(p["order_id"], p["id"], 5491),
        lambda p: order_text(p["order_id"], p["id"], 5489),
        lambda p: order_text(p["order_id"] + "1", p["id"], 5490),
        lambda p: khqr_text(p["order_id"], "0" * 32, 5490),
        lambda p: khqr_text(p["order_id"], p["id"][:31], 5490),
        lambda p: p["id"][:-1] + ("0" if p["id"][-1] != "0" else "1"),
    ],
)
def test_a_text_that_contradicts_its_payment_finds_nothing(here, request, text):
    """Order, transaction and amount must match; the answer does not say which one did not."""
    payment = here.create(order_id=request.node.name[-20:])

    answer = ask(here, "verify-qr", text(payment))
    unknown = ask(here, "verify-qr", khqr_text("9", "f" * 32, 100))

    assert answer.status_code == unknown.status_code == 404
    same = ("type", "title", "status", "code")
    if answer.get_json(force=True)["code"] == "payment-not-found":
        assert [answer.get_json(force=True)[k] for k in (*same, "detail")] == [
            unknown.get_json(force=True)[k] for k in (*same, "detail")
        ]
    assert payment["id"] not in answer.text.replace(text(payment), "")


def test_a_code_made_under_another_address_of_ours_is_still_found(fresh_database, tmp_path):
    """Codes that were made before the service moved contain the old address."""
    from tests.recovery.conftest import NO_LIMITS
    from tests.support.town import town

    database = fresh_database("sqlite")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with town(database, tmp_path / "one", **NO_LIMITS) as before:
        payment = before.create()
    with town(database, tmp_path / "two", **NO_LIMITS) as after:
        assert payment["pix_code"] not in (after.create()["pix_code"],)
        assert recover(after, payment["pix_code"])["payment_id"] == payment["id"]
        changed = payment["pix_code"][:-4] + "0000"
        assert ask(after, "verify-qr", changed).status_code == 404


def test_a_receipts_end_to_end_id_finds_its_payment(here):
    """The payer's bank app shows the end-to-end id."""
    payment = here.create()
    paid = here.pay(payment)

    body = recover(here, paid["end_to_end_id"])

    assert (body["payment_id"], body["state"]) == (payment["id"], "paid")
    assert ask(here, "verify-qr", paid["end_to_end_id"][:-1] + "~").status_code == 404


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("WIFI:T:WPA;S:Loja;P:bemvindo;;", "wifi", "Wi-Fi"),
        ("https://example.org/a", "web-address", "example.org"),
        ("hello there", "plain-text", "text"),
        ("tel:+5511999999999", "phone", "phone"),
    ],
)
def test_the_answer_names_the_kind_of_a_foreign_code(here, text, kind, sentence):
    """A payer who photographed the wrong code must learn which one it was."""
    answer = ask(here, "verify-qr", text)
    body = answer.get_json(force=True)

    assert (answer.status_code, body["code"], body["kind"]) == (404, "not-our-code", kind)
    assert sentence in body["detail"]
    portuguese = ask(here, "verify-qr", text, **{"Accept-Language": "pt-BR"})
    assert portuguese.get_json(force=True)["detail"] != body["detail"]


def test_every_kind_of_reading_has_a_sentence_in_both_languages(app):
    """A new kind without a sentence would be a 500."""
    from blueprints.recovery import texts
    from blueprints.recovery.reading import Kind, Reading

    messages = {}
    for lang in ("pt-BR", "en"):
        with app.test_request_context(headers={"Accept-Language": lang}):
            messages[lang] = {kind: texts.of_reading(Reading(kind, "x")) for kind in Kind}
    assert all(m.title and m.body for by_kind in messages.values() for m in by_kind.values())
    same = [kind for kind in Kind if messages["en"][kind].body == messages["pt-BR"][kind].body]
    assert same == []


def test_a_picture_finds_its_payment_and_the_right_one_of_two_codes(here):
    """A screenshot may show other codes beside ours."""
    import io

    from PIL import Image

    payment = here.create()
    other = Image.open(io.BytesIO(picture("https://example.org/menu"))).convert("L")
    ours = Image.open(io.BytesIO(picture(payment["pix_code"]))).convert("L")
    sheet = Image.new("L", (other.width + ours.width + 60, max(other.height, ours.height)), 255)
    sheet.paste(other, (0, 0))
    sheet.paste(ours, (other.width + 60, 0))
    out = io.BytesIO()
    sheet.save(out, "PNG")

    for data in (picture(payment["pix_code"]), out.getvalue()):
        answer = upload(here, data)
        assert answer.status_code == 200, answer.text
        assert answer.get_json()["payment_id"] == payment["id"]


def test_picture_and_text_that_name_two_payments_are_refused(here):
    """Only the payer knows which payment is meant."""
    one, other = here.create(), here.create()

    conflicting = upload(here, picture(one["pix_code"]), qr_data=other["pix_code"])
    agreeing = upload(here, picture(one["pix_code"]), qr_data=one["id"])
    with_foreign_picture = upload(here, picture("https://example.org"), qr_data=one["id"])

    assert (conflicting.status_code, conflicting.get_json(force=True)["errors"][0]["field"]) == (
        400,
        "qr_data",
    )
    assert (
        agreeing.get_json()["payment_id"]
        == with_foreign_picture.get_json()["payment_id"]
        == one["id"]
    )


def test_verifying_a_text_changes_no_row(here, dump):
    """A thousand changed and cut texts leave every row as it was."""
    rng = random.Random(7)
    payments = [here.create(order_id=f"o{n}") for n in range(3)]
    before = dump(here)
    whole = [form(p) for p in payments for name, form in FORMS.items() if name != "the location"]
    client = here.client()
    found_count = 0
    for _ in range(1000):
        text = rng.choice(whole)
        cut = rng.randrange(len(text)), rng.randrange(len(text))
        if rng.random() < 0.5:
            text = text[min(cut) : max(cut) + 1]
        else:
            letters = list(text)
            letters[cut[0]] = rng.choice("0aF:_=%é\u0301 ")
            text = "".join(letters)
        answer = client.post("/api/payment/verify-qr", json={"qr_data": text})
        assert answer.status_code in (200, 400, 404, 429), answer.text
        if answer.status_code == 200:
            found_count += 1
            payment_id = answer.get_json()["payment_id"]
            assert any(p["id"] == payment_id for p in payments)
    assert found_count > 10
    assert dump(here) == before
