"""The bank's JSON doors: the service's signed look-up, and input of every kind."""

from __future__ import annotations

import json
import logging

import pytest

from bank.settings import BankSettings, BankSettingsError
from core.signing.signatures import new_secret, signed_headers


def test_the_service_may_ask_what_the_bank_holds(bank, service):
    """One payment confirmed, in the contract's words; of others, nothing."""
    code, txid = service.charge(bank.clock.now())
    paid = bank.pay(code).get_json()

    [row] = bank.lookup(txid)

    assert {name: row[name] for name in ("end_to_end_id", "value", "paid_at", "status")} == {
        "end_to_end_id": paid["end_to_end_id"],
        "value": 54.90,
        "paid_at": paid["paid_at"],
        "status": "confirmed",
    }
    assert row["payer"] == service.notices[0].members["payer"]
    assert bank.lookup("f" * 32) == []


def test_a_stranger_learns_nothing_from_the_look_up(bank, service):
    """Unsigned, signed by another, signed long ago: 401, saying what was wrong."""
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
    """4xx, problem+json, a stable code, and nothing was paid."""
    answer = bank.client.post("/api/pay", data=body, content_type="application/json")

    assert 400 <= answer.status_code < 500
    assert answer.mimetype == "application/problem+json"
    problem = answer.get_json()
    assert problem["status"] == answer.status_code
    assert problem["message"] == problem["detail"]
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert bank.balance() == 482_350


@pytest.mark.parametrize("pin", ["", "12", "12345678", "١٢٣٤", "12 4", "\ud800\ud800", "1234\n"])
def test_what_is_no_pin_is_not_counted_as_a_wrong_one(bank, service, pin):
    """A slip of the form must not lock anybody out."""
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
def test_every_address_answers_strangers_with_a_status_of_their_own_making(
    any_bank, method, path, status
):
    """Also on engines that refuse NUL bytes: what cannot exist never reaches the database."""
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
def test_every_address_answers_payers_with_a_status_of_its_own_making(bank, method, path, status):
    """The same behind the login."""
    bank.log_in()

    assert bank.client.open(path, method=method).status_code == status


def test_bodies_have_a_limit_and_a_type(bank):
    """16 KB are plenty for a code and a PIN."""
    bank.log_in()
    large = bank.client.post("/api/pay", data=b" " * 16_385, content_type="application/json")
    form = bank.client.post("/pay", data={"code": "0" * 20_000})
    typed = bank.client.post("/api/pay", data=b"{}", content_type="text/plain")

    assert (large.status_code, form.status_code, typed.status_code) == (413, 413, 415)


def test_a_request_id_is_echoed_only_if_it_is_sane(bank):
    """It is written to logs and headers."""
    given = bank.client.get("/healthz", headers={"X-Request-ID": "abc-1"})
    made = bank.client.get("/healthz", headers={"X-Request-ID": "<script>"})

    assert given.headers["X-Request-ID"] == "abc-1"
    assert len(made.headers["X-Request-ID"]) == 32


def test_a_database_that_is_away_is_503_and_says_when_to_come_again(bank, tmp_path):
    """The bank is asked again; nobody sees a stack trace."""
    bank.branch.database.engine.dispose()
    with bank.branch.database.writing() as session:
        session.connection().exec_driver_sql("DROP TABLE bank_notices")

    answer = bank.client.get("/api/statement", auth=("bia", "1234"))

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert answer.get_json()["code"] == "service-unavailable"


def test_pins_and_cards_are_never_logged(bank, service, caplog):
    """What a log holds, its readers can use."""
    caplog.set_level(logging.DEBUG)
    code, _ = service.charge(bank.clock.now())

    bank.pay(code, pin="483921")
    bank.pay(code)

    assert "483921" not in caplog.text
    assert "9990012345670018" not in caplog.text


def environment(**changes):
    """A complete environment of a bank that stands alone."""
    return {
        "BANK_DATABASE_URL": "sqlite:///bank.sqlite",
        "BANK_WEBHOOK_SECRET": new_secret(),
        "BANK_SECRET_KEY": "k" * 32,
        **changes,
    }


def test_settings_come_from_the_environment_and_from_files(tmp_path):
    """A secret may be mounted as a file; hosts are what codes may point at."""
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
    ("changes", "named"),
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
def test_a_wrong_setting_is_named_in_one_sentence(changes, named):
    """Whoever starts the bank reads which one, and no stack trace."""
    with pytest.raises(BankSettingsError, match=named) as refused:
        BankSettings.from_env(environment(**changes))
    assert str(refused.value).endswith(".")
    assert json.dumps(str(refused.value))
