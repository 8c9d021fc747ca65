"""The bank's JSON API: look-ups signed by the service, and hostile input."""

from __future__ import annotations

import json
import logging

import pytest

from bank.settings import BankSettings, BankSettingsError
from core.signing.signatures import new_secret, signed_headers


def test_the_service_reads_the_payments_of_its_charge(bank, service):
    """The response holds the confirmed payment of the charge, and no other payment."""
    code, txid = service.charge(bank.clock.now())
    payment = bank.pay(code).get_json()

    [row] = bank.lookup(txid)

    assert {name: row[name] for name in ("end_to_end_id", "value", "paid_at", "status")} == {
        "end_to_end_id": payment["end_to_end_id"],
        "value": 54.90,
        "paid_at": payment["paid_at"],
        "status": "confirmed",
    }
    assert row["payer"] == service.notices[0].members["payer"]
    assert bank.lookup("f" * 32) == []


def test_a_look_up_with_a_wrong_signature_gets_401(bank, service):
    """Unsigned, signed with another secret or signed long ago: the detail says what is wrong."""
    code, txid = service.charge(bank.clock.now())
    bank.pay(code)
    now = bank.clock.now()
    secret = bank.branch.settings.webhook_secret
    stale = now.replace(year=now.year - 1)
    for headers in (
        {},
        {"webhook-id": "a", "webhook-timestamp": "x", "webhook-signature": "y"},
        signed_headers(new_secret(), "msg_1", now, b""),
        signed_headers(secret, "msg_1", stale, b""),
        signed_headers(secret, "msg_1", now, b"other"),
        signed_headers(secret, "msg_1", now, b""),
        signed_headers(secret, "msg_1", now, b"GET /api/payments/" + b"f" * 32),
    ):
        answer = bank.client.get(f"/api/payments/{txid}", headers=headers)
        assert (answer.status_code, answer.get_json()["code"]) == (401, "bad-signature")
        assert "payments" not in answer.get_json()


BODIES = [
    b"",
    b"null",
    b"[]",
    b"7",
    b"{",
    b"\xff\xfe",
    b'{"code": NaN}',
    b"[" * 9000,
    b'{"code": 1, "pin": 1234}',
    b'{"code": "x"}',
    b'{"code": "x", "pin": "1234", "payer": ["bia"]}',
    b'{"code": "x", "pin": "1234", "payer": "\\u0000"}',
    b'{"code": "x", "pin": "1234", "payer": "\' OR 1=1 --"}',
    b'{"code": "\\ud800", "pin": "1234"}',
    b'{"code": "x", "pin": "1234", "scenario": "mayhem"}',
    b'{"code": "x", "pin": "1234", "scenario": "late", "late_seconds": true}',
    b'{"code": "x", "pin": "1234", "scenario": "late", "late_seconds": 1e400}',
    b'{"code": "x", "pin": "1234", "scenario": "late", "late_seconds": 301}',
    b'{"code": "x", "pin": "1234", "scenario": "late", "late_seconds": 0}',
]


@pytest.mark.parametrize("body", BODIES)
def test_a_hostile_body_is_a_problem_and_never_a_500(bank, body):
    """Each body gets a 4xx as problem+json with a stable code, and nothing is paid."""
    answer = bank.client.post("/api/pay", data=body, content_type="application/json")

    assert 400 <= answer.status_code < 500
    assert answer.mimetype == "application/problem+json"
    problem = answer.get_json()
    assert problem["status"] == answer.status_code
    assert problem["message"] == problem["detail"]
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert bank.balance() == 482_350


@pytest.mark.parametrize("pin", ["", "12", "12345678", "١٢٣٤", "12 4", "\ud800\ud800", "1234\n"])
def test_a_malformed_pin_is_not_counted_as_a_wrong_one(bank, service, pin):
    """A typing error must not lock the card."""
    code, _ = service.charge(bank.clock.now())

    answer = bank.client.post("/api/pay", json={"code": code, "pin": pin})

    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid-request")
    assert bank.pay(code).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/nowhere", 404),
        ("PUT", "/api/pay", 405),
        ("GET", "/api/statement", 401),
        ("GET", "/api/statement?limit=0", 400),
        ("GET", "/api/statement?limit=101", 400),
        ("GET", "/api/statement?limit=x", 400),
        ("GET", "/api/statement?after=%00%ff", 400),
        ("GET", "/", 303),
        ("GET", "/pay?code=x", 303),
        ("GET", "/pay?code=%00%ff&scenario=normal", 303),
        ("GET", "/transfers/E1", 303),
        ("GET", "/transfers/%00", 303),
        ("GET", "/transfers/..%2f..%2fetc", 404),
        ("GET", "/static/../settings.py", 404),
        ("GET", "/scan", 303),
        ("POST", "/scan", 303),
        ("POST", "/pay", 303),
        ("GET", "/login?next=%00", 200),
        ("POST", "/login", 400),
        ("POST", "/logout", 400),
        ("DELETE", "/", 405),
        ("GET", "/api/settled", 401),
        ("GET", "/api/transfers/E1", 401),
        ("GET", "/api/refunds/x", 401),
        ("POST", "/api/refunds", 401),
        ("GET", "/healthz", 200),
    ],
)
def test_hostile_addresses_never_get_a_500(any_bank, method, path, status):
    """Some engines refuse NUL bytes, so invalid ids must never reach the database."""
    answer = any_bank.client.open(path, method=method)

    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/?limit=-1", 400),
        ("GET", "/?after='%20OR%201", 400),
        ("GET", "/pay?code=x", 422),
        ("GET", "/pay?code=%00%ff&scenario=normal", 422),
        ("GET", "/pay?code=x&scenario=mayhem", 400),
        ("GET", "/pay", 303),
        ("GET", "/transfers/E1", 404),
        ("GET", "/transfers/%00", 404),
        ("POST", "/pay", 400),
        ("GET", "/login", 303),
        ("GET", "/scan", 200),
        ("POST", "/scan", 400),
    ],
)
def test_hostile_addresses_never_get_a_500_behind_the_login(bank, method, path, status):
    """A payer who is logged in can send the same addresses."""
    bank.log_in()

    assert bank.client.open(path, method=method).status_code == status


