"""Each request waits for its client's turn, so that no client's burst delays the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from core.runtime.turns import IN_ENVIRON, Turn, Turns
from server.incoming import body_of
from web.limits import network_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class InTurn:
    """WSGI middleware that works on each request in its turn; the answer is sent after the turn."""

    def __init__(self, application: WSGIApplication, turns: Turns) -> None:
        """Wrap a WSGI application that finds the client's address in REMOTE_ADDR."""
        self._application = application
        self._turns = turns

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        turn = Turn(self._turns, network_of(environ.get("REMOTE_ADDR") or "unknown"))
        environ[IN_ENVIRON] = turn
        body = body_of(environ)
        with turn:
            if body is not None:
                body.turn = turn
            try:
                return self._application(environ, start_response)
            finally:
                if body is not None:
                    body.turn = None
