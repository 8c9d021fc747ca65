"""The rules that bind several settings. Each function returns a sentence, or None if all is well.

The rules for one address alone are in `setting_urls`.
"""

from __future__ import annotations

import re
from typing import Protocol

from pydantic import ValidationError

from core.runtime.bank_peer import NamedBanks


class ConfigurationError(Exception):
    """A setting is missing or wrong; the message is one sentence for the operator."""


class SharedPort(Protocol):
    """The settings that decide whether several processes may serve on one port."""

    @property
    def workers(self) -> int: ...
    @property
    def database_url(self) -> str: ...
    @property
    def redis_url(self) -> str | None: ...
    @property
    def serves_bank(self) -> bool: ...
    @property
    def tls_port(self) -> int | None: ...
    @property
    def role(self) -> str: ...


class PlacedBanks(NamedBanks, Protocol):
    """The settings that name the banks, and the service's address."""

    @property
    def public_url(self) -> str: ...


def fault_of_workers(settings: SharedPort) -> str | None:
    """Whether more than one worker of gunicorn would lose events, or lock the others out."""
    if settings.workers == 1:
        return None
    several = f"WORKERS is {settings.workers}, and several workers"
    if settings.database_url.startswith("sqlite"):
        return f"{several} need a database server: set DATABASE_URL."
    if settings.redis_url is None:
        return f"{several} hear of each other's payments over Redis: set REDIS_URL."
    if settings.serves_bank:
        return (
            f"{several} cannot serve the simulated bank, which is one process: run it by itself "
            "(python -m bank) and set BANK_URL, in production TEST_BANK_URL."
        )
    return None


def fault_of_addresses(settings: SharedPort, count: int) -> str | None:
    """Whether gunicorn listens on more or fewer addresses than a worker serves."""
    if settings.tls_port is not None and settings.role != "worker":
        if count == 2:
            return None
        needed = "two: HOST:PORT, then HOST:TLS_PORT"
    elif count == 1:
        return None
    else:
        needed = "one, because TLS_PORT is not set or this process only runs jobs"
    return (
        f"The number of addresses that gunicorn listens on is {count}, but the service needs "
        f"{needed}: set HOST, PORT and TLS_PORT instead of -b."
    )


def fault_of_test_bank(settings: PlacedBanks) -> str | None:
    """Whether the settings of the test bank contradict each other, or the live bank's."""
    url, internal_url = settings.test_bank_url, settings.test_bank_internal_url
    secret = settings.test_bank_webhook_secret
    if settings.is_development:
        if (url, internal_url, secret) == (None, None, None):
            return None
        return (
            "TEST_BANK_URL, TEST_BANK_INTERNAL_URL and TEST_BANK_WEBHOOK_SECRET are for production "
            "only, where tests have a bank of their own: unset them."
        )
    if url is None:
        if (internal_url, secret) == (None, None):
            return None
        return "TEST_BANK_INTERNAL_URL and TEST_BANK_WEBHOOK_SECRET need TEST_BANK_URL: set it."
    if secret is None:
        return (
            "TEST_BANK_WEBHOOK_SECRET must be set when TEST_BANK_URL is set (or "
            "TEST_BANK_WEBHOOK_SECRET_FILE with the path of a file that holds the value)."
        )
    if settings.asks_bank:
        live = {settings.bank_url, settings.bank_internal_url} - {f"{settings.public_url}/bank"}
        if live & {url, internal_url}:
            return "TEST_BANK_URL must differ from BANK_URL: the test bank's money is not real."
    return None


def sentence_of(error: ValidationError) -> str:
    """One sentence that names each setting with a wrong value, without the value."""
    parts = []
    for problem in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in problem["loc"]).upper()
        reason = re.sub(r"^(Value error, |Input )", "", problem["msg"])
        parts.append(f"{name} {reason}")
    return f"{'; '.join(parts)}."
