"""`flask provider audit`: both sides agree, each disagreement has its line, repair brings in."""

from __future__ import annotations

import base64
import re
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from db_models import ProviderAccount, ProviderCharge, Receipt, Refund
from payments.at_bank import audit as audit_module
from payments.at_bank import booking
from providers.accounts import provider_of
from providers.port import NewCharge
from providers.secrets import AccountVault
from repository.database import unit_of_work
from tests.providers.bank_rows import LIFETIME, VALUE
from tests.providers.stand_in import CLIENT_ID, CLIENT_SECRET, PIX_KEY, Fault, StandInBank
from tests.support.service import SECRET_KEY


class Shop:
    """A merchant with an account at a stand-in bank, an hour before the audit."""

    def __init__(self, app, rows, bank, clock) -> None:
        self.app, self.rows, self.bank, self.clock = app, rows, bank, clock
        self.account_id = rows.account(
            profile="standard",
            pix_key=PIX_KEY,
            overrides={**bank.overrides(), "rate": 60_000},
            sealed=AccountVault(SECRET_KEY).seal(bank.secrets()),
        )

    @property
    def public_id(self) -> str:
        return self.rows.account_row(self.account_id).public_id

    def open(self, **values):
        """A payment whose charge is at the bank."""
        payment = self.rows.payment(self.account_id, **values)
        self.put(payment.txid)
        return payment

    def put(self, txid: str, centavos: int = VALUE) -> None:
        charge = NewCharge(txid, centavos, PIX_KEY, LIFETIME, "Loja", "Recife")
        with self.app.app_context():
            provider_of(self.account_id).open_charge(charge)

    def book(self, txid: str) -> None:
        """Learn of the charge's money, as polling does."""
        with self.app.app_context():
            bank_charge = provider_of(self.account_id).find_charge(txid)
            assert bank_charge is not None
            booking.book_held(self.account_id, bank_charge)

    def paid(self):
        """A payment that was paid at the bank and is confirmed here; and the id of its Pix."""
        payment = self.open()
        end_to_end_id = self.bank.book.pay(payment.txid)
        self.book(payment.txid)
        return payment, end_to_end_id

    def refunded(self, status="done", centavos=100):
        """A paid payment with a return that both sides know, done there; its refund here."""
        payment, end_to_end_id = self.paid()
        with self.app.app_context():
            provider_of(self.account_id).give_back(end_to_end_id, f"{payment.id:08d}x", centavos)
            with unit_of_work() as work:
                is_done = status == "done"
                work.connection.execute(
                    sa.insert(Refund).values(
                        payment_id=payment.id,
                        refund_id="r1",
                        bank_refund_id=f"{payment.id:08d}x",
                        return_id=f"D{payment.id}" if is_done else None,
                        amount_centavos=centavos,
                        is_rest=False,
                        status=status,
                        reason=None if status != "failed" else "refund-failed",
                        requested_at=work.now,
                        settled_at=None if status == "processing" else work.now,
                        ask_at=work.now if status == "processing" else None,
                        attempts=1,
                    )
                )
        return payment, end_to_end_id

    def change(self, model, where, **values) -> None:
        with self.app.app_context(), unit_of_work() as work:
            work.connection.execute(sa.update(model).where(where).values(**values))

    def audit(self, *arguments: str, hours: float = 1) -> tuple[int, str]:
        """The exit code and output of the command, this long after."""
        self.clock.advance(hours=hours)
        runner = self.app.test_cli_runner()
        # Each day costs two calls, and the client sends few of them at once.
        result = runner.invoke(args=["provider", "audit", "--days", "1", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, result.output

    def broken(self, *arguments: str) -> set[str]:
        """The rules that the audit finds broken."""
        code, output = self.audit(*arguments)
        rules = set(re.findall(r"^BROKEN +([a-z-]+)", output, re.MULTILINE))
        assert code == (1 if rules else 0), output
        return rules


@pytest.fixture
def bank(clock):
    """A bank of the standard whose clock is the test's."""
    with StandInBank(now=clock.now) as bank:
        yield bank


@pytest.fixture
def shop(app, rows, bank, clock):
    """A merchant with an account there."""
    return Shop(app, rows, bank, clock)


def test_both_sides_agree_about_charges_money_and_returns(shop):
    """Open, paid and returned, and money without an order."""
    shop.open()
    shop.paid()
    shop.refunded()
    shop.bank.book.receive(PIX_KEY, 777)
    with shop.app.app_context():
        page = provider_of(shop.account_id).money_page(
            shop.clock.now() - timedelta(hours=1), shop.clock.now() + timedelta(minutes=1), None
        )
        for money in page.money:
            booking.book(shop.account_id, money)
    code, output = shop.audit()
    assert code == 0, output
    assert "1 days: 3 charges, 3 Pix, 1 returns compared" in output
    assert "No broken rule." in output


def test_what_is_minutes_old_may_still_be_on_its_way(shop):
    """Callbacks, polling and the jobs need a moment; an alert for that would be a false one."""
    payment = shop.open(charge={"status": "opening"})
    shop.bank.book.pay(payment.txid)
    assert shop.audit(hours=1 / 60)[0] == 0
    assert shop.broken() == {"charge-unfinished", "money-unknown"}


def unknown_charge(shop):
    shop.put("f" * 32)


def missing_charge(shop):
    shop.rows.payment(shop.account_id)


def other_amount(shop):
    payment = shop.open()
    shop.change(ProviderCharge, ProviderCharge.payment_id == payment.id, amount_centavos=1)


def other_key(shop):
    payment = shop.open()
    shop.change(ProviderCharge, ProviderCharge.payment_id == payment.id, pix_key="a@example.com")


def unknown_money(shop):
    shop.bank.book.pay(shop.open().txid)


def missing_money(shop):
    shop.bank.book.receive(PIX_KEY, 777)
    shop.audit("--repair")
    shop.bank.book.money.pop()


def changed_money(shop):
    _, end_to_end_id = shop.paid()
    shop.change(Receipt, Receipt.end_to_end_id == end_to_end_id, amount_centavos=1)


def confirmed_by_nothing(shop):
    payment, _ = shop.paid()
    shop.change(Receipt, Receipt.payment_id == payment.id, payment_id=None)


def confirmed_by_money_that_is_not_there(shop):
    shop.paid()
    shop.bank.book.money.clear()


def confirmed_by_money_of_another_charge(shop):
    _, end_to_end_id = shop.paid()
    other = shop.open()
    next(one for one in shop.bank.book.money if one["endToEndId"] == end_to_end_id)["txid"] = (
        other.txid
    )


def unknown_return(shop):
    _, end_to_end_id = shop.paid()
    shop.bank.book.give_back(end_to_end_id, 100)


def missing_return(shop):
    shop.refunded()
    for one in shop.bank.book.money:
        one["devolucoes"].clear()


def other_outcome(shop):
    shop.refunded(status="failed")


def other_returned_amount(shop):
    payment, _ = shop.refunded()
    shop.change(Refund, Refund.payment_id == payment.id, amount_centavos=99)


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (unknown_charge, "charge-unknown"),
        (missing_charge, "charge-missing"),
        (other_amount, "charge-differs"),
        (other_key, "charge-differs"),
        (unknown_money, "money-unknown"),
        (missing_money, "money-missing"),
        (changed_money, "money-differs"),
        (confirmed_by_nothing, "confirmed-without-money"),
        (confirmed_by_money_that_is_not_there, "confirmed-without-money"),
        (confirmed_by_money_of_another_charge, "confirmed-without-money"),
        (unknown_return, "return-unknown"),
        (missing_return, "return-missing"),
        (other_outcome, "return-differs"),
        (other_returned_amount, "return-differs"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_broken_rule_has_its_line_and_fails_the_command(shop, spoil, rule):
    """One fault, one rule, whatever else agrees."""
    shop.paid()
    spoil(shop)
    assert shop.broken() == {rule}


def test_a_charge_of_another_system_is_a_note(shop):
    """Its txid has another form; two systems may share a key."""
    shop.put("caixa7pedido0000000000000001")
    code, output = shop.audit()
    assert code == 0
    assert "note  charge-of-another-system  caixa7pedido0000000000000001" in output


def test_repair_books_lost_money_and_finishes_charges_once(shop):
    """As after the restore of a backup; a second run finds nothing to do."""
    lost = shop.open(charge={"status": "opening", "next_at": shop.clock.now()})
    paid = shop.open()
    end_to_end_id = shop.bank.book.pay(paid.txid)
    shop.bank.book.receive(PIX_KEY, 777)
    code, output = shop.audit("--repair", "--days", "2", hours=0.3)
    assert "repaired: 2 Pix booked, 1 charges finished" in output
    assert code == 0, output
    assert shop.rows.payment_row(paid.txid).status == "confirmed"
    assert {one.end_to_end_id: one.payment_id for one in shop.rows.receipts()}[
        end_to_end_id
    ] == paid.id
    assert shop.rows.charge_row(lost.txid).status == "open"
    assert shop.rows.payment_row(lost.txid).br_code
    assert "repaired: 0 Pix booked, 0 charges finished" in shop.audit("--repair")[1]
    assert len(shop.bank.book.puts) == len(set(shop.bank.book.puts)) == 2


def test_repair_books_returns_that_the_bank_made_by_itself(shop):
    """Of a paid payment, and of money without an order, which gets a payment of its own."""
    _, end_to_end_id = shop.paid()
    shop.bank.book.give_back(end_to_end_id, 100)
    shop.bank.book.give_back(shop.bank.book.receive(PIX_KEY, 777), 777)
    assert shop.broken() == {"return-unknown", "money-unknown"}
    assert "repaired: 1 Pix booked" in shop.audit("--repair")[1]
    assert [(one.by_bank, one.amount_centavos) for one in shop.rows.refunds()] == [
        (True, 100),
        (True, 777),
    ]
    assert shop.broken() == set()


@pytest.mark.parametrize("key", [PIX_KEY, "outra@example.com"])
def test_two_entries_of_one_bank_account_agree_with_their_bank(shop, key):
    """Its list names the charges, Pix and returns of both; neither entry misses any of them."""
    again = Shop(shop.app, shop.rows, shop.bank, shop.clock)
    shop.open()
    shop.refunded()
    again.paid()
    shop.rows.write(ProviderAccount, again.account_id, pix_key=key)
    assert shop.broken() == set()
    assert shop.audit(again.public_id)[0] == 0


def test_another_merchant_s_charge_is_unknown_to_an_audit(shop):
    """A stranger who knows the same bank account explains nothing of it."""
    stranger = Shop(shop.app, shop.rows, shop.bank, shop.clock)
    charlie = shop.rows.merchant("Charlie")
    shop.rows.write(ProviderAccount, stranger.account_id, merchant_id=charlie)
    shop.open()
    shop.clock.advance(hours=1)
    _, output = shop.audit(stranger.public_id)
    assert "charge-unknown" in output


def test_many_pages_are_compared_and_nothing_is_compared_twice(shop, monkeypatch):
    """Pages of the bank and parts of the database have other sizes."""
    shop.bank.book.page_size = 3
    monkeypatch.setattr(audit_module, "ROWS_AT_ONCE", 2)
    for _ in range(7):
        shop.paid()
    code, output = shop.audit()
    assert code == 0, output
    assert "1 days: 7 charges, 7 Pix" in output


def test_a_bank_that_is_away_fails_the_command_and_spoils_no_other_account(shop, app, rows, clock):
    """Each account has its own part of the output."""
    with StandInBank(now=clock.now) as other_bank:
        other = Shop(app, rows, other_bank, clock)
        shop.bank.faults.append(Fault("*", "status", count=99, status=503))
        code, output = shop.audit()
        assert code == 1
        assert "Not all was compared: ProviderAway status-503" in output
        assert output.index(other.public_id) > output.index("Not all was")
        assert "No broken rule." in output
        assert shop.audit(other.public_id)[0] == 0
    assert shop.audit("0" * 32)[0] == 1


def test_a_bank_that_limits_the_rate_is_obeyed(shop):
    """An audit reads much, and nobody waits for it."""
    shop.paid()
    shop.bank.faults.append(Fault("list-cob", "status", status=429, seconds=1))
    began = time.monotonic()
    code, output = shop.audit()
    assert code == 0, output
    assert time.monotonic() - began >= 1


def test_a_log_with_a_secret_is_found_by_its_line(shop, tmp_path):
    """In the forms in which secrets leak; the output names the line and not the secret."""
    token = shop.bank.secrets().callback_token
    pair = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    clean = tmp_path / "clean.log"
    clean.write_text(f"provider.charge_opened txid={'a' * 32}\n" * 3, encoding="utf-8")
    assert shop.broken("--log", str(clean)) == set()
    log = tmp_path / "service.log"
    lines = ["started", f"POST /providers/{token} 200", "x" * 65_530 + pair, "Bearer " + "t" * 30]
    log.write_text("\n".join([*lines, f"form client_secret={CLIENT_SECRET}"]), encoding="utf-8")
    code, output = shop.audit("--log", str(log))
    assert code == 1
    assert re.findall(r"secret-in-log +service\.log:(\d+)", output) == ["2", "3", "4", "5"]
    assert not any(secret in output for secret in (token, pair, CLIENT_SECRET, "t" * 30))


def test_without_an_account_there_is_nothing_to_audit(app):
    """The command says how to add one."""
    result = app.test_cli_runner().invoke(args=["provider", "audit"])
    assert result.exit_code == 0
    assert "flask provider add" in result.output
