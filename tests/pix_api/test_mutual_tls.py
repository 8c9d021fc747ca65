"""Mutual TLS of the service itself, over sockets, in all three async modes."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import ssl
import stat
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from core.signing import development_ca
from tests.pix_api.tls_talking import (
    CLIENT,
    COBS,
    TlsClient,
    bad_certificates,
    foreign_certificate,
    stored_ca,
)
from tests.process.talking import Talker
from tests.realtime.sellers import Listener, Seller
from tests.support.ports import free_port
from tests.support.service import ServiceProcess

MODES = ("eventlet", "gevent", "threading")
HEAD_SECONDS = 2


@pytest.fixture(scope="module", params=MODES)
def service(request, tmp_path_factory) -> Iterator[ServiceProcess]:
    """The service with TLS, once for each mode; it makes its own certificates."""
    with ServiceProcess(
        tmp_path_factory.mktemp(f"tls-{request.param}"),
        ASYNC_MODE=request.param,
        TLS_PORT=free_port(),
        DEMO_CLIENT_ID=CLIENT.client_id,
        DEMO_CLIENT_SECRET=CLIENT.secret,
        REQUEST_HEAD_SECONDS=HEAD_SECONDS,
    ) as running:
        yield running


@pytest.fixture
def tls_port(service) -> int:
    """The port that speaks TLS."""
    return int(service.environment["TLS_PORT"])


@pytest.fixture
def folder(service) -> Path:
    """The folder of the certificates."""
    return service.instance / "tls"


@pytest.fixture
def nobody(tls_port, folder) -> TlsClient:
    """A client without a certificate, as a browser."""
    return TlsClient(tls_port, folder / "ca.pem")


@pytest.fixture
def shop(tls_port, folder) -> TlsClient:
    """The demo client with its certificate."""
    pem = folder / "clients" / f"{CLIENT.client_id}.pem"
    return TlsClient(tls_port, folder / "ca.pem", pem)


@pytest.fixture
def foreigner(tls_port, folder, tmp_path) -> TlsClient:
    """A client with a good certificate that is somebody else's."""
    pem = foreign_certificate(stored_ca(folder), tmp_path)
    return TlsClient(tls_port, folder / "ca.pem", pem)


def test_the_registered_certificate_opens_api_pix(shop):
    """With the secret, or with the client id alone (RFC 8705, tls_client_auth)."""
    assert shop.cobs(shop.token()) == 200
    status, answer = shop.ask(None, client_id=CLIENT.client_id)
    assert status == 200, answer
    assert shop.cobs(answer["access_token"]) == 200


def test_a_token_works_with_its_own_certificate_alone(shop, nobody, foreigner, service):
    """A stolen token is of no use, on the port without TLS neither."""
    token = shop.token()
    assert nobody.cobs(token) == 401
    assert foreigner.cobs(token) == 401
    plain = service.request("GET", COBS, headers={"Authorization": f"Bearer {token}"})
    assert plain[0] == 401
    assert shop.cobs(token) == 200


def test_a_secret_without_the_certificate_gets_no_token(nobody, foreigner, service):
    """A stolen secret is of no use either, nor an id with somebody else's certificate."""
    for client in (nobody, foreigner):
        assert client.ask()[0] == 401
        assert client.ask(None, client_id=CLIENT.client_id)[0] == 401
        answer = client.ask(None, client_id=CLIENT.client_id, client_secret=CLIENT.secret)
        assert answer[0] == 401
    body = b"grant_type=client_credentials"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    headers = {**kind, **CLIENT.basic(), "X-Client-Certificate": "forged"}
    assert service.request("POST", "/api-pix/oauth/token", body, headers)[0] == 401


def test_bad_certificates_end_the_handshake(nobody, folder, tmp_path):
    """The client reads an alert, and no request is answered."""
    certificates = bad_certificates(stored_ca(folder), tmp_path)
    assert len(certificates) == 4
    for fault, certificate in certificates.items():
        client = TlsClient(nobody.port, nobody.authority, certificate)
        try:
            status, _ = client.ask()
        except (ssl.SSLError, ConnectionError):
            continue
        pytest.fail(f"a certificate {fault} was accepted: {status}")


def test_browsers_without_a_certificate_see_the_pages(nobody):
    """They are asked for one and may have none; only API Pix needs one."""
    assert nobody.request("GET", "/readyz")[0] == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(shop, version):
    """Both with client certificates; the Manual de Segurança do Pix asks for 1.2 at least."""
    client = TlsClient(shop.port, shop.authority, shop.certificate, version)
    assert client.cobs(client.token()) == 200


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_tls_is_refused(shop):
    """TLS 1.1 is broken."""
    context = shop.context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", shop.port), timeout=10) as raw,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(raw, server_hostname="127.0.0.1")


