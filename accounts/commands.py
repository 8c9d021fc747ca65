"""`flask accounts …` and `flask merchant …`: manage accounts and API keys at the terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup

from accounts import halves, passwords, service
from accounts.keys import SCOPES
from accounts.schemas import LOGIN_PATTERN
from core.errors import BalcaoError, InvalidRequest, LoginTaken, NotFound
from core.pix import br_code
from core.pix.br_code import BrCodeError
from core.pix.pix_key import normalise
from core.typed import caseless, plain_text
from db_models.account import ADMIN, MERCHANT, PAYER
from repository.database import LostRace, Work, in_unit_of_work

_LOGIN = re.compile(LOGIN_PATTERN[1:-1], re.ASCII)

merchant = AppGroup("merchant", help="Merchants and their API keys.")
accounts = AppGroup("accounts", help="Accounts of every role, and their passwords.")

_from_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the standard input."
)


def register(app: Flask) -> None:
    """Add the commands to `flask`."""
    app.cli.add_command(merchant)
    app.cli.add_command(accounts)


@accounts.command("create")
@click.argument("login")
@click.option("--role", type=click.Choice([MERCHANT, PAYER, ADMIN]), default=MERCHANT)
@click.option("--name", default=None, help="The name that shoppers and banks see.")
@click.option("--email", default=None)
@_from_stdin
def create(login: str, role: str, password_stdin: bool, **fields: str | None) -> None:
    """Create an account that signs in with a password."""
    login = _new_login(login)
    password_hash = passwords.hash_password(_read_password(password_stdin))
    _commit(
        lambda work: service.create(
            work,
            login=login,
            role=role,
            password_hash=password_hash,
            name=fields["name"],
            email=fields["email"],
        )
    )
    click.echo(f"The {role} {login} can sign in.")


@accounts.command("password")
@click.argument("login")
@_from_stdin
def password(login: str, password_stdin: bool) -> None:
    """Set a new password for LOGIN and end all its sessions."""
    new_hash = passwords.hash_password(_read_password(password_stdin))

    def change(work: Work) -> int:
        account = work.accounts.by_login(login)
        return service.set_password(work, account, account.password_hash, new_hash)

    click.echo(f"The password of {login} was changed; {_commit(change)} sessions ended.")


@accounts.command("disable")
@click.argument("login")
def disable(login: str) -> None:
    """Refuse every credential of LOGIN at once, in every process."""
    _commit(lambda work: service.disable(work, work.accounts.by_login(login)))
    click.echo(f"{login} is disabled.")


@accounts.command("enable")
@click.argument("login")
def enable(login: str) -> None:
    """Undo `disable`: LOGIN can sign in and its keys work; its sessions stay ended."""
    _commit(lambda work: service.enable(work, work.accounts.by_login(login)))
    click.echo(f"{login} can sign in again.")


@merchant.command("add")
@click.argument("login")
@click.option("--name", required=True, help="The name that shoppers and banks see.")
@click.option("--city", required=True)
@click.option("--pix-key", required=True, help="CPF, CNPJ, phone, e-mail or random key.")
@click.option("--shop-url", default=None, help="The address that *Voltar para a loja* opens.")
@click.option("--support-url", default=None, help="The address that *Falar com a loja* opens.")
@click.option("--grace-seconds", default=0, type=click.IntRange(0, 3600))
def add(login: str, pix_key: str, name: str, city: str, **fields: Any) -> None:
    """Add a merchant without a password, and show its first API key, once."""
    login = _new_login(login)
    try:
        canonical = normalise(pix_key)
        # Otherwise each payment would fail for a name or a city that no BR Code can hold.
        br_code.encode_static(canonical, name, city)
    except InvalidRequest as error:
        raise click.ClickException(f"The Pix key {error.detail}") from None
    except BrCodeError as error:
        raise click.ClickException(f"Name or city: {error.detail}") from None

    def make(work: Work) -> str:
        account = service.create(
            work,
            login=login,
            role=MERCHANT,
            password_hash=None,
            name=name,
            city=city,
            pix_key=canonical,
            **fields,
        )
        return service.make_key(work, account, "first", tuple(SCOPES), by=None)[1]

    click.echo(_commit(make))


@merchant.command("key")
@click.argument("login")
@click.option("--label", default="api", help="What the key is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(tuple(SCOPES)),
    help="A scope of the key; repeat for more. Default: all scopes.",
)
@click.option(
    "--test", "is_test", is_flag=True, help="Make a test key, whose payments move no real money."
)
def key(login: str, label: str, scopes: Sequence[str], *, is_test: bool) -> None:
    """Make another API key for LOGIN and show it, once."""

    def make(work: Work) -> str:
        account = work.accounts.by_login(login)
        if account.role != MERCHANT:
            raise NotFound(f"{login} is not a merchant: only merchants have API keys.")
        if is_test and halves.is_live(account):
            account = halves.ensure_test_half(work, account)
        return service.make_key(work, account, label, tuple(scopes) or tuple(SCOPES), by=None)[1]

    click.echo(_commit(make))


def _new_login(text: str) -> str:
    """The login in the spelling that is stored. Raises ClickException."""
    if not _LOGIN.fullmatch(plain_text(text)):
        raise click.ClickException(
            "LOGIN must be 1 to 64 letters, digits and . _ - @ +, beginning with a letter or digit."
        )
    return caseless(text)


def _read_password(from_stdin: bool) -> str:
    """Read a password from a pipe, or ask for it twice at the terminal without an echo."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    if not passwords.CHARACTERS_MIN <= len(password) <= passwords.CHARACTERS_MAX:
        raise click.ClickException(
            f"A password has {passwords.CHARACTERS_MIN} to {passwords.CHARACTERS_MAX} characters."
        )
    return str(password)


def _commit(do: Any) -> Any:
    """Run one unit of work; print an error as one sentence."""
    try:
        return in_unit_of_work(do, attempts=1)
    except LoginTaken as error:
        raise click.ClickException(error.detail) from None
    except LostRace:
        raise click.ClickException("Another account already has this login or key.") from None
    except BalcaoError as error:
        raise click.ClickException(error.detail) from None
