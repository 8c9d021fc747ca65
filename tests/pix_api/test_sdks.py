"""The page docs/api-pix.md: its examples with curl and with two SDKs of PyPI, as they stand there.

Real programs speak over a socket with the service as `make run` starts it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pix_api.clients import PixClient
from tests.support.api_pix import ContractBroken, PixApi
from tests.support.examples import ADDRESS, Example, assert_prints, examples_in
from tests.support.parts import MissingPart, leave_out
from tests.support.ports import free_port
from tests.support.service import PIX_KEY, ServiceProcess

PAGE = Path(__file__).resolve().parents[2] / "docs/api-pix.md"
EXAMPLES = examples_in(PAGE.name, PAGE.read_text(encoding="utf-8"))
BETWEEN = "=====next====="
TLS_PORT_OF_PAGE = "5443"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The service, which writes the secrets of its first run into its folder."""
    folder = tmp_path_factory.mktemp("instance")
    (folder / "demo_pix_key").write_text(f"{PIX_KEY}\n", encoding="utf-8")
    with ServiceProcess(folder) as running:
        yield running


@pytest.fixture(scope="module")
def tls_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The service as `make run TLS=1` starts it."""
    folder = tmp_path_factory.mktemp("tls-instance")
    (folder / "demo_pix_key").write_text(f"{PIX_KEY}\n", encoding="utf-8")
    with ServiceProcess(folder, TLS_PORT=free_port()) as running:
        yield running


def type_in(service: ServiceProcess, folder: Path, blocks: list[Example]) -> None:
    """Run the blocks in one shell beside the page's files, and compare what they print."""
    for program in ("curl", "jq", "openssl"):
        if shutil.which(program) is None:
            leave_out(MissingPart(f"{program} (Debian: apt install {program})"))
    for example in EXAMPLES:
        if example.kind.startswith("file: "):
            path = folder / example.kind.removeprefix("file: ")
            path.write_text(example.text, encoding="utf-8")
    script = f"\necho; echo {BETWEEN}\n".join(example.text for example in blocks)
    script = script.replace(ADDRESS, service.url).replace("instance/", f"{service.instance}/")
    script = script.replace(TLS_PORT_OF_PAGE, service.environment.get("TLS_PORT", "0"))

    process = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
    )

    assert process.returncode == 0, f"{process.stdout}\n{process.stderr}\n{service.log()[-3000:]}"
    outputs = process.stdout.split(BETWEEN)
    for example, output in zip(blocks, outputs, strict=True):
        if example.answer or output.strip():
            assert_prints(example, output, service.url)


@pytest.mark.slow
def test_the_examples_print_what_the_page_shows(service: ServiceProcess, tmp_path: Path):
    """SDKs are written against banks, so what they send and read is no choice of ours."""
    blocks = [example for example in EXAMPLES if example.kind == "run"]
    assert len(blocks) == 5
    type_in(service, tmp_path, blocks)


@pytest.mark.slow
def test_the_same_programs_work_over_mutual_tls(tls_service: ServiceProcess, tmp_path: Path):
    """Banks demand certificates, so the SDKs' own handling of them must work here."""
    variables = next(example for example in EXAMPLES if example.kind == "run")
    [with_tls] = [example for example in EXAMPLES if example.kind == "run: tls"]
    type_in(tls_service, tmp_path, [variables, with_tls])


@pytest.fixture
def api(service: ServiceProcess) -> PixApi:
    """The service over HTTP, with a token of the client that its first start has made."""
    client_id, secret = (
        (service.instance / name).read_text("utf-8").strip()
        for name in ("demo_client_id", "demo_client_secret")
    )
    status, data, _ = service.request(
        "POST",
        "/api-pix/oauth/token",
        b"grant_type=client_credentials",
        {
            "Content-Type": "application/x-www-form-urlencoded",
            **PixClient(client_id, secret).basic(),
        },
    )
    assert status == 200, data
    return PixApi(url=service.url, token=json.loads(data)["access_token"])


def test_answers_over_the_wire_are_those_of_the_document(api: PixApi):
    """Between application and client are a server and its own errors."""
    txid = secrets.token_hex(16)
    body = {"valor": {"original": "10.00"}, "chave": PIX_KEY}
    charge = api.put(f"/cob/{txid}", body)
    assert charge.status == 201
    assert api.get(f"/cob/{txid}/").json["status"] == "ATIVA"
    assert api.post("/loc", {"tipoCob": "cob"}).headers["location"].startswith(api.url)
    assert api.delete(f"/loc/{charge.json['loc']['id']}/txid").status == 200
    assert "pixCopiaECola" not in api.get(f"/cob/{txid}").json
    assert api.get("/cob").violations == ["inicio", "fim"]
    assert api.get(f"/cob/{secrets.token_hex(16)}").kind == "CobNaoEncontrado"
    assert api.as_bearer("unknown").get(f"/cob/{txid}").status == 401
    assert api.as_bearer("").get(f"/cob/{txid}").status == 401
    assert api.delete(f"/cob/{txid}").status == 405
    assert api.put(f"/webhook/{PIX_KEY}", {"webhookUrl": "http://127.0.0.1:9/a"}).status == 200
    assert api.delete(f"/webhook/{PIX_KEY}").status == 204
    big = b'{"chave": "' + b"a" * 70_000 + b'"}'
    assert api.request("PUT", f"/cob/{txid}", data=big).status == 413
    text = api.request("POST", "/cob", data=b"a", headers={"Content-Type": "text/plain"})
    assert text.status == 415


def test_a_wrong_answer_over_the_wire_is_refused(service: ServiceProcess):
    """The checking client itself must be able to fail over HTTP."""
    outside = PixApi(url=service.url, base="")
    with pytest.raises(ContractBroken, match="GET /cob answered 404"):
        outside.get("/cob")
