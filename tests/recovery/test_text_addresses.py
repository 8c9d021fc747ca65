"""URLs, ids and end-to-end ids, as payers copy and type them."""

from __future__ import annotations

import pytest

from blueprints.recovery.reading import Kind, Reading
from tests.recovery.texts import BASE, ID, TOKEN, read


@pytest.mark.parametrize(
    "text",
    [
        f"https://{BASE}/payments/pix/{ID}",
        f"http://{BASE}:80/payments/pix/{ID}/",
        f"HTTPS://{BASE.upper()}/payments/pix/{ID.upper()}",
        f"https://{BASE}:443/payments/pix/{ID}/receipt?lang=en#x",
        f"https://{BASE}/payments/pix/qr_code/qr_code_payment_{ID}.png",
        f"https://{BASE}/pay/{ID}",
        f"{BASE}/payments/pix/{ID}",
        f"Pague aqui: https://{BASE}/payments/pix/{ID}. Obrigada!",
        f"Loja https://outra.example e (https://{BASE}/payments/pix/{ID})",
    ],
)
def test_the_url_of_a_payment_is_found(text: str):
    """The URL of the page, receipt or picture, alone or in a sentence."""
    reading = read(text)

    assert (reading.kind, reading.payment_id) == (Kind.OUR_ADDRESS, ID)


@pytest.mark.parametrize(
    "text",
    [
        f"https://{BASE}/qr/v2/{TOKEN}",
        f"https://{BASE}/watch/{TOKEN}",
        f"{BASE}/qr/v2/{TOKEN}",
        f"veja {BASE}/qr/v2/{TOKEN}, por favor",
    ],
)
def test_the_url_of_a_location_is_found_by_its_token(text: str):
    """The payer copied the location out of the code."""
    reading = read(text)

    assert (reading.kind, reading.watch_code) == (Kind.OUR_ADDRESS, TOKEN)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"https://{BASE}/", Kind.OUR_OTHER_PAGE),
        (f"https://{BASE}/payments/pix/{ID[:-1]}", Kind.OUR_OTHER_PAGE),
        (f"https://{BASE}/payments/pix/{ID}0", Kind.OUR_OTHER_PAGE),
        (f"https://{BASE}:8443/payments/pix/{ID}", Kind.WEB_ADDRESS),
        (f"https://{BASE}.evil.example/payments/pix/{ID}", Kind.WEB_ADDRESS),
        (f"https://{BASE}@evil.example/payments/pix/{ID}", Kind.WEB_ADDRESS),
        (f"ftp://{BASE}/payments/pix/{ID}", Kind.PLAIN_TEXT),
    ],
)
def test_a_url_without_a_payment_of_ours_finds_none(text: str, kind: Kind):
    """A wrong id, a wrong port, or a host that only looks like ours."""
    reading = read(text)

    assert (reading.kind, reading.payment_id, reading.watch_code) == (kind, None, None)


@pytest.mark.parametrize(
    "text",
    [
        ID,
        ID.upper(),
        f" {ID}\n",
        f"{ID[:16]} {ID[16:]}",
        f"qr_code_payment_{ID}",
        f"qr_code_payment_{ID}.svg",
        f"\u201c{ID}\u201d",
    ],
)
def test_an_id_is_read_as_it_is_typed(text: str):
    """Payers copy ids from mails, file names and bills."""
    assert (read(text).kind, read(text).payment_id) == (Kind.PAYMENT_ID, ID)


@pytest.mark.parametrize("text", [ID[:-1], ID + "0", f"{ID[:8]}-{ID[8:]}", ID[:-1] + "g"])
def test_a_malformed_id_is_not_read(text: str):
    """An id of 31 or 33 digits is not repaired."""
    assert read(text).payment_id is None


def test_the_end_to_end_id_on_a_receipt_is_read():
    """Payers still have the receipt when they have lost the code."""
    text = "E1234567820260909122112345abcdef"

    assert read(text) == Reading(Kind.END_TO_END_ID, text, end_to_end_id=text)
    assert read("E9999999999999999999999999999999").kind is Kind.PAYMENT_ID
