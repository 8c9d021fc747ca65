"""A stub of the bank's API for look-ups; a test sets its transfers and its faults."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from core.clock import Clock, parse_rfc3339, rfc3339
from core.errors import BadSignature
from core.signing import signatures
from tests.support.service import SECRET, end_to_end_id

ROOT = "/bank"
Answer = tuple[int, bytes]


class StubBank:
    """Serves look-ups and lists on a free port; answers 401 to a request with a bad signature."""

    def __init__(self, clock: Clock, page: int = 100) -> None:
        """`page` is the largest number of transfers on one page of a list."""
        self.clock = clock
        self.page = page
        self.transfers: list[dict[str, Any]] = []
        self.questions: list[str] = []
        """Every request, in order: path and query below the bank's root."""
        self.refusals: list[str] = []
        self.misbehave: Callable[[str], Answer | None] = lambda _question: None
        self.pause: tuple[int, float] | None = None
        """Send the answer in pieces: (bytes per piece, seconds between pieces)."""
        bank = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bank._answer(self)

            def log_message(self, *_: object) -> None:
                """Write no access log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}{ROOT}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()

    def take(self, payment: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        """Take money for this payment without a notice; a change to None drops the member."""
        entry: dict[str, Any] = {
            "end_to_end_id": end_to_end_id(),
            "txid": payment["id"],
            "status": "sent",
            "value": payment["value"],
            "amount_centavos": payment["amount_centavos"],
            "paid_at": rfc3339(self.clock.now()),
            "payee": {"name": "Alice", "key": "alice@example.com"},
            "payer": {"name": "Bob de Souza", "document": "12345678909"},
        }
        entry = {name: value for name, value in (entry | changes).items() if value is not None}
        self.transfers.append(entry)
        return entry

    def windows(self) -> list[tuple[datetime, datetime]]:
        """The requested time windows, in order."""
        queries = [parse_qs(urlsplit(one).query) for one in self.questions if "/settled" in one]
        return [(parse_rfc3339(one["from"][0]), parse_rfc3339(one["to"][0])) for one in queries]

    def look_ups(self) -> list[str]:
        """The ids of the payments that were looked up, in order."""
        return [one.rsplit("/", 1)[1] for one in self.questions if "/payments/" in one]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        question = handler.path.removeprefix(ROOT)
        self.questions.append(question)
        try:
            headers = {name.lower(): value for name, value in handler.headers.items()}
            signatures.verify([SECRET], headers, f"GET {question}".encode(), self.clock.now())
            status, body = self.misbehave(question) or (200, self._body_for(question))
        except BadSignature as error:
            self.refusals.append(error.detail)
            status, body = 401, b"{}"
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        size, seconds = self.pause or (len(body) or 1, 0)
        for start in range(0, len(body), size):
            try:
                handler.wfile.write(body[start : start + size])
            except OSError:
                return  # the client hung up
            time.sleep(seconds)

    def _body_for(self, question: str) -> bytes:
        parts = urlsplit(question)
        if parts.path.startswith("/api/payments/"):
            txid = parts.path.rsplit("/", 1)[1]
            mine = [entry for entry in self.transfers if entry.get("txid") == txid]
            return json.dumps({"payments": mine}).encode()
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        start, end = parse_rfc3339(query["from"]), parse_rfc3339(query["to"])
        within = [
            entry
            for entry in self.transfers
            if "paid_at" not in entry or start <= parse_rfc3339(entry["paid_at"]) <= end
        ]
        skip = int(query.get("after", "0"))
        rest = within[skip + self.page :]
        answer = {
            "data": within[skip : skip + self.page],
            "next": str(skip + self.page) if rest else None,
        }
        return json.dumps(answer).encode()
