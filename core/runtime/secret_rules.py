"""Secrets that production refuses: known to everybody, too simple, or used for two purposes.

Also the form of the demo merchant's client of API Pix.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

EXAMPLE_SECRETS = frozenset(
    {
        "an-example-that-everybody-knows-make-your-own-one",
        "another-example-that-everybody-knows-make-your-own",
        "whsec_YW4gZXhhbXBsZSB0aGF0IGV2ZXJ5Ym9keSBrbm93cyE=",
        "whsec_YW5vdGhlciBleGFtcGxlIHRoYXQgYWxsIGtub3chISE=",
        "whsec_dGhpcmQgZXhhbXBsZSB0aGF0IGFsbCBjYW4gcmVhZCE=",
        # The example of Standard Webhooks' own documents.
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }
)
"""The secrets in the files of this repository. A test collects them and compares."""
EXAMPLE_PASSWORDS = frozenset(
    {
        "password", "passwort", "admin123", "hunter2hunter2", "changeme", "change-me", "secret",
        "balcao", "example", "postgres", "mariadb", "mysql", "redis", "root", "senha", "12345678",
        "123456789", "1234567890", "an-example-of-a-password",
    }
)  # fmt: skip
_PLACEHOLDERS = ("change-me", "changeme", "change_me", "replace-me", "your-secret")
PASSWORD_MIN = 8
_CREDENTIAL = re.compile(r"[A-Za-z0-9._~\-]+", re.ASCII)
_DISTINCT_MIN = 10
"""A random secret of 24 bytes has about 23 different ones; one that a person typed has few."""


def fault_of_secret(secret: str) -> str | None:
    """Why this key must not be used, as the part of a sentence behind its name; None if it may."""
    if secret in EXAMPLE_SECRETS:
        return "is an example that everybody can read in the repository: generate your own"
    if any(word in secret.lower() for word in _PLACEHOLDERS):
        return "is a placeholder: generate your own"
    if len(set(_bytes_of(secret))) < _DISTINCT_MIN or _is_repeated(secret):
        return "is too simple to be random: generate one"
    return None


def fault_of_password(password: str) -> str | None:
    """The same for the password in an address; an empty one may be right, for a local socket."""
    if not password:
        return None
    if password.lower() in EXAMPLE_PASSWORDS:
        return "has a password that everybody tries first: choose a random one"
    if len(password) < PASSWORD_MIN:
        return f"has a password of fewer than {PASSWORD_MIN} characters: choose a longer one"
    return None


def faults_of_secrets(keys: Mapping[str, str], passwords: Mapping[str, str]) -> list[str]:
    """Why these keys and passwords, by the names of their settings, must not be used together.

    Empty ones are not set. Each fault is a sentence without its full stop.
    """
    faults = [
        f"{name} {fault}"
        for name, secret in keys.items()
        if secret and (fault := fault_of_secret(secret))
    ]
    faults += [
        f"{name} {fault}"
        for name, password in passwords.items()
        if (fault := fault_of_password(password))
    ]
    faults += [
        f"{first} and {second} hold the same secret: generate one for each"
        for first, second in shared_secrets({**keys, **passwords})
    ]
    return faults


def shared_secrets(secrets: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of names that hold the same secret, however it is encoded."""
    names: dict[bytes, str] = {}
    pairs = []
    for name, secret in secrets.items():
        readings = _readings_of(secret) if secret else set()
        first = next((names[reading] for reading in readings if reading in names), None)
        if first is not None:
            pairs.append((first, name))
        for reading in readings:
            names.setdefault(reading, name)
    return pairs


def _readings_of(secret: str) -> set[bytes]:
    """The bytes that the secret may stand for: as text, as base64, as hex digits."""
    text = secret.removeprefix("whsec_")
    readings = {text.encode()}
    for decode in (partial(base64.b64decode, validate=True), bytes.fromhex):
        with suppress(ValueError):
            readings.add(decode(text))
    return readings - {b""}


def _is_repeated(secret: str) -> bool:
    """Whether the secret is a shorter text, written several times."""
    return secret in (secret + secret)[1:-1]


def _bytes_of(secret: str) -> bytes:
    """What the secret really holds: `whsec_` is followed by base64."""
    if secret.startswith("whsec_"):
        with suppress(ValueError):
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    return secret.encode()


def checked_credential(value: str, least: int, most: int) -> str:
    """The id or secret of an OAuth client, in characters that no encoding changes.

    Raises ValueError with a part of a sentence.
    """
    if not least <= len(value) <= most or not _CREDENTIAL.fullmatch(value):
        raise ValueError(f"must have {least} to {most} letters, digits or . _ ~ -")
    return value
