"""TLS with a bank: who is trusted, what we prove, and all of it in each async mode."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from providers.api_pix.exchange import BankAddress, BankExchange
from providers.api_pix.tokens import TokenStyle
from providers.api_pix.wire import WireTimes
from providers.port import AccountRefusal, ProviderAway
from providers.secrets import AccountSecrets
from tests.providers.certificate_files import Pair, new_pair
from tests.providers.raw_bank import RawBank, drip, http, server_context

REPO = Path(__file__).resolve().parents[2]
AT = datetime.now(UTC)
CA = new_pair("Bank authority", None, AT, is_authority=True)
MIDDLE = new_pair("Bank issuer", CA, AT, is_authority=True)
SERVER = new_pair("bank", CA, AT, host="127.0.0.1")
SHOP = new_pair("loja", MIDDLE, AT)
FOREIGN = new_pair("loja", new_pair("Other", None, AT, is_authority=True), AT)
SHORT_LIVED = new_pair("loja", CA, AT, days=(-10, 1))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
TIMES = WireTimes(connect=1.0, read=1.0, answer=1.5)


def secrets_of(pair: Pair | None, *, chain: bytes = b"", ca: bytes = CA.pem) -> AccountSecrets:
    """An account's secrets with this certificate."""
    return AccountSecrets(
        "the-client-id",
        "the-client-secret",
        "the-callback-token",
        certificate_pem="" if pair is None else (pair.pem + chain).decode(),
        private_key_pem="" if pair is None else pair.key_pem.decode(),
        ca_pem=ca.decode(),
    )


def exchange_with(bank: RawBank, secrets: AccountSecrets, **options) -> BankExchange:
    """An exchange with this bank."""
    options.setdefault("now", lambda: datetime.now(UTC))
    return BankExchange(
        label="standard-test", address=BankAddress(bank.url, f"{bank.url}/token"),
        token_style=TokenStyle(), secrets=secrets, times=TIMES, **options,
    )  # fmt: skip


def call(exchange: BankExchange) -> int:
    """A call; returns its status."""
    return exchange.call("PUT", "cob", "/cob/a", body={}, operation="o", is_read=False).status


@contextmanager
def tls_bank(
    folder: Path, server: Pair = SERVER, client_authority: bytes | None = CA.pem
) -> Iterator[RawBank]:
    """A bank that demands a certificate of its authority."""
    context = server_context(folder, server, client_authority=client_authority)
    with RawBank(tls=context) as bank:
        yield bank


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_certificate_and_chain_open_the_bank(tmp_path, version):
    """The bank knows its root alone, so the chain must be sent."""
    with tls_bank(tmp_path) as bank:
        assert bank.tls is not None
        bank.tls.minimum_version = bank.tls.maximum_version = version
        assert call(exchange_with(bank, secrets_of(SHOP, chain=MIDDLE.pem))) == 200
        with pytest.raises(AccountRefusal, match="certificate-refused"):
            call(exchange_with(bank, secrets_of(SHOP)))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("pair", "code"), [(None, "certificate-required"), (FOREIGN, "certificate-refused")]
)
def test_a_certificate_that_the_bank_refuses_is_the_accounts_fault(tmp_path, version, pair, code):
    """By TLS 1.3 the refusal comes only after the request."""
    with tls_bank(tmp_path) as bank:
        assert bank.tls is not None
        bank.tls.minimum_version = bank.tls.maximum_version = version
        with pytest.raises(AccountRefusal, match=code):
            call(exchange_with(bank, secrets_of(pair)))
        assert bank.requests == []


