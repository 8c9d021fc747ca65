"""The operator's view: metrics, and logs that machines can read, without secrets."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.process.talking import Talker
from tests.realtime.clients import RawWebSocket
from tests.support.service import PIX_KEY, SECRET, SECRET_KEY, ServiceProcess


def _events(service: ServiceProcess) -> dict[str, float]:
    status, body, headers = service.request("GET", "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    matches = re.findall(r'balcao_payment_events_total\{event="([^"]+)"\} (\S+)', body.decode())
    return {name: float(number) for name, number in matches}


def test_metrics_count_what_happened_to_payments(serve):
    """An alert on missing confirmations needs their number by event name."""
    service = serve()
    confirmed, cancelled, rejected = (service.create() for _ in range(3))
    for _ in range(2):  # the second is a duplicate, and nothing happens
        assert service.tell(confirmed, end_to_end_id="E99999004202611201500aaaaaaaaaaa")[0] == 200
    assert service.request("POST", f"/payments/pix/{cancelled['id']}/cancel")[0] == 200
    assert service.tell(rejected, value=0.01)[0] == 400
    assert _events(service) == {
        "payment.created": 3.0,
        "payment.confirmed": 1.0,
        "payment.cancelled": 1.0,
        "receipt.refused": 1.0,
    }
    text = service.get("/metrics")[1].decode()
    assert 'method="POST",route="/payments/pix",status="201"} 3.0' in text
    for secret in (confirmed["id"], confirmed["watch_code"]):
        assert secret not in text


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_json_logs_are_one_object_a_line_with_the_request_id_and_no_secret(serve, mode):
    """A collector parses lines, a support case starts from an id, and logs are read by many."""
    service = serve(ASYNC_MODE=mode, LOG_FORMAT="json", LOG_LEVEL="debug")
    payment = service.create()
    headers = {"X-Request-ID": "case-4711", "Authorization": "Bearer balcao_not_a_key"}
    assert service.request("GET", "/payments/pix", headers=headers)[0] == 401
    payer = {"name": "Bob de Souza", "document": "12345678909"}
    assert service.tell(payment, payer=payer)[0] == 200
    json_type = {"Content-Type": "application/json"}
    forged = {"webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,bm90IGEgc2ln"}
    path = "/payments/pix/confirmation"
    assert service.request("POST", path, b"{}", {**json_type, **forged})[0] == 401
    assert service.request("POST", "/payments/pix", b"\xff{", json_type)[0] == 400
    with Talker(service.port) as charlie:  # not even HTTP
        charlie.send(b"\xff\xfe nonsense\r\n\r\n")
        charlie.is_closed_by_the_server()
    with RawWebSocket(service.url) as charlie:  # not even Socket.IO
        charlie.send(b"451-[nonsense")
        charlie.bytes_within(0.3)
    assert service.stop() == 0
    log = service.log()
    lines = [line for line in log.splitlines() if not _greeting(line)]
    entries = [json.loads(line) for line in lines]
    assert all(isinstance(entry, dict) for entry in entries)
    requests = [entry for entry in entries if entry["event"] == "request"]
    assert len(requests) >= 5
    for entry in requests:
        assert entry["request_id"]
        assert {"timestamp", "level", "method", "path", "status", "ms"} <= entry.keys()
    assert [entry["status"] for entry in requests if entry["request_id"] == "case-4711"] == [401]
    for secret in (SECRET, SECRET_KEY, "balcao_not_a_key", "bm90IGEgc2ln", PIX_KEY,
                   "12345678909", "Bob de Souza"):  # fmt: skip
        assert secret not in log


def _greeting(line: str) -> bool:
    return line.startswith(("Balcão is open", "  "))


def test_an_unexpected_error_is_one_json_line_too(serve, tmp_path):
    """A trace over forty lines is forty unreadable records to a collector."""
    service = serve(LOG_FORMAT="json", DATABASE_URL=f"sqlite:///{tmp_path / 'b.sqlite3'}")
    payment = service.create()
    _break_the_events(tmp_path / "b.sqlite3")
    assert service.tell(payment)[0] == 500
    service.kill()
    entries = [json.loads(line) for line in service.log().splitlines() if not _greeting(line)]
    assert [entry for entry in entries if entry.get("exception")]


def _break_the_events(database: Path) -> None:
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        connection.execute("ALTER TABLE payment_events RENAME COLUMN data TO data_no_more")
