"""A payer's bank that records the orders it gets and answers as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flask import Flask
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from core.clock import Clock
from core.signing.signatures import verify
from payments.recurring import order_sender
from tests.support.service import SECRET

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@dataclass
class PayerBank:
    """Takes every POST with a valid signature; `answer` decides by path and members."""

    clock: Clock
    url: str = ""
    orders: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Path below the bank's root and members of each order, in the order of arrival."""
    answer: Callable[[str, dict[str, Any]], tuple[int, dict[str, Any]]] = lambda *_: (201, {})

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Any:
        """Record an order and answer it."""
        request = Request(environ)
        body = request.get_data()
        headers = {name.lower(): value for name, value in request.headers.items()}
        verify([SECRET], headers, body, self.clock.now())
        path, members = request.path.removeprefix("/bank"), json.loads(body)
        self.orders.append((path, members))
        status, answer = self.answer(path, members)
        return Response(json.dumps(answer), status, mimetype="application/json")(environ, start)

    def refuse(self, status: int, code: str) -> None:
        """Answer each further order with this problem."""
        self.answer = lambda *_: (status, {"code": code, "detail": "The bank says no."})


@contextmanager
def payer_bank(clock: Clock) -> Iterator[PayerBank]:
    """A bank on a free port; its `url` is the setting BANK_URL."""
    bank = PayerBank(clock)
    server = make_server("127.0.0.1", 0, bank, threaded=True)
    server.daemon_threads = True  # type: ignore[attr-defined]
    bank.url = f"http://127.0.0.1:{server.server_port}/bank"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield bank
    finally:
        server.shutdown()
        server.server_close()


def send_orders(app: Flask) -> int:
    """Run the job that sends orders once; return how many have ended."""
    with app.app_context():
        return order_sender.run()
