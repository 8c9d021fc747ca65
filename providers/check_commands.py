"""`flask provider check` and `register`: the operator asks the bank."""

from __future__ import annotations

import sys

import click

from core.provider_errors import ProviderSecretsUnreadable
from providers import callbacks, enrolment
from providers.check import COMMAND_SECONDS, CheckLine, StepState, check_account, has_failed
from providers.check_words import (
    callback_fault_sentence,
    fault_sentence,
    sentence,
    step_name,
)
from providers.commands import account_with, commit, merchant_of, provider_cli, table_text
from providers.entry_commands import account_with_or_exit
from providers.port import ProviderAway, ProviderRefusal
from repository.database import Work, reading
from web.logs import quiet_logs
from web.pages import in_language

_MARKS = {
    StepState.GOOD: "ok",
    StepState.WARNING: "WARN",
    StepState.BAD: "FAIL",
    StepState.UNTRIED: "----",
}


@provider_cli.command("check")
@click.argument("account_id", metavar="ID")
def check(account_id: str) -> None:
    """Try what account ID needs of its bank; exit with status 1 if something does not work.

    It ends within a minute and changes nothing at the bank.
    """
    with reading() as work:
        account = account_with_or_exit(work, account_id)
    with quiet_logs():
        lines = check_account(account, COMMAND_SECONDS)
    click.echo(check_table(lines))
    if has_failed(lines):
        sys.exit(1)


def check_table(lines: list[CheckLine]) -> str:
    """The lines of a check in English."""
    with in_language("en"):
        rows = [(_MARKS[line.state], step_name(line.step), sentence(line)) for line in lines]
    return table_text(rows)


@provider_cli.command("new-callback")
@click.argument("account_id", metavar="ID")
@click.option("--end-old", is_flag=True, help="Refuse the address before now, and make no new one.")
def new_callback(account_id: str, *, end_old: bool) -> None:
    """Give the callbacks of account ID a new address, for example after the old one has leaked.

    The old address is accepted until the bank is seen to have the new one.
    """

    def do(work: Work) -> bool:
        account = account_with(work, account_id)
        merchant = merchant_of(work, account)
        if end_old:
            return enrolment.end_previous_callback(work, merchant, account)
        enrolment.renew_callback(work, merchant, account)
        return True

    is_done = commit(do)
    if end_old:
        ended = "The old address is refused from now on; a process may need 10 seconds."
        click.echo(ended if is_done else "There is no old address.")
        return
    with reading() as work:
        account = account_with(work, account_id)
    click.echo(
        f"Callbacks  {enrolment.callback_url(account)}\n\n"
        "The old address works until the bank has this one. Next:\n"
        f"  flask provider register {account_id}\n"
        "If this bank takes the address in its portal only, enter it there, then:\n"
        f"  flask provider new-callback {account_id} --end-old"
    )


@provider_cli.command("register")
@click.argument("account_id", metavar="ID")
def register(account_id: str) -> None:
    """Register the address of account ID's callbacks at its bank, and read it back."""
    with reading() as work:
        account = account_with_or_exit(work, account_id)
    try:
        with quiet_logs():
            fault = callbacks.register(account)
    except ProviderSecretsUnreadable as error:
        raise click.ClickException(error.detail) from None
    except (ProviderAway, ProviderRefusal) as error:
        with in_language("en"):
            raise click.ClickException(fault_sentence(error.code)) from None
    commit(lambda work: enrolment.note_registration(work, merchant_of(work, account), account))
    if fault is not None:
        with in_language("en"):
            raise click.ClickException(callback_fault_sentence(fault))
    click.echo("Registered: the bank has the address of this account.")
