"""No line of a log has a secret: a whole life of an account, with faults, at level debug.

The service and the operator's commands are processes, and everything that they write is read.
"""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from core.signing.development_ca import Identity, new_ca, new_client
from tests.providers.shop_process import PFX_PASSWORD, ShopProcess
from tests.providers.stand_in import CLIENT_ID, CLIENT_SECRET, Fault, StandInBank
from tests.support.service import ROOT, SECRET, SECRET_KEY

KEY = "52998224725"
"""A CPF: an account's Pix key may be one."""
PAYER = "12345678909"
WRONG_SECRET = "a-secret-that-the-bank-does-not-know"
FAULTS = ("status", "html", "empty", "cut", "wrong-json", "redirect", "close", "revoke")


class Operator:
    """Runs commands as processes at level debug, and keeps what they write to standard error."""

    def __init__(self, shop: ShopProcess) -> None:
        self._shop = shop
        self.log = ""

    def run(self, *words: str, status: int = 0) -> str:
        """Run `flask provider …`; returns its standard output."""
        result = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app", "provider", *words],
            cwd=ROOT,
            env=self._shop.process.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.log += result.stderr
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout

    def renew(self, *options: str) -> None:
        """Give the account other credentials."""
        self.run("renew", self._shop.account_id, *options)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Iterator[ShopProcess]:
    """The shop in front of a bank with mutual TLS, without an account."""
    with (
        StandInBank("standard", mutual=True) as bank,
        ShopProcess(
            tmp_path_factory.mktemp("secrets"), bank, ASYNC_MODE="gevent", LOG_LEVEL="debug"
        ) as shop,
    ):
        yield shop


@pytest.mark.timeout(180)
def test_a_whole_life_of_an_account_writes_no_secret(shop):
    """Each part leaves a line, so none is clean because nothing was logged."""
    operator, bank = Operator(shop), shop.bank
    shop.note_account(operator.run(*shop.add_words(KEY)))
    operator.run("check", shop.account_id)
    payments = [live_through_one_payment(shop)]
    tokens = set(bank.tokens)

    call_the_address_wrongly(shop)
    payments += create_with_faults(shop)
    tokens |= set(bank.tokens)

    stranger = new_client(new_ca(datetime.now(UTC)), CLIENT_ID, datetime.now(UTC))
    operator.renew(*shop.certificate_options(stranger))
    fail_to_open(shop, "a certificate of a stranger")
    secret_file = shop.folder / "wrong"
    secret_file.write_text(WRONG_SECRET, encoding="ascii")
    right = shop.certificate_options(bank.client_identity)
    operator.renew(*right, "--client-secret-file", str(secret_file))
    fail_to_open(shop, "a wrong secret")
    fresh = new_client(bank.authority, CLIENT_ID, datetime.now(UTC))
    secret_file.write_text(CLIENT_SECRET, encoding="ascii")
    operator.renew(*shop.certificate_options(fresh), "--client-secret-file", str(secret_file))
    payments.append(shop.create("after the renewal"))
    tokens |= set(bank.tokens)

    identities = {"own": bank.client_identity, "strange": stranger, "fresh": fresh}
    secrets = secrets_of(shop, identities, tokens, payments)
    assert_clean("the service", shop.process.log(), secrets)
    assert_clean("the commands", operator.log, secrets)
    assert {"debug", "info", "warning"} <= levels_of(shop.process.log())
    shop.process.stop()
    assert_clean("the service at its end", shop.process.log(), secrets)


def live_through_one_payment(shop: ShopProcess) -> dict[str, Any]:
    """Opened, paid, told of, given back; returns the payment."""
    payment = shop.create("first")
    pix = shop.bank.book.pay(payment["id"])
    assert shop.bank.post_callback(shop.callback_url, pix) == 200
    shop.wait_until_paid(payment)
    path = f"/payments/pix/{payment['id']}/refunds"
    assert shop.post(path, {"refund_id": "r1", "value": "4.90"})[0] == 201
    shop.wait_until(lambda: [one["status"] for one in shop.refunds(payment)] == ["done"])
    return payment


