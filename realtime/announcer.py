"""Announce stored events to the rooms, and write down which ones were announced."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import structlog
from flask import Flask
from flask_socketio import SocketIO

from core.clock import Clock, rfc3339
from core.errors import ConcurrentUpdate, DatabaseUnavailable
from core.money import json_number
from core.runtime.redis_pools import Address
from db_models import EventName
from realtime.channel import Channel, PublishFailed
from realtime.lateness import Lateness
from repository.database import in_unit_of_work, ledger, reading
from repository.events import StoredEvent

log = structlog.get_logger()

RELAY_BATCH = 100
FLUSH_BATCH = 500
RECENT_MAX = 10_000
"""Emitted events that this process remembers, so that it emits none of them twice."""

UNFLUSHED_MAX = 100_000
"""Announced events that wait to be written down; the relay announces older ones once more."""

CATCH_UP_PAGE = 200
CATCH_UP_PAGES_MAX = 50
CATCH_UP_MARGIN = timedelta(seconds=10)
"""Allows for clocks that differ between machines, and for transactions that commit late."""


def room_of(txid: str) -> str:
    """The room of those who watch one payment."""
    return f"payment:{txid}"


def merchant_room(merchant_id: int) -> str:
    """The room of one merchant's portal pages; clients never see the name."""
    return f"merchant:{merchant_id}"


