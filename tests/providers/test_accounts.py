"""From an account's row to its client: one for each version, never within a unit of work."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from core.provider_errors import ProviderAccountNotFound, ProviderSecretsUnreadable
from db_models import ProviderAccount
from providers import accounts
from providers.accounts import ProviderClients
from providers.secrets import AccountSecrets, AccountVault
from repository.database import in_unit_of_work, unit_of_work

KEY, OLD_KEY = "a-new-key-of-thirty-two-characters", "an-old-key-of-thirty-two-characters"
SECRETS = AccountSecrets("client-id-1", "client-secret-1", "callback-token-1")


class CountedClient:
    """A client that counts how often its pool was closed."""

    def __init__(self, secrets: AccountSecrets) -> None:
        self.secrets = secrets
        self.closings = 0

    def close(self) -> None:
        self.closings += 1


@pytest.fixture
def built() -> list[CountedClient]:
    """Every client that `clients` has built."""
    return []


@pytest.fixture
def clients(built):
    """Clients whose factory notes each client that it builds."""

    def build(_account, secrets):
        built.append(CountedClient(secrets))
        return built[-1]

    return ProviderClients(AccountVault(KEY, OLD_KEY), build)


def row(number: int = 1, version: int = 1, sealed: str | None = None) -> ProviderAccount:
    return ProviderAccount(
        id=number, version=version, sealed=sealed or AccountVault(KEY).seal(SECRETS)
    )


def store(work, merchant_id: int, sealed: str, **values) -> int:
    return work.provider_accounts.insert(
        {
            "merchant_id": merchant_id,
            "name": "Conta",
            "profile": "standard",
            "environment": "test",
            "pix_key": "12345678909",
            "sealed": sealed,
            "token_sha256": "0" * 64,
            "overrides": {},
            "created_at": datetime(2026, 1, 1, tzinfo=UTC),
            **values,
        }
    )


def test_an_account_keeps_its_client_while_its_version_stays(clients):
    """A client holds a token and open connections: a new one for each call would cost both."""
    first = clients.client_of(row())
    assert clients.client_of(row()) is first
    assert clients.client_of(row(2)) is not first
    assert first.secrets == SECRETS


def test_a_new_version_replaces_the_client_and_closes_its_pool(clients):
    """A changed certificate or secret must reach the bank with the next call."""
    first, second = clients.client_of(row()), clients.client_of(row(version=2))
    assert second is not first
    assert (first.closings, second.closings) == (1, 0)
    assert clients.client_of(row(version=2)) is second


def test_a_row_that_was_read_before_the_change_does_not_bring_the_old_client_back(clients):
    """Two requests may read the row in one order and ask for the client in the other."""
    newer = clients.client_of(row(version=2))
    assert clients.client_of(row(version=1)) is newer


def test_the_number_of_clients_has_a_bound(clients, monkeypatch):
    """Thousands of merchants must not keep thousands of pools open in one process."""
    monkeypatch.setattr(accounts, "CLIENTS_MAX", 2)
    first = clients.client_of(row(1))
    second = clients.client_of(row(2))
    clients.client_of(row(1))
    clients.client_of(row(3))
    assert (first.closings, second.closings) == (0, 1)


def test_threads_that_ask_at_once_get_one_client(clients, built):
    """Two clients would ask for two tokens, which some banks answer by blocking the address."""
    gate = threading.Barrier(8)
    answers: list[object] = []

    def ask():
        gate.wait()
        answers.append(clients.client_of(row()))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert sum(one.closings for one in built) == len(built) - 1


def test_secrets_of_the_previous_key_can_be_read_and_of_a_third_key_cannot(clients):
    """Rotating SECRET_KEY must not stop a shop, and a lost key must be said in a sentence."""
    old = AccountVault(OLD_KEY).seal(SECRETS)
    assert clients.client_of(row(sealed=old)).secrets == SECRETS
    stranger = AccountVault("a-third-key-of-thirty-two-characters").seal(SECRETS)
    with pytest.raises(ProviderSecretsUnreadable):
        clients.client_of(row(2, sealed=stranger))


def test_no_bank_is_asked_within_a_unit_of_work(app):
    """A slow bank would hold the transaction, and with it everybody's rows."""
    with app.app_context(), unit_of_work(), pytest.raises(RuntimeError):
        accounts.provider_of(1)


def test_an_unknown_account_is_an_error(app):
    with app.app_context(), pytest.raises(ProviderAccountNotFound):
        accounts.provider_of(12345)


def test_new_payments_use_the_test_account_in_development_and_the_live_one_in_production(
    app, monkeypatch, settings
):
    """A developer who has entered both must not charge real money by accident, nor a shop play.

    In production an account for tests gets the payments of a test half, and no others.
    """

    def choose(live, test, *, half=False):
        def do(work):
            merchant = work.accounts.by_login("demo")
            merchant.test_of_id = merchant.id if half else None
            merchant.live_provider_id, merchant.test_provider_id = live, test
            return accounts.account_for_new_payment(merchant)

        return in_unit_of_work(do)

    with app.app_context():
        in_development = [choose(None, None), choose(1, None), choose(1, 2)]
        live = settings.model_copy(update={"app_env": "production"})
        monkeypatch.setattr(accounts, "current_settings", lambda: live)
        in_production = [choose(None, None), choose(1, 2), choose(None, 2)]
        in_test_half = [choose(None, None, half=True), choose(1, 2, half=True)]
    assert in_development == [None, 1, 2]
    assert in_production == [None, 1, None]
    assert in_test_half == [None, 2]
