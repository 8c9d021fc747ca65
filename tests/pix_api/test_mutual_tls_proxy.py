"""Mutual TLS at nginx, with the configuration as it is shipped, in front of the service."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from core.clock import SystemClock
from core.signing import development_ca
from tests.pix_api.tls_talking import (
    CLIENT,
    COBS,
    TlsClient,
    bad_certificates,
    foreign_certificate,
    write_pem,
)
from tests.support.nginx import SHIPPED, PrivateNginx
from tests.support.parts import MissingPart, leave_out
from tests.support.ports import free_port
from tests.support.service import ROOT, ServiceProcess

HEADER = "X-Client-Certificate"


class TlsNginx(PrivateNginx):
    """nginx with the profile `mutual-tls`, which includes `production`."""

    def __init__(self, service_port: int, certificates: Path) -> None:
        """Pass requests on to the service; `certificates` is what CERTIFICATES names."""
        super().__init__(service_port)
        self.tls_port = free_port()
        self._certificates = certificates

    def _prepare(self) -> None:
        super()._prepare()
        production = (SHIPPED / "production.conf").read_text(encoding="utf-8")
        assert "http2 on;" in production
        production = (
            production.replace("listen 8080 ", f"listen 127.0.0.1:{self.port} ")
            .replace("listen 8443 ", f"listen 127.0.0.1:{self.tls_port} ")
            .replace("http2 on;", "")  # Debian's nginx is older than this directive
        )
        (self.data / "production.conf").write_text(production, encoding="utf-8")
        profile = (SHIPPED / "mutual-tls.conf").read_text(encoding="utf-8")
        profile = profile.replace("/etc/nginx/production.conf", str(self.data / "production.conf"))
        (self.data / "profile.conf").write_text(profile, encoding="utf-8")
        for file in self.data.glob("*.conf"):
            text = file.read_text(encoding="utf-8")
            file.write_text(
                text.replace("/certificates/", f"{self._certificates}/"), encoding="utf-8"
            )


@pytest.fixture(scope="module")
def ca():
    """The certificate authority of the clients."""
    return development_ca.new_ca(SystemClock().now())


@pytest.fixture(scope="module")
def certificates(ca, tmp_path_factory) -> Path:
    """The folder that CERTIFICATES names; nginx's own certificate is of the same CA here."""
    folder = tmp_path_factory.mktemp("certificates")
    server = development_ca.new_server(ca, ["127.0.0.1"], SystemClock().now())
    (folder / "fullchain.pem").write_bytes(server.certificate_pem)
    (folder / "privkey.pem").write_bytes(server.key_pem)
    (folder / "client-ca.pem").write_bytes(ca.certificate_pem)
    folder.chmod(0o755)
    for file in folder.iterdir():
        file.chmod(0o644)
    return folder


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[ServiceProcess]:
    """The service behind a trusted proxy that passes client certificates on."""
    with ServiceProcess(
        tmp_path_factory.mktemp("behind-nginx"),
        ASYNC_MODE="gevent",
        TRUSTED_PROXIES=1,
        CLIENT_CERTIFICATE_HEADER=HEADER,
        DEMO_CLIENT_ID=CLIENT.client_id,
        DEMO_CLIENT_SECRET=CLIENT.secret,
    ) as running:
        yield running


@pytest.fixture(scope="module")
def nginx(service, certificates) -> Iterator[TlsNginx]:
    """nginx with the shipped configuration."""
    try:
        server = TlsNginx(service.port, certificates)
    except MissingPart as missing:
        leave_out(missing)
    with server:
        yield server


@pytest.fixture(scope="module")
def shop(service, nginx, ca, certificates, tmp_path_factory) -> TlsClient:
    """The demo client; its certificate is registered by the command for operators."""
    identity = development_ca.new_client(ca, CLIENT.client_id, SystemClock().now())
    pem = write_pem(tmp_path_factory.mktemp("shop") / "shop.pem", identity)
    output = flask(service, "pix-ca", "register", CLIENT.client_id, str(pem))
    thumbprint = development_ca.thumbprint_of_pem(identity.certificate_pem)
    assert output == f"Registered the certificate with x5t#S256 {thumbprint}.\n"
    return TlsClient(nginx.tls_port, certificates / "client-ca.pem", pem)


def flask(service: ServiceProcess, *arguments: str) -> str:
    """Run a command with the service's settings; return what it prints."""
    result = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", *arguments],
        cwd=ROOT,
        env=service.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_registered_certificate_opens_api_pix(shop):
    """nginx has checked it, and the service knows it by its thumbprint."""
    token = shop.token()
    assert shop.cobs(token) == 200
    status, answer = shop.ask(None, client_id=CLIENT.client_id)
    assert status == 200
    assert shop.cobs(answer["access_token"]) == 200


def test_others_get_no_token_and_cannot_use_a_stolen_one(shop, ca, tmp_path):
    """Without a certificate, and with somebody else's."""
    token = shop.token()
    foreign = foreign_certificate(ca, tmp_path)
    for certificate in (None, foreign):
        client = TlsClient(shop.port, shop.authority, certificate)
        assert client.ask()[0] == 401
        assert client.ask(None, client_id=CLIENT.client_id)[0] == 401
        assert client.cobs(token) == 401
        assert client.request("GET", "/healthz")[0] == 200


def test_a_client_cannot_write_the_header_itself(shop):
    """nginx replaces it, so a stranger with the public certificate is still a stranger."""
    assert shop.certificate is not None
    pem = shop.certificate.read_text(encoding="ascii").partition("-----BEGIN PRIVATE")[0]
    stranger = TlsClient(shop.port, shop.authority)
    forged = {HEADER: quote(pem)}
    assert (
        stranger.request("GET", COBS, None, Authorization=f"Bearer {shop.token()}", **forged)[0]
        == 401
    )
    body = f"grant_type=client_credentials&client_id={CLIENT.client_id}".encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = stranger.request("POST", "/api-pix/oauth/token", body, **kind, **forged)
    assert answer[0] == 401


def test_nginx_refuses_bad_certificates(shop, ca, tmp_path):
    """Before the service sees the request."""
    for fault, certificate in bad_certificates(ca, tmp_path).items():
        client = TlsClient(shop.port, shop.authority, certificate)
        try:
            status = client.request("GET", "/healthz")[0]
        except (OSError, ValueError):  # an alert, or nginx's own page, which is no JSON
            continue
        pytest.fail(f"a certificate {fault} got {status}")
