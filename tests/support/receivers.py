"""Receivers of webhooks on real sockets, which answer with any bytes, over TLS if needed."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Serve = Callable[[socket.socket], None]


class Receiver:
    """Reads each request whole, records it, and lets `serve` answer on the connection."""

    def __init__(self, serve: Serve | bytes, tls: ssl.SSLContext | None = None) -> None:
        """`serve` may be the bytes of the answer."""
        self.requests: list[bytes] = []
        self.connections = 0
        self._serve: Serve = (lambda s: s.sendall(serve)) if isinstance(serve, bytes) else serve
        self._tls = tls
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        """Begin to accept."""
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for every connection's thread."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=10)
        self._listener.close()

    def url(self, host: str = "127.0.0.1", path: str = "/hook") -> str:
        """The receiver's URL by this host."""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    def trickle(self, first: bytes, one: bytes) -> None:
        """Let every answer be `first`, and then `one` each 20 ms until the sender gives up."""

        def serve(sock: socket.socket) -> None:
            sock.sendall(first)
            while not self._stopped.wait(0.02):
                sock.sendall(one)

        self._serve = serve

    def silence(self) -> None:
        """Let no request be answered."""
        self._serve = lambda sock: self._wait_for_end(sock)

    def _wait_for_end(self, sock: socket.socket) -> None:
        while not self._stopped.is_set():
            try:
                if not sock.recv(1024):
                    return
            except TimeoutError:
                continue

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            thread = threading.Thread(target=self._handle, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _handle(self, sock: socket.socket) -> None:
        sock.settimeout(5)
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            with sock:
                self.requests.append(_read_request(sock))
                sock.settimeout(0.05)
                self._serve(sock)
                sock.settimeout(5)
        except OSError:
            sock.close()  # The sender gave up, which is what some tests want.


def _read_request(sock: socket.socket) -> bytes:
    """A whole request; one without a content-length, such as a GET, has no body."""
    data = b""
    while b"\r\n\r\n" not in data and (chunk := sock.recv(65_536)):
        data += chunk
    head, end, body = data.partition(b"\r\n\r\n")
    assert end, f"no whole head of a request came, but {data[:500]!r}"
    lengths = [
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    ]
    size = lengths[0] if lengths else 0
    while len(body) < size and (chunk := sock.recv(65_536)):
        body += chunk
    return head + b"\r\n\r\n" + body


class Authority:
    """A private certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._sign("Test authority", self._key, None)
        self.path = folder / "authority.pem"
        self.path.write_bytes(_pem(self._certificate))

    def context(self, host: str) -> ssl.SSLContext:
        """A server's context with a certificate for this name or address."""
        key = ec.generate_private_key(ec.SECP256R1())
        path = self._folder / f"{host}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        path.write_bytes(private + _pem(self._sign(host, key, host)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sign(
        self, subject: str, key: ec.EllipticCurvePrivateKey, host: str | None
    ) -> x509.Certificate:
        moment = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name("Test authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(moment - timedelta(days=1))
            .not_valid_after(moment + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        )
        if host is not None:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_alternative_name(host)]), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
