"""Tills: each static code has a txid of its own, so a counter knows its own money."""

from __future__ import annotations

import io
import re
from functools import partial

import pytest
import zxingcpp
from PIL import Image

from core.clock import rfc3339
from core.pix import br_code
from payments import tills
from payments.tills import TILLS_MAX
from tests.db.crowd import at_once
from tests.portal.signing import CONFIRMED
from tests.support.scanner import QR_CODES
from tests.support.service import end_to_end_id

ALICES_KEY = "alice@feira.example"


def code_at(client, path):
    """The BR Code in the picture at this path, read strictly."""
    with Image.open(io.BytesIO(client.get(path).data)) as picture:
        (barcode,) = zxingcpp.read_barcodes(picture.convert("L"), formats=QR_CODES)
    return br_code.decode(barcode.text, strict=True)


def open_till(browser, name):
    """Open a till in the portal; return its txid."""
    answer = browser.post("/portal/tills", {"name": name})
    assert answer.status_code == 303, answer.text
    match = re.search(r"till=([A-Z0-9]{25})", answer.location)
    assert match is not None
    return match[1]


def pay(bank, clock, reference, key=ALICES_KEY):
    """Tell of R$ 5,00 for a static code with this txid; return the end_to_end_id."""
    body = {
        "pix_key": key,
        "reference": reference,
        "value": "5.00",
        "end_to_end_id": end_to_end_id(),
        "paid_at": rfc3339(clock.now()),
    }
    assert bank.tell(body).status_code == 200
    return body["end_to_end_id"]


def till_names(browser):
    """The tills' names in the list of receipts, newest first."""
    data = browser.client.get("/payments/pix/receipts").get_json()["data"]
    return [receipt["till"] for receipt in data]


def test_the_public_code_and_the_poster_carry_the_txid_of_the_first_till(alice):
    """A code is printed once, so its txid stays the same."""
    public = code_at(alice.client, "/generate_qr/alice")
    poster = code_at(alice.client, "/portal/poster/qr.png?value=25,00")

    assert re.fullmatch(r"[A-Z0-9]{25}", public.txid)
    assert poster.txid == public.txid == code_at(alice.client, "/generate_qr/alice").txid
    assert (poster.key, poster.amount_centavos) == (ALICES_KEY, 2500)
    assert "Caixa 1" in alice.get("/portal/poster/poster.svg").text


def test_money_names_the_till_whose_code_was_paid(alice, bank, clock):
    """Two desks with two codes: each knows its own money."""
    first = code_at(alice.client, "/generate_qr/alice").txid
    fair = open_till(alice, "Barraca da feira")
    assert code_at(alice.client, f"/generate_qr/alice?till={fair}").txid == fair
    assert code_at(alice.client, f"/portal/poster/qr.png?till={fair}").txid == fair

    for reference in (first, fair, "OUTRO"):
        pay(bank, clock, reference)

    assert till_names(alice) == [None, "Barraca da feira", "Caixa 1"]


def test_money_for_the_key_of_another_is_never_shown_at_a_till(alice, charlie, bank, clock):
    """Charlie prints the txid of Alice's till with his own key; Alice's screen stays as it was."""
    txid = code_at(alice.client, "/generate_qr/alice").txid

    pay(bank, clock, txid, key="charlie@longe.example")

    assert till_names(alice) == []
    assert till_names(charlie) == [None]


def test_a_closed_till_shows_no_code_and_still_receives(alice, bank, clock):
    """A printed poster hangs on; its money must not be lost."""
    code_at(alice.client, "/generate_qr/alice")
    fair = open_till(alice, "Barraca da feira")
    question = alice.post(f"/portal/tills/{fair}/close")
    assert "Fechar o caixa Barraca da feira?" in question.text
    assert alice.get(f"/portal/poster?till={fair}").status_code == 200
    closed = alice.post(f"/portal/tills/{fair}/close", CONFIRMED)

    pay(bank, clock, fair)

    assert closed.status_code == 303
    assert alice.client.get(f"/generate_qr/alice?till={fair}").status_code == 404
    assert alice.get(f"/portal/poster?till={fair}").status_code == 404
    assert alice.post(f"/portal/tills/{fair}/close").status_code == 404
    assert "Barraca da feira" not in alice.get("/portal/poster").text
    assert till_names(alice) == ["Barraca da feira"]


def test_the_only_open_till_cannot_be_closed(alice):
    """A shop without a till would have no code."""
    txid = code_at(alice.client, "/generate_qr/alice").txid

    assert alice.post(f"/portal/tills/{txid}/close").status_code == 409
    assert code_at(alice.client, "/generate_qr/alice").txid == txid


def test_another_merchants_till_is_unknown(alice, charlie):
    """Charlie can neither show nor close it."""
    txid = open_till(alice, "Barraca da feira")

    assert charlie.get(f"/portal/poster?till={txid}").status_code == 404
    assert charlie.get(f"/portal/poster/qr.svg?till={txid}").status_code == 404
    assert charlie.client.get(f"/generate_qr/charlie?till={txid}").status_code == 404
    assert charlie.post(f"/portal/tills/{txid}/close").status_code == 404
    assert code_at(alice.client, f"/generate_qr/alice?till={txid}").txid == txid


@pytest.mark.parametrize("till", ["", "x", "A" * 26, "%00", "a" * 25])
def test_a_malformed_till_is_unknown(alice, till):
    """It never reaches the database; an empty one is the first till on the pages."""
    expected = 200 if till == "" else 404
    assert alice.get(f"/portal/poster?till={till}").status_code == expected
    assert alice.client.get(f"/generate_qr/alice?till={till}").status_code == 404


@pytest.mark.parametrize(
    ("name", "status"),
    [("N" * 40, 303), ("N" * 41, 400), ("", 400), ("  ", 400), ("a\x07b", 400)],
)
def test_a_till_has_a_name_of_at_most_40_characters(alice, name, status):
    """The name stands on the poster and in the list."""
    answer = alice.post("/portal/tills", {"name": name})

    assert answer.status_code == status
    assert status == 303 or "wrong" in answer.text


def test_a_shop_has_at_most_50_tills(alice, monkeypatch):
    """Closed tills count, so that nobody can fill the table."""
    assert TILLS_MAX == 50
    monkeypatch.setattr(tills, "TILLS_MAX", 3)
    open_till(alice, "A")
    open_till(alice, "B")
    closed = open_till(alice, "C")
    alice.post(f"/portal/tills/{closed}/close", CONFIRMED)

    assert alice.post("/portal/tills", {"name": "D"}).status_code == 409


def test_two_first_requests_at_once_open_one_till(app, alice):
    """Two people print the poster of a new shop at the same moment."""
    clients = [app.test_client() for _ in range(4)]

    codes = at_once([partial(code_at, one, "/generate_qr/alice") for one in clients])

    assert len({code.txid for code in codes}) == 1
