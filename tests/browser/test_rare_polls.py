"""The page asks rarely while its socket is proven alive, and as before at every doubt."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.visits import CONFIRMED, WAITING, Visit, expect_heading, heading
from tests.test_tidy import ROOT

HEARTBEAT_SECONDS = 20
OFTEN = 8
"""Requests in a minute at the usual pace, in steps of STEP_SECONDS; at most 3 are rare."""
STEP_SECONDS = 2  # less than the timeout of a request
PING, PONG = "2", "3"
WATCH = re.compile(r'42(\d+)\["watch",')
REFUSAL = '[{"ok":false,"code":"service-unavailable","detail":"The database is away."}]'
RETRIES_OF_A_MINUTE = 7
"""After about 1, 2, 4, 8, 16 and 30 seconds each, or a little sooner or later."""


class Socket:
    """The page's newest websocket: it may fall silent, and messages may be sent to the page."""

    def __init__(self, page: Page) -> None:
        self.is_silent = False
        self.refuses_watch = False
        self.watches = 0
        """How often the page has asked to watch."""
        self._near: WebSocketRoute | None = None
        self._answers = 0
        page.route_web_socket("**/socket.io/**", self._route)

    def _route(self, near: WebSocketRoute) -> None:
        self._near = near
        self.is_silent = False
        far = near.connect_to_server()

        def passes() -> bool:
            return near is not self._near or not self.is_silent

        def to_server(message: str | bytes) -> None:
            self._answers += message == PONG
            if isinstance(message, str) and (match := WATCH.match(message)):
                self.watches += 1
                if self.refuses_watch:
                    near.send(f"43{match[1]}{REFUSAL}")
                    return
            if passes():
                far.send(message)

        near.on_message(to_server)
        far.on_message(lambda message: near.send(message) if passes() else None)

    def beat(self, page: Page) -> None:
        """Send a heartbeat, and wait until the page has answered."""
        answers = self._answers
        self.say(PING)
        for _ in range(200):
            if self._answers > answers:
                return
            page.wait_for_timeout(25)
        raise AssertionError("the page did not answer a heartbeat")

    def say(self, packet: str) -> None:
        """Send a packet to the page as the server does."""
        assert self._near is not None
        self._near.send(packet)

    def close(self) -> None:
        """End the connection, as a server does that stops."""
        assert self._near is not None
        self._near.close()


