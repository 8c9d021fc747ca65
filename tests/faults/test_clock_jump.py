"""The machine's clock is set forward by an hour while payments are pending."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.support.parts import MissingPart, leave_out

pytestmark = pytest.mark.slow

PATTERN = "/usr/lib/*/faketime/libfaketimeMT.so.1"


def _library() -> str:
    libraries = sorted(Path("/").glob(PATTERN.removeprefix("/")))
    if not libraries:
        leave_out(MissingPart("libfaketime (Debian: faketime)"))
    return str(libraries[0])


def test_money_paid_before_the_jump_is_confirmed_after_it(serve, tmp_path):
    """The jump expires every pending payment; the one paid in time is confirmed later."""
    offset = tmp_path / "faketime"
    offset.write_text("+0\n")
    service = serve(
        LD_PRELOAD=_library(),
        FAKETIME_TIMESTAMP_FILE=str(offset),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        RECONCILE_INTERVAL_SECONDS="300",
    )
    paid, unpaid = service.create(expires_in=600), service.create(expires_in=600)
    end_to_end_id = _pay_late(service, paid)

    offset.write_text("+3600\n")
    _wait_for(service, unpaid, "expired")
    _wait_for(service, paid, "confirmed")

    final = service.payment(paid["id"])
    assert final["end_to_end_id"] == end_to_end_id
    assert service.payment(unpaid["id"])["status"] == "expired"
    assert service.get("/readyz")[0] == 200


def _pay_late(service, payment) -> str:
    """Pay at the bank in the same process, which delays its notice by a minute."""
    body_bytes = json.dumps(
        {"code": payment["pix_code"], "pin": "1234", "scenario": "late", "late_seconds": 60}
    ).encode()
    status, body, _ = service.request(
        "POST", "/bank/api/pay", body_bytes, {"Content-Type": "application/json"}
    )
    assert status == 200, body
    return json.loads(body)["end_to_end_id"]


def _wait_for(service, payment, status: str) -> None:
    limit = time.monotonic() + 30
    while service.payment(payment["id"])["status"] != status and time.monotonic() < limit:
        time.sleep(0.2)
    assert service.payment(payment["id"])["status"] == status
