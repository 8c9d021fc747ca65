"""Sales of `flask seed` can be refunded: the bank of the same installation knows them."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from bank.database import Database
from bank.errors import UnknownTransfer
from bank.money.audit import audit
from bank.money.demo import migrate
from bank.money.history import PastPayment, PastRefund, record_history
from bank.money.partners import service_payment
from tests.support.service import ROOT, ServiceProcess

MOMENT = datetime(2026, 11, 3, 12, 0, 5, 123_456, tzinfo=UTC)
KEY = "alice@feira.example"
JSON = {"Accept": "application/json", "Content-Type": "application/json"}


def past_payment(number, **changes):
    """A payment of the past; `number` makes its ids unique."""
    values = {
        "end_to_end_id": f"E99999004202611031200{number:011}",
        "txid": f"{number:032x}",
        "amount_centavos": 5490,
        "paid_at": MOMENT,
        "payee_key": KEY,
        "payee_name": "Loja da Alice",
        "payer_name": "Ana Souza",
        "payer_document": "***.456.789-**",
        **changes,
    }
    return PastPayment(**values)


@pytest.fixture
def ledger(any_empty_database_url):
    """The bank's database with its demo clients, on each engine in turn."""
    migrate(any_empty_database_url)
    database = Database(any_empty_database_url)
    yield database
    database.close()


def test_the_ledger_stays_right_with_payments_of_the_past(ledger):
    """With a refund, a static code, and two payees."""
    refund = PastRefund("a" * 32, f"D99999004202611031300{1:011}", 2000, MOMENT, MOMENT)
    payments = [
        past_payment(1, refunds=(refund,)),
        past_payment(2, txid=None),
        past_payment(3, payee_key="charlie@longe.example", paid_at=MOMENT - timedelta(days=3)),
    ]

    assert record_history(ledger, payments) == 3

    result = audit(ledger)
    assert (result.faults, result.total_centavos, result.refunds) == ((), 0, 1)
    assert result.balances_centavos[f"payee:{KEY}"] == 2 * 5490 - 2000
    with ledger.reading() as session:
        for payment in payments:
            assert service_payment(session, payment.end_to_end_id).txid == payment.txid


def test_a_payment_that_the_bank_knows_is_not_stored_again(ledger):
    """A second seed, and payments that the bank itself took, add nothing."""
    assert record_history(ledger, [past_payment(1)]) == 1

    assert record_history(ledger, [past_payment(1), past_payment(2)]) == 1
    assert record_history(ledger, [past_payment(1), past_payment(2)]) == 0
    assert record_history(ledger, []) == 0

    assert audit(ledger).balances_centavos[f"payee:{KEY}"] == 2 * 5490


def test_half_a_history_is_none(ledger):
    """A failure in the middle leaves no payment without its notice."""
    broken = past_payment(2, amount_centavos=-1)

    with pytest.raises(Exception, match="amount"):
        record_history(ledger, [past_payment(1), broken])

    assert audit(ledger).faults == ()
    with ledger.reading() as session, pytest.raises(UnknownTransfer):
        service_payment(session, past_payment(1).end_to_end_id)


def run(service, *command):
    """Run a command of the installation; return what it prints."""
    process = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=service.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def listed(service, path):
    """All items of a list of the demo merchant, page after page."""
    after = ""
    while after is not None:
        status, body = service.get(f"{path}&limit=100{f'&after={after}' if after else ''}")
        assert status == 200, body
        page = json.loads(body)
        yield from page["data"]
        after = page["next"]


def refund(service, path):
    """Refund everything that is left; return the refund's status."""
    status, body = service.request("POST", path, b"{}", JSON)[:2]
    assert status in (200, 201, 202), body
    return json.loads(body)["status"]


@pytest.mark.slow
def test_what_make_seed_sold_can_be_refunded(tmp_path):
    """`Devolver` on a sale of the list is what a new developer tries."""
    with ServiceProcess(tmp_path) as service:
        for _ in range(2):
            run(service, "flask", "--app", "app", "seed")
        payments = list(listed(service, "/payments/pix?status=confirmed"))
        whole = (one for one in payments if not one["refunded_value"])
        part = (one for one in payments if 0 < one["refunded_value"] < one["value"])
        for payment in [*islice(whole, 2), next(part)]:
            assert refund(service, f"/payments/pix/{payment['id']}/refunds") == "done"
        receipts = listed(service, "/payments/pix/receipts?verdict=accepted")
        free = next(one for one in receipts if one["payment_id"] is None)
        path = f"/payments/pix/receipts/{free['end_to_end_id']}/refunds"
        assert refund(service, path) == "done"
        assert "Tudo confere." in run(service, "bank", "audit")


def test_a_seed_without_the_bank_of_this_installation_says_so(fresh_database, tmp_path):
    """The bank at another address keeps its own books."""
    service = ServiceProcess(
        tmp_path, DATABASE_URL=fresh_database("sqlite"), BANK_URL="http://127.0.0.1:9"
    )

    output = run(service, "flask", "--app", "app", "seed")

    assert "The bank at http://127.0.0.1:9 does not know these sales" in output
    assert not (tmp_path / "bank.sqlite3").exists()
