"""The bank's settings, and the only place that knows their names in the environment."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from core.runtime import secret_rules
from core.runtime.local_address import local_url
from core.runtime.secret_files import read_or_create
from core.runtime.text_files import UnreadableFile, read_env_file, read_text
from core.signing import signatures

ROOT = Path(__file__).resolve().parents[1]

DEFAULT_ISPB = "99999004"
"""An invented ISPB, which no participant of Pix has."""

DEFAULT_PORT = 5001

_ISPB = re.compile(r"[0-9A-Z]{8}", re.ASCII)
_LANGUAGES = ("pt-BR", "en")
_SECRET_KEY_CHARS_MIN = 32
_PORT_MAX = 65_535
_REFUND_DELAY_MAX = 86_400
_RETRY_MIN, _RETRY_MAX = 60, 86_400


class BankSettingsError(ValueError):
    """A setting is missing or wrong; the message names it."""


@dataclass(frozen=True)
class BankSettings:
    """The bank's configuration.

    `service_url` is the base URL of the service, without a trailing slash. `participant_hosts` maps
    the host of a location or key set, as codes contain it (`127.0.0.1:5000`), to the base URL to
    fetch from; other hosts are refused. `ispb` is part of the bank's identifiers. A bank that runs
    by itself listens on `host` and `port`. A refund stays *processing* for `refund_delay_seconds`.
    A payment goes back after `retry_seconds` of answers that decide nothing, such as 401.
    The bank never signs with `webhook_secret_previous`; only the signature doctor uses it.
    `demo` opens the demo clients' accounts and lets the service's robot pay. `has_chaos` adds the
    pages and routes of mixes, bursts and the signature doctor, which need `demo` and a private
    address. Cookies are sent by https alone if `has_secure_cookies`; None: if `service_url` is.
    """

    database_url: str
    webhook_secret: str
    service_url: str
    secret_key: str
    participant_hosts: Mapping[str, str]
    ispb: str = DEFAULT_ISPB
    language: str = "pt-BR"
    demo: bool = True
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    refund_delay_seconds: int = 0
    webhook_secret_previous: str | None = None
    retry_seconds: int = _RETRY_MAX
    has_chaos: bool = True
    has_secure_cookies: bool | None = None

    def __post_init__(self) -> None:
        """Validate and normalise the values. Raises BankSettingsError."""
        if not self.database_url:
            raise BankSettingsError("BANK_DATABASE_URL is missing.")
        if not signatures.is_secret(self.webhook_secret):
            raise BankSettingsError(
                "BANK_WEBHOOK_SECRET must be whsec_ and base64 of at least 24 bytes."
            )
        if len(self.secret_key) < _SECRET_KEY_CHARS_MIN:
            raise BankSettingsError(
                f"BANK_SECRET_KEY must have at least {_SECRET_KEY_CHARS_MIN} characters."
            )
        if not self.demo:
            self._refuse_weak_secrets()
        if not _ISPB.fullmatch(self.ispb):
            raise BankSettingsError("BANK_ISPB must be 8 digits or capital letters.")
        if self.language not in _LANGUAGES:
            raise BankSettingsError(f"BANK_LANGUAGE must be one of {', '.join(_LANGUAGES)}.")
        if not 1 <= self.port <= _PORT_MAX:
            raise BankSettingsError(f"BANK_PORT must be a number from 1 to {_PORT_MAX}.")
        if not 0 <= self.refund_delay_seconds <= _REFUND_DELAY_MAX:
            raise BankSettingsError(
                f"BANK_REFUND_DELAY_SECONDS must be a number from 0 to {_REFUND_DELAY_MAX}."
            )
        if not _RETRY_MIN <= self.retry_seconds <= _RETRY_MAX:
            raise BankSettingsError(
                f"BANK_RETRY_SECONDS must be a number from {_RETRY_MIN} to {_RETRY_MAX}."
            )
        object.__setattr__(self, "service_url", _base_url("PUBLIC_URL", self.service_url))
        hosts = {
            host.strip().lower(): _base_url("BANK_PARTICIPANTS", base)
            for host, base in self.participant_hosts.items()
        }
        object.__setattr__(self, "participant_hosts", MappingProxyType(hosts))

    def _refuse_weak_secrets(self) -> None:
        keys = {"BANK_WEBHOOK_SECRET": self.webhook_secret, "BANK_SECRET_KEY": self.secret_key}
        for name, secret in keys.items():
            fault = secret_rules.fault_of_secret(secret)
            if fault is not None:
                raise BankSettingsError(f"{name} {fault}.")
        if secret_rules.shared_secrets(keys):
            names = " and ".join(keys)
            raise BankSettingsError(f"{names} hold the same secret: generate one for each.")

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> BankSettings:
        """Read the settings; the file named by `NAME_FILE` may hold a secret.

        `BANK_PARTICIPANTS` is a comma-separated list of hosts, each written as `host`, which is
        fetched by https, or as `host=base URL`. Without it the only participant is the service at
        PUBLIC_URL, fetched at BANK_SERVICE_URL if that is set. Raises BankSettingsError.
        """
        public_url = environment.get("PUBLIC_URL", "http://127.0.0.1:5000")
        service_url = environment.get("BANK_SERVICE_URL", public_url)
        participants = environment.get("BANK_PARTICIPANTS", "")
        return cls(
            database_url=secret_in(environment, "BANK_DATABASE_URL"),
            webhook_secret=secret_in(environment, "BANK_WEBHOOK_SECRET"),
            service_url=service_url,
            secret_key=secret_in(environment, "BANK_SECRET_KEY"),
            participant_hosts=_hosts_in(participants)
            if participants
            else own_host(public_url, service_url),
            ispb=environment.get("BANK_ISPB", DEFAULT_ISPB),
            language=environment.get("BANK_LANGUAGE", "pt-BR"),
            demo=environment.get("APP_ENV", "development") != "production",
            host=environment.get("BANK_HOST", "127.0.0.1"),
            port=_number(environment.get("BANK_PORT", str(DEFAULT_PORT))),
            webhook_secret_previous=secret_in(environment, "BANK_WEBHOOK_SECRET_PREVIOUS") or None,
            retry_seconds=_number(environment.get("BANK_RETRY_SECONDS", str(_RETRY_MAX))),
            refund_delay_seconds=_number(environment.get("BANK_REFUND_DELAY_SECONDS", "0"), -1),
        )


def environment() -> dict[str, str]:
    """The variables of this process; `.env` holds the defaults. Raises UnreadableFile."""
    variables = {**read_env_file(ROOT / ".env"), **os.environ}
    return {name: value for name, value in variables.items() if value != ""}


def public_url_in(environment: Mapping[str, str]) -> str:
    """The service's address: PUBLIC_URL, else that of HOST and PORT."""
    host, port = environment.get("HOST", "127.0.0.1"), environment.get("PORT", "5000")
    return environment.get("PUBLIC_URL", local_url(host, port)).rstrip("/")


