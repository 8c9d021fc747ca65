"""What is wrong with a signed notification: a pure examination of headers, body and secrets.

Standard Webhooks (https://www.standardwebhooks.com): `webhook-signature` is `v1,` and the base64
of HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<body>`; the key is what stands after
`whsec_`, base64-decoded. A secret is compared, never shown.
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
from datetime import datetime

from bank.workbench import doctor_bodies
from core.signing.signatures import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, TOLERANCE

_TIMESTAMP = re.compile(r"\d{1,12}", re.ASCII)
_MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,128}")
_MILLISECONDS = re.compile(r"\d{13}", re.ASCII)
_HEX = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_DIGEST_BYTES = 32
_SECRET_BYTES_MIN = 24
_NEAR_SECONDS = 120
_ENTRIES_MAX = 10


@dataclass(frozen=True)
class NamedSecret:
    """A secret and what it is called: `current`, `previous` or `given`."""

    name: str
    secret: str


@dataclass(frozen=True)
class Finding:
    """One thing that was found; a stable code, whether it is a fault, and a sentence."""

    code: str
    is_fault: bool
    text: str


@dataclass(frozen=True)
class _NamedKey:
    name: str
    raw: bytes


def headers_in(text: str) -> dict[str, str]:
    """Headers from a paste: `Name: value` lines, `curl -H '…'`, or a JSON object; names lowered."""
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        members = None
    if isinstance(members, dict):
        return {str(name).strip().lower(): str(value) for name, value in members.items()}
    found: dict[str, str] = {}
    for line in text.splitlines():
        entry = re.sub(r"^\s*(?:curl\s.*?)?(?:-H|--header)\s+", "", line).strip(" \t\\")
        if entry[:1] in ("'", '"') and entry[-1:] == entry[:1]:
            entry = entry[1:-1]
        name, colon, value = entry.partition(":")
        if colon:
            found[name.strip().lower()] = value.strip()
    return found


def diagnose(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[NamedSecret], now: datetime
) -> list[Finding]:
    """Everything that speaks for or against the signature, the decisive finding first.

    Header names are lower case. Never raises, whatever was pasted.
    """
    keys, findings = _keys(secrets)
    missing = [name for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
               if not headers.get(name)]  # fmt: skip
    findings += [_fault("header-missing", f"Falta o cabeçalho {name}.") for name in missing]
    message_id = headers.get(ID_HEADER, "")
    timestamp = headers.get(TIMESTAMP_HEADER, "")
    if message_id and not _MESSAGE_ID.fullmatch(message_id):
        findings.append(
            _fault("id-malformed", "webhook-id deve ter de 1 a 128 caracteres ASCII, sem espaço.")
        )
    findings += _of_time(timestamp, now)
    digests, of_signature = _digests(headers.get(SIGNATURE_HEADER, ""))
    findings += of_signature
    if not digests or not keys or not message_id or not timestamp:
        return findings
    return [*_of_match(digests, keys, message_id, timestamp, body, headers), *findings]


def _fault(code: str, text: str) -> Finding:
    return Finding(code, True, text)


def _keys(candidates: Sequence[NamedSecret]) -> tuple[list[_NamedKey], list[Finding]]:
    """The keys to try, and what is wrong with how a secret was written."""
    keys: list[_NamedKey] = []
    findings: list[Finding] = []
    for candidate in candidates:
        text = candidate.secret.strip()
        if text != candidate.secret:
            findings.append(
                _fault("secret-whitespace", "O segredo foi colado com espaços ou quebra de linha.")
            )
        if not text.startswith("whsec_"):
            findings.append(
                _fault("secret-without-prefix", "O segredo foi colado sem o prefixo whsec_.")
            )
        encoded = text.removeprefix("whsec_")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            findings.append(_fault("secret-not-base64", "O que vem depois de whsec_ não é base64."))
            continue
        if len(raw) < _SECRET_BYTES_MIN:
            findings.append(
                _fault("secret-too-short", f"O segredo tem {len(raw)} bytes; o mínimo é 24.")
            )
        keys.append(_NamedKey(candidate.name, raw))
    if not keys:
        findings.append(_fault("secret-missing", "Não há segredo para conferir a assinatura."))
    return keys, findings


def _of_time(timestamp: str, now: datetime) -> list[Finding]:
    if not timestamp:
        return []
    if _MILLISECONDS.fullmatch(timestamp):
        return [
            _fault(
                "timestamp-milliseconds", "webhook-timestamp está em milissegundos; use segundos."
            )
        ]
    if not _TIMESTAMP.fullmatch(timestamp):
        return [_fault("timestamp-malformed", "webhook-timestamp deve ser em segundos Unix.")]
    skew = round(now.timestamp()) - int(timestamp)
    where = "no passado" if skew > 0 else "no futuro"
    limit = int(TOLERANCE.total_seconds())
    if abs(skew) > limit:
        return [
            _fault(
                "clock-skew",
                f"webhook-timestamp está {abs(skew)} s {where}; o limite é {limit} s. "
                "Acerte o relógio, ou assine de novo a cada tentativa.",
            )
        ]
    return [Finding("clock-ok", False, f"webhook-timestamp está {abs(skew)} s {where}.")]


def _digests(header: str) -> tuple[list[bytes], list[Finding]]:
    """The digests a header holds, however they are written, and what is wrong with the writing."""
    digests: list[bytes] = []
    findings: list[Finding] = []
    for entry in header.split()[:_ENTRIES_MAX]:
        version, comma, encoded = entry.partition(",")
        if not comma:
            findings.append(
                _fault("version-missing", "Falta a versão antes da assinatura: v1,<base64>.")
            )
            encoded = entry
        elif version != "v1":
            findings.append(
                _fault("version-unknown", f"A versão {version[:20]!r} não é conhecida; use v1.")
            )
        digest, fault = _decoded(encoded)
        if fault is not None:
            findings.append(fault)
        if digest is not None:
            digests.append(digest)
    return digests, findings


def _decoded(encoded: str) -> tuple[bytes | None, Finding | None]:
    if _HEX.fullmatch(encoded):
        return bytes.fromhex(encoded), _fault(
            "signature-hex", "A assinatura está em hexadecimal; use base64."
        )
    fault: Finding | None = None
    text = encoded
    if re.search(r"[-_]", text):
        fault = _fault("base64-url-safe", "A assinatura usa base64 de URL (- e _); use + e /.")
        text = text.replace("-", "+").replace("_", "/")
    if len(text) % 4:
        fault = fault or _fault("base64-padding", "Falta o preenchimento = no fim do base64.")
        text += "=" * (-len(text) % 4)
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None, _fault("not-base64", "A assinatura não é base64.")
    if len(digest) != _DIGEST_BYTES:
        return None, _fault(
            "digest-length", f"A assinatura tem {len(digest)} bytes; HMAC-SHA256 tem 32."
        )
    return digest, fault


def _of_match(
    digests: Sequence[bytes],
    keys: Sequence[_NamedKey],
    message_id: str,
    timestamp: str,
    body: bytes,
    headers: Mapping[str, str],
) -> list[Finding]:
    fitting = _fitting(digests, keys, _content(message_id, timestamp, body))
    if fitting is not None:
        found = [Finding("signature-fits", False, f"A assinatura confere (segredo {fitting}).")]
        if fitting == "previous":
            found.append(
                _fault("secret-previous", "Foi assinada com o segredo anterior; passe ao atual.")
            )
        return found
    for code, text, content in _suspects(message_id, timestamp, body, headers):
        fitting = _fitting(digests, keys, content)
        if fitting is not None:
            return [_fault(code, f"{text} (Segredo {fitting}.)")]
    for key in keys:
        # The most usual mistake in other languages: the text of the secret as the key.
        for raw in (base64.b64encode(key.raw), b"whsec_" + base64.b64encode(key.raw)):
            if _fitting(digests, [_NamedKey(key.name, raw)], _content(message_id, timestamp, body)):
                return [
                    _fault(
                        "secret-not-decoded",
                        "O texto do segredo foi usado como chave; decodifique o base64 que vem "
                        f"depois de whsec_. (Segredo {key.name}.)",
                    )
                ]
    names = ", ".join(key.name for key in keys)
    return [
        _fault(
            "no-secret-fits",
            f"Nenhum segredo conhecido ({names}) fez esta assinatura: é outro segredo, ou corpo, "
            "id ou hora não são os que foram assinados.",
        )
    ]


def _suspects(
    message_id: str, timestamp: str, body: bytes, headers: Mapping[str, str]
) -> Iterator[tuple[str, str, bytes]]:
    """What may have been signed instead: a code, the sentence for it, and the signed bytes."""
    for text, variant in doctor_bodies.variants(body):
        yield (
            "body-changed",
            f"O corpo mudou: a assinatura é dele {text}.",
            _content(message_id, timestamp, variant),
        )
    for text, other in _other_ids(message_id, body, headers):
        yield (
            "id-changed",
            f"O webhook-id mudou: foi assinado {text}.",
            _content(other, timestamp, body),
        )
    yield "signed-body-only", "Só o corpo foi assinado; assine <id>.<timestamp>.<corpo>.", body
    yield (
        "signed-without-id",
        "O id não foi assinado; assine <id>.<timestamp>.<corpo>.",
        f"{timestamp}.".encode() + body,
    )
    if _MILLISECONDS.fullmatch(timestamp):
        yield (
            "timestamp-changed",
            "Foi assinada com a hora em segundos.",
            _content(message_id, timestamp[:-3], body),
        )
    if _TIMESTAMP.fullmatch(timestamp):
        for step in range(1, _NEAR_SECONDS + 1):
            for other_time in (int(timestamp) - step, int(timestamp) + step):
                yield (
                    "timestamp-changed",
                    f"O webhook-timestamp mudou: foi assinado {other_time}.",
                    _content(message_id, str(other_time), body),
                )


def _other_ids(
    message_id: str, body: bytes, headers: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    yield "sem os espaços em volta", message_id.strip()
    yield "em minúsculas", message_id.lower()
    yield "em maiúsculas", message_id.upper()
    yield "sem msg_", message_id.removeprefix("msg_")
    yield "com msg_", f"msg_{message_id}"
    for name in ("svix-id", "x-request-id"):
        if headers.get(name):
            yield f"o de {name}", headers[name]
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return
    if isinstance(members, dict):
        for name in ("end_to_end_id", "bank_payment_id", "id"):
            if isinstance(members.get(name), str):
                yield f"o {name} do corpo", members[name]


def _content(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode("utf-8", "replace") + body


def _fitting(digests: Sequence[bytes], keys: Sequence[_NamedKey], content: bytes) -> str | None:
    for key in keys:
        expected = hmac.digest(key.raw, content, hashlib.sha256)
        if any(hmac.compare_digest(expected, digest) for digest in digests):
            return key.name
    return None
