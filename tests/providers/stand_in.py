"""A bank that stands in for a real one: a server on loopback that speaks a dialect of API Pix.

    with StandInBank("efi") as bank:
        secrets, overrides = bank.secrets(), bank.overrides()
        bank.faults.append(Fault("put-cob", "close", after=True))  # the answer is lost
        ...
        bank.book.pay(txid)

Operations: token, put-cob, get-cob, patch-cob, list-cob, code, list-pix, get-pix, put-return,
get-return, put-callback, get-callback, delete-callback; in a Fault `*` is any but token.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import urllib3

from core.signing.development_ca import Identity, new_ca, new_client, new_server
from providers.secrets import AccountSecrets
from tests.providers.stand_in_book import Answer, Book, Members
from tests.providers.stand_in_dialects import DIALECTS

CLIENT_ID, CLIENT_SECRET = "client-id-of-tests", "client-secret-of-tests"
PIX_KEY = "7d9f0335-8dcc-4054-9bf9-0dbd61d36906"
HANGS_SECONDS_MAX = 60.0

_ROUTES = [
    ("cob", r"/cob/(?P<txid>[^/]+)", {"PUT": "put-cob", "GET": "get-cob", "PATCH": "patch-cob"}),
    ("cob", r"/cob-emv/(?P<txid>[^/]+)", {"PUT": "put-cob"}),
    ("code", r"/cob/(?P<txid>[^/]+)/qrcode", {"GET": "code"}),
    ("code", r"/loc/(?P<number>\d+)/qrcode", {"GET": "code"}),
    ("code", r"/qrcode/consulta/(?P<txid>[^/]+)", {"GET": "code"}),
    ("cobs", r"/cob", {"GET": "list-cob"}),
    ("pix", r"/pix", {"GET": "list-pix"}),
    ("pix", r"/pix/(?P<e2e>[^/]+)", {"GET": "get-pix"}),
    (
        "pix",
        r"/pix/(?P<e2e>[^/]+)/devolucao/(?P<return_id>[^/]+)",
        {"PUT": "put-return", "GET": "get-return"},
    ),
    (
        "webhook",
        r"/webhook/(?P<key>[^/]+)",
        {"PUT": "put-callback", "GET": "get-callback", "DELETE": "delete-callback"},
    ),
]


@dataclass
class Fault:
    """Something that goes wrong with the next `count` requests of an operation."""

    operation: str
    kind: str
    """close, status, html, empty, cut, wrong-json, huge, drip, delay, hang, redirect or revoke."""
    count: int = 1
    after: bool = False
    """Whether the operation is carried out first; drip, delay and hang always do so."""
    status: int = 500
    seconds: float = 0.0
    """Of a delay, between two bytes of a drip, or of the header Retry-After."""
    end: threading.Event = field(default_factory=threading.Event)
    """Set by the test when a bank that hangs shall answer."""


@dataclass(frozen=True)
class Recorded:
    """A request as it came; `operation` is empty if no route has its path."""

    operation: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    has_certificate: bool = False


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    bank: StandInBank

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


@dataclass
class StandInBank:
    """A bank's API on a free port of loopback while the `with` block runs."""

    dialect_name: str = "standard"
    tls: bool = False
    mutual: bool = False
    """Whether a client certificate of `authority` is required; implies `tls`."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Recorded] = field(default_factory=list)
    clock_offset: timedelta = timedelta(0)
    """How far the bank's clock is ahead."""
    tokens: dict[str, float] = field(default_factory=dict)
    """When each token expires, by the monotonic clock; clear it to revoke them all."""
    scopes_granted: str | None = None
    """What the token endpoint says that it granted; None for all that was asked."""

    def __post_init__(self) -> None:
        self.dialect = DIALECTS[self.dialect_name]
        self.book = Book(self.dialect, lambda: self.now() + self.clock_offset)
        self.authority: Identity = new_ca(datetime.now(UTC))
        self.server_identity = new_server(self.authority, ["127.0.0.1"], datetime.now(UTC))
        self.client_identity = new_client(self.authority, CLIENT_ID, datetime.now(UTC))
        self.tls = self.tls or self.mutual
        self._lock = threading.Lock()

    def __enter__(self) -> StandInBank:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.bank = self
        if self.tls:
            self._server.socket = self._tls_context().wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _tls_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "server.pem")
            file.write_bytes(self.server_identity.certificate_pem + self.server_identity.key_pem)
            context.load_cert_chain(file)
        if self.mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=self.authority.certificate_pem.decode())
        return context

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self._server.server_address[1]}"

    def overrides(self) -> dict[str, Any]:
        """What an account overrides of its profile to reach this bank."""
        bases = {"cob": self.dialect.cob_base, "cob-patch": self.dialect.patch_base}
        overrides: dict[str, Any] = {
            "rate": 6000,  # a sandbox may allow fewer calls than a test makes
            "base": self.origin + self.dialect.base,
            "token_url": self.origin + self.dialect.token_path,
            "base_by_resource": {name: self.origin + path for name, path in bases.items() if path},
        }
        if self.dialect.query:
            overrides["extra"] = dict(self.dialect.query)
        return overrides

    def secrets(self, callback_token: str = "callback-token-of-tests") -> AccountSecrets:
        """The credentials of the only customer."""
        client = self.client_identity
        return AccountSecrets(
            client_id=CLIENT_ID,
            client_secret="" if self.dialect.token_style == "form_nosecret" else CLIENT_SECRET,
            callback_token=callback_token,
            certificate_pem=client.certificate_pem.decode() if self.mutual else "",
            private_key_pem=client.key_pem.decode() if self.mutual else "",
            ca_pem=self.authority.certificate_pem.decode() if self.tls else "",
        )

    def count(self, operation: str) -> int:
        """How many requests of an operation came."""
        return sum(recorded.operation == operation for recorded in self.requests)

    def post_callback(self, url: str, *end_to_end_ids: str, body: Any = None) -> int:
        """Post these Pix to a callback's address, or any other body; returns the status."""
        views = [self.book.get_money(end_to_end_id)[1] for end_to_end_id in end_to_end_ids]
        data = json.dumps({"pix": views} if body is None else body).encode()
        headers = {"Content-Type": "application/json"}
        return urllib3.request("POST", url, body=data, headers=headers, retries=False).status

    def next_fault(self, operation: str) -> Fault | None:
        """Take the fault that this request shall have."""
        names = {operation} if operation == "token" else {operation, "*"}
        with self._lock:
            for fault in self.faults:
                if fault.operation in names and fault.count > 0:
                    fault.count -= 1
                    return fault
        return None

    def perform(self, recorded: Recorded, values: Mapping[str, str]) -> Answer:
        """Carry out an operation."""
        book, query = self.book, recorded.query
        e2e, return_id = values.get("e2e", ""), values.get("return_id", "")
        txid = values.get("txid") or book.txid_of_location(int(values.get("number", "0"))) or ""
        body: Members = {}
        if recorded.body:
            try:
                body = json.loads(recorded.body)
            except ValueError:
                return book.error(400, "json_invalido", "RequisicaoInvalida")
        operations: dict[str, Callable[[], Answer]] = {
            "put-cob": lambda: book.put_charge(txid, body),
            "get-cob": lambda: book.get_charge(txid),
            "patch-cob": lambda: book.patch_charge(txid, body),
            "list-cob": lambda: book.list_charges(query),
            "code": lambda: book.code_of(txid),
            "list-pix": lambda: book.list_money(query),
            "get-pix": lambda: book.get_money(e2e),
            "put-return": lambda: book.put_return(e2e, return_id, body),
            "get-return": lambda: book.get_return(e2e, return_id),
            "put-callback": lambda: book.put_callback(values["key"], body),
            "get-callback": lambda: book.get_callback(values["key"]),
            "delete-callback": lambda: book.delete_callback(values["key"]),
        }
        return operations[recorded.operation]()

    def grant(self, recorded: Recorded) -> Answer:
        """Answer a request for a token."""
        style = self.dialect.token_style
        form = dict(parse_qsl(recorded.body.decode(errors="replace")))
        if style == "basic_json":
            with suppress(ValueError):
                form = json.loads(recorded.body)
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        has_basic = recorded.headers.get("authorization") == f"Basic {basic}"
        in_form = (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        is_right = {
            "basic_form": has_basic,
            "basic_json": has_basic,
            "form": in_form,
            "form_nosecret": form.get("client_id") == CLIENT_ID and "client_secret" not in form,
            "query_form": in_form,
        }[style]
        grant = recorded.query if style == "query_form" else form
        if grant.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        if not is_right:
            return 401, {"error": "invalid_client", "error_description": "Invalid credentials"}
        token = secrets.token_urlsafe(24)
        self.tokens[token] = time.monotonic() + int(self.dialect.token_seconds)
        granted = form.get("scope", "") if self.scopes_granted is None else self.scopes_granted
        return self.dialect.token_status, {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self.dialect.token_seconds,
            "scope": granted,
        }

    def refusal(self, recorded: Recorded) -> Answer | None:
        """Why a request is refused before its operation is looked at."""
        scheme, _, token = recorded.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or self.tokens.get(token, 0.0) < time.monotonic():
            return 401, {"error": "invalid_token", "message": "Token expirado"}
        for name, value in self.dialect.headers.items():
            text = recorded.headers.get(name.lower())
            if not text or (value and text != value):
                return 403, {"title": f"header {name}", "status": 403}
        if any(recorded.query.get(name) != value for name, value in self.dialect.query.items()):
            return 403, {"error": "Forbidden", "message": "app key"}
        return None

    def base_of(self, resource: str, method: str) -> str:
        """The base that a request must have."""
        if resource == "cob" and method == "PATCH" and self.dialect.patch_base:
            return self.dialect.patch_base
        if resource == "cob" and self.dialect.cob_base:
            return self.dialect.cob_base
        return self.dialect.base


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""

    def do_GET(self) -> None:
        self._serve()

    do_PUT = do_PATCH = do_POST = do_DELETE = do_GET

    def _serve(self) -> None:
        bank, parts = self.server.bank, urlsplit(self.path)
        operation, values = self._route(parts.path)
        recorded = Recorded(
            operation,
            self.command,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            bank.mutual,
        )
        bank.requests.append(recorded)
        fault = bank.next_fault(operation)
        if fault and fault.kind == "revoke":
            bank.tokens.clear()
        if fault and not fault.after and fault.kind not in ("drip", "delay", "hang", "revoke"):
            self._spoil(fault, (200, {}))
            return
        if operation == "token":
            answer = bank.grant(recorded)
        elif not operation:
            answer = bank.book.error(404, "nao_encontrado", "NaoEncontrado")
        else:
            refused = bank.refusal(recorded)
            answer = refused or bank.perform(recorded, values)
        if fault and fault.kind != "revoke":
            self._spoil(fault, answer)
        else:
            self._send(*answer)

    def _route(self, path: str) -> tuple[str, dict[str, str]]:
        bank = self.server.bank
        if path == bank.dialect.token_path:
            return "token", {}
        for resource, pattern, operations in _ROUTES:
            base = bank.base_of(resource, self.command)
            match = re.fullmatch(pattern, path.removeprefix(base))
            if path.startswith(base) and match and self.command in operations:
                values = {name: unquote(text) for name, text in match.groupdict().items()}
                return operations[self.command], values
        return "", {}

    def _spoil(self, fault: Fault, answer: Answer) -> None:
        data = json.dumps(answer[1]).encode()
        html = b"<html><body>Sistema em manuten\xc3\xa7\xc3\xa3o</body></html>"
        match fault.kind:
            case "close":
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
            case "status":
                seconds = {"Retry-After": str(int(fault.seconds))} if fault.seconds else {}
                self._write(fault.status, html, "text/html", seconds)
            case "html":
                self._write(200, html, "text/html")
            case "empty":
                self._write(200, b"")
            case "cut":
                self._write(answer[0], data[: len(data) // 2])
            case "wrong-json":
                self._write(200, b'[{"txid": 12, "valor": {"original": NaN}}, null, 7]')
            case "huge":
                self._write(200, b'{"x": "' + b"a" * 9_000_000 + b'"}')
            case "redirect":
                self._write(302, b"", "text/html", {"Location": "https://elsewhere.example/"})
            case "delay":
                time.sleep(fault.seconds)
                self._send(*answer)
            case "hang":
                fault.end.wait(HANGS_SECONDS_MAX)
                self._send(*answer)
            case "drip":
                self._drip(data, fault.seconds)

    def _drip(self, data: bytes, seconds: float) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
        self.close_connection = True
        with suppress(OSError):
            for byte in head.encode() + b"\r\n\r\n" + data:
                self.connection.sendall(bytes([byte]))
                time.sleep(seconds)

    def _send(self, status: int, members: Members | None) -> None:
        data = b"" if members is None else json.dumps(members).encode()
        is_problem = members is not None and "type" in members and status >= 400
        self._write(status, data, f"application/{'problem+' if is_problem else ''}json")

    def _write(
        self,
        status: int,
        data: bytes,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        now = self.server.bank.now() + self.server.bank.clock_offset
        lines = [
            f"HTTP/1.1 {status} Any",
            f"Date: {format_datetime(now.astimezone(UTC), usegmt=True)}",
            f"Content-Type: {content_type}",
            *([] if status == 204 else [f"Content-Length: {len(data)}"]),
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        with suppress(OSError):
            self.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
