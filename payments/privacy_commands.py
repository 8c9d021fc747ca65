"""`flask privacy export` and `flask privacy erase`: one person's data (LGPD, article 18)."""

from __future__ import annotations

import json
import re

import click
from flask import Flask
from flask.cli import AppGroup

from accounts import privacy as account_privacy
from core.errors import BalcaoError
from core.typed import identifier, plain_text, with_plain_hyphens
from payments.privacy import erase_payer, export_payer
from repository.database import Work, in_unit_of_work, reading

privacy = AppGroup("privacy", help="The data of one person: export it, erase it.")

_person = click.argument("person")
_by_login = click.option(
    "--login", "is_login", is_flag=True, help="PERSON is the login of an account."
)
_LABEL = re.compile(r"\A(?:CPF:?(?=[0-9]{11}\Z)|CNPJ:?(?=[0-9A-Z]{14}\Z))")
_SEPARATORS = re.compile(r"[.\-/\s]")


def register(app: Flask) -> None:
    """Add the commands to `flask`."""
    app.cli.add_command(privacy)


@privacy.command("export")
@_person
@_by_login
def export(person: str, is_login: bool) -> None:
    """Print as JSON what is stored about PERSON: a CPF, a CNPJ, an end-to-end id, or a login."""
    try:
        with reading() as work:
            data = (
                account_privacy.export_account(work, person)
                if is_login
                else export_payer(work, _identifier(person))
            )
    except BalcaoError as error:
        raise click.ClickException(error.detail) from None
    click.echo(json.dumps(data, ensure_ascii=False, indent=2))


@privacy.command("erase")
@_person
@_by_login
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(person: str, is_login: bool, yes: bool) -> None:
    """Erase PERSON's name and document; amounts, times and ids stay. It cannot be undone."""
    if not yes:
        click.confirm(f"Erase the personal data of {person}?", abort=True)

    def work_on(work: Work) -> int:
        if is_login:
            return account_privacy.erase_account(work, person)
        return erase_payer(work, _identifier(person))

    try:
        rows = in_unit_of_work(work_on)
    except BalcaoError as error:
        raise click.ClickException(error.detail) from None
    click.echo(f"Erased: {rows} rows." if rows else "Nothing is stored about this person.")


def _identifier(person: str) -> str:
    """A CPF or CNPJ without its dots; an end-to-end id in its one spelling.

    A bank may give an id of another form, so any other text is looked for as it is.
    """
    bare = _SEPARATORS.sub("", with_plain_hyphens(plain_text(person))).upper()
    bare = _LABEL.sub("", bare)
    return bare if len(bare) in (11, 14) else identifier(person)
