"""Hostile files get a clear error at every endpoint that takes files, and nothing is stored."""

from __future__ import annotations

import gzip
import io
import random
import struct
import time
import zipfile
import zlib

import pytest
from PIL import Image
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from core.pictures import PICTURE_BYTES_MAX
from payments.qr_image import qr_png
from tests.recovery.conftest import form, picture
from tests.support.hostile_pictures import many_scans

PATHS = {
    "upload": "/api/payment/upload-screenshot-with-qr",
    "proof": "/api/payment/upload-screenshot",
    "page": "/payment/recover-from-qr",
}


@pytest.fixture
def here(one_town):
    """One town for this file, because a refused upload leaves nothing behind."""
    return one_town


def send(town, path, fields):
    """Send a form from memory, because the test client would leave a file behind."""
    parts = {k: FileStorage(*v) if isinstance(v, tuple) else v for k, v in fields.items()}
    boundary, body = encode_multipart(parts)
    content_type = f"multipart/form-data; boundary={boundary}"
    return town.client().post(path, data=body, content_type=content_type)


def png_header(width: int, height: int) -> bytes:
    """A PNG whose header claims this size, with hardly any pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        checked = name + body
        return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"\0" * 1000)), chunk(b"IEND", b"")]
    )


def bomb() -> bytes:
    """A ZIP of a few kilobytes that unpacks to many megabytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.png", b"\0" * 20_000_000)
    return out.getvalue()


def jpeg(**options: object) -> bytes:
    """A photo of one colour."""
    out = io.BytesIO()
    Image.new("RGB", (300, 200), (20, 90, 70)).save(out, "JPEG", **options)
    return out.getvalue()


HOSTILE = {
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', 415),
    "HTML": (b"<!doctype html><script>alert(1)</script>", 415),
    "PDF": (b"%PDF-1.7\n1 0 obj", 415),
    "PNG and ZIP": (qr_png("x") + bomb(), 415),
    "GIF and script": (b"GIF89a/*<script>alert(1)</script>*/=1;", 415),
    "zip bomb": (bomb(), 415),
    "gzip bomb": (gzip.compress(b"\0" * 10_000_000), 415),
    "JPEG of 48 scans": (many_scans("JPEG", 6300), 413),
    "MPO of 48 scans": (many_scans("MPO", 6300), 413),
    "20,000 by 20,000": (png_header(20_000, 20_000), 413),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + b"\0" * 64, 415),
    "cut JPEG": (jpeg()[:120], 422),
    "empty": (b"", 422),
    "random": (random.Random(1).randbytes(5000), 415),
    "5 MB and a byte": (jpeg() + b"\0" * (PICTURE_BYTES_MAX + 1 - len(jpeg())), 413),
}


@pytest.mark.parametrize("endpoint", PATHS)
@pytest.mark.parametrize("name", HOSTILE)
def test_every_endpoint_refuses_a_hostile_file(here, dump, endpoint, name):
    """The answer is a quick 4xx, and no row changes."""
    data, status = HOSTILE[name]
    payment = here.create()
    before = dump(here)
    other_fields = {"session_id": payment["id"]} if endpoint == "proof" else {}
    started_at = time.monotonic()

    answer = send(here, PATHS[endpoint], form(data, **other_fields))

    assert answer.status_code == status, answer.text
    assert time.monotonic() - started_at < 5
    assert dump(here) == before
    if endpoint != "page":
        problem = answer.get_json(force=True)
        assert problem["code"] in {"unsupported-picture", "picture-too-large", "unreadable-picture"}
        assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("kind", ["wrong extension", "no extension", "path", "NUL", "long"])
def test_the_files_name_means_nothing(here, kind):
    """Only the content decides; the name is never used on our disk."""
    payment = here.create()
    names = {
        "wrong extension": "photo.svg",
        "no extension": "qr",
        "path": "../../../../etc/passwd",
        "NUL": "a\0b.png",
        "long": "a" * 5000 + ".png",
    }
    data = {"file": (io.BytesIO(picture(payment["pix_code"])), names[kind])}

    answer = here.client().post(PATHS["upload"], data=data)

    assert answer.status_code == 200, answer.text
    assert answer.get_json()["payment_id"] == payment["id"]