def bank_url_in(environment: Mapping[str, str]) -> str:
    """The address of the bank that the service asks, by the rules of the service's settings."""
    usual = f"{public_url_in(environment)}/bank"
    return environment.get("BANK_INTERNAL_URL", environment.get("BANK_URL", usual)).rstrip("/")


def settings_from(environment: Mapping[str, str]) -> BankSettings:
    """Read the settings. In development, create and store missing secrets as the service does.

    Bank and service then share the signing secret in the same instance folder, and the bank's
    tables are in the service's database, unless that is SQLite. Raises BankSettingsError.
    """
    values = {name: value for name, value in environment.items() if value != ""}
    values.setdefault("PUBLIC_URL", public_url_in(values))
    if values.get("APP_ENV", "development") != "production":
        instance = Path(values.get("INSTANCE_DIR", ROOT / "instance"))
        _ensure_secret(values, "BANK_WEBHOOK_SECRET", instance, signatures.new_secret())
        _ensure_secret(values, "BANK_SECRET_KEY", instance, secrets.token_urlsafe(48))
        if not secret_in(values, "BANK_DATABASE_URL"):
            service_database = secret_in(values, "DATABASE_URL")
            is_shared = service_database and not service_database.startswith("sqlite")
            own_database = f"sqlite:///{instance / 'bank.sqlite3'}"
            values["BANK_DATABASE_URL"] = service_database if is_shared else own_database
    return BankSettings.from_env(values)


def _ensure_secret(values: dict[str, str], name: str, folder: Path, new_secret: str) -> None:
    """Set the secret from its file in `folder`; a missing file is created with `new_secret`."""
    if name in values or f"{name}_FILE" in values:
        return
    path = folder / name.lower()
    try:
        values[name] = read_or_create(path, new_secret)
    except OSError as error:
        raise BankSettingsError(f"{path} cannot be written or read: {error.strerror}.") from None
    except UnreadableFile as error:
        raise BankSettingsError(str(error)) from None


def own_host(public_url: str, base: str | None = None) -> dict[str, str]:
    """The host of `public_url`, mapped to the base URL to fetch from: `base`, or `public_url`.

    The host in a code must contain a dot, so a service at `localhost` writes 127.0.0.1 in codes.
    """
    host = urlsplit(_base_url("PUBLIC_URL", public_url)).netloc.lower()
    base = _base_url("BANK_SERVICE_URL", base or public_url)
    hosts = {host: base}
    name, colon, port = host.partition(":")
    if name == "localhost":
        hosts[f"127.0.0.1{colon}{port}"] = base
    return hosts


def _hosts_in(participants: str) -> dict[str, str]:
    hosts: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in participants.split(","))):
        host, _, base = entry.partition("=")
        hosts[host] = base or f"https://{host}"
    return hosts


def _base_url(name: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        is_http = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_http = False
    if not is_http:
        raise BankSettingsError(f"{name} must hold http or https URLs, not {url!r}.")
    return url.rstrip("/")


def _number(text: str, default: int = 0) -> int:
    return int(text) if re.fullmatch(r"\d{1,5}", text, re.ASCII) else default


def secret_in(environment: Mapping[str, str], name: str) -> str:
    """The content of the file that NAME_FILE names, else the value of NAME, else empty.

    Raises BankSettingsError if the file cannot be read.
    """
    path = environment.get(f"{name}_FILE")
    if path:
        try:
            return read_text(Path(path)).strip()
        except UnreadableFile as error:
            raise BankSettingsError(f"{name}_FILE: {error}") from None
    return environment.get(name, "")
