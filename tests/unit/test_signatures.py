"""Standard Webhooks: a signature is verified, or refused with a reason."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadSignature
from core.signing import signatures

NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
# Constant, because test names contain it and must be the same in every worker.
SECRET = "whsec_" + base64.b64encode(b"a secret for these tests alone..").decode()
BODY = '{"value": 54.9, "name": "João"}'.encode()


def test_the_signature_is_the_standards_own():
    """HMAC-SHA256 over id.timestamp.body under the secret's bytes, computed here by hand."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = b"msg_1." + str(int(NOW.timestamp())).encode() + b"." + BODY
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert signatures.sign(SECRET, "msg_1", NOW, BODY) == f"v1,{expected}"


def test_the_example_of_the_specification_holds():
    """standard-webhooks.md, section "Symmetric": a vector that we did not compute ourselves."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    at = datetime.fromtimestamp(1614265330, UTC)
    signature = signatures.sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_valid_signature_proves_the_id_and_the_time():
    """Both are signed, so callers may rely on them."""
    headers = signatures.signed_headers(SECRET, "msg_1", NOW, BODY)
    assert signatures.verify([SECRET], headers, BODY, NOW) == signatures.VerifiedMessage(
        "msg_1", NOW
    )


def test_header_names_are_the_standards():
    """Other libraries read these headers."""
    headers = signatures.signed_headers(SECRET, "msg_1", NOW, BODY)
    assert set(headers) == {"webhook-id", "webhook-timestamp", "webhook-signature"}


@pytest.mark.parametrize("seconds", [-300, -1, 0, 1, 300])
def test_a_signature_is_valid_within_300_seconds(seconds):
    """Including exactly 300 s, in both directions."""
    headers = signatures.signed_headers(SECRET, "m", NOW, BODY)
    assert signatures.verify([SECRET], headers, BODY, NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(("seconds", "side"), [(300.001, "past"), (-300.001, "future")])
def test_a_signature_is_invalid_beyond_300_seconds(seconds, side):
    """The error says whether the time is in the past or in the future."""
    headers = signatures.signed_headers(SECRET, "m", NOW, BODY)
    with pytest.raises(BadSignature, match=side):
        signatures.verify([SECRET], headers, BODY, NOW + timedelta(seconds=seconds))


def test_any_of_the_secrets_may_have_signed():
    """During a rotation there are two secrets; a third one is refused."""
    other, third = signatures.new_secret(), signatures.new_secret()
    headers = signatures.signed_headers(SECRET, "m", NOW, BODY)
    assert signatures.verify([other, SECRET], headers, BODY, NOW)
    with pytest.raises(BadSignature):
        signatures.verify([other, third], headers, BODY, NOW)
    with pytest.raises(BadSignature):
        signatures.verify([], headers, BODY, NOW)


def test_only_ten_signatures_are_checked():
    """A header with a thousand signatures would only cost time."""
    good = signatures.signed_headers(SECRET, "m", NOW, BODY)
    bad = "v1," + base64.b64encode(b"x" * 32).decode()

    def among(before: int) -> dict[str, str]:
        entries = [bad] * before + [good["webhook-signature"]]
        return {**good, "webhook-signature": " ".join(entries)}

    assert signatures.verify([SECRET], among(9), BODY, NOW)
    with pytest.raises(BadSignature):
        signatures.verify([SECRET], among(10), BODY, NOW)


@given(st.binary(max_size=200), st.integers(min_value=0, max_value=199), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(body, position, change):
    """Wherever the changed byte is."""
    signature_bytes = base64.b64encode(body) or b"AA=="
    headers = signatures.signed_headers(SECRET, "m", NOW, signature_bytes)
    position %= len(signature_bytes)
    other = (
        signature_bytes[:position]
        + bytes([signature_bytes[position] ^ change])
        + signature_bytes[position + 1 :]
    )
    with pytest.raises(BadSignature):
        signatures.verify([SECRET], headers, other, NOW)


@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
        st.text(max_size=60) | st.from_regex(r"v1,[A-Za-z0-9+/=]{0,60}", fullmatch=True)
        | st.from_regex(r"[0-9]{1,14}", fullmatch=True),
    ),
    st.binary(max_size=60),
)  # fmt: skip
def test_any_headers_raise_only_bad_signature(headers, body):
    """Strangers choose the headers, so no other exception may come out."""
    with pytest.raises(BadSignature):
        signatures.verify([SECRET], headers, body, NOW)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (SECRET, True),
        ("whsec_" + base64.b64encode(b"x" * 24).decode(), True),
        ("whsec_" + base64.b64encode(b"x" * 23).decode(), False),
        (SECRET.removeprefix("whsec_"), False),
        ("whsec_", False),
        ("whsec_!!!!", False),
        ("whsec_é", False),
        ("", False),
    ],
)
def test_a_secret_has_a_fixed_form(text, good):
    """A short or mistyped secret stops the start, not the first payment."""
    assert signatures.is_secret(text) is good


def test_new_secrets_differ():
    """They are random."""
    assert len({signatures.new_secret() for _ in range(10)}) == 10
