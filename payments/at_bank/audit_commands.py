"""`flask provider audit`: compare the accounts at banks with what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import click
from flask.cli import with_appcontext

from core.errors import BalcaoError
from db_models import ProviderAccount
from payments.at_bank import repairs, returns
from payments.at_bank.audit import AccountAudit, EndlessPages
from payments.at_bank.findings import LISTED_MAX, NOTES, AuditFinding, Findings
from payments.at_bank.log_scan import scan_log
from providers.accounts import provider_of, vault
from providers.commands import table_text
from providers.port import Provider, ProviderAway, ProviderRefusal
from repository.database import now, reading
from web.logs import quiet_logs

DAYS_MAX = 400


@click.command("audit")
@click.argument("account_id", metavar="[ID]", required=False)
@click.option("--days", type=click.IntRange(1, DAYS_MAX), default=7, show_default=True,
              help="How many days back to compare.")  # fmt: skip
@click.option("--repair", is_flag=True,
              help="First book unknown Pix and finish charges, as after a restore.")  # fmt: skip
@click.option("--log", "log_files", multiple=True, type=click.Path(exists=True, dir_okay=False,
              path_type=Path), help="Search this log file for the account's secrets.")  # fmt: skip
@with_appcontext
def audit_accounts(
    account_id: str | None, *, days: int, repair: bool, log_files: tuple[Path, ...]
) -> None:
    """Compare charges, Pix and returns at the bank with what is stored here.

    Without ID: all accounts, the removed ones too. Nothing is changed without --repair. The exit
    code is 1 if a rule is broken or a bank cannot be read.
    """
    accounts = _accounts(account_id)
    if not accounts:
        click.echo("No account yet: `flask provider add` adds one.")
    # Each account is audited, whatever became of the one before.
    sound = [
        _audit_account(one, timedelta(days=days), log_files, repair=repair) for one in accounts
    ]
    if not all(sound):
        raise click.exceptions.Exit(1)


def _accounts(account_id: str | None) -> Sequence[ProviderAccount]:
    with reading() as work:
        if account_id is None:
            return work.provider_accounts.all()
        account = work.provider_accounts.find_by_public_id(account_id)
    if account is None:
        raise click.ClickException("No account has this id: see `flask provider list`.")
    return [account]


def _audit_account(
    account: ProviderAccount, span: timedelta, log_files: Sequence[Path], *, repair: bool
) -> bool:
    """Audit one account and print its table; True if no rule is broken."""
    click.echo(f"{account.public_id} {account.name} ({account.profile}, {account.environment})")
    findings = Findings()
    with quiet_logs():
        unread = _unread(account, span, log_files, findings, repair=repair)
    if unread is not None:
        click.echo(f"  Not all was compared: {unread}")
    if findings.listed:
        _print(findings)
    elif unread is None:
        click.echo("  No broken rule.")
    return unread is None and findings.violations == 0


def _unread(
    account: ProviderAccount,
    span: timedelta,
    log_files: Sequence[Path],
    findings: Findings,
    *,
    repair: bool,
) -> str | None:
    """Compare everything; returns why it was not possible, or None."""
    try:
        for path in log_files:
            scan_log(findings, path, vault().open(account.sealed))
        provider = provider_of(account.id)
        if repair:
            _repair(account, provider, span)
        run = AccountAudit(account, provider, now(), findings)
        run.run(run.end - span)
    except (ProviderAway, ProviderRefusal) as error:
        return f"{type(error).__name__} {error}"
    except EndlessPages:
        return "the pages of the bank's list do not end"
    except BalcaoError as error:
        return f"{error.title}. {error.detail or ''}".rstrip()
    counts = run.counts
    click.echo(
        f"  {span.days} days: {counts.charges} charges, {counts.money} Pix, "
        f"{counts.returns} returns compared"
    )
    return None


def _repair(account: ProviderAccount, provider: Provider, span: timedelta) -> None:
    end = now()
    repaired = repairs.Repairs()
    run = AccountAudit(
        account,
        provider,
        end,
        on_unknown_money=partial(repairs.book_unknown, repaired, account, provider),
        on_returns=partial(returns.book_returns, account.id),
        on_unfinished_charge=partial(repairs.finish_charge, repaired),
    )
    run.run(end - span)
    click.echo(f"  repaired: {repaired.money} Pix booked, {repaired.charges} charges finished")


def _print(findings: Findings) -> None:
    rows = [("", "RULE", "SUBJECT", "DETAIL"), *(_row(one) for one in findings.listed)]
    click.echo(table_text(rows))
    total = sum(findings.counts.values())
    if total > LISTED_MAX:
        click.echo(f"  … and {total - LISTED_MAX} more")
    click.echo(f"  {findings.violations} broken rules, {total - findings.violations} notes")


def _row(finding: AuditFinding) -> tuple[str, str, str, str]:
    mark = "note" if finding.rule in NOTES else "BROKEN"
    return mark, str(finding.rule), finding.subject, finding.detail