def test_a_large_body_and_a_large_answer_arrive_whole(shop, nobody):
    """Bytes are neither lost nor reordered between the two sockets, and a connection is reused."""
    connection = http.client.HTTPSConnection(
        "127.0.0.1", nobody.port, timeout=15, context=nobody.context()
    )
    bodies = []
    with closing(connection):
        for _ in range(3):  # Werkzeug's server closes after each answer, and the client reconnects
            connection.request("GET", "/openapi.json")
            bodies.append(connection.getresponse().read())
    assert len(bodies[0]) > 100_000
    assert bodies[0] == bodies[1] == bodies[2]
    assert json.loads(bodies[0])["openapi"]
    status, answer = shop.ask(scope="x" * 60_000)
    assert (status, answer["error"]) == (400, "invalid_scope")


def test_a_websocket_works_over_tls(service, nobody):
    """It writes without waiting and lives on the same sockets, so both directions must go on."""
    seller = Seller(service, f"alice-{secrets.token_hex(3)}")
    trusted = {"ca_certs": str(nobody.authority)}
    address = f"https://127.0.0.1:{nobody.port}"
    with Listener(address, token=seller.token, sslopt=trusted) as listener:
        for _ in range(3):
            transaction = seller.create()
            seller.call("PUT", f"/transactions/{transaction['id']}", {"status": "cancelled"})
            assert listener.next()["payment_id"] == transaction["id"]


def test_slow_and_half_handshakes_delay_nobody_and_end(shop, service):
    """Thirty clients that stop in the middle hold no other client up, and lose their place."""
    context = shop.context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    first = outgoing.read()
    started = time.monotonic()
    silent = [socket.create_connection(("127.0.0.1", shop.port)) for _ in range(30)]
    try:
        for number, client in enumerate(silent):
            client.settimeout(HEAD_SECONDS + 8)
            client.sendall((b"", first[:5], first[:-1], first)[number % 4])
        token = shop.token()
        assert shop.cobs(token) == 200
        assert service.get("/healthz")[0] == 200
        assert time.monotonic() - started < HEAD_SECONDS
        for client in silent:
            while client.recv(65_536):
                pass  # the service's half of the handshake, then the end
        assert HEAD_SECONDS - 0.5 < time.monotonic() - started < HEAD_SECONDS + 6
    finally:
        for client in silent:
            client.close()
    assert shop.cobs(token) == 200


def test_bytes_that_are_no_tls_get_a_sentence_or_the_end(tls_port, shop):
    """A developer who writes http:// reads why; noise ends the connection."""
    with Talker(tls_port) as talker:
        talker.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        status, _, body = talker.answer()
        assert (status, body) == (400, b"This port speaks TLS: begin with https://...\n")
    for noise in (b"\x00" * 400, b"\x16\x03\x01\xff\xff" + b"x" * 70_000, b"\xff" * 10):
        with socket.create_connection(("127.0.0.1", tls_port), timeout=10) as raw:
            with suppress(OSError):  # the service may end the connection in the middle
                raw.sendall(noise)
                raw.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while raw.recv(65_536):
                    pass
    assert shop.cobs(shop.token()) == 200


def test_the_files_are_private_and_fit_what_sdks_read(folder):
    """Another account of the machine must read no key; SDKs want PEM or PKCS #12."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 8
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    of_client = folder / "clients" / CLIENT.client_id
    key, certificate, _ = pkcs12.load_key_and_certificates(
        of_client.with_suffix(".p12").read_bytes(), None
    )
    assert key is not None
    assert certificate is not None
    pem = of_client.with_suffix(".crt").read_bytes()
    assert development_ca.thumbprint_of_pem(pem) == development_ca.thumbprint(
        certificate.public_bytes(Encoding.DER)
    )


def test_a_stop_ends_the_connections_of_tls(tmp_path):
    """A supervisor must not wait for clients that keep their connection open."""
    port = free_port()
    with ServiceProcess(tmp_path, ASYNC_MODE="gevent", TLS_PORT=port) as service:
        client = TlsClient(port, service.instance / "tls" / "ca.pem")
        assert client.request("GET", "/healthz")[0] == 200
        with socket.create_connection(("127.0.0.1", port)):
            assert service.stop() == 0
