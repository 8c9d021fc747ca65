"""The stream of events: each once, in order, over interruptions of any kind."""

from __future__ import annotations

import itertools
import json

import pytest

import balcao
from balcao import errors
from balcao.events import Position, read_messages

STREAM = {"Content-Type": "text/event-stream"}


def event(number: int) -> bytes:
    """One message of the stream."""
    members = {
        "id": f"evt_{number}",
        "type": "payment.created",
        "timestamp": "2026-11-20T15:00:00Z",
        "livemode": False,
        "data": {"value": 54.9},
    }
    text = json.dumps(members)
    return f"id: evt_{number}\nevent: payment.created\ndata: {text}\n\n".encode()


def first(count: int, stream) -> list[str]:
    return [one.id for one in itertools.islice(stream, count)]


def test_a_stream_resumes_after_the_last_event_that_was_handled(script, shop):
    """A restart of the service must lose nothing and repeat nothing."""
    server = script(
        (200, STREAM, b": hello\n\n" + event(1) + event(2)),
        None,
        script.problem(503, "service-unavailable"),
        (502, {}, b"<html>"),
        (200, STREAM, event(3)),
    )

    assert first(3, shop(server).client.events.stream()) == ["evt_1", "evt_2", "evt_3"]

    sent = [headers.get("last-event-id") for _, _, headers, _ in server.requests]
    assert sent == [None, "evt_2", "evt_2", "evt_2", "evt_2"]


def test_an_event_that_the_end_cuts_off_comes_again_whole(script, shop):
    """Half an event is none: its id must not count as handled."""
    server = script(
        (200, STREAM, event(1) + event(2)[:-1]),
        (200, STREAM, event(2)),
    )

    assert first(2, shop(server).client.events.stream()) == ["evt_1", "evt_2"]
    assert server.requests[1][2]["last-event-id"] == "evt_1"


def test_a_position_without_an_event_is_resumed_from(script, shop):
    """The service names its newest event first, so a stream that breaks before the first event of
    its own loses none either."""
    server = script((200, STREAM, b"id: evt_7\n\n"), (200, STREAM, event(8)))

    assert first(1, shop(server).client.events.stream()) == ["evt_8"]
    assert server.requests[1][2]["last-event-id"] == "evt_7"


def test_the_stream_is_connected_when_its_position_is_read(script, shop):
    """What is said to be connected must miss nothing, so the answer's head is not enough."""
    server = script((200, STREAM, b""), (200, STREAM, b"id: start\n\n"), (200, STREAM, event(1)))
    position, connected_at = Position(), []

    stream = shop(server).client.events.stream(
        position=position, on_connect=lambda: connected_at.append(position.last_id)
    )

    assert first(1, stream) == ["evt_1"]
    assert connected_at == ["start", "start"]
    assert [headers.get("last-event-id") for _, _, headers, _ in server.requests] == [
        None,
        None,
        "start",
    ]


def test_an_event_counts_as_handled_when_the_next_is_asked_for(script, shop):
    """A program that dies while it handles an event gets it again."""
    server = script((200, STREAM, event(1) + event(2)))
    position = Position()
    stream = shop(server).client.events.stream(position=position)

    next(stream)
    assert position.last_id is None
    next(stream)
    assert position.last_id == "evt_1"


def test_the_type_and_the_start_are_sent(script, shop):
    """The service filters, so that a busy merchant's other events are not transferred."""
    server = script((200, STREAM, event(5)))

    first(1, shop(server).client.events.stream(after="evt_4", type="payment.created"))

    _, path, headers, _ = server.requests[0]
    assert path == "/events?type=payment.created"
    assert headers["last-event-id"] == "evt_4"


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_ends_the_stream_at_once(script, shop, status):
    """A revoked key must be seen, not retried for ever."""
    server = script(script.problem(status, "some-code"))

    with pytest.raises(errors.ApiError):
        next(shop(server).client.events.stream())

    assert len(server.requests) == 1


def test_a_page_instead_of_a_stream_is_not_believed(script, shop):
    """A proxy answers 200 with a page while the service restarts."""
    server = script((200, {"Content-Type": "text/html"}, b"<html>"), (200, STREAM, event(1)))
    interruptions: list[balcao.BalcaoError] = []

    stream = shop(server).client.events.stream(
        on_interruption=lambda error, _pause: interruptions.append(error)
    )

    assert first(1, stream) == ["evt_1"]
    assert isinstance(interruptions[0], balcao.UnexpectedAnswer)


def test_nobody_answering_ends_after_the_bound(script, shop):
    """A program should learn that it hears nothing; None is for a person who watches."""
    server = script(None)
    shopkeeper = shop(server)

    with pytest.raises(balcao.ConnectionFailed):
        next(shopkeeper.client.events.stream(give_up_after=0.0))


def test_the_pauses_grow_up_to_a_bound(script, shop):
    """Many clients that reconnect at once would keep a service down that is starting."""
    server = script(*[None] * 12, (200, STREAM, event(1)))
    shopkeeper = shop(server)

    first(1, shopkeeper.client.events.stream())

    pauses = shopkeeper.pauses
    assert len(pauses) == 12
    assert pauses[0] <= 0.25
    assert 5 <= pauses[-1] <= 10


def test_the_list_is_followed_to_the_newest_event(script, shop):
    """`next` is null at the end."""
    raw = {"id": "evt_1", "type": "ping", "timestamp": "2026-11-20T15:00:00Z", "livemode": False}
    server = script(
        script.ok({"data": [raw, {**raw, "id": "evt_2"}], "next": "evt_2"}),
        script.ok({"data": [{**raw, "id": "evt_3"}], "next": None}),
    )

    events = list(shop(server).client.events.list(after="evt_0"))

    assert [one.id for one in events] == ["evt_1", "evt_2", "evt_3"]
    paths = [path for _, path, _, _ in server.requests]
    assert paths == ["/events?after=evt_0&limit=100", "/events?after=evt_2&limit=100"]


@pytest.mark.parametrize(
    ("lines", "messages"),
    [
        ([b": hi", b""], [(None, None), (None, None)]),
        ([b"data: a", b"data:b", b""], [(None, b"a\nb")]),
        ([b"id: 1", b"data: a", b""], [("1", b"a")]),
        ([b"id: 1\0", b"data: a", b""], [(None, b"a")]),
        ([b"retry: 9", b"unknown", b"data: a", b""], [(None, b"a")]),
        ([b"id: 1", b"data: a"], []),
    ],
)
def test_lines_become_messages_by_the_standard(lines, messages):
    """https://html.spec.whatwg.org/multipage/server-sent-events.html"""
    assert [(one.last_id, one.data) for one in read_messages(lines)] == messages


def test_an_endless_event_is_refused(script, shop):
    """It would fill the memory."""
    server = script((200, STREAM, b"data: " + b"x" * 1_000_001))

    with pytest.raises(balcao.UnexpectedAnswer, match="too long"):
        next(shop(server).client.events.stream(give_up_after=0.0))
