"""Callbacks of banks: stored, answered at once, and never believed."""

from __future__ import annotations

import hashlib
import json
import threading
from functools import partial

import pytest
import sqlalchemy as sa
import structlog

from core.errors import DatabaseUnavailable
from db_models import ProviderHint
from payments.at_bank import callbacks
from payments.at_bank.callbacks import NamedPix, read_callback
from repository.database import in_unit_of_work, reading
from tests.db.crowd import at_once
from tests.providers.bank_rows import KEY, BankRows, e2e

TOKEN = hashlib.sha256(b"the address of callbacks in tests").hexdigest()[:40]
PATHS = (f"/providers/{TOKEN}", f"/providers/{TOKEN}/pix", f"/providers/{TOKEN}/pix/pix")


@pytest.fixture
def rows(app, clock):
    """Rows at a bank, read and written beside the service."""
    return BankRows(app, clock)


@pytest.fixture
def account(rows):
    """The row id of the account with the token."""
    return rows.account(token=TOKEN)


def hints(rows):
    """What the stored hints name."""
    with rows.app.app_context(), reading() as work:
        stored = work.session.scalars(sa.select(ProviderHint).order_by(ProviderHint.id)).all()
    return [(hint.txid, hint.end_to_end_id) for hint in stored]


def body_naming(*txids, **more):
    """A callback's body that names a Pix for each txid."""
    return {"pix": [{"txid": txid, "endToEndId": e2e(), **more} for txid in txids]}


@pytest.mark.parametrize("path", [*PATHS, f"{PATHS[0]}?ignorar=", f"{PATHS[0]}?ignorar=/pix"])
def test_every_spelling_of_the_address_works(client, rows, account, path):
    """Banks add /pix, or not, or twice; one lets a query swallow it; panels probe by GET."""
    payment = rows.payment(account)
    answer = client.post(path, json=body_naming(payment.txid))
    assert (answer.status_code, answer.json) == (200, {"message": "OK"})
    assert hints(rows) == [(payment.txid, None)]
    assert client.get(path).status_code == client.head(path).status_code == 200
    stored = rows.payment_row(payment.txid)
    assert (stored.status, rows.receipts()) == ("pending", [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b'{"evento":"teste_webhook"}',
        b"[]",
        b"null",
        b"7",
        b'{"pix":null}',
        b'{"pix":[null,7,"x",{"endToEndId":7,"txid":["a"]}]}',
        b'{"pix":[{"tipo":"SOLICITACAO","endToEndId":"E1","horario":null}]}',
        b"{not json",
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_bodies_that_name_no_money_get_200_and_cost_nothing(client, rows, account, body):
    """Tests, sent Pix and nonsense: a bank that gets an error stops calling, or calls for days."""
    answer = client.post(PATHS[0], data=body, content_type="application/json")
    assert answer.status_code == 200
    assert hints(rows) == []
    assert rows.account_row(account).window_wanted_at is None


def test_a_body_may_have_a_mebibyte_and_no_more(client, rows, account):
    """The service's other routes take 64 KiB."""
    payment = rows.payment(account)
    body = json.dumps(body_naming(payment.txid)).encode()
    padded = body + b" " * (callbacks.BODY_BYTES_MAX - len(body))
    assert client.post(PATHS[0], data=padded).status_code == 200
    assert hints(rows) == [(payment.txid, None)]
    assert client.post(PATHS[0], data=padded + b" ").status_code == 413


def test_a_long_list_is_stored_once_for_each_charge(client, rows, account):
    """A bare array is read too, and repetitions count once."""
    payments = [rows.payment(account) for _ in range(3)]
    entries = body_naming(*(one.txid for one in payments * 2))["pix"]
    assert client.post(PATHS[1], json=entries).status_code == 200
    assert hints(rows) == [(one.txid, None) for one in payments]


def test_what_no_charge_explains_asks_for_a_list(client, rows, account, clock):
    """Another account's txid, and money for the key alone; all together one window."""
    foreign = rows.payment(rows.account())
    body = {"pix": [*body_naming(foreign.txid, "f" * 32)["pix"], {"endToEndId": e2e()}]}
    assert client.post(PATHS[0], json=body).status_code == 200
    wanted_at = clock.now()
    clock.advance(seconds=5)
    assert client.post(PATHS[0], json=body).status_code == 200
    assert hints(rows) == []
    assert rows.account_row(account).window_wanted_at == wanted_at


@pytest.mark.parametrize(
    ("key", "is_ours"), [(KEY, True), (KEY.upper(), True), ("other@example.com", False)]
)
def test_a_callback_for_another_key_is_ignored(client, rows, account, key, is_ours):
    """Another customer of the same bank can have it call our address."""
    payment = rows.payment(account)
    assert client.post(PATHS[0], json=body_naming(payment.txid, chave=key)).status_code == 200
    assert hints(rows) == ([(payment.txid, None)] if is_ours else [])
    assert rows.account_row(account).window_wanted_at is None


def test_hints_are_bounded(client, rows, account, monkeypatch):
    """While the bank is away, a flood of callbacks ends in one list instead of many rows."""
    monkeypatch.setattr(callbacks, "HINTS_MAX", 2)
    payments = [rows.payment(account) for _ in range(3)]
    for payment in payments:
        assert client.post(PATHS[0], json=body_naming(payment.txid)).status_code == 200
    assert len(hints(rows)) == 2
    assert rows.account_row(account).window_wanted_at is not None


def test_an_unknown_address_is_404_and_logged_once(client, account):
    """A stranger who tries many tokens cannot fill the log."""
    with structlog.testing.capture_logs() as lines:
        for method in (client.get, client.post):
            answer = method("/providers/never-issued/pix")
            assert (answer.status_code, answer.json["code"]) == (
                404,
                "provider-account-not-found",
            )
    assert len([line for line in lines if line["event"] == "provider.callback_refused"]) <= 1


def test_a_long_token_is_unknown_too(client, account):
    """An address of any length is looked up, so a stranger's is a 404 and no 400."""
    answer = client.post(f"/providers/{'0' * 1000}/pix", json={})

    assert answer.status_code == 404


def test_no_log_has_the_token(client, rows, account):
    """The address is the proof, so it is a secret."""
    with structlog.testing.capture_logs() as lines:
        for path in PATHS:
            client.post(path, json=body_naming(rows.payment(account).txid))
    assert any(line["event"] == "request" for line in lines)
    assert TOKEN not in str(lines)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", f"{PATHS[0]}/pix/pix/pix", 404),
        ("POST", f"{PATHS[0]}/", 404),
        ("POST", PATHS[0].replace("providers", "Providers"), 404),
        ("POST", f"/api{PATHS[0]}", 404),
        ("POST", PATHS[0].replace("/providers/", "/providers/%0A"), 404),
        ("PUT", PATHS[0], 405),
        ("DELETE", PATHS[1], 405),
    ],
)
def test_no_log_has_the_token_of_an_address_that_is_called_wrongly(
    client, account, method, path, status
):
    """Banks add to the registered address, and a panel may probe it by any method."""
    with structlog.testing.capture_logs() as lines:
        assert client.open(path, method=method, json={}).status_code == status
    [line] = [line for line in lines if line["event"] == "request"]
    assert "/providers/" in line["path"].lower()
    assert TOKEN not in str(lines)


