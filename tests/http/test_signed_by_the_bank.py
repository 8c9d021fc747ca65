"""Only the bank confirms: every wrong signature is refused with a reason."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from core.signing import signatures
from tests.http.checks import problem, rows
from tests.support.service import SECRET, BankInTest, close_app, ready_app, settings_for

OTHER = "whsec_" + base64.b64encode(b"another secret of thirty bytes").decode()


@pytest.fixture
def signed(make_payment, bank):
    """A correctly signed notification: body and headers."""
    payment = make_payment()
    data = json.dumps(bank.body(payment)).encode()
    return data, bank.headers(data)


def post(client, data, headers):
    """Send a notification."""
    return client.post("/payments/pix/confirmation", data=data, headers=headers)


def refusal_detail(client, app, data, headers):
    """Check that the notification is refused and nothing is written; return the detail."""
    before = rows(app)
    error = problem(post(client, data, headers), 401, "bad-signature")
    assert rows(app) == before
    assert SECRET[6:] not in str(error)
    return error["detail"]


def test_the_correct_notification_is_accepted(client, signed):
    """So the refusals below have one fault each."""
    assert post(client, *signed).status_code == 200


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_or_empty_header_is_named(client, app, signed, name):
    """The bank's developer sees which."""
    data, headers = signed
    without = {key: value for key, value in headers.items() if key != name}
    assert name in refusal_detail(client, app, data, without)
    assert name in refusal_detail(client, app, data, {**headers, name: ""})


def test_a_body_changed_by_one_byte_is_refused(client, app, signed):
    """An attacker would change the amount."""
    data, headers = signed
    assert "No signature matches" in refusal_detail(
        client, app, data.replace(b"54.9", b"64.9"), headers
    )
    assert "No signature matches" in refusal_detail(client, app, data + b" ", headers)


def test_an_id_or_a_time_changed_is_refused(client, app, signed):
    """Both are under the signature: neither replay nor re-dating works."""
    data, headers = signed
    other_id = {**headers, "webhook-id": "msg_other"}
    assert "No signature matches" in refusal_detail(client, app, data, other_id)
    later = {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}
    assert "No signature matches" in refusal_detail(client, app, data, later)


def test_another_secret_is_refused(client, app, clock, make_payment):
    """The URL alone is not enough to confirm."""
    stranger = BankInTest(client, clock, secret=OTHER)
    payment = make_payment()
    before = rows(app)
    problem(stranger.confirm(payment), 401, "bad-signature")
    assert rows(app) == before


def test_300_seconds_are_tolerated_on_both_sides_and_no_more(client, bank, clock, make_payment):
    """A recorded notification is worthless after five minutes."""
    for seconds, status in ((-300, 200), (300, 200), (-301, 401), (301, 401)):
        body = bank.body(make_payment())
        answer = bank.tell(body, at=clock.now() + timedelta(seconds=seconds))
        assert answer.status_code == status
        if status == 401:
            side = "past" if seconds < 0 else "future"
            assert f"301 s in the {side}" in problem(answer, 401, "bad-signature")["detail"]


@pytest.mark.parametrize("timestamp", [253402300800, 999999999999, 10**15, 10**30])
def test_a_signed_time_after_the_year_9999_is_refused(client, app, timestamp):
    """The signature is right, so only the time can be refused; never with a 500."""
    data = b"{}"
    signed_text = f"msg_1.{timestamp}.".encode() + data
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = base64.b64encode(hmac.new(key, signed_text, "sha256").digest()).decode()
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{digest}",
    }
    assert "webhook-timestamp" in refusal_detail(client, app, data, headers)


@pytest.mark.parametrize(
    "timestamp",
    [
        "x",
        "1.5",
        "-1",
        "1e9",
        "\uff11\uff12",
        "9" * 12,
        "9" * 13,
        "9" * 5000,
        "0",
        " 1",
        "1 ",
        "0x10",
    ],
)
def test_a_strange_timestamp_is_refused(client, app, signed, timestamp):
    """Parsing it must not fail with a 500."""
    data, headers = signed
    value = timestamp.encode().decode("latin-1")
    assert refusal_detail(client, app, data, {**headers, "webhook-timestamp": value})


