"""The certificates of a charge's key: their chain and dates (Manual de Segurança do Pix)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

CHAIN_MAX = 5

_REFUSALS = {
    "malformed": "O banco de quem recebe respondeu algo que não é uma cobrança assinada.",
    "alg-not-allowed": "O tipo de assinatura desta cobrança não é aceito no Pix.",
    "key-not-found": "A chave que assinou esta cobrança não está entre as do banco de quem recebe.",
    "certificate-mismatch": "O certificado não é o da chave que assinou esta cobrança (x5t).",
    "certificate-expired": "O certificado de quem assinou esta cobrança está fora da validade.",
    "certificate-chain": "A cadeia de certificados de quem assinou esta cobrança não fecha.",
    "signature-invalid": "Os dados desta cobrança foram alterados depois de assinados.",
}


def refusal_text(code: str) -> str:
    """Why a signature is not believed, for the payer's screen."""
    known = _REFUSALS.get(code, "Não dá para confiar nos dados desta cobrança.")
    return f"{known} Nada foi pago. ({code})"


def chain_fault(keys: Mapping[str, Any], kid: object, now: datetime) -> str | None:
    """What is wrong with the chain of the key `kid`: `certificate-chain`, `certificate-expired`.

    Each certificate must be issued by the next one, the last by itself, and all be good at `now`.
    A chain is trusted for where it was fetched from: the key set of a host that we registered.
    """
    try:
        chain = _chain_of(keys, kid)
        for certificate, issuer in zip(chain, [*chain[1:], chain[-1]], strict=True):
            certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return "certificate-chain"
    if any(not one.not_valid_before_utc <= now <= one.not_valid_after_utc for one in chain):
        return "certificate-expired"
    return None


def _chain_of(keys: Mapping[str, Any], kid: object) -> list[x509.Certificate]:
    listed = keys.get("keys")
    found = [
        key
        for key in (listed if isinstance(listed, list) else [])
        if isinstance(key, Mapping) and key.get("kid") == kid
    ]
    x5c = found[0].get("x5c") if found else None
    if not isinstance(x5c, list) or not 1 <= len(x5c) <= CHAIN_MAX:
        raise ValueError("no chain")
    try:
        return [x509.load_der_x509_certificate(base64.b64decode(one, validate=True)) for one in x5c]
    except (binascii.Error, x509.InvalidVersion):
        raise ValueError("an unreadable certificate") from None
