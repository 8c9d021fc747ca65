"""Bodies with what the handlers of eventlet and gevent ask of their own input."""

from __future__ import annotations

from typing import Any

from server.incoming import Body, Incoming


class EventletBody(Body):
    """With what eventlet's handler asks of its own input."""

    chunked_input = True  # so that `discard` is called
    headers_sent: Any = None

    @property
    def should_send_hundred_continue(self) -> bool:
        """Whether the client still waits for leave to send the body."""
        return self.expects_continue

    def discard(self) -> None:
        """Discard the rest. Raises OSError if the connection must be closed."""
        if not self.finish():
            raise ConnectionError

    def get_socket(self) -> Any:
        """The client's socket, for websockets."""
        return self._incoming.connection


class GeventBody(Body):
    """With what gevent's handler, and the websockets, ask of its own input."""

    @property
    def rfile(self) -> Incoming:
        """Leads to the client's socket, for websockets."""
        return self._incoming

    def _discard(self) -> None:
        self.finish()
