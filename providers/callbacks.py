"""The address of callbacks: registered at the bank on demand, and read back."""

from __future__ import annotations

from db_models import ProviderAccount
from providers.accounts import provider_of
from providers.enrolment import callback_url
from providers.port import Provider
from repository.database import Work, in_unit_of_work, now

NONE, OTHER_ADDRESS, NONE_CAME = "none", "other-address", "none-came"
"""The codes of `ProviderAccount.callback_fault`."""


def register(account: ProviderAccount) -> str | None:
    """Register the account's address at its bank and read it back; returns the fault, if any.

    Call it outside of a unit of work. Raises ProviderAway, ProviderRefusal and
    ProviderSecretsUnreadable.
    """
    client = provider_of(account.id)
    client.register_callback(callback_url(account))
    return read_back(account, client)


def read_back(account: ProviderAccount, client: Provider | None = None) -> str | None:
    """Compare the address that the bank has with the account's; store and return the fault.

    Raises as `register` does.
    """
    registered = (client or provider_of(account.id)).registered_callback()
    fault = fault_of(registered, callback_url(account))
    values = {"callback_checked_at": now(), "callback_fault": fault}
    has_own = fault is None
    if fault is None and account.callback_fault == NONE_CAME:
        del values["callback_fault"]  # a registered address alone brings no callback
        fault = NONE_CAME

    def store(work: Work) -> None:
        work.provider_accounts.change(account.id, values)
        if has_own and account.previous_token_sha256 is not None:
            # The bank has the present address: callbacks at the one before are somebody else's.
            work.provider_accounts.end_previous_token(account.id, account.token_sha256)

    in_unit_of_work(store)
    return fault


def fault_of(registered: str | None, own: str) -> str | None:
    """What is wrong with a registered address; some banks show it with what they add to it."""
    if registered is None:
        return NONE
    plain = registered.partition("?")[0].rstrip("/")
    return None if plain in (own, f"{own}/pix", f"{own}/pix/pix") else OTHER_ADDRESS
