"""`WS /api/merchant/ws`: a merchant receives events over a plain websocket, as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog
from flask import Response, request
from flask_openapi import Tag
from pydantic import BaseModel, ConfigDict, Field
from wsproto import WSConnection

from accounts.access import Caller
from blueprints.transactions.merchant_sockets import CLOSE_UNAUTHORIZED, MerchantSockets
from config import current_parts, current_settings
from core.errors import TooManyRequests, UpgradeRequired
from core.runtime.turns import end_turn
from realtime.allowance import Allowance, Connections, Rates
from realtime.credentials import Watching, watching_merchant
from realtime.websocket import VERSION, Line, connection_of, handshake
from repository.database import reading
from web.api_docs import SIGNED_IN, DocumentedBlueprint, problems
from web.limits import client_network

log = structlog.get_logger()

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

bp = DocumentedBlueprint("merchant_ws", __name__, abp_tags=[Tag(name="Transactions")])

PATH = "/api/merchant/ws"
KIND = "merchant"
"""The label of these connections in /metrics."""
_UPGRADE_HEADERS = ("X-Request-ID", "Set-Cookie")
"""The headers of a usual answer that an upgrade has too."""


class TokenQuery(BaseModel):
    """The credentials of clients that cannot set a header."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    token: str | None = Field(None, description="An API key or an access token.")


@bp.get(
    PATH,
    summary="Listen over a websocket",
    responses={
        101: {"description": "From here on a websocket: one JSON message for each event."},
        **problems(400, 401, 403, 426, 429, 503),
    },
    security=SIGNED_IN,
)
def merchant_ws(query: TokenQuery) -> Response:
    """Receive the merchant's events; credentials are refused by HTTP, before the upgrade."""
    # Werkzeug routes requests with an upgrade to `listen`; this request has none.
    _caller(query.token)
    raise UpgradeRequired


def listen() -> Response:
    """Accept the upgrade. Raises the errors that `merchant_ws` documents."""
    caller = _caller(request.args.get("token"))
    parts = current_parts()
    sockets = parts.merchant_sockets
    sockets.check_room(caller.account.id)
    if parts.connections.is_full(client_network()):
        raise TooManyRequests(60, "This address has too many open connections.")
    protocol = handshake(request.headers, PATH)
    parts.announcer.listen()
    return Upgrade(protocol, caller, sockets, parts.connections, client_network())


bp.add_url_rule(PATH, view_func=listen, methods=["GET"], websocket=True)


def _caller(token: str | None) -> Caller:
    with reading() as work:
        return watching_merchant(work, None if "Authorization" in request.headers else token)


@bp.after_request
def name_protocol(response: Response) -> Response:
    """Name the protocol in a 426 answer (RFC 9110, 15.5.22)."""
    if response.status_code == 426:
        response.headers["Upgrade"] = "websocket"
        response.headers["Sec-WebSocket-Version"] = VERSION
    return response


class Upgrade(Response):
    """An answer that becomes a websocket and lasts as long as it."""

    def __init__(
        self,
        protocol: WSConnection,
        caller: Caller,
        sockets: MerchantSockets,
        connections: Connections,
        network: str,
    ) -> None:
        super().__init__(status=101)
        self._protocol = protocol
        self._caller = caller
        self._sockets = sockets
        self._connections = connections
        self._network = network

    def __call__(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,  # noqa: ARG002 - the socket is answered directly
    ) -> Iterable[bytes]:
        """Run the websocket until it ends, then tell the server that the request is answered."""
        connection, finish = connection_of(environ)
        if not self._connections.enter(self._network):
            return finish()  # another thread took the last place since the check
        allowance = Allowance(Rates.of(current_settings()))
        line = Line(self._protocol, connection, allowance)
        watching = Watching(
            self._caller, lambda: line.close(CLOSE_UNAUTHORIZED, "The credentials have ended.")
        )
        count = current_parts().metrics.count_socket
        count(KIND, "opened")
        log.debug("merchant_socket.opened", merchant_id=self._caller.account.id)
        headers = [(name, value) for name, value in self.headers if name in _UPGRADE_HEADERS]
        try:
            line.accept(headers, lambda: self._sockets.join(line, watching))
            end_turn(environ)
            line.run()
        finally:
            self._sockets.leave(line, watching)
            self._connections.leave(self._network)
            count(KIND, "closed")
            log.debug("merchant_socket.closed", merchant_id=self._caller.account.id)
        return finish()
