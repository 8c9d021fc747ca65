"""Every setting, typed, read once from the environment or `.env`.

`server/async_mode.py` reads ASYNC_MODE as well, because it must patch the standard library before
this module is imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from flask import Flask, current_app
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from core import ids
from core.clock import Clock, ShiftedClock, SystemClock
from core.pix import pix_key
from core.runtime import (
    bank_peer,
    secret_rules,
    setting_defaults,
    setting_rules,
    setting_urls,
    smtp_url,
)
from core.runtime.bank_peer import BankPeer
from core.runtime.parts import EXTENSION, Parts
from core.runtime.proxies import behind
from core.runtime.setting_rules import ConfigurationError
from core.runtime.text_files import UnreadableFile, read_env_file
from core.signing import signatures

__all__ = [
    "ROOT",
    "ConfigurationError",
    "Settings",
    "clock_of",
    "current_parts",
    "current_settings",
    "parts_of",
]

ROOT = Path(__file__).resolve().parent
_KEYS = (
    *("secret_key", "secret_key_previous"),
    *("bank_webhook_secret", "bank_webhook_secret_previous", "test_bank_webhook_secret"),
)
_FROM_FILE = (
    *(name.upper() for name in _KEYS),
    *("DATABASE_URL", "BANK_DATABASE_URL", "REDIS_URL", "SMTP_URL"),
)


class Settings(BaseModel):
    """The settings, validated and frozen; a field is named like its variable, in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    app_env: Literal["development", "production"] = "development"
    database_url: str
    bank_database_url: str
    redis_url: str | None = None
    smtp_url: str | None = None
    mail_from: str | None = None
    secret_key: str = Field(min_length=32)
    secret_key_previous: str | None = Field(None, min_length=32)
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    bank_webhook_secret: str
    bank_webhook_secret_previous: str | None = None
    bank_url: str
    bank_internal_url: str
    test_bank_url: str | None = None
    test_bank_internal_url: str | None = None
    test_bank_webhook_secret: str | None = None
    bank_ispb: str = "99999004"
    public_url: str = "http://127.0.0.1:5000"
    provider_callback_url: str | None = None
    provider_profiles_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int = Field(5000, ge=1, le=65535)
    workers: int = Field(1, ge=1, le=64)
    role: Literal["all", "web", "worker"] = "all"
    connections_max: int = Field(20_000, ge=10, le=1_000_000)
    connections_per_address_max: int = Field(2000, ge=1, le=1_000_000)
    request_head_seconds: float = Field(10, ge=1, le=120)
    request_body_seconds: float = Field(30, ge=1, le=600)
    keep_alive_seconds: float = Field(30, ge=1, le=600)
    start_wait_seconds: float = Field(30, ge=0, le=600)
    payment_ttl_seconds: int = Field(1800, ge=10, le=2_592_000)
    renewal_days: int = Field(30, ge=0, le=3650)
    sweep_interval_seconds: float = Field(1, gt=0, le=60)
    sweep_start_grace_seconds: float = Field(10, ge=0, le=3600)
    reconcile_interval_seconds: float = Field(15, gt=0, le=300)
    async_mode: Literal["eventlet", "gevent", "threading"] = "eventlet"
    demo_pix_key: str
    demo_client_id: str
    demo_client_secret: str
    compression: Literal["gzip", "none"] = "gzip"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    instance_dir: Path = ROOT / "instance"
    trusted_proxies: int = Field(0, ge=0, le=5)
    tls_port: int | None = Field(None, ge=1, le=65535)
    tls_dir: Path | None = None
    client_certificate_header: str | None = None
    webhook_allow_private: bool
    sign_up: Literal["open", "closed"]
    demo_password: str = Field(min_length=8)
    access_token_seconds: int = Field(900, ge=30, le=86_400)
    refresh_token_seconds: int = Field(2_592_000, ge=300, le=31_536_000)
    sign_in_window_seconds: int = Field(900, ge=10, le=86_400)
    sign_in_tries_max: int = Field(10, ge=1, le=1000)
    sign_in_tries_per_address_max: int = Field(100, ge=1, le=100_000)
    sign_in_tries_per_login_max: int = Field(100, ge=1, le=100_000)
    sign_ups_per_address_max: int = Field(20, ge=1, le=100_000)
    signal_window_seconds: int = Field(600, ge=10, le=86_400)
    signal_wrong_pins: int = Field(3, ge=0, le=100_000)
    signal_wrong_amounts: int = Field(3, ge=0, le=100_000)
    signal_creations: int = Field(500, ge=0, le=1_000_000)
    signal_refused_per_payer: int = Field(3, ge=0, le=100_000)
    socket_messages_per_second: int = Field(20, ge=1, le=100_000)
    socket_bytes_per_second: int = Field(16_384, ge=1024, le=1_073_741_824)
    sockets_per_address_max: int = Field(2000, ge=1, le=1_000_000)
    audit_days: int = Field(365, ge=1, le=3650)
    database_pool_size: int = Field(25, ge=1, le=1000)
    requests_per_minute: int = Field(6000, ge=1, le=1_000_000)
    bank_requests_per_minute: int = Field(60_000, ge=1, le=1_000_000)
    creations_per_minute: int = Field(3000, ge=1, le=1_000_000)
    renewals_per_minute: int = Field(60, ge=1, le=1_000_000)
    checks_per_minute: int = Field(120, ge=1, le=1_000_000)
    qr_images_per_minute: int = Field(1200, ge=1, le=1_000_000)
    recovery_tries_per_minute: int = Field(30, ge=1, le=100_000)
    recovery_pictures_per_minute: int = Field(12, ge=1, le=100_000)
    proof_days: int = Field(90, ge=1, le=3650)
    payer_data_days: int = Field(90, ge=1, le=3650)
    test_data_days: int = Field(90, ge=1, le=3650)
    delivery_days: int = Field(30, ge=4, le=3650)
    clock_file: Path | None = None

    @property
    def is_development(self) -> bool:
        """Whether the demo shop, the bank simulator, the test strip and the demo merchant exist."""
        return self.app_env == "development"

    @property
    def is_live(self) -> bool:
        """Whether money is real: not in development, where the bank is simulated."""
        return not self.is_development

    @property
    def serves_bank(self) -> bool:
        """Whether this process serves the simulated bank: not if a setting names another bank.

        In production it is the bank of test halves, and TEST_BANK_URL has to name this address.
        """
        peer = self.bank_to_ask(is_test_half=self.is_live)
        own_bank = f"{self.public_url}/bank"
        return peer is not None and peer.url == peer.internal_url == own_bank

    @property
    def asks_bank(self) -> bool:
        """Whether there is a bank for live payments: in production only if BANK_URL is set."""
        return self.is_development or self.bank_internal_url != f"{self.public_url}/bank"

    @property
    def banks(self) -> tuple[BankPeer, ...]:
        """Every bank whose signed messages count, also if there is no address to ask it."""
        return bank_peer.banks_of(self)

    def bank_to_ask(self, is_test_half: bool) -> BankPeer | None:
        """The bank to ask about payments of test halves, or of merchants; None if there is none.

        In development one bank is there for everybody.
        """
        return bank_peer.bank_to_ask(self, is_test_half)

    @property
    def tls_folder(self) -> Path:
        """The folder with the files of TLS_PORT."""
        return self.tls_dir or self.instance_dir / "tls"

    @property
    def uses_mutual_tls(self) -> bool:
        """Whether API Pix asks its clients for certificates: of this process, or at a proxy."""
        return self.tls_port is not None or self.client_certificate_header is not None

    @property
    def api_pix_url(self) -> str:
        """The address of API Pix, for SDKs."""
        return setting_urls.api_pix_url(self.public_url, self.tls_port)

    @property
    def location_base(self) -> str:
        """The host and port of BR Codes, without scheme; `localhost` is written as 127.0.0.1."""
        return setting_urls.location_base(self.public_url)

    @field_validator("public_url", "provider_callback_url", "bank_url", "bank_internal_url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        return setting_urls.checked_http_url(value)

    _test_urls = field_validator("test_bank_url", "test_bank_internal_url")(
        setting_urls.checked_http_url
    )

    @field_validator("public_url")
    @classmethod
    def _payable(cls, value: str) -> str:
        return setting_urls.checked_public_url(value)

    @field_validator(*(name for name in _KEYS if "bank" in name))
    @classmethod
    def _signing_secret(cls, value: str | None) -> str | None:
        if value is not None and not signatures.is_secret(value):
            raise ValueError("must be whsec_ followed by base64 of at least 24 bytes")
        return value

    _ispb = field_validator("bank_ispb")(ids.checked_ispb)
    _key = field_validator("demo_pix_key")(pix_key.checked_key)

    @field_validator("demo_client_id", "demo_client_secret")
    @classmethod
    def _credential(cls, value: str, info: ValidationInfo) -> str:
        least, most = (8, 64) if info.field_name == "demo_client_id" else (16, 128)
        return secret_rules.checked_credential(value, least, most)

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str | None) -> str | None:
        return setting_urls.checked_redis_url(value) if value else value

    @field_validator("smtp_url")
    @classmethod
    def _smtp(cls, value: str | None) -> str | None:
        if value is not None:
            smtp_url.parse_smtp_url(value)
        return value

    @field_validator("mail_from")
    @classmethod
    def _sender(cls, value: str | None) -> str | None:
        return smtp_url.checked_sender(value) if value else value

    @field_validator("database_url", "bank_database_url")
    @classmethod
    def _engine(cls, value: str) -> str:
        return setting_urls.checked_database_url(value)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check every setting; in development, create the missing secrets and store them.

        `NAME_FILE` names a file that holds a secret. Raises ConfigurationError with one sentence.
        """
        variables = {name: value for name, value in environ.items() if value != ""}
        for name in _FROM_FILE:
            setting_defaults.read_secret_file(variables, name)
        values: dict[str, Any] = {
            name: variables[name.upper()] for name in cls.model_fields if name.upper() in variables
        }
        instance = Path(values.get("instance_dir", ROOT / "instance"))
        setting_defaults.fill(values, instance)
        try:
            settings = cls(**values)
        except ValidationError as error:
            raise ConfigurationError(setting_rules.sentence_of(error)) from None
        if settings.smtp_url is not None and settings.mail_from is None:
            raise ConfigurationError("MAIL_FROM must be set when SMTP_URL is set.")
        if not settings.is_development:
            _refuse_weak_secrets(settings)
        _check_clock_file(settings)
        if fault := setting_urls.fault_of_tls(settings) or setting_rules.fault_of_test_bank(
            settings
        ):
            raise ConfigurationError(fault)
        return settings

    @classmethod
    def load(cls) -> Settings:
        """Read the process's environment; `.env` holds the defaults."""
        try:
            from_file = read_env_file(ROOT / ".env")
        except UnreadableFile as error:
            raise ConfigurationError(str(error)) from None
        return cls.from_env({**from_file, **os.environ})