def test_an_animated_gif_and_a_turned_photo_are_read(here):
    """Messengers and phones make such pictures; they are no attack."""
    payment = here.create()
    code = Image.open(io.BytesIO(picture(payment["pix_code"]))).convert("RGB")
    gif, turned = io.BytesIO(), io.BytesIO()
    blank = Image.new("RGB", code.size, "white")
    code.save(gif, "GIF", save_all=True, append_images=[blank] * 3, duration=50)
    exif = Image.Exif()
    exif[0x0112] = 6
    code.rotate(90, expand=True).save(turned, "JPEG", exif=exif)

    for data in (gif.getvalue(), turned.getvalue()):
        answer = here.client().post(PATHS["upload"], data=form(data))
        assert answer.status_code == 200, answer.text
        assert answer.get_json()["payment_id"] == payment["id"]


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (lambda: {}, "file"),
        (lambda: {"qr_data": "x"}, "file"),
        (lambda: {"file": "text, no file"}, "file"),
        (
            lambda: {
                "file": [(io.BytesIO(qr_png("a")), "a.png"), (io.BytesIO(qr_png("b")), "b.png")]
            },
            "file",
        ),
        (lambda: {**form(qr_png("a")), "status": "completed"}, "status"),
        (lambda: {**form(qr_png("a")), "qr_data": ["x", "y"]}, "qr_data"),
        (lambda: {**form(qr_png("a")), "other": (io.BytesIO(b"x"), "x.png")}, "other"),
    ],
)
def test_a_wrong_form_gets_an_error_for_the_field(here, data, field):
    """No file, two files, or an unknown field."""
    answer = here.client().post(PATHS["upload"], data=data(), content_type="multipart/form-data")

    assert answer.status_code == 400, answer.text
    assert [error["field"] for error in answer.get_json(force=True)["errors"]] == [field]


@pytest.mark.parametrize("endpoint", ["upload", "proof"])
def test_a_body_that_is_not_a_form_is_refused(here, endpoint):
    """JSON, or the bare picture."""
    picture_answer = here.client().post(PATHS[endpoint], data=qr_png("a"), content_type="image/png")
    assert picture_answer.status_code == 415
    assert here.client().post(PATHS[endpoint], json={"file": "x"}).status_code == 415


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        ({"qr_data": "A" * (6 * 2**20)}, {413}),
        ({**{f"f{n}": "x" for n in range(200)}}, {400, 413}),
        ({"qr_data": "A" * 5000}, {400}),
        ({"x" * 50_000: "y"}, {400, 413}),
    ],
)
def test_huge_parts_of_a_form_are_refused(here, body, statuses):
    """Only the picture may be large."""
    answer = send(here, PATHS["upload"], {**form(qr_png("a")), **body})

    assert answer.status_code in statuses, answer.text
    assert answer.status_code < 500


def test_a_text_that_cannot_be_stored_is_refused(here):
    """NUL, lone surrogates, and more than 4,096 characters."""
    client = here.client()
    for text, status in (
        ("a\0b", 400),
        ("x" * 4096, 404),
        ("x" * 4097, 400),
        (" \n", 400),
        ("", 400),
    ):
        for verb in ("verify-qr", "recover-from-qr"):
            answer = client.post(f"/api/payment/{verb}", json={"qr_data": text})
            assert answer.status_code == status, (text[:9], answer.text)
    for body in ({}, {"qr_data": 5}, {"qr_data": None}, {"qr_data": "x", "status": "completed"}):
        assert client.post("/api/payment/recover-from-qr", json=body).status_code == 400
    surrogate = client.post(
        "/api/payment/verify-qr",
        data=b'{"qr_data": "\\ud800"}',
        content_type="application/json",
    )
    assert surrogate.status_code == 400
    page = client.post("/payment/recover-from-qr", data={"qr_data": "a\0b"})
    assert page.status_code == 400
