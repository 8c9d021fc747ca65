"""`balcao listen`: what the local address receives, and when an event counts as failed."""

from __future__ import annotations

import base64
import json

import pytest

from balcao import Event, verify_webhook
from balcao.cli import listen
from balcao.cli.main import main
from balcao.models import parse_json

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
BODY = json.dumps(
    {
        "id": "evt_1",
        "type": "payment.confirmed",
        "timestamp": "2026-11-20T15:00:00Z",
        "livemode": False,
        "data": {"id": "4f0c", "description": "ação"},
    },
    ensure_ascii=False,
).encode()
EVENT = Event.from_raw(parse_json(BODY), BODY)


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """The pauses, which are recorded and not waited for."""
    waits: list[float] = []
    monkeypatch.setattr("balcao.cli.listen.time.sleep", waits.append)
    return waits


def test_the_receiver_gets_the_events_own_bytes_signed(script):
    """The same code must work for a webhook in production."""
    receiver = script((204, {}, b""))

    assert listen.deliver(EVENT, f"{receiver.url}/hook?x=1", SECRET, 0)

    method, path, headers, body = receiver.requests[0]
    assert (method, path) == ("POST", "/hook?x=1")
    assert headers["webhook-id"] == "evt_1"
    assert headers["content-type"] == "application/json"
    assert verify_webhook(headers, body, SECRET).raw == EVENT.raw
    assert body == BODY


def test_a_receiver_that_fails_is_tried_again_with_the_same_id(script, pauses):
    """A shop that restarts misses nothing; the id lets it recognise the second attempt."""
    receiver = script((500, {}, b""), None, (429, {}, b""), (200, {}, b""))

    assert listen.deliver(EVENT, receiver.url, SECRET, 4)

    assert {headers["webhook-id"] for _, _, headers, _ in receiver.requests} == {"evt_1"}
    assert pauses == [1, 2, 4]


def test_after_the_last_retry_the_event_has_failed(script, pauses, capsys):
    """The next event must not wait for ever, and the line says which event to look at."""
    receiver = script((503, {}, b""))

    assert not listen.deliver(EVENT, receiver.url, SECRET, 2)

    assert len(receiver.requests) == 3
    assert "failed, event evt_1" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("status", [301, 400, 404, 410])
def test_an_answer_that_a_retry_cannot_mend_is_final(script, pauses, status):
    """A redirect is never followed: the signature was made for this receiver."""
    target = script((200, {}, b""))
    receiver = script((status, {"Location": target.url}, b""))

    assert not listen.deliver(EVENT, receiver.url, SECRET, 4)

    assert (len(receiver.requests), target.requests, pauses) == (1, [], [])


def test_nobody_listening_is_shown_and_tried_again(script, capsys):
    """The developer has not started the shop yet."""
    receiver = script(None)
    receiver.close()

    assert not listen.deliver(EVENT, receiver.url, SECRET, 1)

    first, last = capsys.readouterr().out.splitlines()
    assert "Connection refused" in first
    assert "again in 1 s" in first
    assert "failed" in last


@pytest.mark.parametrize(
    "url", ["", "localhost:4242", "ftp://a", "http://", "http://a b", "http://a:x"]
)
def test_an_address_that_is_none_is_refused_at_once(url, capsys):
    """Not only when the first event comes."""
    assert main(["listen", "--forward-to", url]) == 1
    assert "--forward-to" in capsys.readouterr().err


def test_a_secret_that_is_none_is_refused_at_once(capsys):
    """And not shown."""
    assert main(["listen", "--forward-to", "http://localhost:1", "--secret", "whsec_pass"]) == 1
    assert "whsec_pass" not in capsys.readouterr().err


def test_a_refused_key_ends_the_command(script, capsys):
    """The secret and the addresses are printed first, so something is seen at once."""
    server = script(script.problem(401, "unauthorized"))

    assert main(["listen", "--url", server.url, "--forward-to", "http://localhost:1"]) == 1

    output = capsys.readouterr()
    assert "Signing secret: whsec_" in output.out
    assert "balcao login" in output.err