@pytest.mark.parametrize(
    "signature",
    [
        "v1", "v1,", "v1,!!!", "v2,AAAA", "v1a,AAAA", ",", " ", "x" * 5000, "v1,é", "v1=AAAA",
        "v1,AAAA v1,AAAA", "v1," + "A" * 44, "V1,AAAA", " ".join(["v1,AAAA"] * 500),
    ],
)  # fmt: skip
def test_half_a_signature_or_another_scheme_is_refused(client, app, signed, signature):
    """Also thousands of them at once."""
    data, headers = signed
    value = signature.encode().decode("latin-1")
    assert refusal_detail(client, app, data, {**headers, "webhook-signature": value})


def test_a_truncated_signature_is_refused(client, app, signed):
    """A prefix of the right signature is wrong."""
    data, headers = signed
    for cut in (-1, -2, -4, 10):
        short = {**headers, "webhook-signature": headers["webhook-signature"][:cut]}
        assert refusal_detail(client, app, data, short)


@pytest.mark.parametrize("message_id", ["x" * 129, "a b", "é", "x\x7f"])
def test_a_strange_webhook_id_is_refused(client, app, bank, make_payment, message_id):
    """It may become a key of the database."""
    data = json.dumps(bank.body(make_payment())).encode()
    value = message_id.encode().decode("latin-1")
    headers = {**bank.headers(data), "webhook-id": value}
    assert "webhook-id" in refusal_detail(client, app, data, headers)


def test_one_good_signature_among_several_is_enough(client, signed):
    """A bank that rotates signs with both secrets; unknown versions are passed over."""
    data, headers = signed
    several = f"v2,AAAA v1,{base64.b64encode(b'x' * 32).decode()} {headers['webhook-signature']}"
    assert post(client, data, {**headers, "webhook-signature": several}).status_code == 200


def test_bytes_that_are_no_text_are_refused_before_anything_else(client, app, signed):
    """A signature over garbage cannot even be computed."""
    _, headers = signed
    assert refusal_detail(client, app, b"\xff\xfe{}", headers)


def test_the_signature_is_looked_at_before_the_body(client, app, signed):
    """Strangers learn nothing about how bodies are read."""
    _, headers = signed
    for data in (b"", b"{", b"[]", b'{"value": 1}'):
        refusal_detail(client, app, data, headers)


@pytest.fixture
def rotating(fresh_database, tmp_path, clock):
    """A service in the middle of a rotation: SECRET is the previous secret, OTHER the new one."""
    settings = settings_for(
        fresh_database("sqlite"),
        tmp_path,
        bank_webhook_secret=OTHER,
        bank_webhook_secret_previous=SECRET,
    )
    app = ready_app(settings, clock)
    yield app
    close_app(app)


def test_during_a_rotation_both_secrets_confirm_and_no_third(rotating, clock):
    """Service and bank cannot change at the same second."""
    client = rotating.test_client()
    third = signatures.new_secret()
    for secret, status in ((SECRET, 200), (OTHER, 200), (third, 401)):
        payment = client.post("/payments/pix", json={"value": 5}).json["payment"]
        answer = BankInTest(client, clock, secret=secret).confirm(payment)
        assert answer.status_code == status


def test_signatures_that_keep_failing_are_cried_out_until_one_is_right(client, bank, clock):
    """A wrong secret after a rotation: nobody is paid, and the operator must hear of it.

    The service stays ready: otherwise strangers could take it away from its shoppers.
    """
    stranger = BankInTest(client, clock, secret=OTHER)
    with capture_logs() as logs:
        for _ in range(6):
            problem(stranger.tell({}), 401, "bad-signature")
            clock.advance(seconds=15)
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json["status"]) == (200, "ready")
        assert "BANK_WEBHOOK_SECRET and the clocks" in answer.json["checks"]["bank"]
        assert "balcao_bank_signatures_wrong_total 6.0" in client.get("/metrics").text
        assert bank.tell({}).status_code == 400
    assert client.get("/readyz").json["checks"]["bank"] == "ok"
    events = [line["event"] for line in logs if line["event"].startswith("bank.")]
    assert events == ["bank.signatures_fail", "bank.signatures_are_right_again"]


def test_a_clock_that_is_wrong_is_cried_out_too_and_nonsense_is_not(client, bank, clock):
    """Five minutes off, or headers that no bank sends."""
    for _ in range(6):
        bank.tell({}, at=clock.now() - timedelta(seconds=301))
        clock.advance(seconds=15)
    assert client.get("/readyz").json["checks"]["bank"] != "ok"
    clock.advance(seconds=600)
    for _ in range(6):
        post(client, b"{}", {"webhook-id": "a", "webhook-timestamp": "now"})
        clock.advance(seconds=15)
    assert client.get("/readyz").json["checks"]["bank"] == "ok"
