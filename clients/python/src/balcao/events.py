"""The merchant's events: as a list, and as a stream that resumes after each interruption."""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

from balcao.errors import ApiError, BalcaoError, ConnectionFailed, UnexpectedAnswer
from balcao.models import Event, Page, parse_json
from balcao.transport import RETRIED_STATUSES, Transport

STREAM_SILENCE_SECONDS = 45.0
"""The service sends at least a comment each 15 s; a longer silence is a dead connection."""
LINE_BYTES_MAX = 1_000_000
EVENT_BYTES_MAX = 4_000_000
RECONNECT_PAUSE_MIN, RECONNECT_PAUSE_MAX = 0.25, 10.0
_PATH = "/events"


@dataclass
class Position:
    """Where a stream stands: the id of the last event that is done with, or of the newest event
    when the stream began (`start` if there was none); None before it begins."""

    last_id: str | None = None


class Events:
    """The merchant's events, oldest first."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def page(
        self, *, after: str | None = None, type: str | None = None, limit: int | None = None
    ) -> Page[Event]:
        """One page of events after the event `after`, at most `limit` (1 to 100)."""
        query = {"after": after, "type": type, "limit": limit}
        answer = self._transport.request("GET", _PATH, query=query)
        return Page.from_raw(answer.json(), Event.from_raw)

    def list(self, *, after: str | None = None, type: str | None = None) -> Iterator[Event]:
        """All events after the event `after`, fetched page by page, up to the newest."""
        while True:
            page = self.page(after=after, type=type, limit=100)
            yield from page.data
            if page.next is None or page.next == after:
                return
            after = page.next

    def stream(
        self,
        *,
        after: str | None = None,
        type: str | None = None,
        position: Position | None = None,
        give_up_after: float | None = 300.0,
        on_connect: Callable[[], None] | None = None,
        on_interruption: Callable[[BalcaoError, float], None] | None = None,
    ) -> Generator[Event, None, None]:
        """Events as they happen: each exactly once, in order, over interruptions of any kind.

        Without `after` the stream begins with the next event; with it, after the event of this id.
        With `after="start"` it begins with the oldest event.
        Store the id of the last event that you handled and pass it as `after` at your next start.
        An event counts as handled when you ask for the next one. `close()` ends the connection.

        `on_connect` is called when the stream has begun: nothing is missed from then on.
        `on_interruption` gets the error and the pause in seconds before the next attempt. After
        `give_up_after` seconds without a connection the last error is raised; None never gives up.
        An error that a retry cannot mend, such as Unauthorized, is raised at once.
        """
        place = position or Position()
        place.last_id = after or place.last_id
        failures, silent_since = 0, time.monotonic()
        while True:
            try:
                for event in self._connection(place, type, on_connect):
                    failures, silent_since = 0, time.monotonic()
                    if event is not None:
                        yield event
                        place.last_id = event.id
                error: BalcaoError = ConnectionFailed("The service closed the stream.")
            except (ConnectionFailed, UnexpectedAnswer) as failure:
                error = failure
            except ApiError as refusal:
                if refusal.status not in RETRIED_STATUSES:
                    raise
                error = refusal
            failures += 1
            if give_up_after is not None and time.monotonic() - silent_since > give_up_after:
                raise error
            pause = _pause(failures, error)
            if on_interruption is not None:
                on_interruption(error, pause)
            self._transport.sleep(pause)

    def _connection(
        self, place: Position, type: str | None, on_connect: Callable[[], None] | None
    ) -> Iterator[Event | None]:
        """The events of one connection; None for each other sign of life."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if place.last_id is not None:
            headers["Last-Event-ID"] = place.last_id
        response = self._transport.open_stream(
            _PATH, {"type": type}, headers, STREAM_SILENCE_SECONDS
        )
        with closing(response):
            media_type = (response.headers.get("Content-Type") or "").partition(";")[0].strip()
            if media_type != "text/event-stream":
                raise UnexpectedAnswer("The answer is no stream of events: is this Balcão?")
            has_begun = False
            for message in read_messages(_lines(response)):
                if message.data is None and message.last_id:
                    place.last_id = message.last_id
                if not has_begun and on_connect is not None:
                    on_connect()
                has_begun = True
                if message.data is None:
                    yield None
                    continue
                try:
                    yield Event.from_raw(parse_json(message.data), message.data)
                except ValueError:
                    raise UnexpectedAnswer("An event in the stream is not JSON.") from None


@dataclass(frozen=True)
class Message:
    """One message of a stream; without `data` it is a comment or only moves the position."""

    last_id: str | None
    data: bytes | None


def read_messages(lines: Iterable[bytes]) -> Iterator[Message]:
    """The messages of a text/event-stream, by the rules of the HTML standard.

    A message that the end cuts off is left out: it is sent again after the reconnect.
    """
    data: list[bytes] = []
    last_id: str | None = None
    size = 0
    for line in lines:
        if not line:
            yield Message(last_id, b"\n".join(data) if data else None)
            data, last_id, size = [], None, 0
            continue
        name, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if not name:
            yield Message(None, None)  # a comment: a sign of life
        elif name == b"data":
            size += len(value)
            if size > EVENT_BYTES_MAX:
                raise UnexpectedAnswer("An event in the stream is too large.")
            data.append(value)
        elif name == b"id" and b"\0" not in value:
            with suppress(UnicodeDecodeError):
                last_id = value.decode("ascii")


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The lines without their ends. Raises ConnectionFailed."""
    while True:
        try:
            line = response.readline(LINE_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ConnectionFailed("The connection of the stream broke.") from error
        if not line.endswith(b"\n"):
            if len(line) > LINE_BYTES_MAX:
                raise UnexpectedAnswer("A line of the stream is too long.")
            return  # the end, or a line that the end cut off
        yield line.rstrip(b"\r\n")


def _pause(failures: int, error: BalcaoError) -> float:
    retry_after = error.retry_after if isinstance(error, ApiError) else None
    if retry_after is not None:
        return min(retry_after, 60.0)
    longest = min(RECONNECT_PAUSE_MIN * 2 ** min(failures - 1, 10), RECONNECT_PAUSE_MAX)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret
