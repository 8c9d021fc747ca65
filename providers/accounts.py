"""From a merchant's account at a bank to the client that speaks for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from flask import g

from config import Settings, current_parts, current_settings
from core.provider_errors import ProviderAccountNotFound
from db_models import Account, ProviderAccount
from providers.api_pix.client import build_provider
from providers.port import Provider, SigningBank
from providers.secrets import AccountSecrets, AccountVault
from providers.simulated.provider import SimulatedBank
from repository.database import reading

CLIENTS_MAX = 200
"""Clients in one process. Each may have open connections and a token of its bank."""

NO_NEW_PAYMENTS = 0
"""In place of the row id of a merchant's account: there is none, and no other bank for real money
either, so new payments are refused. No row has this id."""

BuildClient = Callable[[ProviderAccount, AccountSecrets], Provider]


class ProviderClients:
    """The clients of this process, one for each account, in the account's present version."""

    def __init__(self, vault: AccountVault, build: BuildClient | None = None) -> None:
        """`build` makes a client from an account's row and its secrets, without any request."""
        self.vault = vault
        self._build = build or build_provider
        self._lock = threading.Lock()
        self._clients: OrderedDict[int, tuple[int, Provider]] = OrderedDict()

    def client_of(self, account: ProviderAccount) -> Provider:
        """The client of the account as its row is. Raises ProviderSecretsUnreadable."""
        with self._lock:
            version, client = self._clients.get(account.id, (0, None))
            if client is not None and version >= account.version:
                self._clients.move_to_end(account.id)
                return client
        new_client = self._build(account, self.vault.open(account.sealed))
        return self._keep(account, new_client)

    def _keep(self, account: ProviderAccount, new_client: Provider) -> Provider:
        """Cache the client, unless another thread has cached one of this version meanwhile."""
        dropped: list[Provider] = []
        with self._lock:
            version, client = self._clients.get(account.id, (0, None))
            if client is not None and version >= account.version:
                dropped.append(new_client)
                new_client = client
            else:
                if client is not None:
                    dropped.append(client)
                self._clients[account.id] = (account.version, new_client)
                self._clients.move_to_end(account.id)
                while len(self._clients) > CLIENTS_MAX:
                    dropped.append(self._clients.popitem(last=False)[1][1])
        for one in dropped:
            _close(one)
        return new_client

    def close(self) -> None:
        """Close every client's idle connections; a client that is asked again opens new ones."""
        with self._lock:
            clients = [client for _version, client in self._clients.values()]
            self._clients.clear()
        for client in clients:
            _close(client)


def build_provider_clients(settings: Settings) -> ProviderClients:
    """The clients of one app; none is built before it is needed."""
    return ProviderClients(AccountVault(settings.secret_key, settings.secret_key_previous))


def provider_of(account_row_id: int) -> Provider:
    """The client of the account with this row id, as the row is now.

    Raises ProviderAccountNotFound, ProviderSecretsUnreadable, and RuntimeError within a unit of
    work, where nobody may wait for a bank.
    """
    if g.get("in_unit_of_work"):
        raise RuntimeError("no bank is asked within a unit of work")
    with reading() as work:
        account = work.provider_accounts.find(account_row_id)
    if account is None:
        raise ProviderAccountNotFound
    return current_parts().provider_clients.client_of(account)


def signing_banks() -> list[SigningBank]:
    """Every signing bank that can be asked: in development the one for everybody."""
    settings = current_settings()
    if settings.is_development:
        return [SimulatedBank(settings.banks[0], half=None)]
    banks = (_bank_of_half(half) for half in (False, True))
    return [bank for bank in banks if bank is not None]


def signing_bank_of(merchant_id: int) -> SigningBank | None:
    """The signing bank of the merchant or test half with this row id; None if there is none.

    It holds what is at no account of a real bank.
    """
    settings = current_settings()
    if settings.is_development:
        return signing_banks()[0]
    return _bank_of_half(current_parts().presenter.halves.is_test_half(merchant_id))


def _bank_of_half(half: bool) -> SigningBank | None:
    peer = current_settings().bank_to_ask(half)
    return None if peer is None else SimulatedBank(peer, half)


def account_for_new_payment(merchant: Account) -> int | None:
    """The row id of the account for the merchant's new payments.

    None for the bank of the settings; NO_NEW_PAYMENTS if no bank can take them.
    In production a merchant uses its account for real money, and its test half that for tests.
    """
    live, test = merchant.live_provider_id, merchant.test_provider_id
    if current_settings().is_development:
        return test or live
    return test if merchant.is_test_half else live


def refuses_new_payments(merchant: Account) -> bool:
    """Whether new payments are refused, because the merchant's last account is out of use."""
    return account_for_new_payment(merchant) == NO_NEW_PAYMENTS


def vault() -> AccountVault:
    """What encrypts the secrets of accounts under this app's SECRET_KEY."""
    return current_parts().provider_clients.vault


def _close(client: Provider) -> None:
    """Close a client's idle connections; requests in progress end normally."""
    close = getattr(client, "close", None)
    if close is not None:
        close()
