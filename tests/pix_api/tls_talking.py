"""Clients of mutual TLS on real sockets, and certificates good and bad."""

from __future__ import annotations

import http.client
import json
import ssl
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from core.clock import SystemClock
from core.signing import development_ca
from core.signing.development_ca import Identity
from tests.pix_api.clients import GRANT, TOKEN, PixClient

CLIENT = PixClient("the-demo-client", "the-secret-of-the-demo-client")
COBS = "/api-pix/v2/cob?inicio=2026-01-01T00:00:00Z&fim=2026-12-31T00:00:00Z"


@dataclass
class TlsClient:
    """A client that may have a certificate; each request has its own connection."""

    port: int
    authority: Path
    certificate: Path | None = None
    version: ssl.TLSVersion | None = None

    def context(self) -> ssl.SSLContext:
        """TLS as this client speaks it."""
        context = ssl.create_default_context(cafile=self.authority)
        if self.version is not None:
            context.minimum_version = context.maximum_version = self.version
        if self.certificate is not None:
            context.load_cert_chain(self.certificate)
        return context

    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: Any
    ) -> tuple[int, dict[str, Any]]:
        """Send a request; return status and JSON. Raises OSError if TLS fails."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=15, context=self.context()
        )
        with closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")

    def ask(self, client: PixClient | None = CLIENT, **fields: str) -> tuple[int, dict[str, Any]]:
        """Ask for a token by Basic; without a client only by the fields."""
        headers = {} if client is None else client.basic()
        body = urlencode({**GRANT, **fields}).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.request("POST", TOKEN, body, **kind, **headers)

    def token(self) -> str:
        """A new token."""
        status, answer = self.ask()
        assert status == 200, answer
        return str(answer["access_token"])

    def cobs(self, token: str) -> int:
        """List charges with this token; return the status."""
        return self.request("GET", COBS, Authorization=f"Bearer {token}")[0]


def write_pem(path: Path, identity: Identity) -> Path:
    """Write certificate and key into one file."""
    path.write_bytes(identity.certificate_pem + identity.key_pem)
    return path


def stored_ca(folder: Path) -> Identity:
    """The service's certificate authority."""
    pem, key = (folder / name for name in ("ca.pem", "ca-key.pem"))
    return development_ca.load_identity(pem.read_bytes(), key.read_bytes())


def bad_certificates(ca: Identity, folder: Path) -> dict[str, Path]:
    """Certificates that a handshake must refuse, by what is wrong with them."""
    now = SystemClock().now()
    other = development_ca.new_ca(now)
    long_ago = now - timedelta(days=30)
    expired = development_ca.new_client(ca, CLIENT.client_id, long_ago, timedelta(days=1))
    early = development_ca.new_client(ca, CLIENT.client_id, now + timedelta(days=2))
    server = development_ca.new_server(ca, ["localhost"], now)
    identities = {
        "of another CA": development_ca.new_client(other, CLIENT.client_id, now),
        "expired": expired,
        "not valid yet": early,
        "of a server": server,
    }
    return {
        fault: write_pem(folder / f"{number}.pem", identity)
        for number, (fault, identity) in enumerate(identities.items())
    }


def foreign_certificate(ca: Identity, folder: Path) -> Path:
    """A good certificate of the same CA, for somebody else."""
    identity = development_ca.new_client(ca, "another-client", SystemClock().now())
    return write_pem(folder / "foreign.pem", identity)
