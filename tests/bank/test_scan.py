"""Reading a code from a picture or from the camera."""

from __future__ import annotations

import io
import re
import zlib
from urllib.parse import parse_qs, urlsplit

import pytest
import zxingcpp
from PIL import Image
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from core.pix import br_code
from tests.bank.conftest import hidden_fields
from tests.bank.service_double import PAYEE_KEY
from tests.support.browser import running_chromium
from tests.support.hostile_pictures import many_scans

CODE = br_code.encode_static(PAYEE_KEY, "Barraca", "Olinda", amount_centavos=1250)
OTHER = br_code.encode_static(PAYEE_KEY, "Barraca", "Olinda", amount_centavos=1)


def qr(text, scale=4):
    """A QR code as a picture."""
    barcode = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode)
    pixels = zxingcpp.write_barcode_to_image(barcode, scale=scale, add_quiet_zones=True)
    return Image.fromarray(pixels)


def picture(*texts, kind="PNG", scale=4):
    """A picture with these codes side by side."""
    codes = [qr(text, scale).convert("RGB") for text in texts]
    sheet = Image.new("RGB", (sum(code.width for code in codes) + 40, 400), "white")
    x = 10
    for code in codes:
        sheet.paste(code, (x, 10))
        x += code.width + 10
    out = io.BytesIO()
    sheet.save(out, kind)
    return out.getvalue()


def upload(bank, data, name="foto.png"):
    """Send the form with a picture."""
    form = hidden_fields(bank.client.get("/scan").text)
    upload_file = FileStorage(io.BytesIO(data), name)
    boundary, body = encode_multipart({**form, "picture": upload_file})
    media_type = f'multipart/form-data; boundary="{boundary}"'
    return bank.client.post("/scan", data=body, content_type=media_type)


def code_at(answer):
    """The code in a redirect to the review."""
    assert answer.status_code == 303, answer.text
    return parse_qs(urlsplit(answer.location).query)["code"]


@pytest.fixture
def scanner(bank):
    """A bank with Bia logged in."""
    bank.log_in()
    return bank


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_picture_leads_to_the_review(scanner, kind):
    """The content decides; the file's name and declared type do not matter."""
    assert code_at(upload(scanner, picture(CODE, kind=kind), "x.exe")) == [CODE]


def test_the_pix_code_among_several_codes_is_used(scanner):
    """A poster or a receipt may have another QR code beside the one to pay."""
    sheet = picture("https://example.com/menu", CODE, "WIFI:S:loja;;")

    assert code_at(upload(scanner, sheet)) == [CODE]


@pytest.mark.parametrize(
    ("data", "status", "sentence"),
    [
        (picture("https://example.com"), 422, "não é de Pix"),
        (picture(CODE, OTHER), 422, "mais de um código Pix"),
        (picture(), 422, "Nenhum QR code"),
        (b"", 422, "Escolha uma imagem"),
        (b"GIF89a", 422, "não é uma imagem"),
        (picture(CODE)[:300], 422, "não é uma imagem"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "não é uma imagem"),
        (b"%PDF-1.7", 422, "Um PDF não é uma imagem: abra-o, tire um print"),
        (b"BM" + b"\0" * 100, 422, "não é uma imagem"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * (5 * 1024 * 1024), 413, "até 5 MB"),
    ],
)
def test_a_picture_without_a_pix_code_gets_one_sentence(scanner, data, status, sentence):
    """The page shows it with the form, and never a 500."""
    answer = upload(scanner, data)

    assert (answer.status_code, sentence in answer.text) == (status, True)
    assert 'name="picture"' in answer.text


def test_a_decompression_bomb_is_not_decoded(scanner):
    """A small file may claim 100 megapixels: its header is read, its pixels are not."""

    def chunk(kind, body):
        crc = zlib.crc32(kind + body)
        return len(body).to_bytes(4, "big") + kind + body + crc.to_bytes(4, "big")

    header = (10_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    data = zlib.compress(b"\0" * 10_001 * 10_000, 9)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data)
    answer = upload(scanner, bomb + chunk(b"IEND", b""))

    assert (answer.status_code, "40 megapixels" in answer.text) == (413, True)


