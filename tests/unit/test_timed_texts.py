"""Signed texts with a time, whatever the time is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from itsdangerous import BadSignature, SignatureExpired, TimestampSigner

from core.signing.timed_texts import TimedTexts

LAST_SECOND = 253_402_300_799


def signed_at(texts: TimedTexts, timestamp: int) -> str:
    """A validly signed text with this time."""

    class Signer(TimestampSigner):
        def get_timestamp(self) -> int:
            return timestamp

    signer = Signer(texts.secret_key, salt=texts.salt, key_derivation="django-concat")
    return signer.sign(texts.dump_payload("x")).decode()


@pytest.fixture
def texts() -> TimedTexts:
    """A serializer with a secret."""
    return TimedTexts("secret", salt="test")


def test_it_reads_what_itsdangerous_writes(texts):
    """Texts that were signed before an upgrade stay valid."""
    assert texts.loads(texts.dumps(["a", 1]), max_age=5) == ["a", 1]
    assert texts.loads(signed_at(texts, LAST_SECOND), return_timestamp=True) == (
        "x",
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    )


@pytest.mark.parametrize("timestamp", [LAST_SECOND + 1, 10**15, 10**19])
@pytest.mark.parametrize("options", [{"return_timestamp": True}, {"max_age": 5}])
def test_a_time_that_does_not_exist_is_a_bad_signature(texts, timestamp, options: dict[str, Any]):
    """itsdangerous raises ValueError or OverflowError, which callers do not expect: a 500."""
    with pytest.raises(BadSignature):
        texts.loads(signed_at(texts, timestamp), **options)


def test_an_old_text_has_still_expired(texts):
    """The subclass of BadSignature tells callers why."""
    with pytest.raises(SignatureExpired):
        texts.loads(signed_at(texts, 1_000_000_000), max_age=5)
