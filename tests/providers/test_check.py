"""A check says of each step whether it works, in bounded time, and tells nothing secret."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

import pytest

from db_models import Environment
from providers import callbacks, enrolment
from providers.check import CHECKS_MAX, CheckStep, StepState, check_account, has_failed
from providers.check_commands import check_table
from providers.enrolment import BankCredentials, NewAccount
from providers.secrets import AccountVault
from repository.database import in_unit_of_work
from tests.providers.enrolled import change, enrol, stored
from tests.providers.stand_in import PIX_KEY, Fault, StandInBank
from web.limits import limits

GOOD, WARNING, BAD, UNTRIED = StepState


@pytest.fixture
def open_bank(clock):
    """Open a bank whose clock is that of the app."""
    return partial(StandInBank, now=clock.now)


def enrol_at(app, bank, **changes):
    """An account of the demo merchant at this bank."""
    secrets = bank.secrets()
    values = {
        "client_id": secrets.client_id,
        "client_secret": secrets.client_secret,
        "certificate_pem": secrets.certificate_pem,
        "private_key_pem": secrets.private_key_pem,
        "ca_pem": secrets.ca_pem,
    }
    credentials = BankCredentials(**{**values, **changes})
    new = NewAccount("standard", Environment.TEST, PIX_KEY, "Conta", credentials, bank.overrides())
    return enrol(app, new=new)


def run(app, account, seconds=20.0):
    """The lines of a check by their steps; there is one for each step."""
    with app.app_context():
        lines = check_account(account, seconds)
    assert [line.step for line in lines] == list(CheckStep)
    return {line.step: line for line in lines}


def outcomes(lines):
    return {step: (line.state, line.code) for step, line in lines.items()}


def test_a_right_account_with_mutual_tls_passes(app, open_bank):
    """Every step is tried against the bank, and nothing is changed there."""
    with open_bank(mutual=True) as bank:
        account = enrol_at(app, bank)
        with app.app_context():
            callbacks.register(account)
        lines = run(app, account)
        operations = {one.operation for one in bank.requests}
    assert outcomes(lines) == dict.fromkeys(CheckStep, (GOOD, "good"))
    assert not has_failed(list(lines.values()))
    assert operations == {"token", "put-callback", "get-callback", "list-pix"}
    with app.app_context():
        text = check_table(list(lines.values()))
    assert text.count("ok  ") == len(CheckStep)
    assert "Your certificate" in text


def test_a_new_account_is_told_that_no_address_is_registered(app, open_bank):
    """Payments are found without callbacks, so it is a warning."""
    with open_bank() as bank:
        lines = run(app, enrol_at(app, bank))
    assert outcomes(lines)[CheckStep.CALLBACK] == (WARNING, "none")
    assert outcomes(lines)[CheckStep.CERTIFICATE] == (GOOD, "not-needed")
    assert not has_failed(list(lines.values()))


def test_an_address_of_somebody_else_is_shown_without_its_secret_part(app, open_bank):
    with open_bank() as bank:
        account = enrol_at(app, bank)
        bank.book.callbacks[PIX_KEY] = "https://old-shop.example/hook/secret-part"
        lines = run(app, account)
    line = lines[CheckStep.CALLBACK]
    assert (line.state, line.code) == (WARNING, "other")
    assert line.facts["address"] == "old-shop.example"


def test_a_wrong_secret_fails_at_the_token_and_the_rest_has_lines(app, open_bank):
    with open_bank() as bank:
        account = enrol_at(app, bank, client_secret="a-wrong-secret-of-the-shop")
        lines = run(app, account)
    results = outcomes(lines)
    assert results[CheckStep.TOKEN] == (BAD, "fault")
    assert results[CheckStep.SCOPES] == (UNTRIED, "earlier")
    assert results[CheckStep.CALLBACK][0] is BAD
    assert results[CheckStep.MONEY][0] is BAD
    with app.app_context():
        text = check_table(list(lines.values()))
    assert "a-wrong-secret" not in text
    assert "check Client ID, secret and environment" in text


def test_missing_scopes_are_named(app, open_bank):
    """Sicredi answers 200 with fewer scopes than were asked for."""
    with open_bank() as bank:
        bank.scopes_granted = "cob.write cob.read"
        lines = run(app, enrol_at(app, bank))
    line = lines[CheckStep.SCOPES]
    assert (line.state, line.code) == (BAD, "missing")
    assert "pix.read" in line.facts["scopes"]


def test_a_bank_whose_certificate_nobody_knows_is_not_trusted(app, open_bank):
    """An account without the bank's own authority must not send it the secret."""
    with open_bank(tls=True) as bank:
        lines = run(app, enrol_at(app, bank, ca_pem=""))
        assert bank.requests == []
    assert outcomes(lines)[CheckStep.BANK_CERTIFICATE] == (BAD, "untrusted")
    assert outcomes(lines)[CheckStep.TOKEN] == (BAD, "fault")


