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
from providers.commands import commit, merchant_of, provider_cli, table_text
from providers.entry_commands import account_with_or_exit
from providers.port import ProviderAway, ProviderRefusal
from repository.database import reading
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
