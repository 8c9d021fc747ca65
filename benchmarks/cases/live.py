"""The delay from a confirmation to one of a thousand watchers, and the memory of a watcher."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.load import request_bytes
from benchmarks.processes import bare_server, own_server, resident_bytes
from benchmarks.report import Outcome, percentile
from benchmarks.sockets import Crowd, Watcher
from core.clock import SystemClock, rfc3339
from core.signing import signatures
from tests.support.service import SECRET, end_to_end_id

OTHERS = 1000
CONFIRMATIONS = 200
IDLE = 5000
P99_BOUND, MEMORY_BOUND = 3.0, 1.3


def measure(folder: Path, database_url: str, rounds: int = 3) -> list[Outcome]:
    """Measure p99 from the POST's first byte to the event, and the memory per idle watcher."""
    return [_latency(folder, database_url, rounds), _memory(folder, database_url)]


def _latency(folder: Path, database_url: str, rounds: int) -> Outcome:
    with (
        own_server(folder, database_url) as service,
        bare_server(folder, database_url) as reference,
    ):
        unpaid = service.create()
        crowds = {service.port: Crowd(), reference.port: Crowd()}
        for port, crowd in crowds.items():
            for _ in range(OTHERS):
                watcher = Watcher(port)
                watcher.watch(unpaid["id"])
                crowd.add(watcher)
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for _ in range(CONFIRMATIONS // rounds):
                payment = service.create()
                seconds[0].append(
                    _measure_delay(service.port, payment["id"], _confirmation(payment))
                )
                seconds[1].append(
                    _measure_delay(reference.port, payment["id"], _emission(payment["id"]))
                )
            for crowd in crowds.values():
                assert crowd.attend(0.5) == 0, "a watcher received another payment's event"
        for crowd in crowds.values():
            crowd.close()
    return Outcome(
        f"confirm to event, p99, {OTHERS} others",
        percentile(seconds[0], 0.99) * 1000,
        percentile(seconds[1], 0.99) * 1000,
        "ms",
        P99_BOUND,
        "lower",
        rounds,
        "p50 {:.1f} against {:.1f}".format(*(percentile(side, 0.5) * 1000 for side in seconds)),
    )


def _measure_delay(port: int, room: str, request: Callable[[], bytes]) -> float:
    watcher = Watcher(port)
    watcher.watch(room)
    data = request()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        started = time.perf_counter()
        connection.sendall(data)
        watcher.wait_for('42["payment-confirmed"')
        elapsed = time.perf_counter() - started
        connection.recv(65_536)
    watcher.close()
    return elapsed


def _confirmation(payment: dict[str, object]) -> Callable[[], bytes]:
    def request() -> bytes:
        now = SystemClock().now()
        body = json.dumps(
            {
                "bank_payment_id": payment["id"],
                "value": payment["value"],
                "end_to_end_id": end_to_end_id(),
                "paid_at": rfc3339(now),
            }
        ).encode()
        headers = signatures.signed_headers(SECRET, f"msg_{payment['id']}", now, body)
        return request_bytes("POST", "/payments/pix/confirmation", body, headers)

    return request


def _emission(room: str) -> Callable[[], bytes]:
    return lambda: request_bytes("POST", "/emit", json.dumps({"room": room}).encode())


def _memory(folder: Path, database_url: str) -> Outcome:
    kib_each = []
    with (
        own_server(folder, database_url) as service,
        bare_server(folder, database_url) as reference,
    ):
        assert service.process is not None
        unpaid = service.create()
        for port, pid in ((service.port, service.process.pid), (reference.port, reference.pid)):
            warm = Watcher(port)
            warm.watch(unpaid["id"])
            before = resident_bytes(pid)
            crowd = Crowd()
            for number in range(IDLE):
                watcher = Watcher(port)
                watcher.watch(unpaid["id"])
                crowd.add(watcher)
                if number % 500 == 0:
                    crowd.attend(0.01)
            crowd.attend(3)
            kib_each.append((resident_bytes(pid) - before) / IDLE / 1024)
            if port == service.port:
                assert service.get("/healthz")[0] == 200, (
                    "with many watchers the service stopped answering"
                )
            crowd.close()
            warm.close()
    return Outcome(
        f"memory of an idle watcher, {IDLE} of them",
        kib_each[0],
        kib_each[1],
        "KiB each",
        MEMORY_BOUND,
        "lower",
        1,
    )
