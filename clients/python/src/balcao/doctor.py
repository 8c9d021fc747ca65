"""Finds out what is wrong with the signature of a webhook, without asking anybody.

Findings have the codes of the simulated bank's signature doctor, and never show a secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from balcao import doctor_bodies
from balcao.signatures import (
    ID_HEADER,
    SECRET_BYTES_MIN,
    SECRET_PREFIX,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    TOLERANCE_SECONDS,
)

_TIMESTAMP = re.compile(r"\d{1,12}", re.ASCII)
_MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,128}")
_MILLISECONDS = re.compile(r"\d{13}", re.ASCII)
_HEX = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_DIGEST_BYTES = 32
_NEAR_SECONDS = 120
_ENTRIES_MAX = 10


@dataclass(frozen=True)
class NamedSecret:
    """A secret with its name: `current`, `previous` or `given`."""

    name: str
    secret: str


@dataclass(frozen=True)
class Finding:
    """A result of the examination: a stable code, whether it is a fault, and a sentence."""

    code: str
    is_fault: bool
    text: str


@dataclass(frozen=True)
class _NamedKey:
    name: str
    key: bytes


def headers_in(text: str) -> dict[str, str]:
    """Parse `Name: value` lines, `curl -H '…'` or a JSON object; names become lower case."""
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        members = None
    if isinstance(members, dict):
        return {str(name).strip().lower(): str(value) for name, value in members.items()}
    headers: dict[str, str] = {}
    for line in text.splitlines():
        entry = re.sub(r"^\s*(?:curl\s.*?)?(?:-H|--header)\s+", "", line).strip(" \t\\")
        if entry[:1] in ("'", '"') and entry[-1:] == entry[:1]:
            entry = entry[1:-1]
        name, colon, value = entry.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return headers


def diagnose(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[NamedSecret], now: float
) -> list[Finding]:
    """All findings about the signature, the decisive one first.

    Header names are in lower case; `now` is Unix time. The function raises no error for any input.
    """
    keys, findings = _keys(secrets)
    names = (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
    missing_names = [name for name in names if not headers.get(name)]
    findings += [
        _fault("header-missing", f"The header {name} is missing.") for name in missing_names
    ]
    message_id = headers.get(ID_HEADER, "")
    timestamp = headers.get(TIMESTAMP_HEADER, "")
    if message_id and not _MESSAGE_ID.fullmatch(message_id):
        findings.append(
            _fault("id-malformed", "webhook-id must be 1 to 128 ASCII characters without spaces.")
        )
    findings += _timestamp_findings(timestamp, now)
    digests, signature_findings = _digests(headers.get(SIGNATURE_HEADER, ""))
    findings += signature_findings
    if not digests or not keys or not message_id or not timestamp:
        return findings
    return [*_match_findings(digests, keys, message_id, timestamp, body, headers), *findings]


def _fault(code: str, text: str) -> Finding:
    return Finding(code, True, text)


def _keys(secrets: Sequence[NamedSecret]) -> tuple[list[_NamedKey], list[Finding]]:
    """The keys to try, and the faults in how the secrets are written."""
    keys: list[_NamedKey] = []
    findings: list[Finding] = []
    for named_secret in secrets:
        text = named_secret.secret.strip()
        if text != named_secret.secret:
            sentence = "The secret has spaces or a line break around it."
            findings.append(_fault("secret-whitespace", sentence))
        if not text.startswith(SECRET_PREFIX):
            sentence = f"The secret lacks the prefix {SECRET_PREFIX}."
            findings.append(_fault("secret-without-prefix", sentence))
        try:
            key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            sentence = f"The part after {SECRET_PREFIX} is not base64."
            findings.append(_fault("secret-not-base64", sentence))
            continue
        if len(key) < SECRET_BYTES_MIN:
            sentence = f"The secret has {len(key)} bytes; the minimum is {SECRET_BYTES_MIN}."
            findings.append(_fault("secret-too-short", sentence))
        keys.append(_NamedKey(named_secret.name, key))
    if not keys:
        sentence = "There is no secret to check the signature with."
        findings.append(_fault("secret-missing", sentence))
    return keys, findings


def _timestamp_findings(timestamp: str, now: float) -> list[Finding]:
    if not timestamp:
        return []
    if _MILLISECONDS.fullmatch(timestamp):
        sentence = "webhook-timestamp is in milliseconds; it must be in seconds."
        return [_fault("timestamp-milliseconds", sentence)]
    if not _TIMESTAMP.fullmatch(timestamp):
        return [_fault("timestamp-malformed", "webhook-timestamp must be Unix seconds.")]
    skew = round(now) - int(timestamp)
    sentence = f"webhook-timestamp is {abs(skew)} s in the {'past' if skew > 0 else 'future'}"
    if abs(skew) > TOLERANCE_SECONDS:
        remedy = "Set the clock, or sign anew for each attempt."
        limit = f"the limit is {TOLERANCE_SECONDS} s. {remedy}"
        return [_fault("clock-skew", f"{sentence}; {limit}")]
    return [Finding("clock-ok", False, f"{sentence}.")]


def _digests(header: str) -> tuple[list[bytes], list[Finding]]:
    """The digests in the header, in any encoding, and the faults in how they are written."""
    digests: list[bytes] = []
    findings: list[Finding] = []
    for entry in header.split()[:_ENTRIES_MAX]:
        version, comma, base64_text = entry.partition(",")
        if not comma:
            sentence = "The version before the signature is missing: v1,<base64>."
            findings.append(_fault("version-missing", sentence))
            base64_text = entry
        elif version != "v1":
            sentence = f"The version {version[:20]!r} is unknown; use v1."
            findings.append(_fault("version-unknown", sentence))
        digest, fault = _decode(base64_text)
        if fault is not None:
            findings.append(fault)
        if digest is not None:
            digests.append(digest)
    return digests, findings


def _decode(base64_text: str) -> tuple[bytes | None, Finding | None]:
    if _HEX.fullmatch(base64_text):
        sentence = "The signature is in hexadecimal; use base64."
        return bytes.fromhex(base64_text), _fault("signature-hex", sentence)
    fault: Finding | None = None
    text = base64_text
    if re.search(r"[-_]", text):
        sentence = "The signature uses the URL-safe base64 (- and _); use + and /."
        fault = _fault("base64-url-safe", sentence)
        text = text.replace("-", "+").replace("_", "/")
    if len(text) % 4:
        sentence = "The padding = at the end of the base64 is missing."
        fault = fault or _fault("base64-padding", sentence)
        text += "=" * (-len(text) % 4)
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None, _fault("not-base64", "The signature is not base64.")
    if len(digest) != _DIGEST_BYTES:
        sentence = f"The signature has {len(digest)} bytes; HMAC-SHA256 has {_DIGEST_BYTES}."
        return None, _fault("digest-length", sentence)
    return digest, fault


def _match_findings(
    digests: Sequence[bytes],
    keys: Sequence[_NamedKey],
    message_id: str,
    timestamp: str,
    body: bytes,
    headers: Mapping[str, str],
) -> list[Finding]:
    content = _content(message_id, timestamp, body)
    name = _matching_key(digests, keys, content)
    if name is not None:
        findings = [Finding("signature-fits", False, f"The signature fits (secret {name}).")]
        if name == "previous":
            sentence = "The previous secret made the signature; change to the current one."
            findings.append(_fault("secret-previous", sentence))
        return findings
    for code, text, variant in _signed_variants(message_id, timestamp, body, headers):
        name = _matching_key(digests, keys, variant)
        if name is not None:
            return [_fault(code, f"{text} (Secret {name}.)")]
    for key in keys:
        # A common mistake is to use the text of the secret as the key, without decoding it.
        encoded = base64.b64encode(key.key)
        for text_key in (encoded, SECRET_PREFIX.encode() + encoded):
            if _matching_key(digests, [_NamedKey(key.name, text_key)], content):
                sentence = (
                    "The sender used the text of the secret as the key; it must decode the base64 "
                    f"after {SECRET_PREFIX}. (Secret {key.name}.)"
                )
                return [_fault("secret-not-decoded", sentence)]
    names = ", ".join(key.name for key in keys)
    sentence = (
        f"No known secret ({names}) made this signature: it is another secret, or the body, the id "
        "or the time are not those that were signed. Was the body read as bytes?"
    )
    return [_fault("no-secret-fits", sentence)]


def _signed_variants(
    message_id: str, timestamp: str, body: bytes, headers: Mapping[str, str]
) -> Iterator[tuple[str, str, bytes]]:
    """What may have been signed instead: a fault's code, its sentence, and the signed bytes."""
    for text, variant in doctor_bodies.variants(body):
        sentence = f"The body has changed: the signature fits it {text}."
        yield "body-changed", sentence, _content(message_id, timestamp, variant)
    for text, other in _other_ids(message_id, body, headers):
        sentence = f"The webhook-id has changed: {text} was signed."
        yield "id-changed", sentence, _content(other, timestamp, body)
    recipe = "sign <id>.<timestamp>.<body>."
    yield "signed-body-only", f"Only the body was signed; {recipe}", body
    yield (
        "signed-without-id",
        f"The id was not signed; {recipe}",
        f"{timestamp}.".encode("utf-8", "replace") + body,
    )
    if _MILLISECONDS.fullmatch(timestamp):
        sentence = "The time in seconds was signed."
        yield "timestamp-changed", sentence, _content(message_id, timestamp[:-3], body)
    if _TIMESTAMP.fullmatch(timestamp):
        for step in range(1, _NEAR_SECONDS + 1):
            for other_time in (int(timestamp) - step, int(timestamp) + step):
                sentence = f"The webhook-timestamp has changed: {other_time} was signed."
                yield "timestamp-changed", sentence, _content(message_id, str(other_time), body)


def _other_ids(
    message_id: str, body: bytes, headers: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    yield "without the spaces around it, it", message_id.strip()
    yield "in small letters, it", message_id.lower()
    yield "in capital letters, it", message_id.upper()
    yield "without msg_, it", message_id.removeprefix("msg_")
    yield "with msg_, it", f"msg_{message_id}"
    for name in ("svix-id", "x-request-id"):
        if headers.get(name):
            yield f"the {name}", headers[name]
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return
    if isinstance(members, dict):
        for name in ("end_to_end_id", "bank_payment_id", "id"):
            if isinstance(members.get(name), str):
                yield f"the {name} of the body", members[name]


def _content(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode("utf-8", "replace") + body


def _matching_key(
    digests: Sequence[bytes], keys: Sequence[_NamedKey], content: bytes
) -> str | None:
    for key in keys:
        expected_digest = hmac.digest(key.key, content, hashlib.sha256)
        if any(hmac.compare_digest(expected_digest, digest) for digest in digests):
            return key.name
    return None
