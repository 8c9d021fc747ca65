"""The event stream over a socket and behind nginx: at once, resumable, and it ends."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.nginx import SHIPPED, PrivateNginx
from tests.support.parts import MissingPart, leave_out
from tests.support.seconds import least_seconds
from tests.support.service import DEMO_PASSWORD, ServiceProcess
from webhooks.streams import COMMENT_SECONDS, STREAMS_PER_MERCHANT

END = b"\r\n0\r\n\r\n"
"""The last chunk of an answer."""
MODES = ("eventlet", "gevent", "threading")


@pytest.fixture(scope="module", params=MODES)
def service(request, tmp_path_factory) -> Iterator[ServiceProcess]:
    """The service as a process, once for each mode."""
    folder = tmp_path_factory.mktemp(f"stream-{request.param}")
    with ServiceProcess(folder, ASYNC_MODE=request.param) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(service) -> Iterator[PrivateNginx]:
    """nginx with the shipped configuration in front of the service."""
    try:
        nginx = PrivateNginx(service.port)
    except MissingPart as missing:
        leave_out(missing)
    with nginx:
        yield nginx


class Stream:
    """A client of the stream that reads what came so far."""

    def __init__(
        self, server: ServiceProcess | PrivateNginx, query: str = "", **headers: str
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), 20)
        lines = [f"GET /events{query} HTTP/1.1", "Host: 127.0.0.1", "Accept: text/event-stream"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.text = b""

    def read_until(self, wanted_text: bytes) -> bytes:
        """Read until this text came. Raises AssertionError if the stream ends before."""
        while wanted_text not in self.text:
            data = self.socket.recv(65_536)
            assert data, self.text
            self.text += data
        return self.text

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ids(self) -> list[str]:
        """The ids of the events so far."""
        lines = self.text.replace(b"\r", b"").split(b"\n")
        return [line[4:].decode() for line in lines if line.startswith(b"id: ")]


def open_streams(service: ServiceProcess) -> int:
    """How many streams the service has, by its metrics."""
    text = service.get("/metrics")[1].decode()
    series = 'balcao_sockets_total{change="%s",kind="event-stream"} (\\S+)'
    numbers = [re.search(series % change, text) for change in ("opened", "closed")]
    opened, closed = (0.0 if number is None else float(number[1]) for number in numbers)
    return int(opened - closed)


def test_events_come_as_they_happen(service):
    """Head and events are not gathered in a buffer; the id is that of the feed."""
    with Stream(service) as stream:
        head = stream.read_until(b"retry:").lower()
        assert b"content-type: text/event-stream" in head
        assert b"x-accel-buffering: no" in head
        assert b"content-encoding" not in head
        payment = service.create()
        stream.read_until(payment["id"].encode())
        assert service.tell(payment)[0] == 200
        stream.read_until(b"event: payment.confirmed")

    feed = json.loads(service.get("/events?limit=100")[1])["data"]
    assert stream.ids()[-2:] == [event["id"] for event in feed][-2:]


def test_a_stream_goes_on_after_the_last_event_that_the_client_has(service):
    """By the header of browsers, and by the query; nothing is missed or repeated."""
    payments = [service.create() for _ in range(3)]
    deadline = time.monotonic() + 20
    feed: list[dict[str, str]] = []
    while time.monotonic() < deadline and not (
        feed and feed[-1]["data"]["id"] == payments[-1]["id"]  # type: ignore[index]
    ):
        feed = json.loads(service.get("/events?limit=100")[1])["data"]
    ids = [event["id"] for event in feed]
    for stream in (Stream(service, Last_Event_ID=ids[-3]), Stream(service, f"?after={ids[-3]}")):
        with stream:
            stream.read_until(payments[-1]["id"].encode())
        assert stream.ids() == ids[-3:]  # the first names the place where the stream begins
    with Stream(service, Last_Event_ID="0" * 32) as unknown:
        assert b" 400 " in unknown.read_until(b"\r\n").split(b"\r\n")[0]


def test_an_eleventh_stream_ends_the_oldest(service):
    """A client that lost its connection must come in again; the others go on."""
    with ExitStack() as opened:
        streams = []
        for _ in range(STREAMS_PER_MERCHANT + 1):
            streams.append(opened.enter_context(Stream(service)))
            streams[-1].read_until(b"retry:")
        streams[0].read_until(END)
        payment = service.create()
        for stream in streams[1:]:
            stream.read_until(payment["id"].encode())


def test_nginx_passes_each_event_on_within_a_second(service, proxy):
    """It gathers nothing in a buffer, and a client goes on after the last event that it has."""
    with Stream(proxy) as stream:
        head = stream.read_until(b"retry:").lower()
        assert b"server: nginx" in head
        assert b"content-type: text/event-stream" in head

        def pass_one_on() -> float:
            created_at = time.monotonic()
            payments.append(service.create())
            stream.read_until(payments[-1]["id"].encode())
            return time.monotonic() - created_at

        payments: list[dict[str, Any]] = []
        assert least_seconds(1, pass_one_on) < 1
        last_id = stream.ids()[-1]
    assert service.tell(payments[-1])[0] == 200
    with Stream(proxy, Last_Event_ID=last_id) as stream:
        text = stream.read_until(b"event: payment.confirmed")
        assert b"payment.created" not in text
        assert stream.ids()[0] == last_id  # the place where the stream begins


def test_a_client_that_leaves_nginx_gives_its_place_back(service, proxy):
    """Or the oldest stream, whose client is still there, would be ended for new ones."""
    with Stream(proxy) as oldest:
        oldest.read_until(b"retry:")
        for _ in range(STREAMS_PER_MERCHANT - 1):
            with Stream(proxy) as stream:
                stream.read_until(b"retry:")
        # The service notices it when it writes.
        limit = time.monotonic() + 10
        while open_streams(service) > 1:
            assert time.monotonic() < limit
            payment = service.create()
            oldest.read_until(payment["id"].encode())
        with ExitStack() as opened:
            for _ in range(STREAMS_PER_MERCHANT - 1):
                opened.enter_context(Stream(proxy)).read_until(b"retry:")
            payment = service.create()
            oldest.read_until(payment["id"].encode())
            assert END not in oldest.text


def test_nginx_waits_longer_than_the_service_is_silent():
    """A comment line comes in time, or nginx would end each quiet stream."""
    config = (SHIPPED / "nginx.conf").read_text(encoding="utf-8")
    [seconds] = re.findall(r"proxy_read_timeout (\d+)s;", config)
    assert int(seconds) >= 2 * COMMENT_SECONDS


def test_a_stream_of_an_empty_feed_names_a_place_to_go_on_from(service):
    """A client whose connection breaks before the first event of its life loses nothing either."""
    headers = {"Authorization": f"Bearer {new_merchant_token(service)}"}
    with Stream(service, **headers) as stream:
        stream.read_until(b"retry:")
    assert stream.ids() == ["start"]
    body = json.dumps({"value": 10}).encode()
    is_json = {"Content-Type": "application/json"}
    answer = service.request("POST", "/payments/pix", body, headers | is_json)
    payment = json.loads(answer[1])["payment"]

    for stream in (
        Stream(service, **headers, Last_Event_ID="start"),
        Stream(service, "?after=start", **headers),
    ):
        with stream:
            stream.read_until(payment["id"].encode())
        assert stream.ids()[0] == "start"
    page = json.loads(service.request("GET", "/events?after=start", headers=headers)[1])
    assert [event["id"] for event in page["data"]] == stream.ids()[1:]


def new_merchant_token(service: ServiceProcess) -> str:
    """An access token of a merchant to whom nothing has happened."""
    person = {"username": "charlie", "password": DEMO_PASSWORD}
    body, is_json = json.dumps(person).encode(), {"Content-Type": "application/json"}
    assert service.request("POST", "/users/", body, is_json)[0] == 201
    answer = service.request("POST", "/token", urlencode(person).encode())
    return str(json.loads(answer[1])["access_token"])


def test_a_stop_ends_the_streams(service):
    """A deployment does not wait for them, and no client is cut in the middle of an event."""
    with Stream(service) as stream:
        stream.read_until(b"retry:")
        assert service.stop() == 0
        stream.read_until(END)
    assert "stop.unanswered" not in service.log()
