"""Webhook signatures according to Standard Webhooks (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from balcao.errors import UnexpectedAnswer, WebhookVerificationError
from balcao.models import Event, parse_json

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
TOLERANCE_SECONDS = 300
SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret begins
SECRET_BYTES_MIN = 24

_MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,128}")
_TIMESTAMP = re.compile(r"\d{1,12}", re.ASCII)
_SIGNATURES_MAX = 10
"""A rotation needs two; checking more costs time only."""


def verify_webhook(
    headers: Mapping[str, Any] | Iterable[tuple[Any, Any]],
    body: bytes | str,
    secret: str | Sequence[str],
    *,
    tolerance: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> Event:
    """Check the signature of a webhook and return its event.

    `body` must be the bytes of the request as they arrived, before any JSON is parsed. During a
    rotation `secret` is a list with the new and the old secret. `tolerance` is in seconds; `now`
    (Unix time) is for tests. Act once per `event.id`: a webhook may arrive twice.

    Raises WebhookVerificationError for everything that a sender can do wrong, and ValueError for a
    secret of yours that is not `whsec_…`.
    """
    keys = [secret_key(text) for text in ([secret] if isinstance(secret, str) else secret)]
    if not keys:
        raise ValueError("At least one secret is needed.")
    content = _bytes_of(body)
    own_headers = _own_headers(headers)
    message_id = _header(own_headers, ID_HEADER)
    timestamp = _header(own_headers, TIMESTAMP_HEADER)
    candidates = _signatures_in(_header(own_headers, SIGNATURE_HEADER))
    if not _MESSAGE_ID.fullmatch(message_id):
        raise WebhookVerificationError("webhook-id must be 1 to 128 printable ASCII characters.")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise WebhookVerificationError("webhook-timestamp must be Unix seconds.")
    matches = False
    for key in keys:
        expected_digest = _digest(key, message_id, timestamp, content)
        for candidate in candidates:
            # Every pair is compared, so that timing does not reveal which one matches.
            matches |= hmac.compare_digest(expected_digest, candidate)
    if not matches:
        raise WebhookVerificationError("No signature matches the body, its id and its timestamp.")
    skew = (time.time() if now is None else now) - int(timestamp)
    if abs(skew) > tolerance:
        direction = "past" if skew > 0 else "future"
        raise WebhookVerificationError(
            f"webhook-timestamp lies {abs(skew):.0f} s in the {direction}; "
            f"at most {tolerance:.0f} s are tolerated."
        )
    return _event(content, message_id)


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers that carry a signature. Raises ValueError for a malformed secret."""
    signature = _digest(secret_key(secret), message_id, str(timestamp), body)
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: "v1," + base64.b64encode(signature).decode(),
    }


def secret_key(secret: str) -> bytes:
    """The key in a secret: `whsec_` and base64 of at least 24 bytes. Raises ValueError.

    The message never has the secret in it.
    """
    if not isinstance(secret, str) or not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"A webhook secret must begin with {SECRET_PREFIX}.")
    try:
        key = base64.b64decode(secret[len(SECRET_PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"A webhook secret must be {SECRET_PREFIX} and base64.") from None
    if len(key) < SECRET_BYTES_MIN:
        raise ValueError(f"A webhook secret must have {SECRET_BYTES_MIN} bytes or more.")
    return key


def _digest(key: bytes, message_id: str, timestamp: str, body: bytes) -> bytes:
    return hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)


def _bytes_of(body: object) -> bytes:
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    raise TypeError("body must be the bytes of the request, as they arrived")


def _own_headers(headers: Any) -> dict[str, str]:
    """The three headers by name in lower case; the first of several with one name counts."""
    pairs = headers.items() if hasattr(headers, "items") else headers
    values: dict[str, str] = {}
    for name, value in pairs:
        lower_name = _text(name).lower()
        if lower_name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER):
            if isinstance(value, (list, tuple)):
                value = value[0] if value else ""
            values.setdefault(lower_name, _text(value))
    return values


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise WebhookVerificationError(f"The header {name} is missing.")
    return value


def _signatures_in(header: str) -> list[bytes]:
    signatures = []
    for entry in header.split(" ")[:_SIGNATURES_MAX]:
        version, _, base64_text = entry.partition(",")
        if version == "v1":
            try:
                signatures.append(base64.b64decode(base64_text, validate=True))
            except (binascii.Error, ValueError):
                continue
    if not signatures:
        raise WebhookVerificationError("webhook-signature has no entry of the form v1,<base64>.")
    return signatures


def _event(body: bytes, message_id: str) -> Event:
    try:
        event = Event.from_raw(parse_json(body), body)
    except (ValueError, UnexpectedAnswer):
        raise WebhookVerificationError("The signed body is not an event.") from None
    if event.id != message_id:
        raise WebhookVerificationError("webhook-id is not the id of the event in the body.")
    return event
