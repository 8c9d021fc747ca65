"""Warn of client certificates that end soon: in the log, by e-mail and, from the row, on pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog

from config import current_parts, current_settings
from db_models import MailKind, ProviderAccount
from mail.outgoing import can_send, write_mail
from repository.database import Work, in_unit_of_work, reading

log = structlog.get_logger()

WARNED_DAYS = (30, 7, 1, 0)
"""Days before the end at which a warning is due; 0 is the end itself."""
_DAY = timedelta(days=1)


def days_left(ends_at: datetime, now: datetime) -> int:
    """Whole days until the end: 0 on the last day, negative after it."""
    return (ends_at - now) // _DAY


def due_warning(account: ProviderAccount, now: datetime) -> int | None:
    """The member of WARNED_DAYS that is due for the account and was not given; None for none.

    Whether the account still needs its certificate says `needing_certificates`.
    """
    if account.certificate_ends_at is None:
        return None
    remaining = account.certificate_ends_at - now
    reached = [days for days in WARNED_DAYS if remaining <= days * _DAY]
    if not reached:
        return None
    warning = reached[-1]
    return warning if account.warned_days is None or warning < account.warned_days else None


def needing_certificates(work: Work, accounts: Sequence[ProviderAccount]) -> list[ProviderAccount]:
    """Those in use, and the removed ones with open charges or returns; one statement more."""
    removed = [account.id for account in accounts if account.removed_at is not None]
    open_rows = work.provider_accounts.with_open_work(removed)
    return [one for one in accounts if one.removed_at is None or one.id in open_rows]


def warn() -> int:
    """Give each warning that is due, once in all processes; returns how many were given."""
    with reading() as work:
        accounts = needing_certificates(work, work.provider_accounts.all())
        due = [one for one in accounts if due_warning(one, work.now) is not None]
    return sum(in_unit_of_work(partial(_warn_of, row=account.id)) for account in due)


def _warn_of(work: Work, row: int) -> int:
    account = work.provider_accounts.find(row)
    days = None if account is None else due_warning(account, work.now)
    if account is None or days is None or account.certificate_ends_at is None:
        return 0
    if not work.provider_accounts.note_warning(row, days):
        return 0  # another process was first
    merchant = work.accounts.find(account.merchant_id)
    if merchant is not None and merchant.email and merchant.disabled_at is None and can_send():
        subject, body = _message(account, account.certificate_ends_at, work.now)
        write_mail(work, MailKind.PROVIDER_NOTICE, merchant.email, subject, body)
    log.warning(
        "provider.certificate_ends",
        account=account.public_id,
        profile=account.profile,
        days=days_left(account.certificate_ends_at, work.now),
    )
    return 1


def _message(account: ProviderAccount, ends_at: datetime, now: datetime) -> tuple[str, str]:
    """In Portuguese: a job has no language of the merchant."""
    days, day = days_left(ends_at, now), f"{ends_at:%d/%m/%Y}"
    if ends_at <= now:
        subject = f"O certificado da conta {account.name} venceu"
        fact = f"O certificado venceu em {day}. Sem ele, o banco recusa cobranças e devoluções."
    else:
        when = "em menos de um dia" if days < 1 else f"em {days} dia{'s' if days > 1 else ''}"
        subject = f"O certificado da conta {account.name} vence {when}"
        fact = f"O certificado vence em {day}. Depois disso, o banco recusa cobranças e devoluções."
    address = f"{current_settings().public_url}/portal/provider/{account.public_id}"
    lines = [fact, "", "Emita um novo no banco e troque aqui, sem parar a loja:", address]
    return subject, "\n".join(lines)


def measure() -> None:
    """Set the gauges of the accounts that need certificates. Raises DatabaseUnavailable."""
    with reading() as work:
        accounts = needing_certificates(work, work.provider_accounts.all())
    gauges = current_parts().metrics.provider_accounts
    gauges.forget_others({account.public_id for account in accounts})
    for account in accounts:
        gauges.fault.labels(account.public_id).set(account.fault is not None)
        if account.certificate_ends_at is not None:
            remaining = (account.certificate_ends_at - work.now) / _DAY
            gauges.certificate_days.labels(account.public_id).set(remaining)
        if account.answered_at is not None:
            age = max((work.now - account.answered_at).total_seconds(), 0)
            gauges.answer_age.labels(account.public_id).set(age)