def test_no_server_at_the_address(app, open_bank):
    with open_bank() as bank:
        account = enrol_at(app, bank)
    lines = run(app, account)
    assert outcomes(lines)[CheckStep.ADDRESS] == (BAD, "unreachable")
    assert outcomes(lines)[CheckStep.BANK_CERTIFICATE] == (UNTRIED, "earlier")
    assert has_failed(list(lines.values()))


def test_a_slow_bank_does_not_hold_the_page(app, open_bank):
    """The table comes in time, and says which step is still waiting."""
    with open_bank() as bank:
        bank.faults.append(Fault("list-pix", "delay", seconds=5))
        began = time.monotonic()
        lines = run(app, enrol_at(app, bank), seconds=1)
        assert time.monotonic() - began < 3
    assert outcomes(lines)[CheckStep.TOKEN] == (GOOD, "good")
    assert outcomes(lines)[CheckStep.MONEY] == (BAD, "no-answer")
    assert outcomes(lines)[CheckStep.CLOCK] == (UNTRIED, "time-over")


def test_a_bank_whose_clock_is_wrong_is_a_warning(app, open_bank):
    with open_bank() as bank:
        bank.clock_offset = timedelta(hours=3)
        lines = run(app, enrol_at(app, bank))
    line = lines[CheckStep.CLOCK]
    assert (line.state, line.code) == (WARNING, "far")


def test_lost_secrets_leave_every_other_step_untried(app, open_bank):
    with open_bank() as bank:
        account = enrol_at(app, bank)
        lost = AccountVault("a-lost-key-of-at-least-32-characters").seal(bank.secrets())
        change(app, account, sealed=lost)
        lines = run(app, stored(app, account))
        assert bank.requests == []
    assert outcomes(lines)[CheckStep.SECRETS] == (BAD, "unreadable")
    assert {
        state for step, (state, _) in outcomes(lines).items() if step is not CheckStep.SECRETS
    } == {UNTRIED}


def test_a_certificate_that_ends_soon_is_a_warning(app, open_bank, clock):
    with open_bank(mutual=True) as bank:
        account = enrol_at(app, bank)
        clock.advance(days=380)
        lines = run(app, account)
    assert outcomes(lines)[CheckStep.CERTIFICATE] == (WARNING, "soon")


@pytest.mark.parametrize(
    ("registered", "fault"),
    [
        (None, "none"),
        ("{own}", None),
        ("{own}/", None),
        ("{own}/pix", None),
        ("{own}?ignorar=", None),
        ("https://other.example/providers/x", "other-address"),
    ],
)
def test_banks_show_the_address_with_what_they_add(registered, fault):
    own = "https://pay.example/providers/token"
    address = registered and registered.format(own=own)
    assert callbacks.fault_of(address, own) == fault


def test_registering_stores_what_was_read_back(app, open_bank):
    """Also a fault, and a later look clears it."""
    with open_bank() as bank:
        account = enrol_at(app, bank)
        with app.app_context():
            assert callbacks.read_back(account) == "none"
        assert stored(app, account).callback_fault == "none"
        with app.app_context():
            assert callbacks.register(account) is None
            url = enrolment.callback_url(account)
        assert bank.book.callbacks[PIX_KEY] == url
    after = stored(app, account)
    assert after.callback_fault is None
    assert after.callback_checked_at is not None


def test_a_registered_address_is_no_proof_that_callbacks_come(app, open_bank):
    """`none-came` ends with a callback, not with a look at the address."""
    with open_bank() as bank:
        account = enrol_at(app, bank)
        change(app, account, callback_fault="none-came")
        with app.app_context():
            assert callbacks.register(stored(app, account)) == "none-came"
    assert stored(app, account).callback_fault == "none-came"


