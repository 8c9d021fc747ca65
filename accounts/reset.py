"""Forgotten passwords: a link by e-mail, valid for half an hour and for one new password.

The link holds a signed token with the account's public id and a fingerprint of the present password
hash, so that it is void as soon as the password has changed. Nothing is stored.
"""

from __future__ import annotations

import hashlib
from typing import Any

from itsdangerous import BadData

from accounts import passwords, service
from accounts.tokens import read_signed
from config import current_settings
from core.errors import Gone, TooManyRequests
from core.signing.timed_texts import TimedTexts
from db_models import Account, MailKind
from mail.outgoing import write_mail
from repository.database import Work, in_unit_of_work, reading
from web.limits import client_network, limits, per_seconds, register_limit
from web.pages import translate as _

TOKEN_SECONDS = 1800
TOKEN_CHARACTERS_MAX = 300
LIMIT = register_limit("password-reset")
PER_NETWORK, PER_ACCOUNT = per_seconds(10, 3600), per_seconds(3, 3600)
PER_RECIPIENT = per_seconds(10, 86_400)
"""A stranger can open many accounts with one e-mail that is not theirs."""
ACCOUNTS_MAX = 3
"""The number of accounts of one e-mail address that get a link."""


def request_link(login_or_email: str) -> None:
    """Send a link to the account's e-mail, if there is such an account and it has one.

    The caller cannot tell which. Raises TooManyRequests for the network; the bounds of an account
    and of an e-mail are silent, or they would tell that the account exists.
    """
    wait = limits().take(PER_NETWORK, "reset", client_network())
    if wait is not None:
        limits().count(LIMIT)
        raise TooManyRequests(wait)

    def write(work: Work) -> None:
        for account in work.accounts.for_password_reset(login_or_email, ACCOUNTS_MAX):
            if _take_limits(account):
                _write_link(work, account)

    in_unit_of_work(write, attempts=1)


def _take_limits(account: Account) -> bool:
    """Whether the account and its e-mail may get another link."""
    return all(
        limits().take(limit, name, value) is None
        for limit, name, value in (
            (PER_ACCOUNT, "reset-account", account.public_id),
            (PER_RECIPIENT, "reset-recipient", account.email or ""),
        )
    )


def check_token(token: str) -> Account:
    """The account that may set a new password by this link. Raises Gone."""
    with reading() as work:
        return _account_of(work, token)


def set_new_password(token: str, password: str) -> Account:
    """Set the new password and end every session. Raises Gone if the link is used or too old."""
    new_hash = passwords.hash_password(password)

    def change(work: Work) -> Account:
        account = _account_of(work, token)
        service.set_password(work, account, account.password_hash, new_hash)
        return account

    return in_unit_of_work(change)


def _write_link(work: Work, account: Account) -> None:
    token = _serializer().dumps([account.public_id, _fingerprint(account)])
    url = f"{current_settings().public_url}/reset/{token}"
    body = _(
        "Alguém pediu uma senha nova para o usuário %(login)s.\n\n"
        "Para escolher a senha nova, abra este endereço em até 30 minutos:\n%(url)s\n\n"
        "Se não foi você, não faça nada: a senha continua a mesma."
    ) % {"login": account.login, "url": url}
    write_mail(work, MailKind.PASSWORD_RESET, account.email or "", _("Senha nova no Balcão"), body)


def _account_of(work: Work, token: str) -> Account:
    refusal = Gone("This link was used already, or is older than 30 minutes.")
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise refusal
    try:
        content: Any = read_signed(_serializer(), token, TOKEN_SECONDS)
        public_id, fingerprint = str(content[0]), str(content[1])
    except (BadData, LookupError, TypeError):
        raise refusal from None
    account = work.accounts.find_by_public_id(public_id)
    if account is None or account.disabled_at is not None or fingerprint != _fingerprint(account):
        raise refusal
    return account


def _fingerprint(account: Account) -> str:
    return hashlib.sha256((account.password_hash or "").encode()).hexdigest()[:16]


def _serializer() -> TimedTexts:
    return TimedTexts(current_settings().secret_key, salt="balcao password reset")