def test_bodies_have_a_limit_and_a_type(bank):
    """A code and a PIN need less than 16 KB."""
    bank.log_in()
    large = bank.client.post("/api/pay", data=b" " * 16_385, content_type="application/json")
    form = bank.client.post("/pay", data={"code": "0" * 20_000})
    wrong_type = bank.client.post("/api/pay", data=b"{}", content_type="text/plain")

    assert (large.status_code, form.status_code, wrong_type.status_code) == (413, 413, 415)


def test_only_a_well_formed_request_id_is_echoed(bank):
    """The id is written to logs and headers."""
    echoed = bank.client.get("/healthz", headers={"X-Request-ID": "abc-1"})
    generated = bank.client.get("/healthz", headers={"X-Request-ID": "<script>"})

    assert echoed.headers["X-Request-ID"] == "abc-1"
    assert len(generated.headers["X-Request-ID"]) == 32


def test_a_database_that_does_not_answer_is_503_with_retry_after(bank, tmp_path):
    """Clients can retry, and nobody sees a stack trace."""
    bank.branch.database.engine.dispose()
    with bank.branch.database.writing() as session:
        session.connection().exec_driver_sql("DROP TABLE bank_notices")

    answer = bank.client.get("/api/statement", auth=("bia", "1234"))

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.get_json()["code"] == "service-unavailable"


def test_pins_and_cards_are_never_logged(bank, service, caplog):
    """Everybody who reads the logs could use them."""
    caplog.set_level(logging.DEBUG)
    code, _ = service.charge(bank.clock.now())

    bank.pay(code, pin="483921")
    bank.pay(code)

    assert "483921" not in caplog.text
    assert "9990012345670018" not in caplog.text


def environment(**changes):
    """The environment of a bank that runs by itself."""
    return {
        "BANK_DATABASE_URL": "sqlite:///bank.sqlite",
        "BANK_WEBHOOK_SECRET": new_secret(),
        "BANK_SECRET_KEY": "k" * 32,
        **changes,
    }


def test_settings_come_from_the_environment_and_from_files(tmp_path):
    """A file may hold a secret, and BANK_PARTICIPANTS lists the hosts that codes may contain."""
    secret = tmp_path / "secret"
    secret.write_text(new_secret() + "\n")

    settings = BankSettings.from_env(
        environment(
            BANK_WEBHOOK_SECRET_FILE=str(secret),
            PUBLIC_URL="http://localhost:8080/",
            BANK_PARTICIPANTS="Pix.Example.com, 127.0.0.1:5000=http://web:5000",
        )
    )

    assert settings.webhook_secret == secret.read_text().strip()
    assert settings.service_url == "http://localhost:8080"
    assert settings.participant_hosts == {
        "pix.example.com": "https://Pix.Example.com",
        "127.0.0.1:5000": "http://web:5000",
    }
    alone = BankSettings.from_env(environment(PUBLIC_URL="http://localhost:8080"))
    assert set(alone.participant_hosts) == {"localhost:8080", "127.0.0.1:8080"}


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"BANK_DATABASE_URL": ""}, "BANK_DATABASE_URL"),
        ({"BANK_WEBHOOK_SECRET": "secret"}, "BANK_WEBHOOK_SECRET"),
        ({"BANK_WEBHOOK_SECRET_FILE": "/nowhere"}, "BANK_WEBHOOK_SECRET_FILE"),
        ({"BANK_SECRET_KEY": "short"}, "BANK_SECRET_KEY"),
        ({"PUBLIC_URL": "ftp://x"}, "PUBLIC_URL"),
        ({"PUBLIC_URL": "http://["}, "PUBLIC_URL"),
        ({"BANK_PARTICIPANTS": "a=b"}, "BANK_PARTICIPANTS"),
        ({"BANK_ISPB": "1"}, "BANK_ISPB"),
        ({"BANK_LANGUAGE": "fr"}, "BANK_LANGUAGE"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(changes, setting):
    """The operator reads which setting is wrong, without a stack trace."""
    with pytest.raises(BankSettingsError, match=setting) as caught:
        BankSettings.from_env(environment(**changes))
    assert str(caught.value).endswith(".")
    assert json.dumps(str(caught.value))
