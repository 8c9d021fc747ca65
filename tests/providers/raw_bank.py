"""A bank on a real socket that answers any bytes, for tests of the exchange itself."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.providers.certificate_files import Pair

ANSWER_ENDS = "close"
"""In place of an answer: close the connection without a byte."""


@dataclass
class Request:
    """One request as the bank read it."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the target."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def form(self) -> dict[str, str]:
        """The parameters of the body."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


Answer = bytes | Callable[[socket.socket], None]


def http(
    status: int, body: Any = None, *, headers: dict[str, str] | None = None, kind: str = ""
) -> bytes:
    """An answer; a body that is not bytes is written as JSON."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {
        "Date": formatdate(usegmt=True),
        "Content-Length": str(len(data)),
        "Content-Type": kind or "application/json",
        **(headers or {}),
    }
    head = f"HTTP/1.1 {status} Any\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields.items() if v)
    return head.encode() + b"\r\n" + data


@dataclass
class RawBank:
    """A server with keep-alive. Answers come from `script` first, then from `answer`."""

    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    script: deque[Answer | str] = field(default_factory=deque)
    """Answers to calls, in turn; tokens are not among them."""
    token_script: deque[Answer | str] = field(default_factory=deque)
    answer: Callable[[Request], Answer] = lambda _request: http(200, {"ok": True})
    token_life: Any = 3600
    tokens: int = 0
    connections: int = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse_connections()
        self._thread.join()
        self._listener.close()
        self.drop_connections()

    def refuse_connections(self) -> None:
        """Accept no further connection; this ends the wait for the next one too."""
        with suppress(OSError):  # it was called before
            self._listener.shutdown(socket.SHUT_RDWR)

    def drop_connections(self) -> None:
        """Close every connection, as a bank does with idle ones."""
        while self._open:
            sock = self._open.pop()
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                sock.close()

    @property
    def url(self) -> str:
        """The address, by which the certificate is checked."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[Request]:
        """The requests, without those for tokens."""
        return [one for one in self.requests if one.path != "/token"]

    @property
    def token_requests(self) -> list[Request]:
        """The requests for tokens."""
        return [one for one in self.requests if one.path == "/token"]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            sock.settimeout(30)
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
            self._open.append(sock)
            reader = sock.makefile("rb")
            while (request := _read(reader, number)) is not None:
                self.requests.append(request)
                answer = self._answer_to(request)
                if answer == ANSWER_ENDS:
                    break
                if isinstance(answer, bytes):
                    sock.sendall(answer)
                else:
                    assert callable(answer)
                    answer(sock)
                    break
            reader.close()
        except (OSError, ValueError):
            pass  # the client gave up, which is what some tests want
        finally:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _answer_to(self, request: Request) -> Answer | str:
        if request.path == "/token":
            if self.token_script:
                return self.token_script.popleft()
            self.tokens += 1
            return http(200, {"access_token": f"bearer-{self.tokens}-of-the-test",
                              "expires_in": self.token_life})  # fmt: skip
        return self.script.popleft() if self.script else self.answer(request)


def _read(reader: Any, number: int) -> Request | None:
    line = reader.readline(70_000)
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := reader.readline(70_000)) not in (b"\r\n", b""):
        name, _, text = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = text.strip()
    body = reader.read(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body, number)


def drip(first: bytes, one: bytes, seconds: float = 0.05) -> Callable[[socket.socket], None]:
    """Send `first`, then `one` again and again until the client gives up."""

    def send(sock: socket.socket) -> None:
        sock.sendall(first)
        while True:
            time.sleep(seconds)
            sock.sendall(one)

    return send


def server_context(
    folder: Path, pair: Pair, *, client_authority: bytes | None = None
) -> ssl.SSLContext:
    """A server's TLS; with `client_authority` it demands a certificate of that authority."""
    path = folder / f"{pair.certificate.serial_number}.pem"
    path.write_bytes(pair.pem + pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    if client_authority is not None:
        context.load_verify_locations(cadata=client_authority.decode())
        context.verify_mode = ssl.CERT_REQUIRED
    return context
