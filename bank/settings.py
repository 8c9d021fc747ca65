"""The bank's settings: typed, read once, and the only place that knows their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from core.signing.signatures import is_secret

DEFAULT_ISPB = "99999004"
"""Invented: no participant of Pix has it."""

DEFAULT_PORT = 5001

_ISPB = re.compile(r"[0-9A-Z]{8}", re.ASCII)
_LANGUAGES = ("pt-BR", "en")
_SECRET_KEY_CHARS_MIN = 32
_PORT_MAX = 65_535
_REFUND_DELAY_MAX = 86_400


class BankSettingsError(ValueError):
    """A setting is missing or wrong; the text is one sentence that names it."""


@dataclass(frozen=True)
class BankSettings:
    """Everything the bank is told from outside.

    `service_url` is where confirmations go, without a final slash. `participant_hosts` maps the
    host of a location or key set, as written in codes (`127.0.0.1:5000`), to the base URL to fetch
    it from; a host that is not in it belongs to nobody. `ispb` heads the bank's identifiers. `host`
    and `port` are where a bank that is served by itself listens. `refund_delay_seconds` is how long
    a refund stays *processing*. `webhook_secret_previous` signs nothing here; the signature doctor
    recognises it.
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

    def __post_init__(self) -> None:
        """Refuse what could not work, in one sentence. Raises BankSettingsError."""
        if not self.database_url:
            raise BankSettingsError("BANK_DATABASE_URL is missing.")
        if not is_secret(self.webhook_secret):
            raise BankSettingsError(
                "BANK_WEBHOOK_SECRET must be whsec_ and base64 of at least 24 bytes."
            )
        if len(self.secret_key) < _SECRET_KEY_CHARS_MIN:
            raise BankSettingsError(
                f"BANK_SECRET_KEY must have at least {_SECRET_KEY_CHARS_MIN} characters."
            )
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
        object.__setattr__(self, "service_url", _base_url("PUBLIC_URL", self.service_url))
        hosts = {
            host.strip().lower(): _base_url("BANK_PARTICIPANTS", base)
            for host, base in self.participant_hosts.items()
        }
        object.__setattr__(self, "participant_hosts", MappingProxyType(hosts))

    @classmethod
    def from_env(cls, environment: Mapping[str, str]) -> BankSettings:
        """Read the settings; a secret may come from the file named by `NAME_FILE`.

        `BANK_PARTICIPANTS` lists hosts, comma-separated, each alone (reached by https) or as
        `host=base URL`; without it the only participant is the one at PUBLIC_URL, reached at
        BANK_SERVICE_URL where that is given. Raises BankSettingsError.
        """
        public_url = environment.get("PUBLIC_URL", "http://127.0.0.1:5000")
        service_url = environment.get("BANK_SERVICE_URL", public_url)
        listed = environment.get("BANK_PARTICIPANTS", "")
        return cls(
            database_url=secret_in(environment, "BANK_DATABASE_URL"),
            webhook_secret=secret_in(environment, "BANK_WEBHOOK_SECRET"),
            service_url=service_url,
            secret_key=secret_in(environment, "BANK_SECRET_KEY"),
            participant_hosts=_hosts_in(listed) if listed else own_host(public_url, service_url),
            ispb=environment.get("BANK_ISPB", DEFAULT_ISPB),
            language=environment.get("BANK_LANGUAGE", "pt-BR"),
            demo=environment.get("APP_ENV", "development") != "production",
            host=environment.get("BANK_HOST", "127.0.0.1"),
            port=_number(environment.get("BANK_PORT", str(DEFAULT_PORT))),
            webhook_secret_previous=secret_in(environment, "BANK_WEBHOOK_SECRET_PREVIOUS") or None,
            refund_delay_seconds=_number(environment.get("BANK_REFUND_DELAY_SECONDS", "0"), -1),
        )


def own_host(public_url: str, base: str | None = None) -> dict[str, str]:
    """The participant whose codes bear host and port of `public_url`; reached there, or at `base`.

    A code's host needs a dot, so a service at `localhost` writes its address in codes.
    """
    host = urlsplit(_base_url("PUBLIC_URL", public_url)).netloc.lower()
    base = _base_url("BANK_SERVICE_URL", base or public_url)
    hosts = {host: base}
    name, colon, port = host.partition(":")
    if name == "localhost":
        hosts[f"127.0.0.1{colon}{port}"] = base
    return hosts


def _hosts_in(listed: str) -> dict[str, str]:
    hosts: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in listed.split(","))):
        host, _, base = entry.partition("=")
        hosts[host] = base or f"https://{host}"
    return hosts


def _base_url(name: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise BankSettingsError(f"{name} must hold http or https URLs, not {url!r}.")
    return url.rstrip("/")


def _number(text: str, otherwise: int = 0) -> int:
    return int(text) if re.fullmatch(r"\d{1,5}", text, re.ASCII) else otherwise


def secret_in(environment: Mapping[str, str], name: str) -> str:
    """The value of NAME, or of the file that NAME_FILE names; empty where neither is given.

    Raises BankSettingsError when the file cannot be read.
    """
    path = environment.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise BankSettingsError(f"{name}_FILE cannot be read: {error.strerror}.") from None
    return environment.get(name, "")
