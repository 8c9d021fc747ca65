"""Files that would keep a process busy for hours are refused, and the others are read as before."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import serialization

from providers.api_pix import certificate_reader
from providers.api_pix.certificate_reader import authorities_of, certificate_of
from providers.api_pix.certificates import CertificateProblem, read_certificate
from tests.providers.certificate_files import new_pair

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
ROOT = new_pair("Root", None, AT, is_authority=True)
SHOP = new_pair("loja", ROOT, AT)
LOCK = serialization.BestAvailableEncryption("ação".encode())


def _tlv(tag: int, body: bytes) -> bytes:
    """A DER value."""
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + body


def _integer(number: int) -> bytes:
    return _tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _large_key() -> bytes:
    """An RSA key of 19,630 bits; both its primes are real, so each test for primes is long."""
    p, q, e = 2**9941 - 1, 2**9689 - 1, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = (0, p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    return _tlv(0x30, b"".join(map(_integer, numbers)))


def _slow_pfx() -> bytes:
    """A PFX that asks for 2,147,483,647 rounds of its password's hash."""
    data_kind = bytes.fromhex("06092a864886f70d010701")
    sha256 = bytes.fromhex("0609608648016503040201") + b"\x05\x00"
    digest = _tlv(0x30, _tlv(0x30, sha256) + _tlv(4, b"x" * 32))
    content = _tlv(0x30, data_kind + _tlv(0xA0, _tlv(4, _tlv(0x30, b""))))
    mac = _tlv(0x30, digest + _tlv(4, b"saltsalt") + _integer(2**31 - 1))
    return _tlv(0x30, _integer(3) + content + mac)


@pytest.mark.parametrize("file", [_large_key(), _slow_pfx()], ids=["key", "pfx"])
def test_a_file_that_asks_for_hours_is_refused_in_time(file, monkeypatch):
    monkeypatch.setattr(certificate_reader, "CPU_SECONDS", 1)
    begin = time.monotonic()
    with pytest.raises(CertificateProblem) as problem:
        certificate_of(file, "senha", None, at=AT)
    assert problem.value.code == "unreadable"
    with pytest.raises(CertificateProblem):
        authorities_of(file)
    assert time.monotonic() - begin < 10


def test_the_other_process_reads_what_this_one_does():
    pfx = SHOP.pfx(LOCK, ROOT.certificate)
    assert certificate_of(pfx, "ação", None, at=AT) == read_certificate(pfx, "ação", at=AT)
    assert certificate_of(SHOP.pem, "", SHOP.key_pem, at=AT).chain == ()
    assert authorities_of(ROOT.pem) == ROOT.pem.decode()


@pytest.mark.parametrize("password", ["ação errada", "€"])
def test_a_wrong_password_with_an_accent_is_a_wrong_password(password):
    """The library answers a TypeError to bytes that are not UTF-8."""
    for file, key in ((SHOP.pfx(LOCK), None), (SHOP.pem, SHOP.locked_key_pem(LOCK))):
        with pytest.raises(CertificateProblem) as problem:
            certificate_of(file, password, key, at=AT)
        assert problem.value.code == "password-wrong"


@pytest.mark.parametrize("hub", ["eventlet", "gevent"])
def test_other_requests_go_on_while_a_file_is_read(hub):
    """A file that takes long must not stop the hub."""
    patch = {
        "eventlet": "import eventlet; eventlet.monkey_patch()",
        "gevent": "from gevent import monkey; monkey.patch_all()",
    }[hub]
    script = f"""
{patch}
import threading, time, sys
from datetime import UTC, datetime
from providers.api_pix import certificate_reader
from providers.api_pix.certificates import CertificateProblem
certificate_reader.WALL_SECONDS = 2
ticks = []
def tick():
    while True:
        ticks.append(1)
        time.sleep(0.05)
threading.Thread(target=tick, daemon=True).start()
try:
    certificate_reader.certificate_of(
        bytes.fromhex({_slow_pfx().hex()!r}), "x", None, at=datetime.now(UTC))
except CertificateProblem as problem:
    print(problem.code, len(ticks))
"""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=30
    )
    code, ticks = run.stdout.split()
    assert code == "unreadable", run.stderr
    assert int(ticks) > 10
