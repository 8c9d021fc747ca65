"""`flask provider`: what the operator sees and does at the terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from providers import accounts, enrolment
from providers.secrets import AccountVault
from repository.database import in_unit_of_work, reading
from tests.accounts.people import audit_rows
from tests.providers.certificate_files import new_pair
from tests.providers.enrolled import CLIENT_SECRET, change, enrol, new_account, stored
from tests.providers.stand_in import CLIENT_ID, PIX_KEY, StandInBank
from tests.providers.stand_in import CLIENT_SECRET as BANK_SECRET

OLD_KEY = "an-old-key-of-at-least-32-characters"


@pytest.fixture
def open_bank(clock):
    """Open a bank today: its TLS reads the machine's clock."""
    clock.instant = datetime.now(UTC)
    return partial(StandInBank, now=clock.now)


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
    line = "Accounts at banks: {} encrypted anew, {} current already"
    assert line.format(1, 1) in run("reencrypt")
    assert line.format(0, 2) in run("reencrypt")
    after = stored(app, account)
    assert AccountVault(settings.secret_key).open(after.sealed).client_secret == CLIENT_SECRET
    assert after.version == account.version + 1
    assert stored(app, other).version == other.version


def options_for(bank, tmp_path):
    """The options of `add` for an account at this bank, with its secrets in files."""
    identity = bank.client_identity
    files = {
        "secret": BANK_SECRET.encode() + b"\n",
        "shop.p12": identity.pfx("shop", "pass-of-file"),
        "password": b"pass-of-file\n",
        "ca.pem": bank.authority.certificate_pem,
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    overrides = bank.overrides()
    return {
        "--merchant": "demo",
        "--profile": "standard",
        "--environment": "test",
        "--key": PIX_KEY,
        "--client-id": CLIENT_ID,
        "--client-secret-file": str(tmp_path / "secret"),
        "--certificate": str(tmp_path / "shop.p12"),
        "--certificate-password-file": str(tmp_path / "password"),
        "--ca": str(tmp_path / "ca.pem"),
        "--base-url": overrides["base"],
        "--token-url": overrides["token_url"],
    }


def words_of(options):
    return [word for pair in options.items() for word in pair]


def test_add_register_and_check(app, run, open_bank, tmp_path):
    """From files to a table in which everything works; no secret is printed."""
    with open_bank(mutual=True) as bank:
        added = run("add", *words_of(options_for(bank, tmp_path)))
        [row] = json.loads(run("list", "--json"))
        account_id = row["id"]
        assert account_id in added
        assert "/providers/" in added
        assert BANK_SECRET not in added
        assert "WARN" in run("check", account_id)
        assert "Registered" in run("register", account_id)
        table = run("check", account_id)
    assert [line.split()[0] for line in table.splitlines()] == ["ok"] * 10
    assert table.splitlines()[3].split(None, 1)[1].startswith("Your certificate")
    assert 390 < row["certificate_days"] < 398
    with app.app_context(), reading() as work:
        assert work.accounts.by_login("demo").test_provider_id is not None


def test_a_rule_of_the_profile_can_be_replaced_for_one_account(app, run, open_bank, tmp_path):
    """Banks have other limits in tests, and change headers and scopes without notice."""
    with open_bank(mutual=True) as bank:
        words = words_of(options_for(bank, tmp_path))
        run("add", *words, "--rule", "rate=10", "--rule", "scopes=cob.read")
    with app.app_context(), reading() as work:
        [account] = work.provider_accounts.all()
    assert (account.overrides["rate"], account.overrides["scopes"]) == (10, "cob.read")


def test_check_exits_with_1_when_something_fails_and_prints_every_line(app, run, open_bank):
    """A script must notice, and a person must see what works all the same."""
    with open_bank() as bank:
        new = new_account(pix_key=PIX_KEY, **bank.overrides())
        account = enrol(app, new=new)  # with a client secret of nobody
        table = run("check", account.public_id, status=1)
        assert "check Client ID, secret and environment" in table
        assert len(table.splitlines()) == 10
        message = run("register", account.public_id, status=1)
        assert "check Client ID, secret and environment" in message
    assert CLIENT_SECRET not in table
    assert "No account has this id" in run("check", "0" * 32, status=1)


def test_a_secret_is_asked_for_without_an_echo(app, run, open_bank, tmp_path):
    """It must not be in the shell's history."""
    with open_bank(mutual=True) as bank:
        options = options_for(bank, tmp_path)
        del options["--client-secret-file"]
        output = run("add", *words_of(options), input=f"{BANK_SECRET}\n")
    assert BANK_SECRET not in output
    with app.app_context(), reading() as work:
        [account] = work.provider_accounts.all()
        assert accounts.vault().open(account.sealed).client_secret == BANK_SECRET


def test_a_secret_may_come_from_the_environment(app, run, open_bank, tmp_path):
    with open_bank(mutual=True) as bank:
        options = options_for(bank, tmp_path)
        del options["--client-secret-file"]
        run("add", *words_of(options), env={"PROVIDER_CLIENT_SECRET": BANK_SECRET})
    with app.app_context(), reading() as work:
        [account] = work.provider_accounts.all()
        assert accounts.vault().open(account.sealed).client_secret == BANK_SECRET


def test_renew_replaces_a_certificate_alone(app, run, tmp_path, clock):
    clock.instant = datetime.now(UTC)
    account = enrol(app)
    pair = new_pair("shop", None, clock.now())
    (tmp_path / "shop.crt").write_bytes(pair.pem)
    (tmp_path / "shop.key").write_bytes(pair.key_pem)
    files = ("--certificate", str(tmp_path / "shop.crt"))
    assert "--certificate-key" in run("renew", account.public_id, *files, status=1)
    both = (*files, "--certificate-key", str(tmp_path / "shop.key"))
    assert "Renewed" in run("renew", account.public_id, *both)
    after = stored(app, account)
    assert after.version == account.version + 1
    with app.app_context():
        secrets = accounts.vault().open(after.sealed)
    assert secrets.client_secret == CLIENT_SECRET
    assert "CERTIFICATE" in secrets.certificate_pem
    assert "--client-id" in run("renew", account.public_id, status=1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--key": "no key"}, ("--key", "not a Pix key")),
        ({"--profile": "nobank"}, ("no such profile", "efi")),
        ({"--merchant": "nobody"}, ("no account with this login",)),
        ({"--base-url": "http://10.1.2.3/"}, ("--base-url", "https://")),
        ({"--client-id": ""}, ("--client-id",)),
        ({"--set": "x=1"}, ("--base-url", "no field")),
        ({"--set": "x"}, ("NAME=VALUE",)),
        ({"--rule": "x=1"}, ("--rule: no profile has 'x'",)),
        ({"--rule": "rate=0"}, ("--rule: ", "rate")),
    ],
)
def test_what_is_wrong_is_said_with_its_option(app, run, open_bank, tmp_path, changes, words):
    with open_bank(mutual=True) as bank:
        output = run("add", *words_of({**options_for(bank, tmp_path), **changes}), status=1)
    for word in words:
        assert word in output
    with app.app_context(), reading() as work:
        assert work.provider_accounts.all() == []


def test_a_wrong_password_of_the_file_is_said(app, run, open_bank, tmp_path):
    with open_bank(mutual=True) as bank:
        options = options_for(bank, tmp_path)
        (tmp_path / "password").write_text("wrong-pass\n")
        output = run("add", *words_of(options), status=1)
    assert "--certificate-password" in output
    assert "wrong-pass" not in output


def test_the_profiles_are_listed_with_what_nobody_has_tried(run):
    output = run("profiles")
    for word in ("standard: API Pix", "efi: Efí", "never tried", "--set gw-dev-app-key"):
        assert word in output


def test_an_account_of_a_disabled_merchant_can_be_managed(app, run):
    """The operator may have to stop what the merchant cannot stop any more."""
    account = enrol(app)
    app.test_cli_runner().invoke(args=["accounts", "disable", "demo"])
    assert "Removed" in run("remove", account.public_id)
    with app.app_context(), reading() as work:
        demo = work.accounts.by_login("demo")
        assert enrolment.own_account(work, demo, account.public_id).removed_at is not None
