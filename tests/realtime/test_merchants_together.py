"""Merchants listen by Socket.IO and by a plain websocket, in several processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import socketio

from blueprints.transactions.merchant_sockets import CLOSE_UNAUTHORIZED
from realtime.credentials import CHECK_SECONDS
from tests.realtime.clients import QUIET_SECONDS, RawWebSocket, Watcher
from tests.realtime.sellers import Listener, Seller
from tests.support.service import ServiceProcess

MODES = ("eventlet", "gevent", "threading")
CHECKED_WITHIN = CHECK_SECONDS + 5
Pair = Callable[[str], tuple[ServiceProcess, ServiceProcess]]


@pytest.fixture
def pair(serve, redis_url, tmp_path) -> Pair:
    """Two processes of one service: pair(mode)."""

    def start(mode: str) -> tuple[ServiceProcess, ServiceProcess]:
        options: dict[str, Any] = {
            "ASYNC_MODE": mode,
            "REDIS_URL": redis_url,
            "DATABASE_URL": f"sqlite:///{tmp_path / 'shared.sqlite3'}",
        }
        # Both have one public URL, as behind a load balancer, because tokens name it.
        first = serve(instance=tmp_path / "one", **options)
        options["PUBLIC_URL"] = first.url
        return first, serve(instance=tmp_path / "two", **options)

    return start


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[ServiceProcess]:
    """One process."""
    with ServiceProcess(tmp_path_factory.mktemp("together")) as running:
        yield running


def dashboard(service: ServiceProcess, seller: Seller) -> Watcher:
    """A Socket.IO client in the merchant's room."""
    watcher = Watcher(service.url, ["websocket"], {"token": seller.token})
    assert watcher.ask("watch_merchant") == {"ok": True, "merchant": seller.login}
    return watcher


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", MODES)
def test_both_ways_hear_of_payments_at_another_process(pair: Pair, mode):
    """Alice's dashboard is at one process, the bank calls the other; Charlie hears nothing."""
    one, two = pair(mode)
    alice, charlie = Seller(one, "alice"), Seller(one, "charlie")
    with (
        alice.listen(one) as here,
        alice.listen(two) as there,
        charlie.listen(one) as stranger,
        dashboard(one, alice) as board,
        dashboard(one, charlie) as other_board,
    ):
        transaction = alice.create()
        assert two.tell(transaction)[0] == 200
        assert here.next()["payment_id"] == there.next()["payment_id"] == transaction["id"]
        assert board.wait_for("payment_completed")["payment_id"] == transaction["id"]
        cancelled = alice.create()
        alice.service = two
        alice.call("PUT", f"/transactions/{cancelled['id']}", {"status": "cancelled"})
        assert {here.next()["type"], there.next()["type"]} == {"payment_cancelled"}
        assert board.wait_for("payment-cancelled")["payment_id"] == cancelled["id"]
        assert here.hears_nothing(QUIET_SECONDS)
        assert there.hears_nothing(0.1)
        assert stranger.hears_nothing(0.1)
        assert other_board.names() == []
        assert sorted(board.names()) == sorted(
            [
                "payment-confirmed",
                f"payment-confirmed-{transaction['id']}",
                "payment_completed",
                "payment-cancelled",
                f"payment-cancelled-{cancelled['id']}",
            ]
        )


@pytest.mark.timeout(90)
def test_credentials_revoked_at_one_process_end_at_the_other(pair: Pair):
    """Signing out everywhere, or revoking a key, must reach every process."""
    one, two = pair("eventlet")
    alice = Seller(one, "alice")
    key = alice.key("payments:read")
    with Listener(two.url, token=key["key"]) as listener, alice.listen(two) as own:
        alice.call("DELETE", f"/api/keys/{key['id']}")
        transaction = alice.create()
        assert one.tell(transaction)[0] == 200
        assert own.next()["payment_id"] == transaction["id"]
        assert listener.close_code() == CLOSE_UNAUTHORIZED


def test_another_merchants_room_receives_no_byte(service):
    """Counted on the wire: neither a name nor an id of Alice's reaches Charlie's dashboard."""
    alice, charlie = Seller(service, "alice"), Seller(service, "charlie")
    key = charlie.key("payments:read")["key"]
    with RawWebSocket(service.url, f'{{"token":"{key}"}}') as wire:
        wire.send(b'420["watch_merchant"]')
        assert b"charlie" in wire.bytes_within(0.5)
        wire.forget()
        paid, cancelled = alice.create(), alice.create()
        assert service.tell(paid)[0] == 200
        alice.call("PUT", f"/transactions/{cancelled['id']}", {"status": "cancelled"})
        assert wire.bytes_within(QUIET_SECONDS) == b""
        own = charlie.create()
        assert service.tell(own)[0] == 200
        assert b"payment_completed" in wire.bytes_within(QUIET_SECONDS)


def by_cookie(service: ServiceProcess, token: str, origin: str | None) -> dict[str, Any]:
    """The answer to `watch_merchant` on a connection with this cookie, from this origin."""
    headers = {"Cookie": f"access_token={token}"} | ({"Origin": origin} if origin else {})
    client = socketio.Client(reconnection=False)
    try:
        client.connect(service.url, headers=headers, transports=["polling"])
        answer: dict[str, Any] = client.call("watch_merchant", timeout=10)
        return answer
    finally:
        with suppress(Exception):
            client.disconnect()


def test_a_cookie_opens_the_room_only_to_our_own_pages(service):
    """Another site's page may connect with Alice's cookie; it must not hear of her payments."""
    alice = Seller(service, "anita")
    assert by_cookie(service, alice.token, service.url)["ok"] is True
    assert by_cookie(service, alice.token, None)["ok"] is True
    with pytest.raises((AssertionError, socketio.exceptions.ConnectionError)):
        assert by_cookie(service, alice.token, "https://elsewhere.example")["ok"] is True
    assert by_cookie(service, f"{alice.token}x", service.url)["code"] == "unauthorized"


def test_a_payer_and_a_key_without_the_scope_have_no_room(service):
    """A payer has no payments to watch, and a key that only refunds must not read."""
    bob = Seller(service, "bob", role="payer")
    refunds = Seller(service, "ana").key("refunds:write")["key"]
    for token in (bob.token, refunds):
        with Watcher(service.url, ["websocket"], {"token": token}) as watcher:
            assert watcher.ask("watch_merchant")["code"] == "forbidden"


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_connection_ends_with_its_credentials(service):
    """A dashboard with revoked credentials must hear nothing more."""
    alice = Seller(service, "agnes")
    key = alice.key("payments:read")
    with (
        Watcher(service.url, ["websocket"], {"token": key["key"]}) as watcher,
        dashboard(service, alice) as board,
    ):
        assert watcher.ask("watch_merchant")["ok"] is True
        alice.call("DELETE", f"/api/keys/{key['id']}")
        limit = time.monotonic() + CHECKED_WITHIN
        while watcher.connected and time.monotonic() < limit:
            time.sleep(0.1)
        assert not watcher.connected
        transaction = alice.create()
        assert service.tell(transaction)[0] == 200
        board.wait_for("payment_completed")
        assert watcher.names() == []
