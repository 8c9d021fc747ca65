"""What pages and answers show of a charge whose location was taken or has moved."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from db_models import Payment
from repository.database import reading
from tests.pix_api.charges import DemoCalls

TXID = "a" * 30


@pytest.fixture
def call(app):
    """The demo merchant's calls."""
    return DemoCalls(app)


def pictures(page: str) -> list[str]:
    """The addresses of the QR's pictures on a page, without the host."""
    return [part.split('"')[0] for part in page.split('src="') if "/qr_code/" in part.split('"')[0]]


def row_id(app) -> str:
    """The id of the only payment."""
    with app.app_context(), reading() as work:
        return str(work.session.scalars(select(Payment.txid)).one())


def test_a_charge_without_a_location_shows_no_code(call, app):
    """The old code is dead: nobody may copy it or read its picture."""
    charge = call.create(TXID)
    txid, client = row_id(app), app.test_client()
    picture = f"/payments/pix/qr_code/qr_code_payment_{txid}.png"
    assert client.get(picture).status_code == 200
    assert call("DELETE", f"/loc/{charge['loc']['id']}/txid").status_code == 200
    page = client.get(f"/payments/pix/{txid}", headers={"Accept": "text/html"}).text
    assert charge["pixCopiaECola"] not in page
    assert pictures(page) == []
    assert "Sem código Pix agora" in page
    payer = client.get(f"/pay/{txid}", headers={"Accept": "text/html"})
    assert charge["pixCopiaECola"] not in payer.text
    assert client.get(picture).status_code == 404
    answer = client.get(f"/payments/pix/{txid}", headers={"Accept": "application/json"})
    assert answer.get_json()["payment"]["pix_code"] == ""


def test_the_picture_of_a_moved_code_has_another_address(call, app):
    """Browsers keep a picture for ever, so the old address must not serve as the new one."""
    call.create(TXID)
    txid, client = row_id(app), app.test_client()
    old = set(pictures(client.get(f"/payments/pix/{txid}", headers={"Accept": "text/html"}).text))
    before = client.get(old.copy().pop())
    location = call("POST", "/loc", {"tipoCob": "cob"}).json
    assert call("PATCH", f"/cob/{TXID}", {"loc": {"id": location["id"]}}).status_code == 200
    new = set(pictures(client.get(f"/payments/pix/{txid}", headers={"Accept": "text/html"}).text))
    assert len(old) == len(new) == 1
    assert old.isdisjoint(new)
    after = client.get(new.pop())
    assert after.data != before.data
    assert "immutable" in after.headers["Cache-Control"]
    stale = client.get(old.pop())
    assert (stale.data, stale.headers["Cache-Control"]) == (after.data, "no-cache")
