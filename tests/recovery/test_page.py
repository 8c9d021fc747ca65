"""The recovery page without scripts: a form, and one answer that reveals nothing else."""

from __future__ import annotations

import pytest

from tests.recovery.conftest import form, picture

PAGE = "/payment/recover-from-qr"


def submit(here, lang="pt-BR", query="", **fields):
    """Send the form as a browser without scripts does."""
    return here.client().post(
        f"{PAGE}{query}",
        data=fields,
        headers={"Accept": "text/html", "Accept-Language": lang},
    )


@pytest.mark.parametrize("lang", ["pt-BR", "en"])
def test_the_page_has_both_languages_and_may_use_the_camera(here, lang):
    """No other page may ask for the camera."""
    answer = here.client().get(PAGE, headers={"Accept-Language": lang})

    assert answer.status_code == 200
    assert f'<html lang="{lang}">' in answer.text
    assert "camera=(self)" in answer.headers["Permissions-Policy"]
    assert len(answer.headers.getlist("Permissions-Policy")) == 1
    assert "camera=()" in here.client().get("/").headers["Permissions-Policy"]
    assert 'enctype="multipart/form-data"' in answer.text
    assert "noindex" in answer.text


def test_the_page_says_which_files_it_reads_before_one_is_chosen(here):
    """Banks share proofs as PDF, which the page cannot read: a payer learns it in time."""
    page = here.client().get(PAGE).text

    assert "Tem um PDF?" in page
    assert "application/pdf" not in page
    assert 'aria-describedby="file-kinds privacy"' in page


def test_a_picture_without_scripts_gets_its_answer_on_the_same_page(here):
    """A plain upload form: choose, send, read."""
    payment = here.create(order_id="A1")

    answer = submit(here, **form(picture(payment["pix_code"])), qr_data="")

    assert answer.status_code == 200
    assert "Este pagamento espera por você" in answer.text
    assert "Pedido" in answer.text
    assert f'href="/payments/pix/{payment["id"]}"' in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_an_expired_payment_has_a_button_for_a_new_code(here):
    """The button is a form of its own, and leads to the new code's page."""
    payment = here.create(order_id="A1", expires_in=60)
    here.clock.advance(seconds=61)

    answer = submit(here, query="?lang=en", qr_data=payment["pix_code"])

    assert f'action="/payments/pix/{payment["id"]}/renew?lang=en"' in answer.text
    renewal = here.client().post(
        f"/payments/pix/{payment['id']}/renew?lang=en", headers={"Accept": "text/html"}
    )
    assert renewal.status_code == 303
    assert payment["id"] not in renewal.headers["Location"]


def test_the_fragment_is_only_the_answer(here):
    """The page's script inserts the fragment."""
    payment = here.create()

    answer = submit(here, query="?fragment=result", qr_data=payment["pix_code"])

    assert answer.text.lstrip().startswith("<section")
    assert "<html" not in answer.text


def test_several_texts_of_one_picture_are_looked_up_together(here):
    """A browser that reads codes itself sends all of them, ours among others."""
    payment = here.create()
    texts = ["https://example.org/menu", payment["pix_code"]]

    assert payment["id"] in submit(here, qr_data=texts).text


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"qr_data": "WIFI:T:WPA;S:a;P:b;;"}, 404, "rede Wi-Fi"),
        ({"qr_data": "0" * 32}, 404, "Não encontramos este pagamento"),
        ({"qr_data": ""}, 400, "Não deu certo"),
        ({"file": None}, 422, "Não achamos um código nesta imagem"),
        ({"file": b"%PDF-1.7"}, 415, "Abra o PDF, tire um print"),
        ({"file": b"\0\0\0\x18ftypheic\0\0\0\0heicmif1"}, 415, "Esta foto está em HEIC"),
        ({"file": b"BM" + b"\0" * 99}, 415, "outro tipo não serve"),
    ],
)
def test_a_failed_lookup_says_why(here, fields, status, sentence):
    """The page explains the failure in a sentence, not only by a status code."""
    if fields.get("file"):
        fields = form(fields["file"])
    elif "file" in fields:
        import io

        from PIL import Image

        out = io.BytesIO()
        Image.new("L", (200, 200), 255).save(out, "PNG")
        fields = form(out.getvalue())
    answer = submit(here, **fields)

    assert answer.status_code == status
    assert sentence in answer.text


def test_the_typed_text_is_shown_again_as_escaped_text(here):
    """A code may contain any text, markup too."""
    answer = submit(here, qr_data='</textarea><script>alert("x")</script>')

    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert" in answer.text


def test_pages_of_missing_or_expired_payments_link_to_recovery(here):
    """A payer at a dead end usually has a picture."""
    unknown = here.client().get(f"/payments/pix/{'0' * 32}", headers={"Accept": "text/html"})
    payment = here.create(expires_in=60)
    here.clock.advance(seconds=61)
    expired = here.client().get(f"/payments/pix/{payment['id']}", headers={"Accept": "text/html"})
    shop = here.client().get("/", headers={"Accept": "text/html"})

    assert (unknown.status_code, expired.status_code) == (404, 200)
    for page in (unknown, expired, shop):
        assert f'href="{PAGE}"' in page.text


def test_too_many_attempts_are_told_when_to_retry(fresh_database, tmp_path):
    """The page and the header say so."""
    from tests.support.town import town

    with town(fresh_database("sqlite"), tmp_path, recovery_tries_per_minute=1) as here:
        submit(here, qr_data="0" * 32)
        answer = submit(here, qr_data="0" * 32)

    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert "muitas tentativas" in answer.text
