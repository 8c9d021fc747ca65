"""Store, replace, choose and remove merchants' accounts at banks; each change is audited.

These functions take the unit of work of their caller, and call no bank.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from accounts import audit, halves
from config import current_settings
from core.errors import ConcurrentUpdate, Conflict
from core.provider_errors import ProviderAccountNotFound, ProviderSecretsUnreadable
from db_models import Account, AuditAction, Environment, ProviderAccount
from providers.accounts import NO_NEW_PAYMENTS, vault
from providers.api_pix.profiles import ProfileError, load_profile
from providers.secrets import AccountSecrets, AccountVault
from repository.database import Work

ACCOUNTS_MAX = 20
"""Accounts of one merchant that are in use; each is polled, so each costs the installation."""
NAME_CHARACTERS_MAX = 60
_TOKEN_BYTES = 24


@dataclass(frozen=True, repr=False)
class BankCredentials:
    """How an account proves itself to its bank. It has no `repr`, so that no log has it."""

    client_id: str
    client_secret: str = ""
    certificate_pem: str = ""
    private_key_pem: str = ""
    ca_pem: str = ""
    certificate_ends_at: datetime | None = None


@dataclass(frozen=True, repr=False)
class NewAccount:
    """What a merchant or the operator has entered, checked."""

    profile: str
    environment: Environment
    pix_key: str
    """As `core.pix.pix_key` writes it."""
    name: str
    credentials: BankCredentials
    overrides: Mapping[str, Any] = field(default_factory=dict)


def add(work: Work, merchant: Account, new: NewAccount) -> ProviderAccount:
    """Store the account, and use it for the merchant's new payments of its environment.

    In production an account for tests belongs to the merchant's test half, which is made if it
    does not exist. Raises Conflict if the merchant has ACCOUNTS_MAX accounts, or if a test half
    shall get real money; and LostRace as `halves.ensure_test_half`.
    """
    merchant = half_for(work, merchant, new.environment)
    in_use = [one for one in work.provider_accounts.of_merchant(merchant.id) if not one.removed_at]
    if len(in_use) >= ACCOUNTS_MAX:
        raise Conflict(f"A merchant has at most {ACCOUNTS_MAX} accounts: remove one first.")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    row = work.provider_accounts.insert(
        {
            "merchant_id": merchant.id,
            "name": new.name[:NAME_CHARACTERS_MAX],
            "profile": new.profile,
            "environment": str(new.environment),
            "pix_key": new.pix_key,
            "sealed": vault().seal(_secrets_of(new.credentials, token)),
            "token_sha256": token_hash(token),
            "overrides": dict(new.overrides),
            "certificate_ends_at": new.credentials.certificate_ends_at,
            "created_at": work.now,
        }
    )
    account = work.provider_accounts.find(row)
    if account is None:
        raise ProviderAccountNotFound
    work.accounts.change(merchant.id, {_pointer(account): row})
    _record(work, merchant, AuditAction.PROVIDER_ADDED, account)
    return account


def half_for(work: Work, merchant: Account, environment: Environment) -> Account:
    """The half of the merchant to which accounts of this environment belong.

    In development a merchant has both. Raises Conflict if it is the merchant of a test half.
    """
    if not current_settings().is_live:
        return merchant
    if environment == Environment.TEST:
        return halves.ensure_test_half(work, merchant)
    if merchant.is_test_half:
        raise Conflict("An account for real money cannot be added in test mode: leave test mode.")
    return merchant


def renew(work: Work, merchant: Account, account: ProviderAccount, fresh: BankCredentials) -> None:
    """Replace the account's credentials; the address of its callbacks stays.

    An empty member keeps the stored one, so that a new certificate can come alone. The bank is
    asked for money with them at once, also if the account rests. Raises
    ConcurrentUpdate if the account has changed since it was read, and ProviderSecretsUnreadable
    if the stored ones are lost and the fresh ones lack something.
    """
    values: dict[str, Any] = {"fault": None, "fault_at": None}
    try:
        stored = vault().open(account.sealed)
    except ProviderSecretsUnreadable:
        if not _proves_alone(account, fresh):
            raise
        # Nobody knows the old token any more, so the address of callbacks changes too.
        stored = AccountSecrets("", "", secrets.token_urlsafe(_TOKEN_BYTES))
        values |= {"callback_checked_at": None, "callback_fault": None}
        values["previous_token_sha256"] = account.token_sha256
    merged = replace(
        stored,
        client_id=fresh.client_id or stored.client_id,
        client_secret=fresh.client_secret or stored.client_secret,
        ca_pem=fresh.ca_pem or stored.ca_pem,
    )
    if fresh.certificate_pem:
        merged = replace(
            merged,
            certificate_pem=fresh.certificate_pem,
            private_key_pem=fresh.private_key_pem,
        )
        values |= {"certificate_ends_at": fresh.certificate_ends_at, "warned_days": None}
    values["sealed"] = vault().seal(merged)
    values["token_sha256"] = token_hash(merged.callback_token)
    if not work.provider_accounts.change(account.id, values, version=account.version):
        raise ConcurrentUpdate
    # The account may rest because the bank refused the old ones, or is visited with them now.
    work.reconciliations.end_rests(account.id, work.now)
    _record(work, merchant, AuditAction.PROVIDER_RENEWED, account)


def renew_callback(work: Work, merchant: Account, account: ProviderAccount) -> None:
    """Give the account's callbacks a new address.

    The one that the bank has is accepted until the bank is seen to have the new one
    (`providers.callbacks`), or until `end_previous_callback`. Raises ConcurrentUpdate and
    ProviderSecretsUnreadable.
    """
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    values = {
        "sealed": vault().seal(replace(vault().open(account.sealed), callback_token=token)),
        "token_sha256": token_hash(token),
        "previous_token_sha256": account.previous_token_sha256 or account.token_sha256,
        "callback_checked_at": None,
    }
    if not work.provider_accounts.change(account.id, values, version=account.version):
        raise ConcurrentUpdate
    _record(work, merchant, AuditAction.PROVIDER_RENEWED, account, callback=True)


def end_previous_callback(work: Work, merchant: Account, account: ProviderAccount) -> bool:
    """Refuse callbacks at the address before; False if there is none."""
    if account.previous_token_sha256 is None:
        return False
    work.provider_accounts.change(account.id, {"previous_token_sha256": None})
    _record(work, merchant, AuditAction.PROVIDER_RENEWED, account, callback=True)
    return True


def _proves_alone(account: ProviderAccount, fresh: BankCredentials) -> bool:
    """Whether the credentials are all that the bank asks for, without any that were stored."""
    had_certificate = account.certificate_ends_at is not None
    try:
        asks_secret = load_profile(account.profile).token_style != "form_nosecret"  # noqa: S105 - a form
    except ProfileError:
        asks_secret = True
    return bool(
        fresh.client_id
        and (fresh.client_secret or not asks_secret)
        and (fresh.certificate_pem or not had_certificate)
    )


def choose(work: Work, merchant: Account, account: ProviderAccount) -> None:
    """Use this account for new payments of its environment.

    Raises Conflict if it is removed, or belongs to the wrong half of the merchant.
    """
    if account.removed_at is not None:
        raise Conflict("This account was removed: add it again.")
    holder = holder_of(work, merchant, account)
    is_for_tests = account.environment == Environment.TEST
    if current_settings().is_live and is_for_tests != holder.is_test_half:
        raise Conflict("In production an account for tests works in test mode: add it there.")
    work.accounts.change(holder.id, {_pointer(account): account.id})
    _record(work, merchant, AuditAction.PROVIDER_CHOSEN, account)


def stop_using(work: Work, merchant: Account, environment: Environment) -> None:
    """Use no account for new payments of this environment.

    The simulated bank, or the operator's own, gets them then; if there is none for real money, new
    payments are refused (`NO_NEW_PAYMENTS`).
    """
    holder = half_for(work, merchant, environment)
    fallback = _without_account(holder, environment)
    work.accounts.change(holder.id, {f"{environment}_provider_id": fallback})
    details = {"environment": str(environment)}
    subject = "simulated" if fallback is None else "none"
    audit.record(work, halves.owner_of(work, holder), AuditAction.PROVIDER_CHOSEN, subject, details)


def remove(work: Work, merchant: Account, account: ProviderAccount) -> bool:
    """Give the account no new charges; False if it was removed already.

    Its open charges are watched on, and its refunds go on. The stored secrets are needed for that.
    New payments of a merchant who has used it then go as `stop_using` says.
    """
    if account.removed_at is not None:
        return False
    work.provider_accounts.change(account.id, {"removed_at": work.now})
    holder = holder_of(work, merchant, account)
    if account.id in (holder.live_provider_id, holder.test_provider_id):
        fallback = _without_account(holder, Environment(account.environment))
        work.accounts.change(holder.id, {_pointer(account): fallback})
    _record(work, merchant, AuditAction.PROVIDER_REMOVED, account)
    return True


def _without_account(merchant: Account, environment: Environment) -> int | None:
    """What a merchant points to who uses no account of this environment any more.

    Codes of a bank that nobody can pay must not be shown to buyers.
    """
    settings = current_settings()
    is_real = environment == Environment.LIVE and settings.is_live and not merchant.is_test_half
    return NO_NEW_PAYMENTS if is_real and settings.bank_to_ask(False) is None else None


def note_registration(work: Work, merchant: Account, account: ProviderAccount) -> None:
    """Audit that the address of callbacks was registered at the bank."""
    _record(work, merchant, AuditAction.PROVIDER_REGISTERED, account)


def own_account(work: Work, merchant: Account, public_id: str) -> ProviderAccount:
    """The account with this id of the merchant, or of the merchant's test half.

    Raises ProviderAccountNotFound.
    """
    account = work.provider_accounts.find_by_public_id(public_id)
    if account is None:
        raise ProviderAccountNotFound
    holder_of(work, merchant, account)
    return account


def holder_of(work: Work, merchant: Account, account: ProviderAccount) -> Account:
    """To which half of the merchant the account belongs. Raises ProviderAccountNotFound."""
    if account.merchant_id == merchant.id:
        return merchant
    half = None if merchant.is_test_half else work.accounts.find_test_half(merchant.id)
    if half is None or account.merchant_id != half.id:
        raise ProviderAccountNotFound
    return half


def accounts_of(work: Work, merchant: Account) -> list[ProviderAccount]:
    """The accounts of both halves of the merchant, the removed ones too, oldest first."""
    accounts = list(work.provider_accounts.of_merchant(merchant.id))
    half = None if merchant.is_test_half else work.accounts.find_test_half(merchant.id)
    if half is not None:
        accounts += work.provider_accounts.of_merchant(half.id)
    return sorted(accounts, key=lambda account: account.id)


def callback_url(account: ProviderAccount, account_vault: AccountVault | None = None) -> str:
    """The address that the bank calls; it has a secret part. Raises ProviderSecretsUnreadable."""
    token = (account_vault or vault()).open(account.sealed).callback_token
    settings = current_settings()
    return f"{settings.provider_callback_url or settings.public_url}/providers/{token}"


def token_hash(token: str) -> str:
    """The form in which the token of a callback's address is looked up."""
    return hashlib.sha256(token.encode()).hexdigest()


def _secrets_of(credentials: BankCredentials, token: str) -> AccountSecrets:
    return AccountSecrets(
        client_id=credentials.client_id,
        client_secret=credentials.client_secret,
        callback_token=token,
        certificate_pem=credentials.certificate_pem,
        private_key_pem=credentials.private_key_pem,
        ca_pem=credentials.ca_pem,
    )


def _pointer(account: ProviderAccount) -> str:
    return f"{account.environment}_provider_id"


def _record(
    work: Work,
    merchant: Account,
    action: AuditAction,
    account: ProviderAccount,
    **more: bool,
) -> None:
    details = {"profile": account.profile, "environment": account.environment, **more}
    # The audit log of a test half is that of its merchant.
    audit.record(work, halves.owner_of(work, merchant), action, account.public_id, details)