def pass_time(visit: Visit, socket: Socket, seconds: int, *, heartbeat: bool = True) -> int:
    """Let time pass in the browser, with the server's heartbeats; return how often it asked."""
    before = polls(visit)
    for _ in range(seconds // STEP_SECONDS):
        if heartbeat and not socket.is_silent:
            socket.beat(visit.page)
        visit.page.wait_for_timeout(50)  # real time, for answers
        visit.page.clock.run_for(STEP_SECONDS * 1000)
    visit.page.wait_for_timeout(150)
    return polls(visit) - before


def polls(visit: Visit) -> int:
    return sum(url.endswith("/status") for url in visit.requests)


def watched(visit: Visit, payment: dict[str, object]) -> Socket:
    """Open the page with a clock that only the test moves, and wait until the socket watches."""
    socket = Socket(visit.page)
    visit.page.clock.install()
    visit.watch(payment)
    visit.page.wait_for_timeout(150)
    moment = datetime.fromtimestamp(visit.page.evaluate("Date.now()") / 1000 + 0.2, UTC)
    visit.page.clock.pause_at(moment)
    return socket


def test_with_a_living_socket_the_page_asks_twice_a_minute(visit, service):
    """Half an hour of waiting would cost more than everything else of a payment together."""
    bob = visit()
    socket = watched(bob, service.create())
    assert 3 <= pass_time(bob, socket, 120) <= 4
    assert bob.complaints == []
    assert heading(bob.page).inner_text() == WAITING


def test_the_servers_doubt_brings_the_usual_pace_until_it_is_over(visit, service):
    """Events of another process may come late while Redis is away."""
    bob = visit()
    socket = watched(bob, service.create())
    socket.say('42["events-late",{"late":true}]')
    bob.page.wait_for_timeout(50)
    assert pass_time(bob, socket, STEP_SECONDS) >= 1, "it asks at once"
    assert pass_time(bob, socket, 60) >= OFTEN
    expect(bob.page.locator("#state-line")).to_have_text("Aguardando pagamento")
    socket.say('42["events-late",{"late":false}]')
    bob.page.wait_for_timeout(50)
    assert pass_time(bob, socket, 60) <= 3


def test_a_socket_that_falls_silent_is_noticed_by_its_missing_heartbeat(visit, service):
    """A connection may die without an end, and the page would wait for its events."""
    payment = service.create()
    bob = visit()
    socket = watched(bob, payment)
    socket.is_silent = True
    assert service.tell(payment)[0] == 200
    assert pass_time(bob, socket, 20) == 0
    assert pass_time(bob, socket, 4) >= 1
    expect_heading(bob.page, CONFIRMED)


def test_a_lost_socket_makes_the_page_ask_within_a_second(visit, service):
    """The server that would have announced the payment may have died."""
    payment = service.create()
    bob = visit()
    socket = watched(bob, payment)
    bob.page.route("**/socket.io/**", lambda route: route.abort())
    bob.page.route_web_socket("**/socket.io/**", lambda near: near.close())
    socket.close()
    bob.page.wait_for_timeout(150)
    assert polls(bob) == 0
    bob.page.clock.run_for(1_000)
    bob.page.wait_for_timeout(150)
    assert polls(bob) == 1
    assert pass_time(bob, socket, 60, heartbeat=False) >= OFTEN


def test_a_refused_watch_is_sent_again_and_polls_cover_meanwhile(visit, service):
    """The database was away for a moment. The page once asked no more, and polled for ever."""
    payment = service.create()
    bob = visit()
    socket = watched(bob, payment)
    socket.refuses_watch = True
    socket.close()
    for _ in range(100):
        bob.page.clock.run_for(100)
        bob.page.wait_for_timeout(20)
        if socket.watches == 2:
            break
    assert socket.watches == 2, "the page has connected again, and was refused"
    assert pass_time(bob, socket, 60) >= OFTEN
    assert 5 <= socket.watches - 2 <= RETRIES_OF_A_MINUTE
    pass_time(bob, socket, 60)
    assert socket.watches - 2 <= RETRIES_OF_A_MINUTE + 3, "the pauses grow"
    socket.refuses_watch = False
    pass_time(bob, socket, 40)
    watches = socket.watches
    assert pass_time(bob, socket, 120) <= 4, "the socket is trusted again"
    assert socket.watches == watches
    before = polls(bob)
    assert service.tell(payment)[0] == 200
    expect_heading(bob.page, CONFIRMED)
    assert polls(bob) == before, "the event alone has brought it"


def test_a_failed_poll_brings_the_usual_pace_until_an_answer_comes(visit, service):
    """The page says how often it tries again, and that stays true."""
    bob = visit()
    socket = watched(bob, service.create())
    bob.page.route("**/status", lambda route: route.fulfill(status=503, body="{}"))
    pass_time(bob, socket, 40)
    assert pass_time(bob, socket, 60) >= OFTEN
    bob.page.unroute("**/status")
    pass_time(bob, socket, 10)
    assert pass_time(bob, socket, 60) <= 3


def test_the_page_waits_longer_than_the_servers_heartbeat():
    """A shorter wait would doubt every socket; a much longer one would notice too late."""
    script = (ROOT / "static/js/checkout/live_socket.js").read_text()
    silence_ms = int(re.findall(r"SILENCE_MS = ([\d_]+)", script)[0])
    setup = (ROOT / "realtime/setup.py").read_text()
    interval_seconds = int(re.findall(r'"ping_interval": (\d+)', setup)[0])
    assert interval_seconds == HEARTBEAT_SECONDS
    assert 2_000 <= silence_ms - interval_seconds * 1000 <= 5_000
