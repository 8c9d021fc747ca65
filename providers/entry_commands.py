"""`flask provider add`, `renew` and `profiles`: what the operator enters at the terminal."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from core.errors import NotFound
from db_models import Environment, ProviderAccount
from db_models.account import MERCHANT
from providers import enrolment
from providers.accounts import account_for_new_payment, vault
from providers.api_pix.profiles import (
    BankRules,
    ProfileError,
    all_profiles,
    load_profile,
    profile_names,
)
from providers.commands import account_with, commit, merchant_of, provider_cli, table_text
from providers.entry import (
    FILE_BYTES_MAX,
    EntryRefused,
    TypedAccount,
    TypedCredentials,
    check_new,
    check_renewal,
)
from repository.database import Work, reading

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


def _credential_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `add` and `renew` share; no secret has to be on the command line."""
    options = (
        click.option("--client-id", default="", help="The id that the bank gave to your program."),
        click.option(
            "--client-secret",
            default="",
            envvar="PROVIDER_CLIENT_SECRET",
            help="Better in the variable PROVIDER_CLIENT_SECRET, or by the next option.",
        ),
        click.option("--client-secret-file", type=_file, help="A file that has only the secret."),
        click.option("--certificate", type=_file, help="A PFX (.p12, .pfx) or PEM file."),
        click.option("--certificate-key", type=_file, help="The key, if it has its own file."),
        click.option(
            "--certificate-password",
            default="",
            envvar="PROVIDER_CERTIFICATE_PASSWORD",
            help="Better in the variable PROVIDER_CERTIFICATE_PASSWORD, or by the next option.",
        ),
        click.option("--certificate-password-file", type=_file),
        click.option("--ca", type=_file, help="The bank's own authorities, as PEM."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@provider_cli.command("profiles")
def profiles() -> None:
    """List the banks whose dialect is known, and what nobody has tried."""
    for name, profile in all_profiles().items():
        click.echo(f"{name}: {profile.title}\n  {profile.untried}")
        for one in profile.client_fields:
            needed = "required" if one.required else "optional"
            click.echo(f"  --set {one.name}=…  {one.label_en} ({needed})")
        if profile.sandbox_pay.text:
            click.echo(f"  To pay a test charge: {profile.sandbox_pay.text}")
        if profile.callback.addresses:
            click.echo(f"  It calls from: {', '.join(profile.callback.addresses)}")
        if profile.callback.ca_hint:
            click.echo(f"  Authority of its callbacks' certificate: {profile.callback.ca_hint}")


@provider_cli.command("add")
@click.option("--merchant", "login", required=True, metavar="LOGIN")
@click.option("--profile", required=True, help="One of `flask provider profiles`.")
@click.option("--environment", type=click.Choice([str(one) for one in Environment]), required=True)
@click.option("--key", "pix_key", required=True, help="The Pix key that receives the money.")
@click.option("--name", default="", help="How the merchant calls the account.")
@click.option("--base-url", default="", help="In place of the profile's address.")
@click.option("--token-url", default="", help="In place of the profile's address of tokens.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
              help="A field of the profile; repeat for more.")  # fmt: skip
@click.option("--rule", "rules", multiple=True, metavar="NAME=VALUE",
              help="In place of the profile's value, such as rate=10; may repeat.")  # fmt: skip
@_credential_options
def add(login: str, profile: str, environment: str, settings: tuple[str, ...], **rest: Any) -> None:
    """Add an account at a bank, and use it for the merchant's new payments."""
    try:
        asks_secret = load_profile(profile).token_style != "form_nosecret"  # noqa: S105 - a form
    except ProfileError:
        raise click.ClickException(
            f"There is no such profile. Known are: {', '.join(profile_names())}."
        ) from None
    extra = dict(_pair(text, "--set") for text in settings)
    rules = dict(_rule(text) for text in rest.pop("rules"))
    typed_fields = {name: rest.pop(name) for name in ("pix_key", "name", "base_url", "token_url")}
    credentials = _typed_credentials(asks_secret=asks_secret, **rest)
    entry = TypedAccount(
        profile, environment, credentials=credentials, extra=extra, rules=rules, **typed_fields
    )
    try:
        new = check_new(entry)
    except EntryRefused as refused:
        raise click.ClickException(_sentences(refused)) from None

    def do(work: Work) -> ProviderAccount:
        merchant = work.accounts.by_login(login)
        if merchant.role != MERCHANT:
            raise NotFound(f"{login} is not a merchant.")
        return enrolment.add(work, merchant, new)

    account = commit(do)
    click.echo(
        table_text(
            [
                ("Account", account.public_id),
                ("Callbacks", enrolment.callback_url(account, vault())),
                ("Bank", f"{profile}, {environment}"),
            ]
        )
    )
    click.echo(
        f"\n{_use_sentence(account)} Next:\n"
        f"  flask provider check {account.public_id}\n"
        f"  flask provider register {account.public_id}\n"
        "Keep the address of callbacks secret: anybody who knows it can make this service ask "
        "the bank."
    )


def _use_sentence(account: ProviderAccount) -> str:
    """Whether new payments use the account, and which payments these are."""
    with reading() as work:
        half = merchant_of(work, account)
    if account_for_new_payment(half) != account.id:
        return "The merchant's new payments use the account of the other environment."
    if half.is_test_half:
        return "New payments of the merchant's test mode use it from now on."
    return "The merchant's new payments use it from now on."


@provider_cli.command("renew")
@click.argument("account_id", metavar="ID")
@_credential_options
def renew(account_id: str, **rest: Any) -> None:
    """Replace credentials of account ID, such as a certificate; what is left out stays."""
    with reading() as work:
        account_with_or_exit(work, account_id)
    try:
        fresh = check_renewal(_typed_credentials(asks_secret=False, **rest))
    except EntryRefused as refused:
        raise click.ClickException(_sentences(refused)) from None

    def do(work: Work) -> None:
        current = account_with(work, account_id)
        enrolment.renew(work, merchant_of(work, current), current, fresh)

    commit(do)
    click.echo("Renewed; all processes use it from their next call on.")


def account_with_or_exit(work: Work, account_id: str) -> ProviderAccount:
    """The account with this id; ends the command with a sentence if there is none."""
    try:
        return account_with(work, account_id)
    except NotFound as error:
        raise click.ClickException(error.detail) from None


def _typed_credentials(
    *,
    asks_secret: bool,
    client_id: str,
    client_secret: str,
    client_secret_file: Path | None,
    certificate: Path | None,
    certificate_key: Path | None,
    certificate_password: str,
    certificate_password_file: Path | None,
    ca: Path | None,
) -> TypedCredentials:
    """The credentials from options, files and variables; asks for a secret that is missing."""
    secret = client_secret or _line(client_secret_file)
    if asks_secret and not secret:
        secret = click.prompt("Client secret", hide_input=True)
    return TypedCredentials(
        client_id=client_id,
        client_secret=secret,
        certificate=_bytes(certificate),
        certificate_key=_bytes(certificate_key),
        certificate_password=certificate_password or _line(certificate_password_file),
        authorities=_bytes(ca),
    )


def _bytes(path: Path | None) -> bytes:
    """The file, or a part that is already too large."""
    if path is None:
        return b""
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}.") from None


def _line(path: Path | None) -> str:
    try:
        return _bytes(path).decode().strip("\r\n")
    except UnicodeDecodeError:
        raise click.ClickException(f"{path} is not UTF-8.") from None


def _pair(text: str, option: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise click.ClickException(f"Write {option} NAME=VALUE.")
    return name, value


def _rule(text: str) -> tuple[str, Any]:
    """A value of the profile as TOML writes it; a text needs no quotes."""
    name, value = _pair(text, "--rule")
    if name not in BankRules.model_fields:
        names = ", ".join(BankRules.model_fields)
        raise click.ClickException(f"--rule: no profile has {name[:32]!r}, but {names}.")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


_OPTIONS = {
    "pix_key": "--key",
    "authorities": "--ca",
}


def _sentences(refused: EntryRefused) -> str:
    """One line for each fault, with the option that it is about."""
    lines = []
    for fault in refused.faults:
        if fault.field.startswith("extra."):
            option = f"--set {fault.field.removeprefix('extra.')}"
        else:
            option = _OPTIONS.get(fault.field, f"--{fault.field.replace('_', '-')}")
        lines.append(f"{option}: {fault.detail}")
    return "\n".join(lines)
