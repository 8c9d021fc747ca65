"""Live events, over every transport and in every mode: who receives which events."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pytest

from payments.answers import PublicPayment
from realtime import rooms
from realtime.rooms import ROOMS_MAX
from tests.realtime.clients import TRANSPORTS, RawWebSocket, Watcher
from tests.realtime.sellers import Seller
from tests.support.deadlines import bring_forward
from tests.support.service import ServiceProcess

MODES = ("eventlet", "gevent", "threading")
NewWatcher = Callable[..., Watcher]


@pytest.fixture(scope="module", params=MODES)
def service(request, tmp_path_factory) -> Iterator[ServiceProcess]:
    """The service as a process, once for each mode."""
    folder = tmp_path_factory.mktemp(f"rooms-{request.param}")
    with ServiceProcess(folder, ASYNC_MODE=request.param) as running:
        yield running


@pytest.fixture
def watcher(service) -> Iterator[NewWatcher]:
    """Open a client: watcher(transport="websocket", auth=…)."""
    with ExitStack() as stack:

        def connect(transport: str = "websocket", auth: Any = None) -> Watcher:
            return stack.enter_context(Watcher(service.url, TRANSPORTS[transport], auth))

        yield connect


def _cancel(service: ServiceProcess, payment: dict[str, Any]) -> None:
    assert service.request("POST", f"/payments/pix/{payment['id']}/cancel")[0] == 200


def _names_so_far(service: ServiceProcess, bob: Watcher) -> list[str]:
    """The names of all events that this client received until now.

    The process announces an event before it answers the request, and a connection keeps the
    order: a cancellation that happens now arrives after everything else.
    """
    last = service.create()
    bob.watch(last)
    _cancel(service, last)
    bob.wait_for(f"payment-cancelled-{last['id']}")
    names = bob.names()
    assert names[-2:] == ["payment-cancelled", f"payment-cancelled-{last['id']}"]
    return names[:-2]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_acknowledgement_of_watch_carries_the_public_view(service, watcher, transport):
    """A client that joins late needs no second request, and reads no note of the shop."""
    payment = service.create(value="54.90", description="Pão de queijo", metadata={"cost": "31"})
    state = watcher(transport).watch(payment)
    assert state.keys() == set(PublicPayment.model_fields)
    unchanging = state.keys() - {"remaining_ms"}
    assert {name: state[name] for name in unchanging} == {
        name: payment[name] for name in unchanging
    }
    assert 0 < state["remaining_ms"] <= payment["remaining_ms"]


def test_only_its_merchant_reads_the_notes_of_a_payment_it_watches(service, watcher):
    """Charlie has the link and an account, and still sees what everybody sees."""
    alice, charlie = (Seller(service, name) for name in ("alice-notes", "charlie-notes"))
    body = {"value": 10, "metadata": {"cost": "31"}}
    payment = alice.call("POST", "/payments/pix", body)["payment"]
    tokens = {
        "token": alice.token,
        "reader": alice.key("payments:read")["key"],
        "writer": alice.key("payments:write")["key"],
        "charlie": charlie.token,
        "nonsense": "balcao_test_nonsense",
    }

    states = {name: watcher(auth={"token": each}).watch(payment) for name, each in tokens.items()}

    readers = {name for name, state in states.items() if state.get("metadata") == {"cost": "31"}}
    assert readers == {"token", "reader"}
    assert all("metadata" not in states[name] for name in tokens if name not in readers)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_watcher_hears_the_confirmation_by_both_names_and_once(service, watcher, transport):
    """The contract has the plain name; older clients listen for the name with the id."""
    payment = service.create()
    bob = watcher(transport)
    bob.watch(payment)
    status, answer = service.tell(payment)
    assert status == 200
    message = bob.wait_for(f"payment-confirmed-{payment['id']}")
    assert message.keys() == {"payment_id", "status", "sequence", "occurred_at", "message"}
    assert message["payment_id"] == payment["id"]
    assert (message["status"], message["sequence"]) == ("confirmed", answer["payment"]["sequence"])
    assert message["occurred_at"] == answer["payment"]["confirmed_at"]
    assert message["message"] == "The payment has been confirmed."
    assert bob.wait_for("payment-confirmed") == message
    names = ["payment-confirmed", f"payment-confirmed-{payment['id']}"]
    assert _names_so_far(service, bob) == names


def test_a_repeated_notification_is_announced_once(service, watcher):
    """Banks repeat notifications."""
    payment = service.create()
    bob = watcher()
    bob.watch(payment)
    end_to_end_id = "E9999900420261120150000000000099"[:32]
    for _ in range(3):
        assert service.tell(payment, end_to_end_id=end_to_end_id)[0] == 200
    bob.wait_for(f"payment-confirmed-{payment['id']}")
    assert len(_names_so_far(service, bob)) == 2


def test_a_cancellation_is_heard(service, watcher):
    """The page must stop asking for money."""
    payment = service.create()
    bob = watcher()
    bob.watch(payment)
    _cancel(service, payment)
    message = bob.wait_for(f"payment-cancelled-{payment['id']}")
    assert (message["status"], message["sequence"]) == ("cancelled", 2)
    assert bob.wait_for("payment-cancelled") == message


def test_refused_money_is_heard_and_the_payment_stays_pending(service, watcher):
    """A payer of a wrong amount must see what happened."""
    payment = service.create(value=10)
    bob = watcher()
    bob.watch(payment)
    assert service.tell(payment, value=9.99)[0] == 400
    message = bob.wait_for("receipt-refused")
    assert (message["payment_id"], message["status"]) == (payment["id"], "pending")


@pytest.mark.slow
def test_an_expiry_is_heard_within_two_seconds_of_the_deadline(service, watcher):
    """The contract promises that to watchers of the page (rule 4)."""
    payment = service.create(expires_in=10)
    bob = watcher()
    bob.watch(payment)
    deadline = datetime.fromisoformat(payment["expiration_date"]).timestamp()
    if service.environment["ASYNC_MODE"] != MODES[0]:  # one mode waits for a real deadline
        deadline = bring_forward(service, 1.5, payment).timestamp()
    time.sleep(max(0.0, deadline - time.time()))
    message = bob.wait_for(f"payment-expired-{payment['id']}")
    assert time.time() - deadline <= 2
    assert message["status"] == "expired"
    assert bob.wait_for("payment-expired") == message
    assert len(_names_so_far(service, bob)) == 2


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_client_that_unwatched_hears_nothing(service, watcher, transport):
    """After `unwatch` no event may come."""
    payment = service.create()
    bob = watcher(transport)
    bob.watch(payment)
    assert bob.ask("unwatch", {"payment_id": payment["id"]}) == {"ok": True}
    assert service.tell(payment)[0] == 200
    assert _names_so_far(service, bob) == []


HOSTILE: dict[str, Any] = {
    "nothing": None,
    "a list": [],
    "a filled list": ["a", {"payment_id": "b"}],
    "a number": 7,
    "a text": "4f0c",
    "an empty object": {},
    "no text": {"payment_id": 12},
    "null": {"payment_id": None},
    "a nested object": {"payment_id": {"payment_id": ["$ne", None]}},
    "upper case": {"payment_id": "A" * 32},
    "too short": {"payment_id": "ab" * 15},
    "one character more": {"payment_id": "ab" * 16 + "\n"},
    "huge": {"payment_id": "a" * 12_000},
    "deep": {"payment_id": [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]},
    "SQL": {"payment_id": "' OR 1=1; DROP TABLE payments; --"},
    "NUL": {"payment_id": "\x00" * 32},
    "a lone surrogate": {"payment_id": "\ud800" * 32},
    "other digits": {"payment_id": "٣" * 32},
    "bytes": {"payment_id": b"\xff\xfe\x00"},
    "only bytes": b"\x00\x01\x02",
    "another's room": {"payment_id": "merchant:1"},
    "an id of nobody": {"payment_id": "0" * 32},
}


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_hostile_messages_get_a_code_and_the_connection_lives(service, watcher, transport):
    """The same connection must serve a valid message next."""
    charlie = watcher(transport)
    for event in ("watch", "unwatch"):
        for name, data in HOSTILE.items():
            answer = charlie.ask(event, data)
            if event == "unwatch" and name == "an id of nobody":
                assert answer == {"ok": True}
                continue
            assert (answer["ok"], answer["code"]) == (False, "payment-not-found"), name
    assert charlie.connected
    assert charlie.watch(service.create())["status"] == "pending"


def test_a_message_larger_than_any_honest_one_ends_only_its_own_connection(service, watcher):
    """Memory stays limited, and the other connections go on."""
    payment = service.create()
    bob, charlie = watcher(), watcher()
    bob.watch(payment)
    charlie.emit("watch", {"payment_id": "a" * 100_000})
    charlie.wait_until_closed()
    assert service.tell(payment)[0] == 200
    bob.wait_for("payment-confirmed")


@pytest.mark.parametrize("packet", [b"9", b"42", b"42[", b"4" * 100, b"451-[1]", b"\xff\xfe", b""])
def test_malformed_packets_do_not_affect_other_connections(service, watcher, packet):
    """Only the broken client may notice."""
    payment = service.create()
    bob = watcher()
    bob.watch(payment)
    with RawWebSocket(service.url) as charlie:
        charlie.send(packet)
        assert service.tell(payment)[0] == 200
        bob.wait_for("payment-confirmed")
    assert bob.connected


def test_one_connection_may_watch_only_so_many_payments(service, watcher):
    """A connection must stay cheap."""
    charlie = watcher()
    payments = [service.create() for _ in range(3)]
    for payment in payments:
        charlie.watch(payment)
    codes = set()
    for _ in range(ROOMS_MAX):
        codes.add(charlie.ask("watch", {"payment_id": service.create()["id"]}).get("code"))
    assert codes == {None, "too-many-rooms"}
    assert charlie.ask("unwatch", {"payment_id": payments[0]["id"]})["ok"] is True
    charlie.watch(payments[0])


def test_a_watch_does_not_walk_through_the_rooms_of_all_clients():
    """The walk fails if another thread joins a room meanwhile, and costs time for each client."""
    assert not hasattr(rooms, "rooms")


def test_each_connection_is_logged_and_counted_when_it_comes_and_goes(serve):
    """One line for each, at level debug, and two counts in /metrics."""
    service = serve(LOG_LEVEL="debug", LOG_FORMAT="json")
    with RawWebSocket(service.url), RawWebSocket(service.url):
        pass
    limit, names = time.monotonic() + 10, list[str]()
    while names.count("socket.closed") < 2 and time.monotonic() < limit:
        time.sleep(0.05)
        lines = [line for line in service.log().splitlines() if line.startswith("{")]
        names = [json.loads(line)["event"] for line in lines]
    assert (names.count("socket.opened"), names.count("socket.closed")) == (2, 2)
    counts = service.get("/metrics")[1].decode().splitlines()
    for happening in ("opened", "closed"):
        [line] = [
            line
            for line in counts
            if line.startswith("balcao_sockets_total{")
            and f'"{happening}"' in line
            and '"socket.io"' in line
        ]
        assert float(line.split()[-1]) == 2


def test_a_watcher_of_one_payment_receives_no_byte_of_another(service):
    """Counted in bytes on the wire."""
    watched, other = service.create(), service.create()
    with RawWebSocket(service.url) as charlie:
        charlie.send(b'420["watch",{"payment_id":"' + watched["id"].encode() + b'"}]')
        assert b"430[" in charlie.bytes_within(0.5)
        charlie.forget()
        assert service.tell(other)[0] == 200
        assert service.tell(other)[0] == 409
        _cancel(service, watched)
        assert charlie.bytes_before(b'42["payment-cancelled"') == b""


def test_a_client_that_watches_nothing_receives_no_byte(service):
    """A connection alone must reveal nothing about payments."""
    with RawWebSocket(service.url) as charlie:
        confirmed, cancelled = service.create(), service.create()
        assert service.tell(confirmed)[0] == 200
        _cancel(service, cancelled)
        charlie.send(b'420["watch",{}]')
        assert charlie.bytes_before(b"430[") == b""


def test_a_merchant_hears_of_its_own_payments_and_of_no_one_elses(service, watcher):
    """Charlie's dashboard shows none of Alice's payments."""
    alice_key = Seller(service, "alice").key()["key"]
    charlie_key = Seller(service, "charlie").key()["key"]
    alice = watcher(auth={"token": alice_key})
    charlie = watcher("polling", auth={"token": charlie_key})
    assert alice.ask("watch_merchant") == {"ok": True, "merchant": "alice"}
    assert charlie.ask("watch_merchant")["ok"] is True
    status, body, _ = service.request(
        "POST", "/payments/pix", b'{"value": 5}',
        {"Content-Type": "application/json", "Authorization": f"Bearer {alice_key}"},
    )  # fmt: skip
    assert status == 201, body
    payment = json.loads(body)["payment"]
    assert service.tell(payment)[0] == 200
    message = alice.wait_for("payment_completed")
    assert (message["payment_id"], message["status"]) == (payment["id"], "confirmed")
    assert alice.wait_for("payment-confirmed") == message
    assert _names_so_far(service, charlie) == []


@pytest.mark.parametrize(
    "auth", [None, {}, {"token": None}, {"token": ""}, {"token": "balcao_x"}, {"token": [1]}, [1],
             {"token": "x" * 9000}, {"token": "é"}],
)  # fmt: skip
def test_watching_a_merchant_needs_its_key(service, watcher, auth):
    """Without it there is no room, but the connection may still watch a payment."""
    charlie = watcher(auth=auth)
    answer = charlie.ask("watch_merchant", {"merchant": "demo"})
    assert (answer["ok"], answer["code"]) == (False, "unauthorized")
    assert charlie.watch(service.create())["status"] == "pending"


def test_joining_and_reading_leave_no_gap(service, watcher):
    """A client that joins while money arrives sees it in the answer or hears the event."""
    bob = watcher()
    for _ in range(15):
        payment = service.create()
        telling = threading.Thread(target=service.tell, args=(payment,))
        telling.start()
        state = bob.watch(payment)
        telling.join()
        if state["status"] != "confirmed":
            bob.wait_for(f"payment-confirmed-{payment['id']}")
        assert service.payment(payment["id"])["status"] == "confirmed"
