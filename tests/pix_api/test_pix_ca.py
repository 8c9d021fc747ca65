"""`flask pix-ca`: certificates are made, renewed and registered; a mistake is one sentence."""

from __future__ import annotations

import stat
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from accounts.pix_ca import client_file, ensure_tls_files
from core.signing import development_ca
from repository.database import reading
from tests.pix_api.clients import new_client, stored


@pytest.fixture
def run(app):
    """Run `flask pix-ca` with these arguments: run("init") → result."""
    runner = app.test_cli_runner()
    return lambda *arguments: runner.invoke(args=["pix-ca", *arguments])


def thumbprint_of(app, client) -> str | None:
    """The certificate that is registered for the client."""
    with app.app_context(), reading() as work:
        return stored(work, client).certificate_thumbprint


def test_a_certificate_is_made_as_files_and_registered(app, run):
    """An SDK takes the file that it knows; the service knows the certificate."""
    client = new_client(app, "demo")
    settings = app.config["BALCAO"]
    result = run("issue", client.client_id, "--password", "senha")
    assert result.exit_code == 0, result.output
    files = [client_file(settings, client.client_id, one) for one in ("pem", "crt", "key", "p12")]
    assert result.output == "".join(f"{file}\n" for file in files)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    pem, certificate, key, pfx = (file.read_bytes() for file in files)
    assert pem == certificate + key
    assert thumbprint_of(app, client) == development_ca.thumbprint_of_pem(certificate)
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_key_and_certificates(pfx, None)
    assert pkcs12.load_key_and_certificates(pfx, b"senha")[0] is not None
    assert run("issue", client.client_id).exit_code == 0  # again: a new certificate replaces it
    assert thumbprint_of(app, client) != development_ca.thumbprint_of_pem(certificate)


def test_another_authoritys_certificate_is_registered(app, run, clock, tmp_path):
    """For clients whose bank or authority gave them one."""
    client = new_client(app, "demo")
    identity = development_ca.new_client(development_ca.new_ca(clock.now()), "x", clock.now())
    file = tmp_path / "theirs.pem"
    file.write_bytes(identity.certificate_pem)
    result = run("register", client.client_id, str(file))
    assert result.exit_code == 0, result.output
    assert thumbprint_of(app, client) in result.output


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\xff" * 100, b"x" * 100_000])
def test_a_file_that_is_no_certificate_is_refused(app, run, tmp_path, content):
    """In one sentence with the file's name, and nothing is registered."""
    client = new_client(app, "demo")
    file = tmp_path / "theirs.pem"
    file.write_bytes(content)
    result = run("register", client.client_id, str(file))
    assert result.exit_code == 1
    assert str(file) in result.output
    assert "Traceback" not in result.output
    assert thumbprint_of(app, client) is None


@pytest.mark.parametrize("client_id", ["nobody", "../../etc/x", "a" * 100])
def test_an_unknown_client_gets_no_files(app, run, client_id):
    """A typing error must not leave keys behind, nor write outside of the folder."""
    result = run("issue", client_id)
    assert result.exit_code == 1
    assert f"There is no client {client_id}." in result.output
    assert not (app.config["BALCAO"].tls_folder / "clients").exists()


def test_the_authority_stays_and_the_server_certificate_is_renewed(app, run, clock):
    """SDKs trust the authority for years; a browser refuses a server's certificate before."""
    settings = app.config["BALCAO"]
    assert run("init").exit_code == 0
    files = [settings.tls_folder / f"{name}.pem" for name in ("ca", "server")]
    first = [file.read_bytes() for file in files]
    assert run("init").exit_code == 0
    assert [file.read_bytes() for file in files] == first
    server = x509.load_pem_x509_certificate(first[1])
    lifetime = server.not_valid_after_utc - server.not_valid_before_utc
    assert lifetime < timedelta(days=398)
    # An operator's own authority in its place: the old certificate does not fit any more.
    (settings.tls_folder / "ca.pem").unlink()
    ensure_tls_files(settings)
    second = [file.read_bytes() for file in files]
    assert second[0] != first[0]
    assert second[1] != first[1]
    authority = x509.load_pem_x509_certificate(second[0])
    x509.load_pem_x509_certificate(second[1]).verify_directly_issued_by(authority)


def test_broken_files_are_one_sentence(app, run):
    """And not a traceback at the start."""
    settings = app.config["BALCAO"]
    assert run("init").exit_code == 0
    (settings.tls_folder / "ca-key.pem").write_text("no key", encoding="ascii")
    result = run("init")
    assert result.exit_code == 1
    assert str(settings.tls_folder) in result.output
    assert "Traceback" not in result.output
