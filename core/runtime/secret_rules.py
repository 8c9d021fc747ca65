"""Secrets that production refuses: known to everybody, too simple, or used for two purposes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

EXAMPLE_SECRETS = frozenset(
    {
        "an-example-that-everybody-knows-make-your-own-one",
        "whsec_YW4gZXhhbXBsZSB0aGF0IGV2ZXJ5Ym9keSBrbm93cyE=",
        "whsec_YW5vdGhlciBleGFtcGxlIHRoYXQgYWxsIGtub3chISE=",
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
PASSWORD_MIN = 8
_DISTINCT_MIN = 10
"""A random secret of 24 bytes has about 23 different ones; one that a person typed has few."""


def fault_of_secret(secret: str) -> str | None:
    """Why this key must not be used, as the part of a sentence behind its name; None if it may."""
    if secret in EXAMPLE_SECRETS:
        return "is an example that everybody can read in the repository: generate your own"
    if len(set(_bytes_of(secret))) < _DISTINCT_MIN:
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


def shared_secrets(secrets: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of names that hold the same secret, however it is encoded."""
    names: dict[bytes, str] = {}
    pairs = []
    for name, secret in secrets.items():
        if secret and (first := names.setdefault(_bytes_of(secret), name)) != name:
            pairs.append((first, name))
    return pairs


def _bytes_of(secret: str) -> bytes:
    """What the secret really holds: `whsec_` is followed by base64."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            pass
    return secret.encode()
