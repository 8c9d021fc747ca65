"""Tells the rooms what was recorded, and the database what was told."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import Flask
from flask_socketio import SocketIO

from core.clock import rfc3339
from core.errors import ConcurrentUpdate, DatabaseUnavailable
from db_models import EventName
from realtime.channel import Channel, PublishFailed
from repository.database import in_unit_of_work, ledger, reading
from repository.events import Recorded

log = structlog.get_logger()

RELAY_BATCH = 100
TOLD_BATCH = 500
RECENT_MAX = 10_000
"""Events remembered as emitted here: what comes again by another way is not emitted again."""

CATCH_UP_PAGE = 200
CATCH_UP_PAGES_MAX = 50
CATCH_UP_MARGIN = timedelta(seconds=10)
"""Clocks of several machines differ, and a transaction takes its time."""


def room_of(txid: str) -> str:
    """The room of one payment's watchers."""
    return f"payment:{txid}"


def merchant_room(merchant_id: int) -> str:
    """The room of one merchant's dashboards; the name never leaves the server."""
    return f"merchant:{merchant_id}"


class Announcer:
    """Listens to commits: announces at once, and remembers for the next flush what it announced."""

    def __init__(self, app: Flask, socketio: SocketIO, channel: Channel | None) -> None:
        """Emit through this server, and tell other processes through the channel, if any."""
        self._app = app
        self._socketio = socketio
        self._channel = channel
        self._told: deque[int] = deque()
        self._recent: OrderedDict[int, None] = OrderedDict()
        self._lock = threading.Lock()
        self._recent_lock = threading.Lock()
        self._listening = False
        self.listeners: list[Callable[[Recorded], None]] = []
        """Who else is told of each event, once in each process; must neither wait nor raise."""

    def listen(self) -> None:
        """Hear the other processes from now on; the first client that connects asks for it."""
        if self._channel is not None and not self._listening:
            self._listening = True
            clock = ledger().clock
            self._socketio.start_background_task(
                self._channel.listen, self._emit_once, self._catch_up, clock.now
            )

    def announce(self, events: list[Recorded]) -> None:
        """Tell what a unit of work recorded; what cannot be told is left to the relay."""
        for event in events:
            if not event.name.is_announced:
                continue
            self._emit_once(event)
            if self._published(event):
                self._told.append(event.id)

    def flush(self) -> int:
        """Write down what was told since; gives how many. What fails is kept for the next time."""
        with self._lock:
            flushed = 0
            while self._told:
                batch = [self._told[i] for i in range(min(TOLD_BATCH, len(self._told)))]
                try:
                    in_unit_of_work(lambda work, ids=batch: work.events.mark_told(ids))  # type: ignore[misc]
                except (DatabaseUnavailable, ConcurrentUpdate):
                    break
                for _ in batch:
                    self._told.popleft()
                flushed += len(batch)
            return flushed

    def relay(self, keep_going: Callable[[], bool] = lambda: True) -> int:
        """Tell what was recorded but never told (its process died, Redis was away)."""
        told = 0
        try:
            with reading() as work:
                waiting = work.events.untold(work.now, RELAY_BATCH)
            own = set(self._told)
            # Told here and waiting for Redis: there is nothing to do before it is back.
            if waiting and self._channel is not None and not self._channel.answers():
                with self._recent_lock:
                    own.update(self._recent)
            for event in waiting:
                if event.id in own or not keep_going():
                    continue
                if in_unit_of_work(lambda work, key=event.id: work.events.claim(key, work.now)):  # type: ignore[misc]
                    self.announce([event])
                    told += 1
        except (DatabaseUnavailable, ConcurrentUpdate):
            log.info("relay.postponed")
        if told:
            log.info("relay.told", events=told)
        return told

    def _published(self, event: Recorded) -> bool:
        if self._channel is None or not event.name.is_announced:
            return True
        try:
            self._channel.publish(event)
        except PublishFailed:
            log.warning("announce.deferred", event_name=event.name, payment=event.txid)
            return False
        return True

    def _catch_up(self, since: datetime) -> None:
        """Emit what other processes stored while this one did not hear them."""
        found: list[Recorded] = []
        oldest = None
        with self._app.app_context(), reading() as work:
            for _ in range(CATCH_UP_PAGES_MAX):
                page = work.events.newest(CATCH_UP_PAGE, oldest)
                found += [event for event in page if event.occurred_at >= since - CATCH_UP_MARGIN]
                if not page or page[-1].occurred_at < since - CATCH_UP_MARGIN:
                    break
                oldest = page[-1].id
        for event in reversed(found):
            self._emit_once(event)

    def _emit_once(self, event: Recorded) -> None:
        with self._recent_lock:
            if event.id in self._recent:
                return
            self._recent[event.id] = None
            if len(self._recent) > RECENT_MAX:
                self._recent.popitem(last=False)
        if event.name.is_announced:
            self._emit(event)
            for listener in self.listeners:
                listener(event)

    def _emit(self, event: Recorded) -> None:
        name = event.name.replace(".", "-")
        message = {
            "payment_id": event.txid,
            "status": event.status,
            "sequence": event.sequence,
            "occurred_at": rfc3339(event.occurred_at),
            "message": event.message,
        }
        dashboard = merchant_room(event.merchant_id)
        rooms: Any = [room_of(event.txid), dashboard]  # its stubs know of one room only
        self._socketio.emit(name, message, to=rooms)
        # The described systems' clients listen for the name with the id.
        self._socketio.emit(f"{name}-{event.txid}", message, to=rooms)
        if event.name is EventName.PAYMENT_CONFIRMED:
            self._socketio.emit("payment_completed", message, to=dashboard)
