"""A TCP proxy before a database that can lose the answer to one COMMIT."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class _Pair:
    """A client's connection and the state of its transaction."""

    client: socket.socket
    server: socket.socket
    is_marked: bool = False
    is_committing: threading.Event = field(default_factory=threading.Event)

    def cut(self) -> None:
        """End both sides at once; each pump closes its own."""
        for side in (self.client, self.server):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


class CuttingProxy:
    """Forwards everything until `arm(marker)` is called.

    On the next connection that carries the marker, the COMMIT reaches the server and its answer is
    dropped.
    """

    def __init__(self, host: str, port: int, listens_on: int = 0) -> None:
        self._address = (host, port)
        self._listener = socket.create_server(("127.0.0.1", listens_on))
        self.port: int = self._listener.getsockname()[1]
        self._marker: bytes | None = None
        self._answer = b""
        self.cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def arm(self, marker: bytes, answer: bytes = b"") -> None:
        """Drop the answer to the next COMMIT on the connection that carries the marker.

        `answer` is text that only that answer contains: PostgreSQL also answers the preparation.
        """
        self.cut.clear()
        self._answer = answer
        self._marker = marker

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                pair = _Pair(client, socket.create_connection(self._address))
                for pump in (self._requests, self._answers):
                    threading.Thread(target=pump, args=(pair,), daemon=True).start()

    def _requests(self, pair: _Pair) -> None:
        with suppress(OSError):
            while data := pair.client.recv(65_536):
                if self._marker is not None and self._marker in data:
                    pair.is_marked = True
                if pair.is_marked and b"COMMIT" in data.upper():
                    pair.is_committing.set()
                pair.server.sendall(data)
        pair.cut()
        pair.client.close()

    def _answers(self, pair: _Pair) -> None:
        with suppress(OSError):
            while data := pair.server.recv(65_536):
                if pair.is_committing.is_set() and self._answer in data:
                    # The server has answered, so it has committed; drop the answer.
                    self._marker = None
                    self.cut.set()
                    break
                pair.client.sendall(data)
        pair.cut()
        pair.server.close()