def test_the_check_uses_the_renewed_credentials_at_once(app, open_bank):
    """Another process would, too: the version of the row has changed."""
    with open_bank() as bank:
        account = enrol_at(app, bank, client_secret="a-wrong-secret-of-the-shop")
        assert outcomes(run(app, account))[CheckStep.TOKEN] == (BAD, "fault")
        assert stored(app, account).fault == "invalid_client"
        fresh = BankCredentials("", bank.secrets().client_secret)
        with app.app_context():
            in_unit_of_work(
                lambda work: enrolment.renew(work, work.accounts.by_login("demo"), account, fresh)
            )
        assert outcomes(run(app, stored(app, account)))[CheckStep.TOKEN] == (GOOD, "good")
    after = stored(app, account)
    assert after.fault is None
    assert after.answered_at is not None


def test_one_check_of_an_account_runs_at_a_time(app, open_bank):
    """Each holds a connection and waits for the bank; a person may press the button often."""
    with open_bank() as bank:
        account, other = enrol_at(app, bank), enrol_at(app, bank)
        bank.faults.append(Fault("list-pix", "delay", seconds=2))
        first = run(app, account, seconds=0.2)
        second = run(app, account)
        assert {line.code for line in second.values()} == {"running"}
        assert has_failed(list(second.values()))
        assert run(app, other)[CheckStep.TOKEN].code == "good"
        assert first.keys() == second.keys()


def test_an_account_is_checked_six_times_a_minute(app, open_bank):
    """Also by several processes, if they share a Redis; another account has its own number."""
    with open_bank() as bank:
        account, other = enrol_at(app, bank), enrol_at(app, bank)
        codes = [run(app, account)[CheckStep.TOKEN].code for _ in range(CHECKS_MAX)]
        assert set(codes) == {"good"}
        refused = run(app, account)[CheckStep.TOKEN]
        assert (refused.state, refused.code) == (UNTRIED, "too-often")
        assert 0 < refused.facts["seconds"] <= 60
        with app.app_context():
            assert limits().hits("provider-check") == {"provider-check": 1}
        assert run(app, other)[CheckStep.TOKEN].code == "good"


def test_a_new_address_of_callbacks_replaces_the_old_one_when_the_bank_has_it(app, open_bank):
    """No callback is lost meanwhile. Then the old address is refused, also if a stranger has it."""
    client = app.test_client()

    def path(account):
        with app.app_context():
            return urlsplit(enrolment.callback_url(account)).path

    def command(*words):
        result = app.test_cli_runner().invoke(args=["provider", "new-callback", *words])
        assert result.exit_code == 0, result.output
        # What a process knows of an address it may use for ten seconds.
        app.extensions["balcao"].callbacks._accounts.clear()
        return result.output

    with open_bank() as bank:
        account = enrol_at(app, bank)
        old = path(account)
        with app.app_context():
            callbacks.register(account)
        command(account.public_id)
        printed = command(account.public_id)  # twice: the bank still has the first one
        assert path(stored(app, account)) in printed
        renewed = stored(app, account)
        new = path(renewed)
        assert [client.get(one).status_code for one in (old, new)] == [200, 200]
        with app.app_context():
            # A look that began before sees the old address at the bank: that ends nothing.
            callbacks.read_back(account)
            assert callbacks.read_back(renewed) == "other-address"
        assert client.get(old).status_code == 200
        with app.app_context():
            assert callbacks.register(renewed) is None
        app.extensions["balcao"].callbacks._accounts.clear()
        assert [client.get(one).status_code for one in (old, new)] == [404, 200]


def test_the_operator_ends_an_old_address_of_callbacks(app):
    """At a bank that does not say which address it has."""
    account = enrol(app)
    runner, client = app.test_cli_runner(), app.test_client()
    with app.app_context():
        old = urlsplit(enrolment.callback_url(account)).path
    runner.invoke(args=["provider", "new-callback", account.public_id])
    words = ["provider", "new-callback", account.public_id, "--end-old"]
    assert "refused from now on" in runner.invoke(args=words).output
    assert "no old address" in runner.invoke(args=words).output
    assert client.get(old).status_code == 404
    assert stored(app, account).previous_token_sha256 is None