def create_with_faults(shop: ShopProcess) -> list[dict[str, Any]]:
    """A payment for each fault of the bank, all at once; each is opened in the end."""
    faults = [Fault("put-cob", kind, after=kind == "close", status=500) for kind in FAULTS]
    shop.bank.faults += [*faults, Fault("token", "status", status=503)]
    with ThreadPoolExecutor(len(FAULTS)) as pool:
        payments = list(pool.map(lambda kind: shop.create(f"faulty {kind}"), FAULTS))
    assert [fault.count for fault in faults] == [0] * len(FAULTS)
    assert shop.lines("provider.call_failed") != []
    return payments


def call_the_address_wrongly(shop: ShopProcess) -> None:
    """As banks do that add something to the registered address, or try another method."""
    path = f"/providers/{shop.callback_token}"
    before = len(shop.lines("request"))
    wrong = [
        ("POST", f"{path}/pix/pix/pix", 404),
        ("POST", f"{path}/", 404),
        ("PUT", path, 405),
        ("DELETE", f"{path}/pix", 405),
        ("POST", f"/Providers/{shop.callback_token}", 404),
        ("POST", f"//providers/{shop.callback_token}", 200),
        ("POST", f"/api{path}", 404),
    ]
    for method, address, status in wrong:
        answer = shop.process.request(method, address, b"{}", {"Content-Type": "application/json"})
        assert answer[0] == status, (method, address, answer)
    shop.process.request("POST", path, b"not JSON" * 10, {"Content-Type": "application/json"})
    shop.process.request("POST", f"{path}?hmac={shop.callback_token}", b"x" * 2_000_000)
    assert len(shop.lines("request")) >= before + len(wrong) + 2


def fail_to_open(shop: ShopProcess, key: str) -> None:
    """Ask for a payment whose charge the bank refuses; the answer names no secret either."""
    before = len(shop.lines("provider.call_failed"))
    status, answer = shop.post("/payments/pix", {"value": "7.00"}, Idempotency_Key=key)
    assert status in (502, 503), answer
    assert WRONG_SECRET not in str(answer)
    shop.wait_until(lambda: len(shop.lines("provider.call_failed")) > before)


def secrets_of(
    shop: ShopProcess,
    identities: dict[str, Identity],
    tokens: set[str],
    payments: list[dict[str, Any]],
) -> dict[str, str]:
    """What no log may have, by what it is."""
    pairs = [f"{CLIENT_ID}:{secret}" for secret in (CLIENT_SECRET, WRONG_SECRET)]
    secrets = {
        "client secret": CLIENT_SECRET,
        "wrong client secret": WRONG_SECRET,
        "password of the file": PFX_PASSWORD,
        "callback token": shop.callback_token,
        "key of the service": SECRET_KEY,
        "secret of the simulated bank": SECRET,
        "payer's document": PAYER,
        "account's Pix key": KEY,
        "payer's name": "Maria da Silva",
        "payer's words": "obrigada",
        "any private key": "PRIVATE KEY",
    }
    encoded = [base64.b64encode(pair.encode()).decode() for pair in pairs]
    secrets |= {f"pair {number}": text for number, text in enumerate(encoded)}
    secrets |= {f"token {number}": token for number, token in enumerate(sorted(tokens))}
    secrets |= {f"code of {payment['id']}": payment["pix_code"] for payment in payments}
    for name, identity in identities.items():
        lines = identity.key_pem.decode().splitlines()
        # The first line names the algorithm and is the same in many keys.
        bodies = [line for line in lines[2:] if len(line) >= 16 and "-----" not in line]
        assert bodies
        secrets |= {f"private key {name}, line {n}": line for n, line in enumerate(bodies)}
    return secrets


def assert_clean(whose: str, log: str, secrets: dict[str, str]) -> None:
    """Fail with the lines that have a secret, and with its name."""
    assert all(len(text) >= 8 for text in secrets.values())
    leaks = [
        (name, line[:300])
        for line in log.splitlines()
        for name, text in secrets.items()
        if text in line
    ]
    assert leaks == [], f"{whose}: {leaks[:5]}"
    documents = re.findall(r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b", log)
    assert documents == [], f"{whose}: a whole CPF"


def levels_of(log: str) -> set[str]:
    """The levels of the lines."""
    return set(re.findall(r'"level": ?"(\w+)"', log))
