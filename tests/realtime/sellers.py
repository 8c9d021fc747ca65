"""Merchants at a service that is a process: over HTTP, and listening on a plain websocket."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import websocket

from tests.realtime.clients import PATIENCE_SECONDS
from tests.support.service import ServiceProcess

PASSWORD = "correct horse battery"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PATH = "/api/merchant/ws"


class Seller:
    """A merchant with an access token."""

    def __init__(self, service: ServiceProcess, login: str, **fields: Any) -> None:
        self.service = service
        self.login = login
        self.call("POST", "/users/", {"username": login, "password": PASSWORD, **fields}, {})
        self.token = self.sign_in()

    def sign_in(self) -> str:
        """The access token of another sign-in."""
        form = f"username={self.login}&password={PASSWORD.replace(' ', '+')}".encode()
        status, body, _ = self.service.request("POST", "/token", form, FORM)
        assert status == 200, body
        return str(json.loads(body)["access_token"])

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Send a request that must succeed; return the answer's body."""
        credentials = self.bearer if headers is None else headers
        data = None if body is None else json.dumps(body).encode()
        status, answer, _ = self.service.request(method, path, data, {**JSON, **credentials})
        assert status in (200, 201), answer
        return json.loads(answer)

    @property
    def bearer(self) -> dict[str, str]:
        """The header of the token."""
        return {"Authorization": f"Bearer {self.token}"}

    def key(self, *scopes: str) -> dict[str, Any]:
        """A new API key."""
        body = {"scopes": list(scopes)} if scopes else {}
        key: dict[str, Any] = self.call("POST", "/api/keys", body)
        return key

    def create(self, **fields: Any) -> dict[str, Any]:
        """Create a transaction; `value` is for the bank's notification."""
        transaction = self.call("POST", "/transactions/", {"amount": 10, **fields})
        return {**transaction, "value": transaction["amount"]}

    def listen(self, service: ServiceProcess | None = None) -> Listener:
        """Listen at this or another process."""
        return Listener((service or self.service).url, token=self.token)


class Listener:
    """A plain websocket client."""

    def __init__(self, url: str, query: str = "", token: str | None = None, **options: Any) -> None:
        """Shake hands. Raises websocket.WebSocketBadStatusException for a refusal."""
        if token is not None:
            query = f"?token={token}"
        self.socket = websocket.create_connection(
            f"{url.replace('http', 'ws')}{PATH}{query}",
            timeout=PATIENCE_SECONDS,
            suppress_origin="origin" not in options,
            **options,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.shutdown()

    def next(self, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The next message."""
        self.socket.settimeout(seconds)
        message: dict[str, Any] = json.loads(self.socket.recv())
        return message

    def hears_nothing(self, seconds: float) -> bool:
        """Whether no byte comes in this time and the connection stays open."""
        connection = self.socket.sock
        assert connection is not None
        connection.settimeout(seconds)
        try:
            connection.recv(1)
        except TimeoutError:
            return True
        return False

    def close_code(self, seconds: float = PATIENCE_SECONDS) -> int:
        """The code of the server's close frame; 0 without a close frame."""
        limit = time.monotonic() + seconds
        while (remaining := limit - time.monotonic()) > 0:
            self.socket.settimeout(remaining)
            try:
                frame = self.socket.recv_frame()
            except websocket.WebSocketConnectionClosedException:
                return 0
            if frame.opcode == websocket.ABNF.OPCODE_CLOSE:
                return int(struct.unpack("!H", frame.data[:2])[0]) if frame.data else 1005
        raise AssertionError("the connection still stands")


def refusal_status(url: str, query: str = "", **options: Any) -> int:
    """The HTTP status of a refused handshake."""
    try:
        with Listener(url, query, **options):
            return 101
    except websocket.WebSocketBadStatusException as error:
        return int(error.status_code)
