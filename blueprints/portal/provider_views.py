"""A merchant's account at a bank as the portal's pages show it."""

from __future__ import annotations

from dataclasses import dataclass

from config import current_settings
from core.documents import mask_key
from db_models import Account, Environment, ProviderAccount
from providers import check_words
from providers.accounts import NO_NEW_PAYMENTS, account_for_new_payment
from providers.api_pix.profiles import ProfileError, load_profile
from providers.certificate_notices import WARNED_DAYS, days_left, needing_certificates
from repository.database import Work
from web.pages import translate as _


@dataclass(frozen=True)
class AccountView:
    """An account as the pages show it."""

    account: ProviderAccount
    bank: str
    is_live: bool
    is_chosen: bool
    """Whether it is the merchant's account of its environment."""
    is_in_use: bool
    """Whether new payments of this installation use it."""
    is_another_in_use: bool
    """Whether they use another account; if neither, they are at the simulated bank."""
    needs_certificate: bool
    """Whether it is in use, or removed with open charges or returns."""
    key: str
    certificate_days: int | None
    fault: str
    callback_fault: str

    @property
    def is_certificate_ending(self) -> bool:
        """Whether the merchant should get a new certificate now."""
        return self.certificate_days is not None and self.certificate_days < WARNED_DAYS[0]


def view_of(account: ProviderAccount, merchant: Account, work: Work) -> AccountView:
    """What the pages say of the account."""
    try:
        bank = load_profile(account.profile).title
    except ProfileError:
        bank = account.profile
    ends_at = account.certificate_ends_at
    in_use = account_for_new_payment(merchant)
    return AccountView(
        account=account,
        bank=bank,
        is_live=account.environment == Environment.LIVE,
        is_chosen=account.id in (merchant.live_provider_id, merchant.test_provider_id),
        is_in_use=account.id == in_use,
        is_another_in_use=in_use not in (None, NO_NEW_PAYMENTS, account.id),
        needs_certificate=bool(needing_certificates(work, [account])),
        key=mask_key(account.pix_key),
        certificate_days=None if ends_at is None else days_left(ends_at, work.now),
        fault=check_words.fault_sentence(account.fault) if account.fault else "",
        callback_fault=check_words.callback_fault_sentence(account.callback_fault)
        if account.callback_fault
        else "",
    )


@dataclass(frozen=True)
class Fallback:
    """What becomes of new payments while no account at a bank is chosen."""

    sentence: str
    bank_url: str | None = None
    """Of the simulated bank, for people who try test payments."""


def fallback_of(merchant: Account) -> Fallback | None:
    """What the merchant's or test half's new payments use; None if an account is chosen."""
    in_use = account_for_new_payment(merchant)
    if in_use not in (None, NO_NEW_PAYMENTS):
        return None
    settings = current_settings()
    if settings.is_development:
        return Fallback(_("As cobranças usam o banco simulado: nenhum dinheiro se move."))
    bank = settings.bank_to_ask(merchant.is_test_half)
    if merchant.is_test_half and bank is None:
        return Fallback(
            _(
                "Não há banco simulado aqui: quem cuida da instalação liga um com TEST_BANK_URL. "
                "Até lá ninguém paga as cobranças de teste."
            )
        )
    if merchant.is_test_half and bank is not None:
        return Fallback(_("As cobranças de teste usam o banco simulado."), bank.url)
    if in_use == NO_NEW_PAYMENTS:
        return Fallback(_("Cobranças novas são recusadas até você escolher uma conta."))
    if merchant.pix_key is None:
        return Fallback(_("Sem uma conta e sem a sua chave Pix, nenhuma cobrança é criada."))
    if bank is None:
        return Fallback(
            _(
                "O dinheiro das cobranças novas cai na sua chave Pix, mas nenhum banco é "
                "consultado: elas só são confirmadas se um banco avisar esta instalação."
            )
        )
    return Fallback(
        _(
            "O dinheiro das cobranças novas cai na sua chave Pix, e quem confirma é o banco "
            "ligado a esta instalação."
        )
    )


def troubled_accounts(work: Work, merchant: Account) -> list[AccountView]:
    """The merchant's accounts that somebody should look at, for the first page.

    Runs no statement for a merchant whose payments are all at the simulated bank.
    """
    if merchant.live_provider_id is None and merchant.test_provider_id is None:
        return []
    accounts = work.provider_accounts.of_merchant(merchant.id)
    views = [view_of(account, merchant, work) for account in needing_certificates(work, accounts)]
    return [view for view in views if view.fault or view.is_certificate_ending]