def test_the_public_authorities_are_the_default(tmp_path, monkeypatch):
    """And no variable of another library can add one."""
    (tmp_path / "ca.pem").write_bytes(CA.pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with tls_bank(tmp_path, client_authority=None) as bank:
        with pytest.raises(ProviderAway) as failure:
            call(exchange_with(bank, secrets_of(None, ca=b"")))
        assert (failure.value.code, failure.value.was_sent) == ("bank-certificate", False)
        assert bank.requests == []


BAD_SERVERS = {
    "of another authority": new_pair("bank", new_pair("X", None, AT, is_authority=True), AT,
                                     host="127.0.0.1"),
    "for another host": new_pair("bank", CA, AT, host="bank.example"),
    "expired": new_pair("bank", CA, AT, host="127.0.0.1", days=(-20, -10)),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_SERVERS)
def test_a_bank_that_cannot_prove_itself_gets_nothing(tmp_path, kind):
    """Neither the secret nor a charge."""
    with tls_bank(tmp_path) as good, tls_bank(tmp_path, BAD_SERVERS[kind]) as bad:
        exchange = BankExchange(
            label="standard-test", address=BankAddress(bad.url, f"{good.url}/token"),
            token_style=TokenStyle(), secrets=secrets_of(SHOP, chain=MIDDLE.pem), times=TIMES,
            now=lambda: datetime.now(UTC),
        )  # fmt: skip
        with pytest.raises(ProviderAway) as failure:
            call(exchange)
        assert (failure.value.code, failure.value.was_sent) == ("bank-certificate", False)
        assert bad.requests == []


def test_an_issuer_without_its_root_can_be_trusted(tmp_path):
    """A bank's zip may hold the issuing authority alone."""
    server = new_pair("bank", MIDDLE, AT, host="127.0.0.1")
    with tls_bank(tmp_path, server, None) as bank:
        assert call(exchange_with(bank, secrets_of(None, ca=MIDDLE.pem))) == 200


def test_old_tls_is_refused(tmp_path):
    """TLS 1.1 has been forbidden since 2021 (RFC 8996)."""
    context = server_context(tmp_path, SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with RawBank(tls=context) as bank:
        with pytest.raises(ProviderAway):
            call(exchange_with(bank, secrets_of(None)))
        assert bank.requests == []


def test_an_expired_certificate_is_named_before_anything_is_sent(tmp_path):
    """Both sides of its last second; the exchange itself is as old as the process."""
    end = SHORT_LIVED.certificate.not_valid_after_utc
    moment = end - timedelta(seconds=1)
    with tls_bank(tmp_path) as bank:
        exchange = exchange_with(bank, secrets_of(SHORT_LIVED), now=lambda: moment)
        assert call(exchange) == 200
        moment = end
        with pytest.raises(AccountRefusal, match="certificate-expired") as refusal:
            call(exchange)
        assert f"{end:%Y-%m-%d}" in refusal.value.detail
        assert len(bank.calls) == 1


@pytest.mark.parametrize(
    "pems", [("nonsense", "nonsense"), (SHOP.pem.decode(), FOREIGN.key_pem.decode()),
             (SHOP.pem.decode(), "")],
)  # fmt: skip
def test_a_stored_pair_that_tls_refuses_is_the_accounts_fault(tmp_path, pems):
    """For example after a row was changed by hand."""
    with tls_bank(tmp_path) as bank:
        secrets = AccountSecrets("i", "s", "t", pems[0], pems[1], CA.pem.decode())
        with pytest.raises(AccountRefusal, match="certificate-unusable"):
            call(exchange_with(bank, secrets))


_CALLS = """
import json, sys
mode, folder, url, *slow_urls = sys.argv[1:]
if mode == "eventlet":
    import warnings
    warnings.simplefilter("ignore")
    import eventlet
    eventlet.monkey_patch()
elif mode == "gevent":
    from gevent import monkey
    monkey.patch_all()
import threading, time
from datetime import UTC, datetime
from pathlib import Path
from core.runtime.hub import active_hub
from providers.api_pix.exchange import BankAddress, BankExchange
from providers.api_pix.tokens import TokenStyle
from providers.api_pix.wire import WireTimes
from providers.port import ProviderAway
from providers.secrets import AccountSecrets

assert active_hub() == mode
read = lambda name: (Path(folder) / name).read_text()
secrets = AccountSecrets("i", "s", "t", read("shop"), read("key"), read("ca"))
times = WireTimes(connect=1.0, read=2.0, answer=2.0)

def exchange(base):
    return BankExchange(
        label="standard-test", address=BankAddress(base, f"{url}/token"),
        token_style=TokenStyle(), secrets=secrets, times=times, now=lambda: datetime.now(UTC),
    )

bank, results, ticks = exchange(url), [], 0
slow = [exchange(one) for one in slow_urls]

def call(exchange):
    began = time.monotonic()
    try:
        result = exchange.call(
            "PUT", "cob", "/cob/a", body={}, operation="o", is_read=False
        ).status
    except ProviderAway as error:
        result = error.code
    results.append([result, time.monotonic() - began])

began = time.monotonic()
threads = [threading.Thread(target=call, args=(one,)) for one in [bank] * 10 + slow]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    time.sleep(0.01)
    ticks += 1
print(json.dumps([results, time.monotonic() - began, ticks]))
"""


def _trickle_handshake(listener: socket.socket, stopped: threading.Event) -> None:
    """Answer the hello of TLS with one byte of a record now and then."""
    sock, _ = listener.accept()
    with sock:
        sock.recv(4096)
        record = b"\x16\x03\x03\x40\x00" + b"\x02" * 5000
        for byte in record:
            if stopped.wait(0.3):
                return
            try:
                sock.sendall(bytes([byte]))
            except OSError:
                return


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_slow_calls_go_on_side_by_side_in_each_async_mode(mode, tmp_path):
    """Ten calls of 1 s take little more than 1 s; what drips ends at its time."""
    for name, data in [("shop", SHOP.pem + MIDDLE.pem), ("key", SHOP.key_pem), ("ca", CA.pem)]:
        (tmp_path / name).write_bytes(data)

    def slow(_request):
        time.sleep(1.0)
        return http(200, {"ok": True})

    stopped = threading.Event()
    with ExitStack() as stack:
        bank = stack.enter_context(tls_bank(tmp_path))
        bank.answer = slow
        dripping = stack.enter_context(tls_bank(tmp_path))
        dripping.answer = lambda _request: drip(HEAD, b" ")
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        thread = threading.Thread(target=_trickle_handshake, args=(listener, stopped))
        thread.start()
        ended = subprocess.run(
            [sys.executable, "-c", _CALLS, mode, str(tmp_path), bank.url,
             f"https://127.0.0.1:{listener.getsockname()[1]}", dripping.url],
            cwd=REPO, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        stopped.set()
        thread.join()
    assert ended.returncode == 0, ended.stderr
    results, seconds, ticks = json.loads(ended.stdout.strip().splitlines()[-1])
    assert sorted(str(result) for result, _ in results) == ["200"] * 10 + ["timeout"] * 2
    assert max(duration for result, duration in results if result == 200) < 2.5
    assert seconds < 3.5
    assert ticks > 10
