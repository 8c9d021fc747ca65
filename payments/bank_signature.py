"""The proof that a request comes from the payer's bank."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import structlog
from flask import request

from config import current_parts, current_settings
from core.runtime.proxies import behind
from core.signing import signatures
from repository.database import now

log = structlog.get_logger()

SIGNED: list[dict[str, list[str]]] = [{"bankSignature": []}]
"""The `security` of a route that only the bank may call."""


def verify() -> signatures.VerifiedMessage:
    """The proof of the signature over the raw body, and which bank it is. Raises BadSignature.

    Failures of the right form are counted for the operator.
    """
    parts = current_parts()
    try:
        signed = _verify_any(now())
    except signatures.SignatureMismatch as error:
        parts.metrics.wrong_signatures.inc()
        if parts.signature_failures.record_failure(now()):
            log.error("bank.signatures_fail", detail=error.detail)
        raise
    # A test may work while nobody's money arrives, so it ends no alarm.
    if not signed.is_test and parts.signature_failures.record_success():
        log.info("bank.signatures_are_right_again")
    return signed


def _verify_any(moment: datetime) -> signatures.VerifiedMessage:
    """The proof by the secrets of one bank: no two banks have a secret in common."""
    live, *others = current_settings().banks
    incoming = behind(request)
    data, headers = incoming.get_data(), incoming.headers
    try:
        return signatures.verify(live.secrets, headers, data, moment)
    except signatures.SignatureMismatch:
        if not others:
            raise
    signed = signatures.verify(others[0].secrets, headers, data, moment)
    return replace(signed, is_test=True)
