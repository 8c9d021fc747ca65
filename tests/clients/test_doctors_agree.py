"""The package's signature doctor and the bank's have the same codes and findings."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from balcao import doctor
from bank.app import create_bank_app
from bank.settings import BankSettings
from bank.workbench import doctor as bank_doctor
from core.signing import signatures
from tests.support.service import SECRET

ROOT = Path(__file__).resolve().parents[2]
AT = datetime(2026, 11, 20, 15, tzinfo=UTC)
BODY = '{"id": "evt_1", "value": 100.00, "description": "ação"}\n'.encode()
GOOD = signatures.signed_headers(SECRET, "evt_1", AT, BODY)
SIGNATURE = GOOD["webhook-signature"]
HEADERS = [
    GOOD,
    {},
    {**GOOD, "webhook-id": "a b"},
    {**GOOD, "webhook-id": "msg_evt_1"},
    {**GOOD, "webhook-id": "EVT_1"},
    {**GOOD, "webhook-timestamp": "soon"},
    {**GOOD, "webhook-timestamp": f"{GOOD['webhook-timestamp']}000"},
    {**GOOD, "webhook-timestamp": str(int(GOOD["webhook-timestamp"]) + 119)},
    {**GOOD, "webhook-timestamp": str(int(GOOD["webhook-timestamp"]) + 121)},
    {**GOOD, "webhook-timestamp": str(int(GOOD["webhook-timestamp"]) - 301)},
    {**GOOD, "webhook-signature": SIGNATURE[3:]},
    {**GOOD, "webhook-signature": "v2" + SIGNATURE[2:]},
    {**GOOD, "webhook-signature": SIGNATURE.rstrip("=")},
    {**GOOD, "webhook-signature": SIGNATURE.replace("+", "-").replace("/", "_")},
    {**GOOD, "webhook-signature": "v1,%%% v1,AAAA " + SIGNATURE},
    {**GOOD, "webhook-signature": "v1," + "ab" * 32},
]
BODIES = [
    BODY,
    BODY.strip(),
    b"",
    b"\xff\xfe",
    b"[" * 5_000,
    '{"id":"evt_1","value":100.00,"description":"ação"}'.encode(),
    b'{"description": "a\\u00e7\\u00e3o", "id": "evt_1", "value": 100.00}\n',
]
SECRETS = [
    [("current", SECRET)],
    [("current", signatures.new_secret()), ("previous", SECRET)],
    [("current", f" {SECRET[6:]}\n")],
    [("current", "whsec_%"), ("previous", "whsec_AAAA")],
    [],
]


@pytest.fixture(scope="module")
def bank_app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The bank's application, for the language of its sentences."""
    environment = {
        "BANK_DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('bank') / 'bank.sqlite3'}",
        "BANK_WEBHOOK_SECRET": SECRET,
        "BANK_SECRET_KEY": "k" * 32,
    }
    return create_bank_app(BankSettings.from_env(environment))


@pytest.mark.parametrize("secrets", SECRETS)
def test_both_doctors_find_the_same(bank_app: Flask, secrets: list[tuple[str, str]]):
    """The package shares no code with the bank, and its answers may not drift away."""
    with bank_app.test_request_context():
        for headers in HEADERS:
            for body in BODIES:
                own = doctor.diagnose(
                    headers, body, [doctor.NamedSecret(*pair) for pair in secrets], AT.timestamp()
                )
                banks = bank_doctor.diagnose(
                    headers, body, [bank_doctor.NamedSecret(*pair) for pair in secrets], AT
                )
                assert [(one.code, one.is_fault) for one in own] == [
                    (one.code, one.is_fault) for one in banks
                ], (headers, body[:80])


def test_every_code_of_the_document_is_one_of_the_package():
    """A code that people search for must lead to the same explanation."""
    text = (ROOT / "docs/chaos.md").read_text("utf-8").split("## The signature doctor")[1]
    documented = set(re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.M))
    source = (ROOT / "clients/python/src/balcao/doctor.py").read_text("utf-8")

    in_source = set(re.findall(r'"([a-z]+[0-9]*(?:-[a-z0-9]+)+)"', source))
    assert documented <= in_source
    assert in_source - documented <= {"utf-8", "svix-id", "x-request-id"}
