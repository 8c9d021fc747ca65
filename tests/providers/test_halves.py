"""In production accounts for tests belong to the merchant's test half, others to the merchant."""

from __future__ import annotations

import json

import pytest

from accounts import halves
from core.errors import Conflict
from core.provider_errors import ProviderAccountNotFound, ProviderUnsupported
from db_models import Environment
from payments.at_bank.drafts import account_of_new_charge
from providers import enrolment
from providers.accounts import account_for_new_payment
from repository.database import in_unit_of_work, reading
from tests.accounts.people import Person, audit_rows
from tests.providers.enrolled import enrol, new_account, stored

LIVE, TEST = Environment.LIVE, Environment.TEST


@pytest.fixture
def shop(production_app):
    """The app in production, with the merchant alice."""
    Person(production_app, "alice").sign_up()
    return production_app


@pytest.fixture
def run(shop):
    """Run a command: run("list") → its output; run("use", "x", status=1) expects a failure."""

    def run(*words, status=0):
        result = shop.test_cli_runner().invoke(args=["provider", *words])
        assert result.exit_code == status, result.output
        return result.output

    return run


def both(shop):
    """The merchant and the test half, as they are stored."""
    with shop.app_context():
        return in_unit_of_work(
            lambda work: (
                work.accounts.by_login("alice"),
                halves.ensure_test_half(work, work.accounts.by_login("alice")),
            )
        )


def do(shop, function, owner, *args):
    """Call one of the verbs on the merchant or the test half."""
    with shop.app_context():
        return in_unit_of_work(lambda work: function(work, work.accounts.find(owner.id), *args))


def with_bank(shop):
    """Let the operator have a bank for real money."""
    settings = shop.config["BALCAO"]
    shop.config["BALCAO"] = settings.model_copy(
        update={"bank_url": "https://bank.example", "bank_internal_url": "https://bank.example"}
    )


def test_an_account_for_tests_is_added_to_the_test_half(shop):
    """The merchant's real payments never see it."""
    test = enrol(shop, "alice", new_account(TEST))
    live = enrol(shop, "alice", new_account(LIVE))
    merchant, half = both(shop)
    assert (test.merchant_id, live.merchant_id) == (half.id, merchant.id)
    assert (half.test_provider_id, half.live_provider_id) == (test.id, None)
    assert (merchant.test_provider_id, merchant.live_provider_id) == (None, live.id)
    with shop.app_context():
        assert account_for_new_payment(half) == test.id
        assert account_for_new_payment(merchant) == live.id


def test_a_test_half_gets_no_account_for_real_money(shop):
    _merchant, half = both(shop)
    with pytest.raises(Conflict, match="test mode"):
        do(shop, enrolment.add, half, new_account(LIVE))
    assert do(shop, enrolment.add, half, new_account(TEST)).merchant_id == half.id


def test_an_account_for_tests_from_before_there_were_halves_cannot_be_chosen(shop):
    """Its payments are the merchant's own, so it cannot move to the test half."""
    merchant, _half = both(shop)
    account = enrol(shop, "alice", new_account(TEST))
    with shop.app_context():
        values = {"merchant_id": merchant.id}
        in_unit_of_work(lambda work: work.provider_accounts.change(account.id, values))
    with pytest.raises(Conflict, match="test mode"):
        do(shop, enrolment.choose, merchant, stored(shop, account))


def test_the_list_shows_both_with_their_mode(shop, run):
    """By the merchant's login: nobody can sign in to a test half."""
    test = enrol(shop, "alice", new_account(TEST))
    live = enrol(shop, "alice", new_account(LIVE))
    rows = {row["id"]: row for row in json.loads(run("list", "--json"))}
    for account, mode in ((test, "test"), (live, "live")):
        row = rows[account.public_id]
        assert (row["merchant"], row["mode"], row["for_new_payments"]) == ("alice", mode, True)
    assert "MODE" in run("list")
    run("use", test.public_id)
    assert "Removed" in run("remove", test.public_id)
    assert both(shop)[1].test_provider_id is None
    assert "No account" not in run("audit", test.public_id, status=1)


def test_the_merchants_audit_log_has_the_accounts_of_the_test_half(shop):
    account = enrol(shop, "alice", new_account(TEST))
    _merchant, half = both(shop)
    do(shop, enrolment.stop_using, half, TEST)
    rows = [row for row in audit_rows(shop, "alice") if row.action.startswith("provider.")]
    subjects = [row.subject for row in rows]
    assert subjects == [account.public_id, "simulated"]


def test_without_the_last_account_new_payments_are_refused(shop, run):
    """A code of a bank that nobody can pay would stop every buyer."""
    account = enrol(shop, "alice", new_account(LIVE))
    assert "refused" not in run("list")
    assert "refused" in run("remove", account.public_id)
    merchant, _half = both(shop)
    with shop.app_context(), reading() as work, pytest.raises(ProviderUnsupported, match="account"):
        account_of_new_charge(work, merchant, 100, {})
    assert "alice: new payments are refused" in run("list")
    other = enrol(shop, "alice", new_account(LIVE))
    assert "refused" not in run("list")
    do(shop, enrolment.stop_using, merchant, LIVE)
    assert "alice: new payments are refused" in run("list")
    run("use", other.public_id)
    assert both(shop)[0].live_provider_id == other.id


def test_an_operators_own_bank_takes_the_payments_instead(shop):
    with_bank(shop)
    account = enrol(shop, "alice", new_account(LIVE))
    merchant, _half = both(shop)
    do(shop, enrolment.remove, merchant, account)
    assert both(shop)[0].live_provider_id is None


def test_the_test_half_falls_back_to_the_simulated_bank(shop):
    account = enrol(shop, "alice", new_account(TEST))
    _merchant, half = both(shop)
    do(shop, enrolment.remove, half, account)
    assert both(shop)[1].test_provider_id is None


def test_a_merchant_changes_the_accounts_of_both_halves(shop):
    """On one page of the portal; another merchant reaches neither."""
    test = enrol(shop, "alice", new_account(TEST))
    live = enrol(shop, "alice", new_account(LIVE))
    merchant, half = both(shop)
    other = enrol(shop, "alice", new_account(TEST))
    do(shop, enrolment.choose, merchant, test)
    assert both(shop)[1].test_provider_id == test.id
    do(shop, enrolment.remove, merchant, test)
    do(shop, enrolment.stop_using, merchant, TEST)
    assert both(shop)[1].test_provider_id is None
    with shop.app_context(), reading() as work:
        rows = [account.id for account in enrolment.accounts_of(work, merchant)]
        assert rows == [test.id, live.id, other.id]
        assert enrolment.own_account(work, merchant, other.public_id).id == other.id
        with pytest.raises(ProviderAccountNotFound):
            enrolment.own_account(work, half, live.public_id)
    Person(shop, "charlie", address="127.0.0.2").sign_up()
    with shop.app_context(), reading() as work, pytest.raises(ProviderAccountNotFound):
        enrolment.own_account(work, work.accounts.by_login("charlie"), other.public_id)
