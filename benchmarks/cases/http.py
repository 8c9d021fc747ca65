"""Create, page and QR over HTTP, compared with bare endpoints on the same server."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.load import request_bytes, run
from benchmarks.processes import bare_server, own_server
from benchmarks.report import Outcome, median

ROUNDS, SECONDS = 5, 4.0
CREATE = request_bytes("POST", "/payments/pix", json.dumps({"value": 54.90}).encode())
INSERT = request_bytes("POST", "/insert", json.dumps({"value": 54.90}).encode())


def measure(folder: Path, database_url: str, rounds: int = ROUNDS) -> list[Outcome]:
    """Measure requests per second in interleaved rounds."""
    with own_server(folder, database_url) as service:
        payment = service.create()
        page = service.get(f"/payments/pix/{payment['id']}", accept="text/html")[1]
        picture = service.get(f"/payments/pix/qr_code/{payment['qr_code']}.png")[1]
        with bare_server(folder, database_url, len(page), picture) as reference:
            pairs = {
                "create, 16 clients": (CREATE, INSERT, 16, 201, 0.6),
                "payment page, 8 clients": (
                    request_bytes(
                        "GET", f"/payments/pix/{payment['id']}", headers={"Accept": "text/html"}
                    ),
                    request_bytes("GET", "/page"),
                    8,
                    200,
                    0.5,
                ),
                "QR picture, cached, 8 clients": (
                    request_bytes("GET", f"/payments/pix/qr_code/{payment['qr_code']}.png"),
                    request_bytes("GET", "/picture"),
                    8,
                    200,
                    0.7,
                ),
            }
            outcomes = []
            for name, (mine, theirs, clients, expect, bound) in pairs.items():
                rates: tuple[list[float], list[float]] = ([], [])
                for number in range(rounds):
                    order = ((service.port, mine, 0), (reference.port, theirs, 1))
                    for port, request, side in order if number % 2 == 0 else reversed(order):
                        load = run(
                            port,
                            lambda request=request: request,  # type: ignore[misc]
                            clients=clients,
                            seconds=SECONDS,
                            expect=expect,
                        )
                        rates[side].append(load.requests_per_second)
                outcomes.append(
                    Outcome(
                        name, median(rates[0]), median(rates[1]), "req/s", bound, "higher", rounds
                    )
                )
            return outcomes