def clock_of(settings: Settings) -> Clock:
    """The clock of service and bank: the machine's, unless CLOCK_FILE moves it ahead."""
    return SystemClock() if settings.clock_file is None else ShiftedClock(settings.clock_file)


def _check_clock_file(settings: Settings) -> None:
    """Raise ConfigurationError if CLOCK_FILE would move a clock that others rely on."""
    if settings.clock_file is None:
        return
    if not settings.is_development:
        raise ConfigurationError(
            "CLOCK_FILE moves the clock for tests of shops, in development only: unset it."
        )
    if not settings.serves_bank:
        raise ConfigurationError(
            "CLOCK_FILE cannot move the clock of another bank: unset it, or unset BANK_URL and "
            "BANK_INTERNAL_URL, so that this process serves the bank."
        )
    try:
        clock_of(settings)
    except ValueError as error:
        raise ConfigurationError(f"CLOCK_FILE: {settings.clock_file} {error}.") from None


def _refuse_weak_secrets(settings: Settings) -> None:
    """Raise ConfigurationError for secrets with which strangers could sign or sign in."""
    keys = {name.upper(): getattr(settings, name) or "" for name in _KEYS}
    passwords = {
        name.upper(): setting_urls.password_in(getattr(settings, name))
        for name in ("database_url", "redis_url")
    }
    if faults := secret_rules.faults_of_secrets(keys, passwords):
        raise ConfigurationError(f"{'; '.join(faults)}.")


def current_parts() -> Parts:
    """The parts of the app that serves this request, or whose context is pushed."""
    return parts_of(behind(current_app))


def parts_of(app: Flask) -> Parts:
    """The parts of this app."""
    parts: Parts = app.extensions[EXTENSION]
    return parts


def current_settings() -> Settings:
    """The settings of the app that serves this request, or whose context is pushed."""
    settings: Settings = behind(current_app).config["BALCAO"]
    return settings
