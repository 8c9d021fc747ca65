"""A server that answers with a script and records what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from balcao import Balcao

PAYMENT: dict[str, Any] = {
    "id": "4f0c0000000000000000000000000000",
    "status": "pending",
    "paid": False,
    "value": 100.1,
    "amount_centavos": 10010,
    "refunded_value": 0.0,
    "pix_code": "000201",
    "qr_code_url": "http://127.0.0.1/q.png",
    "payment_url": "http://127.0.0.1/p",
    "description": None,
    "order_id": "1042",
    "metadata": {"a": "b"},
    "created_at": "2026-11-20T15:00:00.123Z",
    "expiration_date": "2026-11-20T15:30:00Z",
    "confirmed_at": None,
    "end_to_end_id": None,
    "sequence": 1,
    "livemode": False,
    "field_of_the_future": [1],
}


class ScriptedServer:
    """Gives the n-th request the n-th answer; the last one repeats.

    An answer is `(status, headers, body)`, or None to close the connection without an answer.
    """

    def __init__(self, answers: list[Any]) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self._answers = answers
        self._lock = threading.Lock()
        script = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(length)
                with script._lock:
                    turn = min(len(script.requests), len(script._answers) - 1)
                    script.requests.append((self.command, self.path, headers, body))
                answer = script._answers[turn]
                if answer is None:
                    self.close_connection = True
                    return
                status, more_headers, content = answer
                if not isinstance(content, bytes):
                    content = json.dumps(content).encode()
                with suppress(OSError):
                    self.send_response(status)
                    for name, value in more_headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Script:
    """script(answer, …) → a running ScriptedServer; and the answers to script."""

    payment = PAYMENT

    def __init__(self) -> None:
        self.servers: list[ScriptedServer] = []

    def __call__(self, *answers: Any) -> ScriptedServer:
        self.servers.append(ScriptedServer(list(answers)))
        return self.servers[-1]

    def ok(self, body: Any, status: int = 200, **headers: str) -> Any:
        """A JSON answer."""
        return status, {"Content-Type": "application/json", **headers}, body

    def problem(self, status: int, code: str, **headers: str) -> Any:
        """An answer of problem+json."""
        body = {
            "status": status,
            "code": code,
            "detail": "A sentence.",
            "errors": [{"field": "value", "detail": "is wrong"}],
            "request_id": "r1",
        }
        return status, {"Content-Type": "application/problem+json", **headers}, body


@pytest.fixture
def script() -> Iterator[Script]:
    """Scripted servers, which end with the test."""
    servers = Script()
    yield servers
    for server in servers.servers:
        server.close()


class Shop:
    """A client of a scripted server whose pauses are recorded instead of waited for."""

    def __init__(self, server: ScriptedServer, **options: Any) -> None:
        self.pauses: list[float] = []
        self.client = Balcao(server.url, "balcao_test_key", **options)
        self.client.transport.sleep = self.pauses.append


@pytest.fixture
def shop() -> Any:
    """shop(server) → a Shop."""
    return Shop
