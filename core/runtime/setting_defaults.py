"""The defaults of settings, and the secrets that stand in files."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.runtime import secret_files
from core.runtime.local_address import local_url
from core.runtime.setting_rules import ConfigurationError
from core.runtime.text_files import UnreadableFile, read_text
from core.signing import signatures

_SECRETS = ("SECRET_KEY", "BANK_WEBHOOK_SECRET")


def read_secret_file(variables: dict[str, str], name: str) -> None:
    """Read `name` from the file that `<name>_FILE` names, if the variable itself is not set.

    Raises ConfigurationError if the file cannot be read.
    """
    if (path := variables.get(f"{name}_FILE")) is None or name in variables:
        return
    try:
        variables[name] = read_text(Path(path)).strip()
    except UnreadableFile as error:
        raise ConfigurationError(f"{name}_FILE: {error}") from None


def fill(values: dict[str, Any], instance: Path) -> None:
    """Add what no variable sets; in development, create the missing secrets in `instance`.

    Raises ConfigurationError if production lacks a secret, or if a file cannot be read or written.
    """
    production = values.get("app_env", "development") == "production"
    host, port = values.get("host", "127.0.0.1"), values.get("port", "5000")
    if "public_url" not in values:
        values["public_url"] = local_url(host, port)
    values.setdefault("bank_url", f"{values['public_url'].rstrip('/')}/bank")
    values.setdefault("bank_internal_url", values["bank_url"])
    values.setdefault("sign_up", "closed" if production else "open")
    values.setdefault("webhook_allow_private", not production)
    if production:
        _require_secrets(values)
        # Production has no demo merchant, but these settings have no other defaults.
        values.setdefault("demo_pix_key", str(uuid.UUID(int=0)))
        values.setdefault("demo_password", secrets.token_urlsafe(24))
        values.setdefault("demo_client_id", secrets.token_hex(16))
        values.setdefault("demo_client_secret", secrets.token_urlsafe(32))
    else:
        _create_secrets(values, instance)
    if "database_url" not in values:
        values["database_url"] = f"sqlite:///{instance / 'balcao.sqlite3'}"
    if "bank_database_url" not in values:
        is_sqlite = values["database_url"].startswith("sqlite")
        values["bank_database_url"] = (
            f"sqlite:///{instance / 'bank.sqlite3'}" if is_sqlite else values["database_url"]
        )


def _require_secrets(values: Mapping[str, Any]) -> None:
    names = [name for name in _SECRETS if name.lower() not in values]
    if names:
        raise ConfigurationError(
            f"{' and '.join(names)} must be set when APP_ENV is production "
            "(or NAME_FILE with the path of a file that holds the value)."
        )


def _create_secrets(values: dict[str, Any], instance: Path) -> None:
    makers: dict[str, Callable[[], str]] = {
        "secret_key": lambda: secrets.token_urlsafe(48),
        "bank_webhook_secret": signatures.new_secret,
        "demo_pix_key": lambda: str(uuid.uuid4()),
        "demo_password": lambda: secrets.token_urlsafe(9),
        "demo_client_id": lambda: secrets.token_hex(16),
        "demo_client_secret": lambda: secrets.token_urlsafe(32),
    }
    for name, make in makers.items():
        if name not in values:
            values[name] = _stored_secret(instance / name, make())


def _stored_secret(path: Path, fresh: str) -> str:
    try:
        return secret_files.read_or_create(path, fresh)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written or read: {error}.") from None
    except UnreadableFile as error:
        raise ConfigurationError(str(error)) from None
