"""Standard Webhooks signatures (https://www.standardwebhooks.com), behind a wrapper.

The library computes the signature. This module reads the headers, because the library's `verify`
lets ValueError and UnicodeDecodeError escape for hostile headers and reads the machine's clock.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets as random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol

from standardwebhooks import Webhook

from core.errors import BadSignature

TOLERANCE = timedelta(seconds=300)
ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER = (
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
)

_MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,128}")
_TIMESTAMP = re.compile(r"\d{1,12}", re.ASCII)
_SIGNATURES_MAX = 10  # a rotation needs two; checking more costs time only
_SECRET_BYTES_MIN = 24  # Standard Webhooks: between 24 and 64 bytes


class Headers(Protocol):
    """A mapping of headers, or a framework's own type."""

    def get(self, name: str, /) -> str | None:
        """The value, or None."""


@dataclass(frozen=True)
class VerifiedMessage:
    """The id and the time of a message, proved by a valid signature."""

    message_id: str
    signed_at: datetime
    is_test: bool = False
    """Whether the bank of test halves signed it."""


class SignatureMismatch(BadSignature):
    """Headers of the right form, but made with another secret or by another clock."""


def new_secret() -> str:
    """A fresh signing secret, `whsec_` and base64 of 32 random bytes."""
    return "whsec_" + base64.b64encode(random.token_bytes(32)).decode()


def is_secret(text: str) -> bool:
    """Whether the text is `whsec_` and base64 of at least 24 bytes."""
    if not text.startswith("whsec_"):
        return False
    try:
        secret = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(secret) >= _SECRET_BYTES_MIN


def sign(secret: str, message_id: str, at: datetime, body: bytes) -> str:
    """The `webhook-signature` of a UTF-8 body: `v1,` and base64 of the HMAC-SHA256."""
    return str(_webhook(secret).sign(message_id, at.astimezone(UTC), body.decode()))


_webhook = lru_cache(maxsize=64)(Webhook)
"""By its secret, which it decodes."""


def signed_headers(secret: str, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers that carry a signature."""
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(int(at.timestamp())),
        SIGNATURE_HEADER: sign(secret, message_id, at, body),
    }


def verify(secrets: Sequence[str], headers: Headers, body: bytes, now: datetime) -> VerifiedMessage:
    """Check that one of the secrets signed this body within 300 s of `now`.

    Raises BadSignature with the reason, and no other error, whatever the headers hold.
    """
    message_id = _header(headers, ID_HEADER)
    timestamp = _header(headers, TIMESTAMP_HEADER)
    signature = _header(headers, SIGNATURE_HEADER)
    if not _MESSAGE_ID.fullmatch(message_id):
        raise BadSignature("webhook-id must be 1 to 128 printable ASCII characters.")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise BadSignature("webhook-timestamp must be Unix seconds.")
    try:
        signed_at = datetime.fromtimestamp(int(timestamp), UTC)
        body.decode()
    except UnicodeDecodeError:
        raise BadSignature("The signed body is not UTF-8.") from None
    except (OverflowError, ValueError, OSError):
        raise BadSignature("webhook-timestamp is not a time.") from None
    skew = (now - signed_at).total_seconds()
    candidates = _signatures_in(signature)
    if not _any_matches(secrets, message_id, signed_at, body, candidates):
        raise SignatureMismatch("No signature matches the body, its id and its timestamp.")
    if abs(skew) > TOLERANCE.total_seconds():
        where = "past" if skew > 0 else "future"
        raise SignatureMismatch(
            f"webhook-timestamp lies {abs(skew):.0f} s in the {where}; "
            f"at most {TOLERANCE.total_seconds():.0f} s are tolerated."
        )
    return VerifiedMessage(message_id, signed_at)


def _header(headers: Headers, name: str) -> str:
    value = headers.get(name)
    if not value:
        raise BadSignature(f"The header {name} is missing.")
    return value


def _signatures_in(header: str) -> list[bytes]:
    entries = header.split(" ")[:_SIGNATURES_MAX]
    signatures: list[bytes] = []
    for entry in entries:
        version, _, encoded = entry.partition(",")
        if version != "v1":
            continue
        try:
            signatures.append(base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError):
            continue
    if not signatures:
        raise BadSignature("webhook-signature holds no entry of the form v1,<base64>.")
    return signatures


def _any_matches(
    secrets: Sequence[str], message_id: str, at: datetime, body: bytes, candidates: Sequence[bytes]
) -> bool:
    matches = False
    for secret in secrets:
        expected = base64.b64decode(sign(secret, message_id, at, body).removeprefix("v1,"))
        for candidate in candidates:
            # Every pair is compared, so that timing does not reveal which one matches.
            matches |= hmac.compare_digest(expected, candidate)
    return matches
