"""The chain a signer's key comes with, and the sentence each doubt has on the screen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bank.codes.certificates import chain_fault, refusal_text
from core.signing import jws

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def keys(*certificates):
    """A key set whose one key carries this chain."""
    return {"keys": [{"kid": "k", "x5c": list(certificates)}]}


def certificate(now=NOW):
    """A certificate that signed itself, as a key set carries it."""
    return jws.public_jwk(jws.generate_key("127.0.0.1", now))["x5c"][0]


def test_a_certificate_that_signed_itself_is_a_whole_chain():
    """It is trusted for the registered host it was fetched from."""
    assert chain_fault(keys(certificate()), "k", NOW) is None


@pytest.mark.parametrize("days", [-1, 731])
def test_a_chain_outside_its_dates_is_expired(days):
    """Both sides: not yet, and no longer."""
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
def test_a_chain_that_is_none_does_not_close(listed):
    """A key set comes from the network: it may be any JSON."""
    assert chain_fault(listed, "k", NOW) == "certificate-chain"


def test_a_stranger_in_the_chain_breaks_it():
    """The leaf must be issued by what comes after it, and not merely stand before it."""
    assert chain_fault(keys(certificate(), certificate()), "k", NOW) == "certificate-chain"


def test_every_doubt_has_a_sentence_of_its_own():
    """The payer reads which check failed; the code is for whoever debugs a shop."""
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
