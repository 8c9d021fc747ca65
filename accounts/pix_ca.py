"""The files of mutual TLS in development, and `flask pix-ca`, which makes and registers them.

In TLS_DIR: the certificate authority (`ca.pem`, `ca-key.pem`), the service's certificate
(`server.pem`, `server-key.pem`), and in `clients/` what each client needs. Every file is private to
its owner, because all but three hold a key.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import click
from cryptography import x509
from flask import Flask
from flask.cli import AppGroup

from accounts import oauth_clients
from config import ConfigurationError, Settings, clock_of, current_settings
from core.errors import NotFound
from core.signing import development_ca
from core.signing.development_ca import Identity
from repository.database import Work, in_unit_of_work

_RENEWED_BEFORE = timedelta(days=30)
_PEM_BYTES_MAX = 65_536

pix_ca_cli = AppGroup("pix-ca", help="Certificates of mutual TLS for API Pix, in development.")


def register_commands(app: Flask) -> None:
    """Add `flask pix-ca`."""
    app.cli.add_command(pix_ca_cli)


def ensure_tls_files(settings: Settings) -> Identity:
    """Make the CA and the service's certificate if they are missing or about to expire.

    Raises ConfigurationError if a file cannot be read or written.
    """
    folder, now = settings.tls_folder, clock_of(settings).now()
    try:
        ca = _stored(folder, "ca")
        if ca is None:
            ca = development_ca.new_ca(now)
            _write_identity(folder, "ca", ca)
        server = _stored(folder, "server")
        if server is None or not _serves(server, ca, _hosts(settings), now):
            server = development_ca.new_server(ca, _hosts(settings), now)
            _write_identity(folder, "server", server)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{folder}: {error}.") from None
    return ca


def ensure_demo_certificate(settings: Settings) -> None:
    """Make and register the demo client's certificate, unless its files are there.

    Raises ConfigurationError.
    """
    client_id = settings.demo_client_id
    file = client_file(settings, client_id, "crt")
    if file.exists():
        thumbprint = development_ca.thumbprint_of_pem(file.read_bytes())
    else:
        thumbprint = _issue_files(settings, client_id, "")
    in_unit_of_work(lambda work: oauth_clients.set_certificate(work, client_id, thumbprint))


def client_file(settings: Settings, client_id: str, ending: str) -> Path:
    """A file of a client: `crt`, `key`, `pem` (both) or `p12`."""
    return settings.tls_folder / "clients" / f"{client_id}.{ending}"


@pix_ca_cli.command("init")
def init() -> None:
    """Make the certificate authority and the service's certificate in TLS_DIR."""
    settings = current_settings()
    _try(lambda: ensure_tls_files(settings))
    click.echo(f"CA and server certificate are in {settings.tls_folder}.")


@pix_ca_cli.command("issue")
@click.argument("client_id")
@click.option("--password", default="", help="Encrypt the .p12 file with this password.")
def issue(client_id: str, password: str) -> None:
    """Make a certificate for a client of API Pix, and register it."""
    settings = current_settings()
    _require_client(client_id)
    thumbprint = _try(lambda: _issue_files(settings, client_id, password))
    _register(client_id, thumbprint)
    for ending in ("pem", "crt", "key", "p12"):
        click.echo(client_file(settings, client_id, ending))


@pix_ca_cli.command("register")
@click.argument("client_id")
@click.argument("certificate", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def register(client_id: str, certificate: Path) -> None:
    """Register a certificate of another CA, as PEM, for a client of API Pix."""
    _require_client(client_id)
    try:
        with certificate.open("rb") as file:
            thumbprint = development_ca.thumbprint_of_pem(file.read(_PEM_BYTES_MAX))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{certificate}: {error}") from None
    _register(client_id, thumbprint)
    click.echo(f"Registered the certificate with x5t#S256 {thumbprint}.")


def _try(do: object) -> str:
    try:
        return str(do())  # type: ignore[operator]  # a function of no arguments
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None


def _require_client(client_id: str) -> None:
    """Refuse an unknown client before any file is written under its name."""

    def find(work: Work) -> None:
        if work.oauth_clients.find(client_id) is None:
            raise NotFound(f"There is no client {client_id}.")

    _commit(find)


def _register(client_id: str, thumbprint: str) -> None:
    _commit(lambda work: oauth_clients.set_certificate(work, client_id, thumbprint))


def _commit(do: object) -> None:
    try:
        in_unit_of_work(do)  # type: ignore[arg-type]  # a function of the unit of work
    except NotFound as error:
        raise click.ClickException(error.detail) from None


def _issue_files(settings: Settings, client_id: str, password: str) -> str:
    """Write a new certificate's files; return its thumbprint. Raises ConfigurationError."""
    ca = ensure_tls_files(settings)
    identity = development_ca.new_client(ca, client_id, clock_of(settings).now())
    try:
        for ending, data in (
            ("key", identity.key_pem),
            ("pem", identity.certificate_pem + identity.key_pem),
            ("p12", identity.pfx(client_id, password)),
            ("crt", identity.certificate_pem),  # the last one: with it the files are complete
        ):
            _write_private(client_file(settings, client_id, ending), data)
    except OSError as error:
        raise ConfigurationError(f"{settings.tls_folder}: {error}.") from None
    return development_ca.thumbprint_of_pem(identity.certificate_pem)


def _stored(folder: Path, name: str) -> Identity | None:
    files = (folder / f"{name}.pem", folder / f"{name}-key.pem")
    if not all(file.exists() for file in files):
        return None
    return development_ca.load_identity(*(file.read_bytes() for file in files))


def _serves(server: Identity, ca: Identity, hosts: list[str], now: datetime) -> bool:
    """Whether the certificate is of this CA, names these hosts and stays valid for a while."""
    certificate = server.certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    stored_names = {*names.get_values_for_type(x509.DNSName)}
    stored_names |= {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    try:
        certificate.verify_directly_issued_by(ca.certificate)
    except Exception:  # a signature of another key; cryptography names several errors
        return False
    is_fresh = certificate.not_valid_after_utc - now > _RENEWED_BEFORE
    return is_fresh and set(hosts) <= stored_names


def _hosts(settings: Settings) -> list[str]:
    """The names and addresses at which the service may be reached."""
    public = urlsplit(settings.public_url).hostname or "localhost"
    return [*dict.fromkeys(["localhost", "127.0.0.1", "::1", public])]


def _write_identity(folder: Path, name: str, identity: Identity) -> None:
    _write_private(folder / f"{name}-key.pem", identity.key_pem)
    _write_private(folder / f"{name}.pem", identity.certificate_pem)


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner reads, as a whole: readers see the old file or the new."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
