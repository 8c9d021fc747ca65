"""The nginx configuration of docs/go-live.md, run as it is printed, in front of a server."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3

from core.clock import SystemClock
from core.signing.development_ca import Identity, new_ca, new_client, new_server
from tests.support.parts import MissingPart, leave_out
from tests.support.ports import free_port
from tests.support.servers import find_program

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "go-live.md"
BLOCK = re.compile(r"<!-- file: callbacks\.conf -->\n```nginx\n(.*?)```", re.DOTALL)
VERDICT = "X-Bank-Certificate-Verdict"


class Behind(ThreadingHTTPServer):
    """Answers 200, and keeps path and headers of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, str]]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Behind

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.requests.append((self.path, dict(self.headers)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write no access log."""


@pytest.fixture(scope="module")
def bank_ca() -> Identity:
    """The authority of the bank's client certificates."""
    return new_ca(SystemClock().now())


@pytest.fixture
def behind() -> Iterator[Behind]:
    """The service's place."""
    with Behind() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def nginx_port(behind, bank_ca, tmp_path) -> Iterator[int]:
    """nginx with the printed block; only ports and files differ."""
    program = find_program("nginx")
    if program is None:
        leave_out(MissingPart("nginx (apt install nginx-light)"))
    port = free_port()
    server = new_server(bank_ca, ["127.0.0.1"], SystemClock().now())
    for name, data in (
        ("fullchain.pem", server.certificate_pem),
        ("privkey.pem", server.key_pem),
        ("bank-ca.pem", bank_ca.certificate_pem),
    ):
        (tmp_path / name).write_bytes(data)
    match = BLOCK.search(GUIDE.read_text(encoding="utf-8"))
    assert match is not None
    block = (
        match[1]
        .replace("listen 443 ", f"listen 127.0.0.1:{port} ")
        .replace("/etc/nginx/tls/", f"{tmp_path}/")
        .replace("127.0.0.1:5000", f"127.0.0.1:{behind.server_port}")
    )
    paths = " ".join(
        f"{kind}_temp_path {tmp_path}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"pid {tmp_path}/pid; error_log {tmp_path}/error.log;\nevents {{}}\n"
        f"http {{ {paths}\n{block}\n}}\n",
        encoding="utf-8",
    )
    command = [program, "-p", str(tmp_path), "-c", str(config)]
    with subprocess.Popen([*command, "-g", "daemon off; master_process off;"]) as process:
        try:
            _wait_for(tmp_path, process, port)
            yield port
        finally:
            process.terminate()


def _wait_for(folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(500):
        assert process.poll() is None, (folder / "error.log").read_text(encoding="utf-8")
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail("nginx does not answer")


def post(port: int, ca: Identity, path: str, client: Identity | None, folder: Path) -> int:
    """Post as a bank does; return the status."""
    context = ssl.create_default_context(cadata=ca.certificate_pem.decode())
    if client is not None:
        file = folder / "client.pem"
        file.write_bytes(client.certificate_pem + client.key_pem)
        context.load_cert_chain(file)
    with urllib3.HTTPSConnectionPool("127.0.0.1", port, ssl_context=context) as pool:
        forged = {VERDICT: "SUCCESS", "X-Client-Certificate": "forged"}
        answer = pool.request("POST", path, body=b'{"pix": []}', headers=forged, retries=False)
        return answer.status


def test_only_the_banks_certificate_reaches_the_service(nginx_port, bank_ca, behind, tmp_path):
    """Neither a stranger without one, nor one of another authority; headers are replaced."""
    moment = SystemClock().now()
    bank, stranger = new_client(bank_ca, "bank", moment), new_client(new_ca(moment), "x", moment)
    assert post(nginx_port, bank_ca, "/providers/token/pix", None, tmp_path) == 400
    assert post(nginx_port, bank_ca, "/providers/token/pix", stranger, tmp_path) == 400
    assert behind.requests == []
    assert post(nginx_port, bank_ca, "/providers/token/pix", bank, tmp_path) == 200
    assert post(nginx_port, bank_ca, "/payments/pix", bank, tmp_path) == 404
    ((path, headers),) = behind.requests
    assert path == "/providers/token/pix"
    assert headers[VERDICT] == "SUCCESS"
    assert "X-Client-Certificate" not in headers
