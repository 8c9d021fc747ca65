"""Clients written for the two systems this one replaces: their bodies and paths work here."""

from __future__ import annotations

import io
import json

import pytest
import zxingcpp
from PIL import Image

from tests.http.checks import problem, rows
from tests.support.scanner import QR_CODES


@pytest.mark.parametrize(
    "data",
    ['{"value": 100.00}', '{"value": 500}', '{\n    "value": 500\n}\n'],
)
def test_a_payment_is_created_from_their_bodies(client, data):
    """`POST /payments/pix` with only a value, and the fields they read in the answer."""
    answer = client.post("/payments/pix", data=data, content_type="application/json")
    assert answer.status_code in (200, 201)
    assert answer.json["message"] == "The payment has been created."
    payment = answer.json["payment"]
    assert payment["value"] == json.loads(data)["value"]
    assert payment["paid"] is False
    for name in ("id", "bank_payment_id", "qr_code", "expiration_date"):
        assert payment[name]
    assert payment["qr_code"] == f"qr_code_payment_{payment['bank_payment_id']}"


def test_their_body_signed_by_the_bank_confirms(client, bank):
    """Only {"bank_payment_id", "value"}; the signature is new."""
    created = client.post("/payments/pix", json={"value": 500}).json["payment"]
    body = {"bank_payment_id": created["bank_payment_id"], "value": 500}
    answer = bank.tell(body)
    assert answer.status_code == 200
    assert answer.json["message"] == "The payment has been confirmed."
    read = client.get(f"/payments/pix/{created['id']}", headers={"Accept": "application/json"})
    assert read.json["payment"]["paid"] is True


def test_their_body_unsigned_no_longer_confirms(client, app):
    """In those systems anybody with the id could confirm the payment."""
    created = client.post("/payments/pix", json={"value": 500}).json["payment"]
    before = rows(app)
    body = {"bank_payment_id": created["bank_payment_id"], "value": 500}
    problem(client.post("/payments/pix/confirmation", json=body), 401, "bad-signature")
    assert rows(app) == before


def test_another_amount_no_longer_confirms(client, bank):
    """Those systems confirmed any amount."""
    created = client.post("/payments/pix", json={"value": 500}).json["payment"]
    problem(bank.tell({"bank_payment_id": created["id"], "value": 5}), 400, "amount-mismatch")


@pytest.mark.parametrize("name", ["{qr_code}", "{qr_code}.png"])
def test_the_picture_is_found_by_the_name_in_the_answer(client, name):
    """`GET /payments/pix/qr_code/<file_name>`."""
    created = client.post("/payments/pix", json={"value": 500}).json["payment"]
    answer = client.get(f"/payments/pix/qr_code/{name.format(**created)}")
    assert (answer.status_code, answer.mimetype) == (200, "image/png")
    (barcode,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(answer.data)), formats=QR_CODES)
    assert barcode.text == created["pix_code"]


def test_the_page_shows_each_of_their_three_states(client, bank, clock):
    """`GET /payments/pix/<id>`: to pay, confirmed, expired."""
    pending = client.post("/payments/pix", json={"value": 500}).json["payment"]
    paid = client.post("/payments/pix", json={"value": 500}).json["payment"]
    bank.tell({"bank_payment_id": paid["id"], "value": 500})
    pages = [client.get(f"/payments/pix/{one['id']}").text for one in (pending, paid)]
    clock.advance(minutes=31)
    pages.append(client.get(f"/payments/pix/{pending['id']}").text)
    assert len(set(pages)) == 3
    assert pending["pix_code"] in pages[0]
    assert pending["pix_code"] not in pages[2]