class Announcer:
    """Listens to commits: announces at once, and remembers for the next flush what it announced."""

    def __init__(self, app: Flask, socketio: SocketIO, channel: Channel | None) -> None:
        """Emit through this Socket.IO server; `channel` reaches the other processes, if any."""
        self._app = app
        self._socketio = socketio
        self._channel = channel
        self._unflushed: deque[tuple[int, Address | None]] = deque(maxlen=UNFLUSHED_MAX)
        """Announced events, each with the Redis server that took it."""
        self._recent: OrderedDict[int, None] = OrderedDict()
        self._lock = threading.Lock()
        self._recent_lock = threading.Lock()
        self._listening = False
        self._is_watching = False
        self.lateness = Lateness(
            self._tell_lateness,
            lambda task: socketio.start_background_task(task),
            is_late=channel is not None,
        )
        if channel is not None:
            channel.on_late = self.lateness.change
        self.listeners: list[Callable[[StoredEvent], None]] = []
        """Called with each announced event, once in each process; must neither wait nor raise."""

    def listen(self) -> None:
        """Subscribe to the other processes; called when the first client connects."""
        if self._channel is not None and not self._listening:
            self._listening = True
            clock = ledger().clock
            self._socketio.start_background_task(self._listen, self._channel, clock)
            if self._channel.has_sentinels and not self._is_watching:
                self._is_watching = True
                self._socketio.start_background_task(self._channel.watch_primary, clock.now)

    def stop(self) -> None:
        """Hear the other processes no more, because this one stops."""
        if self._channel is not None:
            self._channel.stop()

    def _listen(self, channel: Channel, clock: Clock) -> None:
        try:
            channel.listen(self._emit_once, self._catch_up, clock.now)
        except Exception:
            log.exception("channel.failed")
        finally:
            self._listening = False  # the next client starts it again

    def announce(self, events: list[StoredEvent]) -> None:
        """Announce what a unit of work recorded; the relay retries what could not be published."""
        for event in events:
            if not event.name.is_announced:
                continue
            self._emit_once(event)
            with suppress(PublishFailed):
                self._unflushed.append((event.id, self._publish(event)))

    def flush(self) -> int:
        """Write down what was announced since the last flush; return how many events.

        What fails is written by the next flush. What a Redis took that is the primary no longer is
        left to the relay, because processes that had moved to the new primary did not hear it.
        """
        with self._lock:
            flushed = 0
            while self._unflushed:
                size = min(FLUSH_BATCH, len(self._unflushed))
                batch = [self._unflushed[i] for i in range(size)]
                has_reached = self._has_reached({address for _, address in batch})
                if has_reached is None:
                    break
                ids = [event_id for event_id, _ in batch] if has_reached else []
                try:
                    in_unit_of_work(lambda work, ids=ids: work.events.mark_announced(ids))  # type: ignore[misc]
                except (DatabaseUnavailable, ConcurrentUpdate):
                    break
                for _ in batch:
                    self._unflushed.popleft()
                flushed += len(ids)
            return flushed

    def _has_reached(self, addresses: set[Address | None]) -> bool | None:
        return True if self._channel is None else self._channel.reached(addresses)

    def relay(self, keep_going: Callable[[], bool] = lambda: True) -> int:
        """Announce events that were stored but not announced; return how many.

        That happens when their process died, or while Redis was away.
        """
        announced = 0
        try:
            with reading() as work:
                due_events = work.events.unannounced(work.now, RELAY_BATCH)
            own = {event_id for event_id, _ in list(self._unflushed)}
            # Events that this process emitted only wait for Redis: nothing to do before it is back.
            if due_events and self._channel is not None and not self._channel.answers():
                with self._recent_lock:
                    own.update(self._recent)
            for event in due_events:
                if event.id in own or not keep_going():
                    continue
                if in_unit_of_work(lambda work, key=event.id: work.events.claim(key, work.now)):  # type: ignore[misc]
                    self.announce([event])
                    announced += 1
        except (DatabaseUnavailable, ConcurrentUpdate):
            log.info("relay.postponed")
        if announced:
            log.info("relay.announced", events=announced)
        return announced

    def _publish(self, event: StoredEvent) -> Address | None:
        """Publish; return the server that took it, None without Redis. Raises PublishFailed."""
        if self._channel is None:
            return None
        try:
            return self._channel.publish(event)
        except PublishFailed:
            log.warning("announce.deferred", event_name=event.name, payment=event.txid)
            raise

    def _catch_up(self, since: datetime) -> None:
        """Emit what other processes stored while this one was not subscribed."""
        missed: list[StoredEvent] = []
        oldest = None
        with self._app.app_context(), reading() as work:
            for _ in range(CATCH_UP_PAGES_MAX):
                page = work.events.newest(CATCH_UP_PAGE, oldest)
                missed += [event for event in page if event.occurred_at >= since - CATCH_UP_MARGIN]
                if not page or page[-1].occurred_at < since - CATCH_UP_MARGIN:
                    break
                oldest = page[-1].id
        for event in reversed(missed):
            self._emit_once(event)

    def _tell_lateness(self, sids: Sequence[str], is_late: bool) -> None:
        clients: Any = list(sids)  # the stubs allow one room only
        self._socketio.emit("events-late", {"late": is_late}, to=clients)
        self._socketio.sleep(0)

    def _emit_once(self, event: StoredEvent) -> None:
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

    def _is_watched(self, rooms: Iterable[str]) -> bool:
        """Whether a client of this process is in one of these rooms.

        One that enters later reads the payment's state after it has entered.
        """
        socketio: Any = self._socketio  # the stubs lack the server
        entered = socketio.server.manager.rooms.get("/", {})
        return any(room in entered for room in rooms)

    def _emit(self, event: StoredEvent) -> None:
        portal_room = merchant_room(event.merchant_id)
        rooms: Any = [portal_room]  # the stubs allow one room only
        if event.txid is not None:
            rooms.insert(0, room_of(event.txid))
        if not self._is_watched(rooms):  # else a message would be written for nobody
            return
        name = event.name.replace(".", "-")
        message = {
            "payment_id": event.txid,
            "status": event.status,
            "sequence": event.sequence,
            "occurred_at": rfc3339(event.occurred_at),
            "message": event.message,
        }
        if event.txid is None:
            receipt = {"end_to_end_id": event.end_to_end_id, "value": _value_of(event)}
            self._socketio.emit(name, {**message, **receipt}, to=portal_room)
            return
        self._socketio.emit(name, message, to=rooms)
        # Clients of other systems listen for the name with the id.
        self._socketio.emit(f"{name}-{event.txid}", message, to=rooms)
        if event.name is EventName.PAYMENT_CONFIRMED:
            self._socketio.emit("payment_completed", message, to=portal_room)


def _value_of(event: StoredEvent) -> float | int | None:
    return None if event.amount_centavos is None else json_number(event.amount_centavos)
