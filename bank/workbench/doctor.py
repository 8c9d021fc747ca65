"""Finds out what is wrong with the signature of a notification.

Standard Webhooks (https://www.standardwebhooks.com): `webhook-signature` is `v1,` and the base64
of HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<body>`. The key is the secret without
`whsec_`, base64-decoded. Findings never show a secret.
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

from bank.languages import translate as _
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
    headers: Mapping[str, str], body: bytes, secrets: Sequence[NamedSecret], now: datetime
) -> list[Finding]:
    """All findings about the signature, the decisive one first.

    Header names are in lower case. The function raises no error for any input.
    """
    keys, findings = _keys(secrets)
    missing_names = [name for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
               if not headers.get(name)]  # fmt: skip
    findings += [
        _fault("header-missing", _("Falta o cabeçalho %(name)s.") % {"name": name})
        for name in missing_names
    ]
    message_id = headers.get(ID_HEADER, "")
    timestamp = headers.get(TIMESTAMP_HEADER, "")
    if message_id and not _MESSAGE_ID.fullmatch(message_id):
        findings.append(
            _fault(
                "id-malformed",
                _("webhook-id deve ter de 1 a 128 caracteres ASCII, sem espaço."),
            )
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
            findings.append(
                _fault(
                    "secret-whitespace", _("O segredo foi colado com espaços ou quebra de linha.")
                )
            )
        if not text.startswith("whsec_"):
            findings.append(
                _fault("secret-without-prefix", _("O segredo foi colado sem o prefixo whsec_."))
            )
        base64_text = text.removeprefix("whsec_")
        try:
            secret_key = base64.b64decode(base64_text, validate=True)
        except (binascii.Error, ValueError):
            findings.append(
                _fault("secret-not-base64", _("O que vem depois de whsec_ não é base64."))
            )
            continue
        if len(secret_key) < _SECRET_BYTES_MIN:
            findings.append(
                _fault(
                    "secret-too-short",
                    _("O segredo tem %(num)s bytes; o mínimo é 24.") % {"num": len(secret_key)},
                )
            )
        keys.append(_NamedKey(named_secret.name, secret_key))
    if not keys:
        findings.append(_fault("secret-missing", _("Não há segredo para conferir a assinatura.")))
    return keys, findings


def _timestamp_findings(timestamp: str, now: datetime) -> list[Finding]:
    if not timestamp:
        return []
    if _MILLISECONDS.fullmatch(timestamp):
        return [
            _fault(
                "timestamp-milliseconds",
                _("webhook-timestamp está em milissegundos; use segundos."),
            )
        ]
    if not _TIMESTAMP.fullmatch(timestamp):
        return [_fault("timestamp-malformed", _("webhook-timestamp deve ser em segundos Unix."))]
    skew = round(now.timestamp()) - int(timestamp)
    direction = _("no passado") if skew > 0 else _("no futuro")
    difference = {"num": abs(skew), "direction": direction}
    limit = int(TOLERANCE.total_seconds())
    if abs(skew) > limit:
        return [
            _fault(
                "clock-skew",
                _(
                    "webhook-timestamp está %(num)s s %(direction)s; o limite é %(limit)s s. "
                    "Acerte o relógio, ou assine de novo a cada tentativa."
                )
                % {**difference, "limit": limit},
            )
        ]
    sentence = _("webhook-timestamp está %(num)s s %(direction)s.")
    return [Finding("clock-ok", False, sentence % difference)]


def _digests(header: str) -> tuple[list[bytes], list[Finding]]:
    """The digests in the header, in any encoding, and the faults in how they are written."""
    digests: list[bytes] = []
    findings: list[Finding] = []
    for entry in header.split()[:_ENTRIES_MAX]:
        version, comma, base64_text = entry.partition(",")
        if not comma:
            findings.append(
                _fault("version-missing", _("Falta a versão antes da assinatura: v1,<base64>."))
            )
            base64_text = entry
        elif version != "v1":
            findings.append(
                _fault(
                    "version-unknown",
                    _("A versão %(version)s não é conhecida; use v1.")
                    % {"version": repr(version[:20])},
                )
            )
        digest, fault = _decode(base64_text)
        if fault is not None:
            findings.append(fault)
        if digest is not None:
            digests.append(digest)
    return digests, findings


def _decode(base64_text: str) -> tuple[bytes | None, Finding | None]:
    if _HEX.fullmatch(base64_text):
        return bytes.fromhex(base64_text), _fault(
            "signature-hex", _("A assinatura está em hexadecimal; use base64.")
        )
    fault: Finding | None = None
    text = base64_text
    if re.search(r"[-_]", text):
        fault = _fault("base64-url-safe", _("A assinatura usa base64 de URL (- e _); use + e /."))
        text = text.replace("-", "+").replace("_", "/")
    if len(text) % 4:
        fault = fault or _fault("base64-padding", _("Falta o preenchimento = no fim do base64."))
        text += "=" * (-len(text) % 4)
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None, _fault("not-base64", _("A assinatura não é base64."))
    if len(digest) != _DIGEST_BYTES:
        return None, _fault(
            "digest-length",
            _("A assinatura tem %(num)s bytes; HMAC-SHA256 tem 32.") % {"num": len(digest)},
        )
    return digest, fault


def _match_findings(
    digests: Sequence[bytes],
    keys: Sequence[_NamedKey],
    message_id: str,
    timestamp: str,
    body: bytes,
    headers: Mapping[str, str],
) -> list[Finding]:
    name = _matching_key(digests, keys, _content(message_id, timestamp, body))
    if name is not None:
        sentence = _("A assinatura confere (segredo %(name)s).") % {"name": name}
        findings = [Finding("signature-fits", False, sentence)]
        if name == "previous":
            findings.append(
                _fault("secret-previous", _("Foi assinada com o segredo anterior; passe ao atual."))
            )
        return findings
    for code, text, content in _signed_variants(message_id, timestamp, body, headers):
        name = _matching_key(digests, keys, content)
        if name is not None:
            return [_fault(code, f"{text} {_secret_note(name)}")]
    for key in keys:
        # A common mistake is to use the text of the secret as the key, without decoding it.
        encoded = base64.b64encode(key.key)
        for text_key in (encoded, b"whsec_" + encoded):
            if _matching_key(
                digests, [_NamedKey(key.name, text_key)], _content(message_id, timestamp, body)
            ):
                return [
                    _fault(
                        "secret-not-decoded",
                        _(
                            "O texto do segredo foi usado como chave; decodifique o base64 que "
                            "vem depois de whsec_."
                        )
                        + f" {_secret_note(key.name)}",
                    )
                ]
    names = ", ".join(key.name for key in keys)
    return [
        _fault(
            "no-secret-fits",
            _(
                "Nenhum segredo conhecido (%(names)s) fez esta assinatura: é outro segredo, ou "
                "corpo, id ou hora não são os que foram assinados. A loja responde 401: tente de "
                "novo."
            )
            % {"names": names},
        )
    ]


def _secret_note(name: str) -> str:
    return _("(Segredo %(name)s.)") % {"name": name}


def _signed_variants(
    message_id: str, timestamp: str, body: bytes, headers: Mapping[str, str]
) -> Iterator[tuple[str, str, bytes]]:
    """What may have been signed instead: a fault's code, its sentence, and the signed bytes."""
    for text, variant in doctor_bodies.variants(body):
        yield (
            "body-changed",
            _("O corpo mudou: a assinatura é dele %(form)s.") % {"form": text},
            _content(message_id, timestamp, variant),
        )
    for text, other in _other_ids(message_id, body, headers):
        yield (
            "id-changed",
            _("O webhook-id mudou: foi assinado %(id)s.") % {"id": text},
            _content(other, timestamp, body),
        )
    yield (
        "signed-body-only",
        _("Só o corpo foi assinado; assine <id>.<timestamp>.<corpo>."),
        body,
    )
    yield (
        "signed-without-id",
        _("O id não foi assinado; assine <id>.<timestamp>.<corpo>."),
        f"{timestamp}.".encode() + body,
    )
    if _MILLISECONDS.fullmatch(timestamp):
        yield (
            "timestamp-changed",
            _("Foi assinada com a hora em segundos."),
            _content(message_id, timestamp[:-3], body),
        )
    if _TIMESTAMP.fullmatch(timestamp):
        for step in range(1, _NEAR_SECONDS + 1):
            for other_time in (int(timestamp) - step, int(timestamp) + step):
                yield (
                    "timestamp-changed",
                    _("O webhook-timestamp mudou: foi assinado %(time)s.") % {"time": other_time},
                    _content(message_id, str(other_time), body),
                )


def _other_ids(
    message_id: str, body: bytes, headers: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    yield _("sem os espaços em volta"), message_id.strip()
    yield _("em minúsculas"), message_id.lower()
    yield _("em maiúsculas"), message_id.upper()
    yield _("sem msg_"), message_id.removeprefix("msg_")
    yield _("com msg_"), f"msg_{message_id}"
    for name in ("svix-id", "x-request-id"):
        if headers.get(name):
            yield _("o de %(name)s") % {"name": name}, headers[name]
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return
    if isinstance(members, dict):
        for name in ("end_to_end_id", "bank_payment_id", "id"):
            if isinstance(members.get(name), str):
                yield _("o %(name)s do corpo") % {"name": name}, members[name]


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
