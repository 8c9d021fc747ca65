"""The page on which a payer sends a proof: reached from *Já paguei* and from recovery."""

from __future__ import annotations

import pytest
from PIL import Image

from db_models.recovery_upload import PROOFS_PER_PAYMENT_MAX
from tests.recovery.conftest import form
from tests.recovery.test_proofs import saved

PAGE = {"Accept": "text/html"}


def picture(shade: int = 0) -> bytes:
    """A small picture; each shade is another file."""
    return saved(Image.new("RGB", (40, 30), (shade, 0, 0)))


@pytest.fixture
def payment(here):
    """A payment that waits."""
    return here.create(order_id="7")


def address(payment) -> str:
    """The path of the proof's page."""
    return f"/payments/pix/{payment['id']}/proof"


def test_the_page_is_reached_from_ja_paguei_and_from_recovery(here, payment):
    """The API and the portal's queue were there, but no page led to them."""
    client = here.client()
    for checked in (
        client.get(f"/payments/pix/{payment['id']}?checked=answered"),
        client.post("/payment/recover-from-qr", data={"qr_data": payment["pix_code"]}),
    ):
        assert f'href="{address(payment)}"' in checked.text
    assert "Envie o comprovante à loja" in client.get(address(payment)).text


def test_a_picture_sent_from_the_page_waits_for_the_merchant(here, payment, dump):
    """A form without scripts; the payment does not change, and a second click stores nothing."""
    client = here.client()
    before = dump(here)
    for _ in range(2):
        answer = client.post(address(payment), data=form(picture()), headers=PAGE)
        assert answer.status_code == 303, answer.text
        assert answer.headers["Location"] == f"{address(payment)}?sent=1"
    assert "Comprovante enviado" in client.get(answer.headers["Location"]).text
    after = dump(here)
    assert len(after.pop("recovery_uploads")) == len(before.pop("recovery_uploads")) + 1
    assert after["payments"] == before["payments"]


@pytest.mark.parametrize(
    ("data", "status", "sentence"),
    [
        ({}, 400, "Escolha a imagem do comprovante."),
        (form(b"", ""), 400, "Escolha a imagem do comprovante."),
        (form(b"a letter"), 415, "Envie uma imagem PNG, JPEG, GIF ou WebP"),
        (form(b"%PDF-1.7"), 415, "Abra o PDF, tire um print da tela e envie o print."),
        (form(b"\x89PNG\r\n\x1a\n" + b"x" * 40), 422, "O arquivo está danificado"),
    ],
)
def test_a_form_without_a_picture_says_what_to_do(here, payment, data, status, sentence):
    """The form stays, with a sentence above it."""
    answer = here.client().post(
        address(payment), data=data, headers=PAGE, content_type="multipart/form-data"
    )
    assert answer.status_code == status
    assert sentence in answer.text
    assert 'type="file"' in answer.text


def test_a_sixth_picture_is_refused(here, payment):
    """A stranger with the link must not fill the merchant's queue."""
    client = here.client()
    for shade in range(PROOFS_PER_PAYMENT_MAX):
        sent = client.post(address(payment), data=form(picture(shade)), headers=PAGE)
        assert sent.status_code == 303
    answer = client.post(address(payment), data=form(picture(200)), headers=PAGE)
    assert answer.status_code == 409
    assert "já recebeu cinco imagens" in answer.text


def test_a_program_gets_a_problem(here, payment):
    """As on every other address."""
    answer = here.client().post(address(payment), data=form(b"%PDF-1.7"))
    assert (answer.status_code, answer.get_json()["code"]) == (415, "unsupported-picture")


def test_a_paid_payment_needs_no_proof_and_an_unknown_one_has_no_page(here, payment):
    """The page of a paid payment says that it is paid."""
    here.pay(payment)
    answer = here.client().get(address(payment))
    assert (answer.status_code, answer.headers["Location"]) == (
        303,
        f"/payments/pix/{payment['id']}",
    )
    for verb in ("get", "post"):
        assert getattr(here.client(), verb)(f"/payments/pix/{'0' * 32}/proof").status_code == 404
