"""`flask provider`: what the operator sees and does at the terminal."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from providers import accounts
from providers.secrets import AccountVault
from repository.database import in_unit_of_work, reading
from tests.accounts.people import audit_rows
from tests.providers.enrolled import CLIENT_SECRET, change, enrol, new_account, stored

OLD_KEY = "an-old-key-of-at-least-32-characters"


@pytest.fixture
def run(app):
    """Run a command: run("list") → its output; run("use", "x", status=1) expects a failure."""

    def run(*words, status=0, **options):
        result = app.test_cli_runner().invoke(args=["provider", *words], **options)
        assert result.exit_code == status, result.output
        return result.output

    return run


def test_the_list_shows_what_an_operator_asks_about(app, run, clock):
    """Whose it is, how long its certificate lasts, and what is wrong; no secret, no whole key."""
    account = enrol(app, new=new_account(ends_at=clock.now() + timedelta(days=9, hours=1)))
    change(app, account, fault="timeout", answered_at=clock.now())
    text = run("list")
    for word in (account.public_id, "demo", "standard", "test", "***.456.789-**", "9", "timeout"):
        assert word in text
    assert "12345678909" not in text
    [row] = json.loads(run("list", "--json"))
    assert (row["id"], row["certificate_days"], row["fault"]) == (account.public_id, 9, "timeout")
    assert row["for_new_payments"] is True
    assert CLIENT_SECRET not in json.dumps(row)


def test_an_empty_list_says_what_to_do(run):
    assert "flask provider add" in run("list")
    assert json.loads(run("list", "--json")) == []


def test_use_and_remove(app, run):
    first, second = enrol(app), enrol(app)
    assert first.public_id in run("use", first.public_id)
    assert "Removed" in run("remove", first.public_id)
    assert "already" in run("remove", first.public_id)
    assert "removed" in run("use", first.public_id, status=1)
    assert "No account has this id" in run("use", "0" * 32, status=1)
    with app.app_context(), reading() as work:
        assert work.accounts.by_login("demo").test_provider_id is None
    run("use", second.public_id)
    actions = [row.action for row in audit_rows(app, "demo")]
    assert actions[-3:] == ["provider.chosen", "provider.removed", "provider.chosen"]


def test_reencrypt_moves_every_account_to_the_present_key(app, run, settings):
    """A second run changes nothing, and processes reload what has changed."""
    account = enrol(app)
    with app.app_context():
        vault = accounts.vault()
        sealed = AccountVault(OLD_KEY).seal(vault.open(account.sealed))
        in_unit_of_work(lambda work: work.provider_accounts.change(account.id, {"sealed": sealed}))
    other = enrol(app)

    assert account.public_id in run("reencrypt", status=1)

    clients = app.extensions["balcao"].provider_clients
    clients.vault = AccountVault(settings.secret_key, OLD_KEY)
    assert "Encrypted anew: 1. Current already: 1." in run("reencrypt")
    assert "Encrypted anew: 0. Current already: 2." in run("reencrypt")
    after = stored(app, account)
    assert AccountVault(settings.secret_key).open(after.sealed).client_secret == CLIENT_SECRET
    assert after.version == account.version + 1
    assert stored(app, other).version == other.version
