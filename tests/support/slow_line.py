"""A proxy before the service that delivers each HTML page in small pieces, as a slow line does."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

PAUSE_SECONDS = 0.01
_BETWEEN_ELEMENTS = re.compile(rb">\s*(?=<)")


class SlowLine:
    """Forwards HTTP; a page comes element by element, with a pause after each."""

    def __init__(self, port: int) -> None:
        """`port` is the service's."""
        self._address = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.pieces = 0
        """In how many pieces the largest page came."""
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                browser, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(browser,), daemon=True).start()

    def _carry(self, browser: socket.socket) -> None:
        with suppress(OSError), browser, socket.create_connection(self._address) as service:
            head = _head(browser)
            if head.lower().count(b"upgrade: websocket") == 0:
                first, _, lines = head.partition(b"\r\n")
                lines = re.sub(rb"(?i)(accept-encoding|connection):[^\r]*\r\n", b"", lines)
                own = b"Connection: close\r\nAccept-Encoding: identity\r\n"
                head = first + b"\r\n" + own + lines
            service.sendall(head)
            threading.Thread(target=_pump, args=(browser, service), daemon=True).start()
            answer = _head(service)
            if b"Content-Type: text/html" in answer:
                self._drip(service, browser, answer)
            else:
                browser.sendall(answer)
                _pump(service, browser)
            browser.shutdown(socket.SHUT_RDWR)

    def _drip(self, service: socket.socket, browser: socket.socket, answer: bytes) -> None:
        while data := service.recv(65_536):
            answer += data
        ends = [match.end() for match in _BETWEEN_ELEMENTS.finditer(answer)] + [len(answer)]
        self.pieces = max(self.pieces, len(ends))
        at = 0
        for end in ends:
            browser.sendall(answer[at:end])
            at = end
            time.sleep(PAUSE_SECONDS)


def _head(source: socket.socket) -> bytes:
    """What comes first, up to the end of the head or further. Raises OSError."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = source.recv(65_536)
        if not piece:
            raise ConnectionError
        data += piece
    return data


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
