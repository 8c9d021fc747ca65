"""An engine.io connection with bounds: what it may send, and how much may wait for it."""

from __future__ import annotations

import re
import time
from contextlib import nullcontext, suppress
from io import BytesIO
from threading import get_ident
from typing import TYPE_CHECKING, Any

import structlog
from engineio import exceptions, packet
from engineio.payload import Payload
from engineio.socket import Socket
from werkzeug.exceptions import HTTPException

from core.errors import BalcaoError
from core.runtime.turns import IN_ENVIRON, Turn, end_turn
from realtime.allowance import Allowance, Rates
from realtime.heartbeats import Heartbeats
from realtime.wire import PONG, Wire, WireBounds

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = structlog.get_logger()

PACKETS_AT_ONCE_MAX = 128
"""In one long-polling request: a portal page may watch 100 payments; engine.io allows 16."""

OUTGOING_PACKETS_MAX = 256
"""Answers and events that may wait for a client that does not read: 100 states, and more."""

ATTACHMENTS_MAX = 4
"""Binary attachments of one message; no message of ours has any."""

_PING = packet.Packet(packet.PING)

_ATTACHMENTS = re.compile(r"[56]([0-9]{1,20})-")
"""A binary event or acknowledgement, and how many attachments follow."""


class BoundedSocket(Socket):  # type: ignore[misc]  # engine.io is untyped
    """One connection over long polling or a websocket.

    It ends when the client sends faster than its allowance, sends something that is no packet, or
    leaves too many packets unread.
    """

    rates = Rates(messages=20, bytes=16_384)
    """Set by `install`."""

    heartbeats: Heartbeats
    wire_bounds: WireBounds
    """Set by `start_heartbeats`, as `heartbeats`."""

    connected: bool
    last_ping: float | None

    def __init__(self, server: Any, sid: str) -> None:
        super().__init__(server, sid)
        self.last_ping = time.monotonic()
        self.allowance = Allowance(self.rates)
        self._wire: Wire | None = None
        self._turn: Turn | None = None
        self._reader: int | None = None
        """The task that reads the websocket, and has its turns."""
        self._is_dropped = False

    def receive(self, pkt: Any) -> None:
        """Handle one packet, then give other connections a turn.

        Raises SocketIsClosedError if the connection must end.
        """
        # A websocket counts its frames itself, with those that are no packets. Others may come by
        # long polling while it begins.
        is_of_wire = self._wire is not None and self._reader == get_ident()
        if not is_of_wire and not self.allowance.take(1, 0):
            self._drop("too fast")
        # Socket.IO collects the attachments in memory until the last one is there.
        attachments = _ATTACHMENTS.match(pkt.data) if isinstance(pkt.data, str) else None
        if attachments and int(attachments[1]) > ATTACHMENTS_MAX:
            self._drop("attachments")
        if self.closed or self._is_dropped:
            raise exceptions.SocketIsClosedError
        # A long-polling request has its own turn, also while a websocket begins.
        with self._turn if self._turn and self._reader == get_ident() else nullcontext():
            super().receive(pkt)
        self.server.sleep(0)

    def send(self, pkt: Any) -> None:
        """Send or queue a packet, or end the connection of a client that does not read."""
        wire = self._wire
        unsent = self.queue.qsize() if wire is None or not wire.is_open else wire.unsent
        if unsent >= OUTGOING_PACKETS_MAX:
            self._drop("unread")
        if self._is_dropped or not self.check_ping_timeout():
            return
        if wire is None or not wire.send(pkt.encode()):
            self.queue.put(pkt)
            if wire is not None and wire.is_open:  # another thread has opened it meanwhile
                wire.open(self._take_waiting)

    def close(self, wait: bool = True, abort: bool = False, reason: Any = None) -> None:  # noqa: ARG002 - see below
        """Close the connection; never wait until the client has read everything."""
        super().close(wait=False, abort=abort, reason=reason)
        wire = self._wire
        if wire is not None and wire.is_open:
            wire.close()
        elif wire is not None:
            wire.end()  # it would go on without a session, and count for nobody

    def handle_get_request(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        """Poll, or upgrade to a websocket; the packets, or engine.io's answer.

        Raises EngineIOError.
        """
        options = environ.get("HTTP_CONNECTION", "").lower().split(",")
        protocol = environ.get("HTTP_UPGRADE", "").lower()
        is_upgrade = "upgrade" in map(str.strip, options) and protocol in self.upgrade_protocols
        if not self.connected and not is_upgrade:
            self.close(abort=True)  # engine.io would poll for it
            return self.server._bad_request("The header Connection must be: Upgrade.")
        end_turn(environ)  # what follows waits: for packets to send, or on a websocket
        return super().handle_get_request(environ, start_response)

    def handle_post_request(self, environ: WSGIEnvironment) -> None:
        """Handle the packets of a long-polling request. Raises EngineIOError for junk."""
        if not environ.get("CONTENT_LENGTH") and environ.get("wsgi.input_terminated"):
            self._read_chunked_body(environ)
        length = environ.get("CONTENT_LENGTH") or "0"
        if not (length.isascii() and length.isdecimal()):
            raise exceptions.ContentTooLongError
        size = min(int(length), self.server.max_http_buffer_size)
        if not self.allowance.take(1, size):
            self._drop("too fast")
            raise exceptions.SocketIsClosedError
        try:
            super().handle_post_request(environ)
        except exceptions.UnknownPacketError:
            raise
        except (ValueError, LookupError, RecursionError) as error:
            raise exceptions.EngineIOError("junk") from error

    def _read_chunked_body(self, environ: WSGIEnvironment) -> None:
        """Give the body the length that engine.io needs; it reads a missing length as 0.

        Raises EngineIOError for a malformed, slow or incomplete body.
        """
        try:
            # One byte more than allowed shows that the body is too long.
            body = environ["wsgi.input"].read(self.server.max_http_buffer_size + 1)
        except HTTPException as error:
            raise exceptions.EngineIOError("junk") from error
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))

    def check_ping_timeout(self) -> bool:
        """Close the connection if the client owes a pong; by the monotonic clock.

        Raises SocketIsClosedError if the connection is closed already.
        """
        if self.closed:
            raise exceptions.SocketIsClosedError
        if self.last_ping and time.monotonic() - self.last_ping > self.server.ping_timeout:
            self.close(abort=True, reason=self.server.reason.PING_TIMEOUT)
            if self._wire is not None:
                self._wire.end()
            return False
        return True

    def schedule_ping(self) -> None:
        """Begin to wait for the next ping, unless the client still owes a pong."""
        if self.last_ping:
            self.last_ping = None
            self.heartbeats.add(self)

    def ping(self) -> bool:
        """Send a ping; return False, and forget the connection, if it has ended."""
        if self.closing or self.closed:
            self._forget()
            return False
        self.last_ping = time.monotonic()
        self.send(_PING)
        return True

    def end_if_silent(self) -> None:
        """Close the connection if the client owes a pong; forget a connection that has ended."""
        if self.closed or not self.check_ping_timeout():
            self._forget()

    def _forget(self) -> None:
        """Let go of a connection that is closed, whatever its client has not read yet."""
        self.server.sockets.pop(self.sid, None)
        if self._wire is not None:
            self._wire.end()

    def _upgrade_websocket(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:  # noqa: ARG002 - the socket is answered directly
        """Serve a websocket, from the start or instead of long polling, until it ends."""
        if self.upgraded or self.upgrading:
            return self.server._bad_request("This session has a websocket already.")
        try:
            wire = Wire(environ, self.allowance, self.wire_bounds, self.server)
        except BalcaoError as error:
            if not self.connected:
                self.close(abort=True)
            return self.server._bad_request(error.detail)
        self._wire, self._turn, self._reader = wire, environ.get(IN_ENVIRON), get_ident()
        try:
            wire.accept()
            self._websocket_handler(wire)
        except (ValueError, LookupError, RecursionError, OSError):
            self.close(abort=True, reason=self.server.reason.TRANSPORT_ERROR)
        finally:
            self._wire = self._turn = None
        if wire.is_too_fast:
            self._log("too fast")
        return wire.finish()

    def _websocket_handler(self, wire: Wire) -> None:
        """Handle what comes over the websocket until it ends. Raises ValueError, … for junk."""
        if self.connected:
            if not self._change_over(wire):
                return
        else:
            self.connected = self.upgraded = True
        wire.open(self._take_waiting)
        if self.closed:  # meanwhile
            wire.close()
        while (data := wire.wait()) is not None:
            if data == PONG:
                self.schedule_ping()
                continue
            pkt = packet.Packet(encoded_packet=data)
            try:
                self.receive(pkt)
            except exceptions.UnknownPacketError:
                continue
            except Exception:  # a handler's failure is logged where it happens; the rest is junk
                break
        self.close(abort=True, reason=self.server.reason.TRANSPORT_CLOSE)

    def _change_over(self, wire: Wire) -> bool:
        """Upgrade from long polling as engine.io does; False if the client does not go on."""
        self.upgrading = True  # polls are answered at once
        try:
            if wire.wait() != f"{packet.PING}probe":
                return False
            wire.send_and_wait(f"{packet.PONG}probe")
            self.queue.put(packet.Packet(packet.NOOP))  # ends the poll
            if not str(wire.wait()).startswith(str(packet.UPGRADE)):
                return False
            self.upgraded = True
            return True
        finally:
            self.upgrading = False

    def _take_waiting(self) -> list[str | bytes]:
        """What was queued before the websocket was open."""
        packets = []
        with suppress(self.server.get_queue_empty_exception()):
            while True:
                packets.append(self.queue.get(block=False))
        return [pkt.encode() for pkt in packets if pkt is not None]

    def _drop(self, reason: str) -> None:
        """End the connection without a word; safe to call from any task."""
        if self._is_dropped:
            return
        self._is_dropped = True
        self._log(reason)
        if self._wire is not None:
            self._wire.end()
        # In a task of its own, because its listeners must not run inside an announcement.
        self.server.start_background_task(self.close, abort=True)

    def _log(self, reason: str) -> None:
        log.info("socket.dropped", reason=reason)


def install(rates: Rates) -> None:
    """Make engine.io build its connections with these bounds, in the whole process."""
    from engineio import server

    BoundedSocket.rates = rates
    Payload.max_decode_packets = PACKETS_AT_ONCE_MAX
    server.socket.Socket = BoundedSocket


def start_heartbeats(server: Any) -> None:
    """Ping the connections of this engine.io server."""
    interval, timeout = server.ping_interval, server.ping_timeout
    BoundedSocket.heartbeats = Heartbeats(
        server.start_background_task, server.sleep, interval, timeout
    )
    BoundedSocket.wire_bounds = WireBounds(
        server.max_http_buffer_size, OUTGOING_PACKETS_MAX, interval + timeout
    )
