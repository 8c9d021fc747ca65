"""Files made to hurt, through every door that takes one: a clear error, and nothing is kept."""

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

DOORS = {
    "upload": "/api/payment/upload-screenshot-with-qr",
    "proof": "/api/payment/upload-screenshot",
    "page": "/payment/recover-from-qr",
}


@pytest.fixture
def here(one_town):
    """The town of this file: whatever is sent leaves nothing behind, so it is as good as new."""
    return one_town


def sent(town, path, fields):
    """Send a form whose bytes are in memory: the test client would leave a file behind."""
    made = {k: FileStorage(*v) if isinstance(v, tuple) else v for k, v in fields.items()}
    edge, body = encode_multipart(made)
    content_type = f"multipart/form-data; boundary={edge}"
    return town.client().post(path, data=body, content_type=content_type)


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it has this size, and has hardly any pixel."""

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
    """A photo of nothing much."""
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
    "20,000 by 20,000": (png_header(20_000, 20_000), 413),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + b"\0" * 64, 415),
    "cut JPEG": (jpeg()[:120], 422),
    "empty": (b"", 422),
    "random": (random.Random(1).randbytes(5000), 415),
    "5 MB and a byte": (jpeg() + b"\0" * (PICTURE_BYTES_MAX + 1 - len(jpeg())), 413),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_by_name_at_every_door(here, dump, door, name):
    """A clear 4xx within a moment, and no row anywhere says that it came."""
    data, status = HOSTILE[name]
    payment = here.create()
    before = dump(here)
    more = {"session_id": payment["id"]} if door == "proof" else {}
    began = time.monotonic()

    answer = sent(here, DOORS[door], form(data, **more))

    assert answer.status_code == status, answer.text
    assert time.monotonic() - began < 5
    assert dump(here) == before
    if door != "page":
        told = answer.get_json(force=True)
        assert told["code"] in {"unsupported-picture", "picture-too-large", "unreadable-picture"}
        assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("kind", ["wrong extension", "no extension", "path", "NUL", "long"])
def test_the_files_name_means_nothing(here, kind):
    """The content says what a file is; its name is never a name on our disk."""
    payment = here.create()
    names = {
        "wrong extension": "photo.svg",
        "no extension": "qr",
        "path": "../../../../etc/passwd",
        "NUL": "a\0b.png",
        "long": "a" * 5000 + ".png",
    }
    data = {"file": (io.BytesIO(picture(payment["pix_code"])), names[kind])}

    answer = here.client().post(DOORS["upload"], data=data)

    assert answer.status_code == 200, answer.text
    assert answer.get_json()["payment_id"] == payment["id"]


def test_an_animated_gif_and_a_turned_photo_are_read(here):
    """What messengers and phones make of a picture is no attack."""
    payment = here.create()
    code = Image.open(io.BytesIO(picture(payment["pix_code"]))).convert("RGB")
    gif, turned = io.BytesIO(), io.BytesIO()
    blank = Image.new("RGB", code.size, "white")
    code.save(gif, "GIF", save_all=True, append_images=[blank] * 3, duration=50)
    exif = Image.Exif()
    exif[0x0112] = 6
    code.rotate(90, expand=True).save(turned, "JPEG", exif=exif)

    for data in (gif.getvalue(), turned.getvalue()):
        answer = here.client().post(DOORS["upload"], data=form(data))
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
def test_a_form_that_is_not_as_it_should_be_names_its_field(here, data, field):
    """No file, two files, a field nobody knows."""
    answer = here.client().post(DOORS["upload"], data=data(), content_type="multipart/form-data")

    assert answer.status_code == 400, answer.text
    assert [one["field"] for one in answer.get_json(force=True)["errors"]] == [field]


@pytest.mark.parametrize("door", ["upload", "proof"])
def test_what_is_no_form_is_refused(here, door):
    """JSON, or a body that is the picture itself."""
    bare = here.client().post(DOORS[door], data=qr_png("a"), content_type="image/png")
    assert bare.status_code == 415
    assert here.client().post(DOORS[door], json={"file": "x"}).status_code == 415


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
    """A part is no picture, however large."""
    answer = sent(here, DOORS["upload"], {**form(qr_png("a")), **body})

    assert answer.status_code in statuses, answer.text
    assert answer.status_code < 500


def test_a_text_that_no_database_takes_is_refused(here):
    """NUL, lone surrogates, and 4,096 characters at most; with the edge from both sides."""
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
