"""The proof that a request comes from the payer's bank."""

from __future__ import annotations

import structlog
from flask import request

from config import current_parts, current_settings
from core.signing import signatures
from repository.database import now

log = structlog.get_logger()

SIGNED: list[dict[str, list[str]]] = [{"bankSignature": []}]
"""The `security` of a route that only the bank may call."""


def verify() -> signatures.VerifiedMessage:
    """The proof of the signature over the raw body. Raises BadSignature.

    Failures of the right form are counted for the operator.
    """
    parts = current_parts()
    secrets = current_settings().banks[0].secrets
    try:
        signed = signatures.verify(secrets, request.headers, request.get_data(), now())
    except signatures.SignatureMismatch as error:
        parts.metrics.wrong_signatures.inc()
        if parts.signature_failures.record_failure(now()):
            log.error("bank.signatures_fail", detail=error.detail)
        raise
    if parts.signature_failures.record_success():
        log.info("bank.signatures_are_right_again")
    return signed
