"""Checks the certificate chain of the key that signed a charge (Manual de Segurança do Pix)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from bank.languages import translate as _
from core.languages import N_

CHAIN_MAX = 5

_REFUSALS = {
    "malformed": N_("O banco de quem recebe respondeu algo que não está assinado."),
    "alg-not-allowed": N_("Este tipo de assinatura não é aceito no Pix."),
    "key-not-found": N_(
        "A chave que assinou estes dados não está entre as do banco de quem recebe."
    ),
    "certificate-mismatch": N_("O certificado não é o da chave que assinou estes dados (x5t)."),
    "certificate-expired": N_("O certificado de quem assinou estes dados está fora da validade."),
    "certificate-chain": N_("A cadeia de certificados de quem assinou estes dados não fecha."),
    "signature-invalid": N_("Os dados foram alterados depois de assinados."),
}
_UNTRUSTED = N_("Não dá para confiar nestes dados.")


def refusal_text(code: str) -> str:
    """Why the signature is refused, as a sentence for the payer."""
    reason = _(_REFUSALS.get(code, _UNTRUSTED))
    return _("%(reason)s Nada foi pago. (%(code)s)") % {"reason": reason, "code": code}


def chain_fault(keys: Mapping[str, Any], kid: object, now: datetime) -> str | None:
    """Check the certificates of the key `kid`; None if they are valid.

    Each certificate must be issued by the next one and the last one by itself; else the fault is
    `certificate-chain`. All must be valid at `now`; else it is `certificate-expired`. The root is
    trusted because the key set comes from the host of a known bank.
    """
    try:
        chain = _chain_of(keys, kid)
        for certificate, issuer in zip(chain, [*chain[1:], chain[-1]], strict=True):
            certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return "certificate-chain"
    if any(not cert.not_valid_before_utc <= now <= cert.not_valid_after_utc for cert in chain):
        return "certificate-expired"
    return None


def _chain_of(keys: Mapping[str, Any], kid: object) -> list[x509.Certificate]:
    entries = keys.get("keys")
    matches = [
        key
        for key in (entries if isinstance(entries, list) else [])
        if isinstance(key, Mapping) and key.get("kid") == kid
    ]
    x5c = matches[0].get("x5c") if matches else None
    if not isinstance(x5c, list) or not 1 <= len(x5c) <= CHAIN_MAX:
        raise ValueError("no chain")
    try:
        ders = [base64.b64decode(text, validate=True) for text in x5c]
        return [x509.load_der_x509_certificate(der) for der in ders]
    except (binascii.Error, x509.InvalidVersion):
        raise ValueError("an unreadable certificate") from None
