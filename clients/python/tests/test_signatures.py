"""verify_webhook: what it accepts, and that all garbage raises one error."""

from __future__ import annotations

import base64
import json
import random

import pytest

from balcao import WebhookVerificationError, verify_webhook
from balcao.signatures import signed_headers

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"o" * 32).decode()
AT = 1_795_000_000
BODY = json.dumps(
    {
        "id": "evt_1",
        "type": "payment.confirmed",
        "timestamp": "2026-11-20T15:00:00Z",
        "livemode": False,
        "data": {"order_id": "ação"},
    }
).encode()


def headers(secret: str = SECRET, body: bytes = BODY, at: int = AT) -> dict[str, str]:
    return signed_headers(secret, "evt_1", at, body)


def refused(*args, **options) -> str:
    with pytest.raises(WebhookVerificationError) as refusal:
        verify_webhook(*args, **{"now": AT, **options})
    return str(refusal.value)


def test_the_example_of_the_standard_verifies():
    """The vector of the specification's reference libraries, so that both sides mean the same."""
    own = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    # The signature fits; only the body is not one of our events.
    assert "not an event" in refused(own, b'{"test": 2432232314}', secret, now=1614265330)
    assert "No signature" in refused(own, b'{"test": 2432232315}', secret, now=1614265330)


def test_a_signed_event_is_returned():
    """The caller needs no JSON parser and no second look at the body."""
    event = verify_webhook(headers(), BODY, SECRET, now=AT)

    assert (event.id, event.type, event.data) == (
        "evt_1",
        "payment.confirmed",
        {"order_id": "ação"},
    )
    assert event.body == BODY


@pytest.mark.parametrize("spell", [str.upper, str.title, str.lower])
def test_header_names_are_accepted_in_any_case(spell):
    """Each framework spells them in its own way."""
    own = {spell(name): value for name, value in headers().items()}

    assert verify_webhook(own, BODY, SECRET, now=AT).id == "evt_1"


def test_headers_may_be_pairs_bytes_and_lists():
    """WSGI, ASGI and http.server keep them differently."""
    pairs = [(name.encode(), value.encode()) for name, value in headers().items()]
    lists = {name: [value] for name, value in headers().items()}

    assert verify_webhook(pairs, BODY, SECRET, now=AT).id == "evt_1"
    assert verify_webhook(lists, BODY.decode(), SECRET, now=AT).id == "evt_1"


def test_both_secrets_of_a_rotation_verify_and_a_third_does_not():
    """For 24 hours the service signs with both, and the receiver has one or both."""
    both = headers(OTHER_SECRET)
    both["webhook-signature"] += " " + headers(SECRET)["webhook-signature"]

    assert verify_webhook(both, BODY, SECRET, now=AT).id == "evt_1"
    assert verify_webhook(headers(), BODY, [OTHER_SECRET, SECRET], now=AT).id == "evt_1"
    refused(headers(), BODY, OTHER_SECRET)


@pytest.mark.parametrize(("seconds", "is_accepted"), [(300, True), (301, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_clock_may_differ_by_300_seconds(seconds, is_accepted, sign):
    """Without the limit a webhook that somebody recorded could be replayed for ever."""
    own = headers(at=AT + sign * seconds)

    if is_accepted:
        assert verify_webhook(own, BODY, SECRET, now=AT).id == "evt_1"
    else:
        assert "tolerated" in refused(own, BODY, SECRET)


def test_a_changed_body_id_or_time_is_refused():
    """All three are signed."""
    refused(headers(), BODY + b" ", SECRET)
    refused({**headers(), "webhook-id": "evt_2"}, BODY, SECRET)
    refused({**headers(), "webhook-timestamp": str(AT + 1)}, BODY, SECRET)


@pytest.mark.parametrize("name", sorted(headers()))
def test_a_missing_header_is_named(name):
    """The sentence tells the developer what the proxy has dropped."""
    own = headers()
    del own[name]

    assert name in refused(own, BODY, SECRET)


GARBAGE = [
    "",
    " ",
    "garbage",
    "v1",
    "v1,",
    "v1,a,b",
    "v1,====",
    "v1,é",
    "v1," + "A" * 100_000,
    "v2," + "A" * 44,
    ", , ,",
    "\x00",
    "١٢٣",
    "9" * 400,
    "-1",
    "1e3",
]


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("name", sorted(headers()))
def test_garbage_in_a_header_raises_the_one_error(name, garbage):
    """A shop catches one class; any other would be a 500 that a stranger can cause."""
    refused({**headers(), name: garbage}, BODY, SECRET)


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"[" * 100_000, b"null", b'{"id": 1}', b'{"id": "evt_1"}', b"NaN"]
)
def test_a_signed_body_that_is_no_event_raises_the_one_error(body):
    """Signed with the right secret, so only what the body says is wrong."""
    refused(headers(body=body), body, SECRET)


def test_an_event_under_another_id_is_refused():
    """The receiver remembers ids; the two must be the same."""
    own = signed_headers(SECRET, "evt_2", AT, BODY)

    assert "webhook-id" in refused(own, BODY, SECRET)


def test_random_headers_never_raise_anything_else():
    """The cases above are those somebody thought of."""
    dice = random.Random(7)
    for _ in range(2_000):
        own = {
            name: "".join(chr(dice.randrange(0x250)) for _ in range(dice.randrange(40)))
            if dice.random() < 0.5
            else value
            for name, value in headers().items()
        }
        own["webhook-signature"] = "v1," + own["webhook-signature"].strip("v1,")
        if own != headers():
            try:
                verify_webhook(own, BODY, OTHER_SECRET, now=AT)
            except WebhookVerificationError:
                continue
            raise AssertionError(own)


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_%", "s" * 40, "whsec_" + base64.b64encode(b"short").decode(), []],
)
def test_a_secret_of_ours_that_is_none_is_our_own_mistake(secret):
    """It must show at the first request and not look like a forged webhook."""
    with pytest.raises(ValueError, match="secret"):
        verify_webhook(headers(), BODY, secret, now=AT)
