"""Accounts are stored encrypted, chosen for new payments, renewed, removed and encrypted anew."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.errors import ConcurrentUpdate, Conflict
from core.provider_errors import ProviderAccountNotFound, ProviderSecretsUnreadable
from db_models import Environment
from providers import accounts, enrolment
from providers.enrolment import BankCredentials
from providers.secrets import AccountVault
from repository.database import in_unit_of_work, reading
from tests.accounts.people import audit_rows
from tests.portal.signing import make_account
from tests.providers.enrolled import CLIENT_SECRET, enrol, new_account, stored

LIVE, TEST = Environment.LIVE, Environment.TEST
END = datetime(2027, 1, 31, tzinfo=UTC)


def merchant_of(app, login="demo"):
    with app.app_context(), reading() as work:
        return work.accounts.by_login(login)


def do(app, function, *args):
    """Call one of the verbs on the demo merchant."""
    with app.app_context():
        return in_unit_of_work(lambda work: function(work, work.accounts.by_login("demo"), *args))


def test_a_new_account_gets_the_new_payments_of_its_environment(app):
    """Test and live stay apart: neither replaces the other."""
    test, live = enrol(app), enrol(app, new=new_account(LIVE))
    merchant = merchant_of(app)
    assert (merchant.test_provider_id, merchant.live_provider_id) == (test.id, live.id)
    newer = enrol(app)
    assert merchant_of(app).test_provider_id == newer.id
    do(app, enrolment.choose, test)
    assert merchant_of(app).test_provider_id == test.id
    do(app, enrolment.stop_using, TEST)
    merchant = merchant_of(app)
    assert (merchant.test_provider_id, merchant.live_provider_id) == (None, live.id)


def test_secrets_are_stored_encrypted_and_the_address_of_callbacks_has_a_token(app):
    """A reader of a backup must learn neither the secret nor where to post callbacks."""
    account = enrol(app)
    assert CLIENT_SECRET not in account.sealed
    with app.app_context():
        secrets = accounts.vault().open(account.sealed)
        url = enrolment.callback_url(account)
    assert secrets.client_secret == CLIENT_SECRET
    assert url.endswith(f"/providers/{secrets.callback_token}")
    assert account.token_sha256 == enrolment.token_hash(secrets.callback_token)
    assert len(secrets.callback_token) >= 32


def test_the_address_of_callbacks_may_have_a_host_of_its_own(app):
    """A proxy that asks banks for certificates must not ask shoppers' browsers."""
    account = enrol(app)
    base = "https://callbacks.example.com"
    app.config["BALCAO"] = app.config["BALCAO"].model_copy(update={"provider_callback_url": base})
    with app.app_context():
        assert enrolment.callback_url(account).startswith(f"{base}/providers/")


def test_a_removed_account_gets_no_new_payments_and_cannot_be_chosen(app):
    """Its row and its secrets stay: open charges and refunds need them."""
    account = enrol(app)
    assert do(app, enrolment.remove, account) is True
    removed = stored(app, account)
    assert removed.removed_at is not None
    assert merchant_of(app).test_provider_id is None
    assert do(app, enrolment.remove, removed) is False
    with pytest.raises(Conflict):
        do(app, enrolment.choose, removed)
    with app.app_context():
        assert accounts.vault().open(removed.sealed).client_secret == CLIENT_SECRET


def test_removing_another_account_leaves_the_chosen_one(app):
    first, second = enrol(app), enrol(app)
    do(app, enrolment.remove, first)
    assert merchant_of(app).test_provider_id == second.id


def test_a_merchant_has_a_bounded_number_of_accounts(app, monkeypatch):
    """Removed ones do not count."""
    monkeypatch.setattr(enrolment, "ACCOUNTS_MAX", 2)
    first = enrol(app)
    enrol(app)
    with pytest.raises(Conflict):
        enrol(app)
    do(app, enrolment.remove, first)
    enrol(app)


def test_a_renewed_certificate_keeps_the_rest_and_makes_every_process_reload(app, clock):
    """A certificate comes alone, once a year; the bank keeps calling the same address."""
    account = enrol(app)
    fresh = BankCredentials(
        "", certificate_pem="CERT", private_key_pem="KEY", certificate_ends_at=clock.now()
    )
    do(app, enrolment.renew, account, fresh)
    changed = stored(app, account)
    with app.app_context():
        secrets = accounts.vault().open(changed.sealed)
    assert (secrets.client_secret, secrets.certificate_pem) == (CLIENT_SECRET, "CERT")
    assert changed.version == account.version + 1
    assert changed.token_sha256 == account.token_sha256
    assert changed.certificate_ends_at == clock.now()
    with pytest.raises(ConcurrentUpdate):
        do(app, enrolment.renew, account, fresh)


def test_lost_secrets_can_be_entered_again(app):
    """After SECRET_KEY was lost, the account goes on with new credentials, at a new address."""
    account = enrol(app, new=new_account(ends_at=END))
    lost = AccountVault("a-lost-key-of-at-least-32-characters").seal(
        enrolment._secrets_of(BankCredentials("old"), "old-token")
    )
    with app.app_context():
        lost_row = {"sealed": lost, "callback_checked_at": END}
        in_unit_of_work(lambda work: work.provider_accounts.change(account.id, lost_row))
    for incomplete in (
        BankCredentials("", certificate_pem="CERT"),
        BankCredentials("new-id", certificate_pem="CERT"),
        BankCredentials("new-id", "new-secret"),  # the certificate is lost too
    ):
        with pytest.raises(ProviderSecretsUnreadable):
            do(app, enrolment.renew, stored(app, account), incomplete)
    whole = BankCredentials("new-id", "new-secret", certificate_pem="CERT", certificate_ends_at=END)
    do(app, enrolment.renew, stored(app, account), whole)
    changed = stored(app, account)
    assert changed.callback_checked_at is None  # the bank has the old address
    with app.app_context():
        assert accounts.vault().open(changed.sealed).client_secret == "new-secret"
    assert changed.token_sha256 != account.token_sha256


def test_charlie_reaches_no_account_of_the_demo_merchants(app):
    """Not by guessing and not with an id that he has seen."""
    account = enrol(app)
    make_account(app, "charlie")
    with app.app_context(), reading() as work:
        charlie = work.accounts.by_login("charlie")
        with pytest.raises(ProviderAccountNotFound):
            enrolment.own_account(work, charlie, account.public_id)
        own = enrolment.own_account(work, work.accounts.by_login("demo"), account.public_id)
    assert own.id == account.id


def test_every_change_is_audited_without_secrets(app):
    """The row has the account, its profile and its environment."""
    account = enrol(app)
    do(app, enrolment.renew, account, BankCredentials("other-id", "other-secret-of-alice"))
    do(app, enrolment.choose, account)
    do(app, enrolment.remove, account)
    rows = [row for row in audit_rows(app, "demo") if row.action.startswith("provider.")]
    actions = ["provider.added", "provider.renewed", "provider.chosen", "provider.removed"]
    assert [row.action for row in rows] == actions
    assert {row.subject for row in rows} == {account.public_id}
    text = " ".join(str(row.details) for row in rows)
    assert "standard" in text
    assert "secret-of-alice" not in text