def test_what_cannot_be_stored_is_503(client, rows, account, monkeypatch):
    """Then the bank calls again."""

    def is_away(*_args, **_options):
        raise DatabaseUnavailable

    payment = rows.payment(account)
    client.get(PATHS[0])
    monkeypatch.setattr(callbacks, "in_unit_of_work", is_away)
    assert client.post(PATHS[0], json=body_naming(payment.txid)).status_code == 503


@pytest.mark.slow
def test_callbacks_that_come_together_are_all_stored(app, rows, account, monkeypatch):
    """They share transactions, and each names its own charge."""
    writes = []
    lock = threading.Lock()

    def counted(do):
        with lock:
            writes.append(do)
        return in_unit_of_work(do)

    payments = [rows.payment(account) for _ in range(40)]
    monkeypatch.setattr(callbacks, "in_unit_of_work", counted)

    def call(txid):
        return app.test_client().post(PATHS[0], json=body_naming(txid)).status_code

    statuses = at_once([partial(call, payment.txid) for payment in payments])
    assert set(statuses) == {200}
    assert sorted(txid for txid, _ in hints(rows)) == sorted(one.txid for one in payments)
    assert len(writes) < len(payments)


def test_reading_takes_what_is_usable():
    """Ids in the forms that banks write, and nothing else."""
    body = {"pix": {"txid": "a" * 36, "endToEndId": "E1", "chave": None}}
    assert read_callback(json.dumps(body).encode()) == (NamedPix(None, "E1", None),)
    other = {"endToEndId": "E1 2", "txid": "A1"}
    assert read_callback(json.dumps(other).encode()) == (NamedPix("A1", None, None),)
