"""Join rooms: who may watch what. The acknowledgement has the state, so that no event is missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from flask import request
from flask_socketio import SocketIO, join_room, leave_room

from accounts import modes
from accounts.access import Caller, is_merchant
from accounts.tokens import TOKEN_CHARACTERS_MAX
from core import ids
from core.errors import BalcaoError, Conflict, PaymentNotFound
from payments.presenter import Presenter
from realtime.announcer import Announcer, merchant_room, room_of
from realtime.credentials import Watching, Watchings, watching_merchant
from repository.database import reading

log = structlog.get_logger()

KIND = "socket.io"
"""The label of these connections in /metrics."""

ROOMS_MAX = 100
"""Payments that one connection may watch; a payment page watches one."""

TOKEN_MAX = TOKEN_CHARACTERS_MAX
"""Longer than any key or token; the process stores it as long as the connection is open."""


def register(
    socketio: SocketIO,
    presenter: Presenter,
    announcer: Announcer,
    watchings: Watchings,
    count: Callable[[str, str], None],
) -> None:
    """Attach `watch`, `unwatch` and `watch_merchant`; `count` is told of each connection."""
    tokens: dict[str, str] = {}
    watchings_by_sid: dict[str, Watching] = {}
    # Counted here: python-socketio walks through the rooms of all clients to find those of one, and
    # fails if another thread adds or removes a room meanwhile.
    txids_by_sid: dict[str, set[str]] = {}

    @socketio.on("connect")
    def connect(auth: Any = None) -> None:
        count(KIND, "opened")
        log.debug("socket.opened", sid=_sid())
        announcer.listen()
        txids_by_sid[_sid()] = set()
        token = auth.get("token") if isinstance(auth, dict) else None
        if isinstance(token, str) and len(token) <= TOKEN_MAX:
            tokens[_sid()] = token

    @socketio.on("disconnect")
    def disconnect(reason: Any = None) -> None:
        count(KIND, "closed")
        log.debug("socket.closed", sid=_sid(), reason=reason)
        tokens.pop(_sid(), None)
        txids_by_sid.pop(_sid(), None)
        announcer.lateness.remove(_sid())
        if watching := watchings_by_sid.pop(_sid(), None):
            watchings.remove(watching)

    @socketio.on("watch")
    def watch(data: Any = None) -> dict[str, Any]:
        txids = txids_by_sid.get(_sid(), set())

        def join() -> dict[str, Any]:
            answer = _watch(presenter, data, tokens.get(_sid()), txids)
            # A client may have gone while its state was read: nothing would forget it again.
            if not data.get("late") or _sid() not in txids_by_sid:
                return answer
            announcer.lateness.add(_sid())
            return {**answer, "late": announcer.lateness.is_late}

        return _acknowledgement(join)

    @socketio.on("unwatch")
    def unwatch(data: Any = None) -> dict[str, Any]:
        txids = txids_by_sid.get(_sid(), set())
        return _acknowledgement(lambda: _unwatch(data, txids))

    @socketio.on("watch_merchant")
    def watch_merchant(data: Any = None) -> dict[str, Any]:
        sid = _sid()

        def join() -> dict[str, Any]:
            caller = _watch_merchant(tokens.get(sid), data)
            if sid not in watchings_by_sid:
                watching = Watching(caller, lambda: _disconnect(socketio, sid))
                watchings_by_sid[sid] = watching
                watchings.add(watching)
            return {"merchant": caller.owner.login}

        return _acknowledgement(join)


def _acknowledgement(handle: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the handler returns, or the error's code; no message ends the connection."""
    try:
        return {"ok": True, **handle()}
    except BalcaoError as error:
        return {"ok": False, "code": error.code, "detail": error.detail}
    except Exception:
        log.exception("socket.failed")
        return {"ok": False, "code": "internal-error"}


def _watch(presenter: Presenter, data: Any, token: str | None, txids: set[str]) -> dict[str, Any]:
    """Join the room of a payment and add it to the client's `txids`."""
    txid = _txid_in(data)
    if txid not in txids and len(txids) >= ROOMS_MAX:
        raise TooManyRooms
    txids.add(txid)
    # Join before reading the state: a change in between is announced, and the state shows it too.
    join_room(room_of(txid))
    try:
        with reading() as work:
            payment = work.payments.by_txid(txid)
            to_merchant = is_merchant(work, payment.merchant_id, token)
            return {"payment": presenter.payment(payment, work.now, to_merchant=to_merchant)}
    except BalcaoError:
        leave_room(room_of(txid))
        txids.discard(txid)
        raise


def _unwatch(data: Any, txids: set[str]) -> dict[str, Any]:
    txid = _txid_in(data)
    leave_room(room_of(txid))
    txids.discard(txid)
    return {}


def _watch_merchant(token: str | None, data: Any) -> Caller:
    """Join the room of the merchant or its test half; `mode` is that of the browser's page.

    Raises Conflict if another tab changed the mode since the page was drawn.
    """
    with reading() as work:
        caller = watching_merchant(work, token)
    mode = data.get("mode") if isinstance(data, dict) else None
    if caller.by_cookie and mode is not None and (mode == modes.TEST) is not caller.is_test_mode:
        raise Conflict("Another tab changed the mode: load the page again.")
    join_room(merchant_room(caller.account.id))
    return caller


def _disconnect(socketio: SocketIO, sid: str) -> None:
    server: Any = socketio.server  # type: ignore[attr-defined]  # python-socketio's
    server.disconnect(sid, namespace="/")


def _txid_in(data: Any) -> str:
    txid = data.get("payment_id") if isinstance(data, dict) else None
    if not isinstance(txid, str) or not ids.is_txid(txid):
        raise PaymentNotFound
    return txid


def _sid() -> str:
    return str(request.sid)  # type: ignore[attr-defined]  # Flask-SocketIO adds it


class TooManyRooms(Conflict):
    """One connection asked to watch more payments than the limit."""

    code = "too-many-rooms"
    title = f"One connection may watch at most {ROOMS_MAX} payments"
