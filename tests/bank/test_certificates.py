"""The certificate chain of a signer's key, and the sentence for each refusal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bank.codes.certificates import chain_fault, refusal_text
from core.signing import jws

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def keys(*certificates):
    """A key set with one key that carries this chain."""
    return {"keys": [{"kid": "k", "x5c": list(certificates)}]}


def certificate(now=NOW):
    """A self-signed certificate as a key set carries it."""
    return jws.public_jwk(jws.generate_key("127.0.0.1", now))["x5c"][0]


def test_a_self_signed_certificate_is_a_valid_chain():
    """It is trusted because it comes from the host of a known bank."""
    assert chain_fault(keys(certificate()), "k", NOW) is None


@pytest.mark.parametrize("days", [-1, 731])
def test_a_chain_outside_its_dates_is_expired(days):
    """Both before the first and after the last day."""
    fault = chain_fault(keys(certificate()), "k", NOW + timedelta(days=days))

    assert fault == "certificate-expired"


@pytest.mark.parametrize(
    "listed",
    [
        {},
        {"keys": 7},
        keys(),
        keys(*[1]),
        keys("AAAA"),
        keys("%"),
        {"keys": [{"kid": "k", "x5c": "AAAA"}]},
    ],
)
def test_a_missing_or_malformed_chain_is_refused(listed):
    """A key set comes from the network and may be any JSON."""
    assert chain_fault(listed, "k", NOW) == "certificate-chain"


def test_a_certificate_that_another_issued_breaks_the_chain():
    """Each certificate must be issued by the next one, not merely stand before it."""
    assert chain_fault(keys(certificate(), certificate()), "k", NOW) == "certificate-chain"


def test_each_refusal_has_its_own_sentence():
    """The payer reads which check failed; the code helps developers of a shop."""
    codes = (
        "malformed",
        "alg-not-allowed",
        "key-not-found",
        "certificate-mismatch",
        "certificate-expired",
        "certificate-chain",
        "signature-invalid",
    )
    sentences = {refusal_text(code) for code in codes}

    assert len(sentences) == len(codes)
    assert all("Nada foi pago" in sentence for sentence in sentences)
    assert "new-code" in refusal_text("new-code")