@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
def test_a_picture_that_takes_too_many_steps_is_not_decoded(scanner, kind):
    """Each repeated scan of a few bytes makes the decoder go over 40 megapixels once more."""
    answer = upload(scanner, many_scans(kind, 6300))
    assert (answer.status_code, "complexa demais" in answer.text) == (413, True)


def test_only_pictures_may_have_5_mb(scanner):
    """All other bodies have a small limit."""
    large = upload(scanner, b"\0" * (6 * 1024 * 1024))
    elsewhere = scanner.client.post("/login", data={"picture": (io.BytesIO(b"\0" * 20_000), "x")})

    assert (large.status_code, elsewhere.status_code) == (413, 413)


def test_a_frame_of_the_camera_is_answered_in_json(scanner):
    """With the review's address if there is a code, else with the reason."""
    match = re.search(r'data-token="([^"]+)"', scanner.client.get("/scan").text)
    assert match is not None
    token = match[1]

    def frame(data, token=token):
        headers = {"X-Form-Token": token}
        return scanner.client.post("/scan", data=data, headers=headers, content_type="image/jpeg")

    answer = frame(picture(CODE, kind="JPEG")).get_json()
    empty_frame = frame(picture(kind="JPEG"))

    assert answer["code"] == CODE
    assert scanner.client.get(answer["review_url"]).status_code == 200
    assert (empty_frame.status_code, empty_frame.get_json()["code"]) == (200, None)
    assert frame(b"\xff\xd8\xff").get_json()["code"] is None
    assert frame(picture(CODE, kind="JPEG"), "other").status_code == 400
    assert frame(b"\0" * (6 * 1024 * 1024)).status_code == 413


def test_pictures_of_strangers_are_not_read(bank):
    """Decoding is expensive, so it needs a login."""
    frame = bank.client.post("/scan", data=picture(CODE), content_type="image/jpeg")
    form = bank.client.post("/scan", data={"picture": (io.BytesIO(picture(CODE)), "x.png")})

    assert frame.status_code == 401
    assert (form.status_code, urlsplit(form.location).path) == (303, "/login")


def test_a_camera_that_sees_a_code_leads_to_the_review(bank, bank_url, tmp_path):
    """In a real browser with a film as camera: policy, script, frames, decoder, review."""
    film = tmp_path / "film.mjpeg"
    film_frame = Image.new("RGB", (640, 480), "white")
    film_frame.paste(qr(CODE, 5).convert("RGB").resize((400, 400)), (120, 40))
    frame = io.BytesIO()
    film_frame.save(frame, "JPEG", quality=95)
    film.write_bytes(frame.getvalue() * 10)
    flags = (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    )
    with running_chromium(*flags, has_camera=True) as browser:
        page = browser.new_context(locale="pt-BR", permissions=["camera"]).new_page()
        page.goto(f"{bank_url}/login?next=/scan")
        page.click("text=Entrar como Bia Andrade")
        page.click("text=Usar a câmera")
        page.wait_for_selector("h1:has-text('Confira e pague')", timeout=15_000)

        assert "12,50" in page.inner_text(".amount")


@pytest.mark.parametrize(
    ("language", "enter", "start", "refusal"),
    [
        ("pt-BR", "Entrar como Bia", "Usar a câmera", "Envie uma imagem ou cole o código."),
        ("en", "Sign in as Bia", "Use camera", "Send an image or paste the code."),
    ],
)
def test_the_script_of_the_camera_has_the_pages_language(
    bank, bank_url, new_context, language, enter, start, refusal
):
    """A browser without a camera, or one that may not use it, says what to do instead."""
    page = new_context(locale=language).new_page()
    page.goto(f"{bank_url}/login?next=/scan")
    page.click(f"text={enter}")
    page.click(f"text={start}")
    page.wait_for_selector(f".camera [role=status]:has-text('{refusal}')")
