"""Reading the client's certificate: every form that banks give, and what is wrong with a file."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from providers.api_pix.certificates import CertificateProblem, read_authorities, read_certificate
from tests.providers.certificate_files import new_pair

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
BEST = serialization.BestAvailableEncryption
OPEN = serialization.NoEncryption()

ROOT = new_pair("Root", None, AT, is_authority=True, days=(-1000, 1000))
MIDDLE = new_pair("Issuer", ROOT, AT, is_authority=True, days=(-900, 900))
SHOP = new_pair("loja", MIDDLE, AT)
OTHER = new_pair("outra", MIDDLE, AT)
CHAIN = (MIDDLE.certificate, ROOT.certificate)


def read(data: bytes, password: str | None = None, key: bytes | None = None):
    """The certificate at the test's instant."""
    return read_certificate(data, password, key, at=AT)


FORMS = {
    "PFX with a password": (SHOP.pfx(BEST(b"seguro"), *CHAIN), "seguro", None),
    "PFX with an accent in the password": (SHOP.pfx(BEST("ação".encode()), *CHAIN), "ação", None),
    "PFX not encrypted": (SHOP.pfx(OPEN, *CHAIN), None, None),
    "PFX not encrypted, empty password": (SHOP.pfx(OPEN, *CHAIN), "", None),
    "PFX not encrypted, some password": (SHOP.pfx(OPEN, *CHAIN), "unneeded", None),
    "PEM pair": (SHOP.pem + MIDDLE.pem + ROOT.pem, None, SHOP.key_pem),
    "combined PEM": (SHOP.pem + SHOP.key_pem + MIDDLE.pem + ROOT.pem, None, None),
    "key first, chain backwards": (ROOT.pem + SHOP.key_pem + MIDDLE.pem + SHOP.pem, "", None),
    "CRLF": ((SHOP.pem + MIDDLE.pem + ROOT.pem).replace(b"\n", b"\r\n"), None, SHOP.key_pem),
    "CR": ((SHOP.pem + MIDDLE.pem + ROOT.pem).replace(b"\n", b"\r"), None, SHOP.key_pem),
    "text around": (b"Bag Attributes\n  x: 1\n" + SHOP.pem + MIDDLE.pem + ROOT.pem, None,
                    b"\xef\xbb\xbfkey:\n" + SHOP.key_pem),
    "encrypted key": (SHOP.pem + MIDDLE.pem + ROOT.pem, "frase",
                      SHOP.locked_key_pem(BEST(b"frase"))),
    "encrypted key of OpenSSL": (
        SHOP.pem + MIDDLE.pem + ROOT.pem,
        "frase",
        SHOP.locked_key_pem(BEST(b"frase"), serialization.PrivateFormat.TraditionalOpenSSL),
    ),
    "open key and a password": (SHOP.pem + MIDDLE.pem + ROOT.pem, "unneeded", SHOP.key_pem),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_certificate_key_and_chain(form):
    """Banks hand out all of these."""
    certificate = read(*FORMS[form])
    assert certificate.certificate_pem == SHOP.pem.decode()
    assert certificate.chain == (MIDDLE.pem.decode(), ROOT.pem.decode())
    assert certificate.private_key_pem == SHOP.key_pem.decode()
    assert certificate.subject == "CN=loja"
    assert certificate.not_before == AT - timedelta(days=1)
    assert certificate.not_after == AT + timedelta(days=365)
    assert certificate.with_chain_pem == (SHOP.pem + MIDDLE.pem + ROOT.pem).decode()
    assert "PRIVATE" not in repr(certificate)


def test_a_pfx_of_an_old_program_is_read(tmp_path):
    """Certificates of ICP-Brasil still come with RC2 and 3DES; OpenSSL itself refuses these."""
    (tmp_path / "pem").write_bytes(SHOP.pem + SHOP.key_pem)
    subprocess.run(
        ["openssl", "pkcs12", "-export", "-legacy", "-in", "pem", "-out", "pfx",
         "-passout", "pass:velha"], cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    certificate = read((tmp_path / "pfx").read_bytes(), "velha")
    assert (certificate.subject, certificate.chain) == ("CN=loja", ())


def test_a_pfx_with_an_empty_password_is_read(tmp_path):
    """Efí's files are like that: encrypted, and the password is empty."""
    (tmp_path / "pem").write_bytes(SHOP.pem + SHOP.key_pem)
    subprocess.run(
        ["openssl", "pkcs12", "-export", "-in", "pem", "-out", "pfx", "-passout", "pass:"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    data = (tmp_path / "pfx").read_bytes()
    assert read(data).subject == read(data, "").subject == read(data, "x").subject == "CN=loja"


def test_a_certificate_that_signs_itself_is_read(tmp_path):
    """Some portals take the public part of a certificate that the shop makes with one command."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=eu",
         "-keyout", "key", "-out", "pem"], cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    certificate = read_certificate(
        (tmp_path / "pem").read_bytes(), None, (tmp_path / "key").read_bytes(),
        at=datetime.now(UTC) + timedelta(hours=1),
    )  # fmt: skip
    assert certificate.subject == "CN=eu"


def dated(days: tuple[int, int]) -> bytes:
    """Certificate and key with these dates."""
    pair = new_pair("datada", MIDDLE, AT, days=days)
    return pair.pem + pair.key_pem


PROBLEMS = [
    (SHOP.pem, None, OTHER.key_pem, "other-key"),
    (SHOP.pem, None, None, "no-key"),
    (SHOP.key_pem, None, None, "no-certificate"),
    (b"", None, None, "no-certificate"),
    (ROOT.pem + MIDDLE.pem, None, None, "authority"),
    (ROOT.pem, None, ROOT.key_pem, "authority"),
    (SHOP.pem + ROOT.pem, None, ROOT.key_pem, "other-key"),
    (dated((-10, -1)), None, None, "expired"),
    (dated((1, 10)), None, None, "not-yet-valid"),
    (SHOP.pfx(BEST(b"right")), "wrong", None, "password-wrong"),
    (SHOP.pfx(BEST(b"right")), None, None, "password-needed"),
    (SHOP.pfx(BEST(b"right"))[:-40], "right", None, "password-wrong"),
    (SHOP.pem, None, SHOP.locked_key_pem(BEST(b"right")), "password-needed"),
    (SHOP.pem, "wrong", SHOP.locked_key_pem(BEST(b"right")), "password-wrong"),
    (SHOP.pem[:200], None, SHOP.key_pem, "unreadable"),
    (SHOP.pem.replace(b"M", b"N", 5), None, SHOP.key_pem, "unreadable"),
    (b"<html>Sess\xc3\xa3o expirada</html>", None, None, "unreadable"),
    (b"0" * 300_000, None, None, "too-large"),
]


@pytest.mark.parametrize(("data", "password", "key", "code"), PROBLEMS)
def test_a_file_that_cannot_be_used_is_refused_with_a_sentence(data, password, key, code):
    """The sentence helps a person, and has nothing of the key or the password."""
    with pytest.raises(CertificateProblem) as problem:
        read(data, password, key)
    assert problem.value.code == code
    sentence = str(problem.value)
    assert sentence.endswith(".")
    assert len(sentence) > 20
    assert not any(secret in sentence for secret in ("right", "wrong", "-----"))


def test_the_last_second_of_a_certificate_counts():
    """Both sides of the edge, which no leeway hides."""
    files = dated((-10, 5))
    end = AT + timedelta(days=5)
    assert read_certificate(files, at=end - timedelta(seconds=1)).not_after == end
    with pytest.raises(CertificateProblem):
        read_certificate(files, at=end)


def test_a_key_that_tls_refuses_is_refused_here(tmp_path):
    """A person should hear it now, and not at the first payment."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=eu",
         "-keyout", "key", "-out", "pem"], cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(CertificateProblem) as problem:
        read_certificate(
            (tmp_path / "pem").read_bytes(), None, (tmp_path / "key").read_bytes(),
            at=datetime.now(UTC) + timedelta(hours=1),
        )  # fmt: skip
    assert problem.value.code == "unusable"
    assert "small" in str(problem.value)


def test_no_file_with_the_key_is_left(tmp_path, monkeypatch):
    """Neither in the folder for temporary files nor as an open handle."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = len(list(Path("/proc/self/fd").iterdir()))
    read(*FORMS["PEM pair"])
    monkeypatch.delattr(os, "memfd_create")
    read(*FORMS["PEM pair"])
    assert list(tmp_path.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_authorities_are_read_from_pem_and_der():
    """Sicredi and Inter give the chain of their server or callbacks as files."""
    der = ROOT.certificate.public_bytes(serialization.Encoding.DER)
    assert read_authorities(der) == ROOT.pem.decode()
    both = read_authorities((MIDDLE.pem + ROOT.pem).replace(b"\n", b"\r\n"))
    assert len(x509.load_pem_x509_certificates(both.encode())) == 2
    with pytest.raises(CertificateProblem):
        read_authorities(SHOP.key_pem)
