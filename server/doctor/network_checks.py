"""The checks from outside: PUBLIC_URL with its certificate, its proxies, and the bank."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import urllib3

from config import Settings
from core.clock import SystemClock
from core.version import VERSION
from providers.certificate_notices import days_left
from server.check_results import CheckResult
from server.doctor.data_checks import judge_clock, judge_end
from web.doctor_echo import PATH, echo_token

SECONDS = 5.0
SPOOFED_ADDRESS = "203.0.113.77"
"""An address of RFC 5737, for documents: nobody's. The doctor claims to come from it."""


def check_public_url(settings: Settings) -> Iterator[CheckResult]:
    """Whether PUBLIC_URL leads here, and whether the proxies' headers are read right."""
    headers = {"X-Doctor": echo_token(settings), "X-Forwarded-For": SPOOFED_ADDRESS}
    try:
        answer = urllib3.PoolManager(retries=False, timeout=SECONDS).request(
            "GET", settings.public_url + PATH, headers=headers, redirect=False
        )
    except (urllib3.exceptions.HTTPError, OSError) as error:
        detail = f"{settings.public_url} cannot be reached: {reason_of(error)}."
        yield CheckResult("PUBLIC_URL", "fail", detail)
        return
    try:
        echo = json.loads(answer.data) if answer.status == 200 else None
    except ValueError:
        echo = None
    if not isinstance(echo, dict):
        detail = (
            f"{settings.public_url}{PATH} answers {answer.status}, not as this service does: "
            "PUBLIC_URL leads elsewhere, or SECRET_KEY differs there."
        )
        yield CheckResult("PUBLIC_URL", "fail", detail)
        return
    yield from judge_echo(settings, echo)


def judge_echo(settings: Settings, echo: dict[str, Any]) -> Iterator[CheckResult]:
    """Judge what the service saw of the doctor's request."""
    if echo["version"] == VERSION:
        yield CheckResult("PUBLIC_URL", "ok", f"{settings.public_url} leads to version {VERSION}.")
    else:
        detail = f"{settings.public_url} leads to version {echo['version']}, and this is {VERSION}."
        yield CheckResult("PUBLIC_URL", "warn", detail)
    yield _proxies(settings, echo)
    expected = urlsplit(settings.public_url)
    if echo["scheme"] == expected.scheme and echo["host"] == expected.netloc:
        yield CheckResult("proxy headers", "ok", "Scheme and host arrive as in PUBLIC_URL.")
    else:
        detail = (
            f"The service sees {echo['scheme']}://{echo['host']}: let the proxy set Host, "
            "X-Forwarded-Proto and X-Forwarded-Host."
        )
        yield CheckResult("proxy headers", "warn", detail)
    elsewhere = datetime.fromisoformat(echo["now"])
    yield judge_clock("clock of service", SystemClock().now() - elsewhere)


def _proxies(settings: Settings, echo: dict[str, Any]) -> CheckResult:
    """Compare TRUSTED_PROXIES with the proxies that wrote their addresses into the header."""
    entries = [one.strip() for line in echo["forwarded_for"] for one in line.split(",")]
    proxies = len([one for one in entries if one and one != SPOOFED_ADDRESS])
    trusted = settings.trusted_proxies
    if echo["address"] == SPOOFED_ADDRESS or proxies < trusted:
        detail = (
            f"Clients can choose their own address: {proxies} proxies write X-Forwarded-For, and "
            f"TRUSTED_PROXIES is {trusted}. Set TRUSTED_PROXIES={proxies}."
        )
        return CheckResult("trusted proxies", "fail", detail)
    if proxies > trusted:
        detail = (
            f"All clients seem to be one, so they share the limits: {proxies} proxies write "
            f"X-Forwarded-For, and TRUSTED_PROXIES is {trusted}. Set TRUSTED_PROXIES={proxies}."
        )
        return CheckResult("trusted proxies", "fail", detail)
    detail = f"TRUSTED_PROXIES is {trusted}, and the service sees {echo['address']}."
    return CheckResult("trusted proxies", "ok", detail)


def check_certificate(settings: Settings) -> Iterator[CheckResult]:
    """How long the certificate of PUBLIC_URL is valid."""
    address = urlsplit(settings.public_url)
    host = address.hostname or ""
    if address.scheme != "https":
        if settings.is_development:
            yield CheckResult("certificate", "ok", "PUBLIC_URL is http, as is usual here.")
        else:
            detail = "PUBLIC_URL is not https: shoppers and shops need TLS."
            yield CheckResult("certificate", "fail", detail)
        return
    try:
        with (
            socket.create_connection((host, address.port or 443), SECONDS) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure,
        ):
            end = (secure.getpeercert() or {}).get("notAfter")
    except OSError as error:
        yield CheckResult("certificate", "fail", f"{host} shows no valid one: {reason_of(error)}.")
        return
    ends_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(end)), UTC)
    yield judge_end("certificate", days_left(ends_at, SystemClock().now()))


def check_bank(settings: Settings) -> Iterator[CheckResult]:
    """Whether the bank that signs messages can be reached."""
    peer = settings.bank_to_ask(is_test_half=False)
    if peer is None or not settings.asks_bank:
        yield CheckResult("bank", "ok", "BANK_URL is not set: no bank is asked.")
        return
    url = f"{peer.internal_url}/healthz"
    try:
        answer = urllib3.PoolManager(retries=False, timeout=SECONDS).request(
            "GET", url, redirect=False
        )
    except (urllib3.exceptions.HTTPError, OSError) as error:
        yield CheckResult("bank", "fail", f"{url} cannot be reached: {reason_of(error)}.")
        return
    detail = f"{url} answers {answer.status}."
    yield CheckResult("bank", "ok" if answer.status < 500 else "fail", detail)


def reason_of(error: BaseException) -> str:
    """The innermost reason, in one line."""
    inner = getattr(error, "reason", None)
    if isinstance(inner, BaseException) and inner is not error:
        return reason_of(inner)
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.rstrip(".")
