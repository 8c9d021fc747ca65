"""Event streams (`text/event-stream`): the feed, kept open.

A stream reads the same rows as a page of the feed. It waits for arrivals in this process, and looks
each second for what other processes numbered. It is an iterator with `close`, not a generator: the
server closes an answer that it never began to read, and the stream must give its place back.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask

from config import parts_of
from core.errors import BalcaoError
from core.webhook_errors import TooManyStreams
from repository.database import reading
from repository.feed import Feed
from webhooks.bodies import event_object

STREAMS_PER_MERCHANT = 10
STREAMS_MAX = 500
"""Per process."""
PAGE = 100
LOOK_SECONDS = 1.0
COMMENT_SECONDS = 15.0
"""A comment line this often keeps proxies from closing a quiet stream."""
_RETRY_SECONDS = 5


class Streams:
    """The open streams of a process, which are bounded."""

    def __init__(self, app: Flask) -> None:
        """No stream is open."""
        self._app = app
        self._lock = threading.Lock()
        self._of_merchant: dict[int, list[EventStream]] = {}

    def open(
        self,
        merchant_id: int,
        after: str,
        position: int,
        type_: str | None,
        should_end: Callable[[], bool],
    ) -> EventStream:
        """A stream of the merchant's events after this one. Raises TooManyStreams.

        `after` is what a client sends to go on from `position`: the id of the event there.

        If the merchant has STREAMS_PER_MERCHANT, the oldest one ends: its client has mostly gone,
        which a server notices only when it writes.
        """
        stream = EventStream(self._app, merchant_id, after, position, type_, should_end)
        stream.on_close.append(lambda: self._remove(merchant_id, stream))
        with self._lock:
            own = self._of_merchant.setdefault(merchant_id, [])
            if len(own) >= STREAMS_PER_MERCHANT:
                own.pop(0).end()
            elif sum(map(len, self._of_merchant.values())) >= STREAMS_MAX:
                raise TooManyStreams(_RETRY_SECONDS)
            own.append(stream)
        return stream

    def _remove(self, merchant_id: int, stream: EventStream) -> None:
        with self._lock:
            own = self._of_merchant.get(merchant_id, [])
            if stream in own:
                own.remove(stream)
            if not own:
                self._of_merchant.pop(merchant_id, None)


class EventStream:
    """One open stream, which ends when its client, its credentials or the process does."""

    def __init__(
        self,
        app: Flask,
        merchant_id: int,
        after: str,
        position: int,
        type_: str | None,
        should_end: Callable[[], bool],
    ) -> None:
        """Stream the merchant's events after `position`, which the client knows as `after`."""
        self._app = app
        self._merchant_id = merchant_id
        self._position = position
        self._type = type_
        self._should_end = should_end
        self.on_close: list[Callable[[], None]] = []
        """Called once each, when the stream is closed."""
        self._is_open = True
        # An id without data: a client that loses the connection before the first event knows where
        # to go on.
        self._ready: deque[str] = deque([f"id: {after}\nretry: {_RETRY_SECONDS * 1000}\n\n"])
        self._spoke_at = time.monotonic()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next event, or a comment after a quiet time."""
        arrivals = parts_of(self._app).webhooks.worker.arrivals
        if not self._is_open:  # revoked credentials get nothing more, not even what is ready
            raise StopIteration
        while not self._ready:
            if self._should_end() or not self._is_open:
                raise StopIteration
            if not self._read():
                if time.monotonic() - self._spoke_at >= COMMENT_SECONDS:
                    self._ready.append(": still here\n\n")
                else:
                    arrivals.wait(LOOK_SECONDS)
        self._spoke_at = time.monotonic()
        return self._ready.popleft()

    def end(self) -> None:
        """End the stream at its next look; called when its credentials are revoked."""
        self._is_open = False

    def close(self) -> None:
        """Called by the server at the end of the answer; a second call changes nothing."""
        self.end()
        while self.on_close:
            self.on_close.pop()()

    def _read(self) -> bool:
        """Read what came since the last look; False if nothing did, or the database is away."""
        try:
            with self._app.app_context(), reading() as work:
                page = Feed(work).after(self._merchant_id, self._position, PAGE, self._type)
        except BalcaoError:
            return False
        presenter = parts_of(self._app).presenter
        for event in page.items:
            self._ready.append(_frame(event_object(event, presenter)))
            self._position = event.position
        return bool(page.items)


def _frame(event: dict[str, Any]) -> str:
    """One event of a stream (WHATWG, Server-sent events, 9.2)."""
    data = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return f"id: {event['id']}\nevent: {event['type']}\ndata: {data}\n\n"
