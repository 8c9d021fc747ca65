"""A receiver of webhooks on loopback: verifies them, hands them on, and lets tests wait."""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from balcao.client import Balcao
from balcao.errors import WebhookVerificationError
from balcao.models import Delivery, Event, Payment
from balcao.signatures import verify_webhook
from balcao.testing.errors import NotReached, SandboxError, wait_until
from balcao.transport import NoRedirects, proxies_for

DESCRIPTION = "balcao.testing"
LOOPBACK = "127.0.0.1"
BODY_BYTES_MAX = 1_000_000
FORWARD_SECONDS = 15.0
_HANDED_ON = ("content-type", "webhook-id", "webhook-timestamp", "webhook-signature")
_DELIVERY_PAGES_MAX = 20

Handler = Callable[[Mapping[str, str], bytes], Any]
"""Gets headers and body; returns a status, or a response with `status_code`, as of Flask."""


@dataclass(frozen=True)
class ReceivedWebhook:
    """A webhook with a right signature, and what the shop answered."""

    event: Event
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    status: int
    """The shop's answer, which Balcão got; 204 without a shop."""
    error: BaseException | None = field(default=None, repr=False)
    """What the shop raised; Balcão got 500."""

    def is_about(self, payment: Payment | str) -> bool:
        """Whether the event is one of this payment, its refunds or its receipts."""
        return payment_id_of(payment) in _payment_ids(self.event)


class ShopWebhooks:
    """The webhooks of one merchant. `secret` is what the shop verifies them with."""

    def __init__(self, client: Balcao, seconds: float) -> None:
        """Register a new receiver, and wait until its ping has come. `close` it after use.

        `seconds` is how long `wait_for` waits. Raises SandboxError.
        """
        self._client = client
        self._seconds = seconds
        self._lock = threading.Lock()
        self._all: list[ReceivedWebhook] = []
        self._refusals: list[str] = []
        self._payment_ids: set[str] = set()
        self._has_pinged = threading.Event()
        self._target: str | Handler | None = None
        self._is_registered = threading.Event()
        _remove_abandoned(client)
        self._server = _server_for(self)
        self.url = f"http://{LOOPBACK}:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            webhook = client.webhooks.create(self.url, description=DESCRIPTION)
            self.id = webhook.id
            self.secret = str(webhook.secret)
            self._registered_at = str(webhook.raw.get("created_at"))
            self._is_registered.set()
        except BaseException:
            self.stop()
            raise
        try:
            if webhook.raw.get("livemode") is not False:
                raise SandboxError("This service moves real money: tests are refused.")
            if not self._has_pinged.wait(seconds):
                raise SandboxError(
                    f"The service's first webhook did not reach the tests at {self.url}. A service "
                    "of BALCAO_URL must run on this machine."
                )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the webhook and stop the receiver."""
        try:
            self._client.webhooks.delete(self.id)
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop the receiver; the webhook stays registered."""
        self._server.shutdown()
        self._server.server_close()

    def forward_to(self, shop: str | Handler) -> None:
        """Hand each webhook from now on to the shop, and its answer to Balcão.

        `shop` is an address, or a function of headers and body, such as
        `lambda headers, body: app.test_client().post("/hook", headers=headers, data=body)`. It is
        called in a thread of the receiver, one after the other for one payment.
        """
        self._target = shop

    def received(
        self, event_type: str | None = None, *, payment: Payment | str | None = None
    ) -> list[ReceivedWebhook]:
        """The webhooks that came so far, in their order, repeated ones included."""
        with self._lock:
            webhooks = list(self._all)
        return [
            webhook
            for webhook in webhooks
            if event_type in (None, webhook.event.type)
            and (payment is None or webhook.is_about(payment))
        ]

    def wait_for(
        self,
        event_type: str,
        *,
        payment: Payment | str | None = None,
        count: int = 1,
        timeout: float | None = None,
    ) -> ReceivedWebhook:
        """Wait until the shop was handed `count` such webhooks; returns the last of them.

        Raises NotReached after `timeout` seconds, and if the shop raised an error.
        """
        if count < 1:
            raise SandboxError("Nothing can be waited for less than once: count must be 1 or more.")

        def probe() -> ReceivedWebhook | None:
            webhooks = self.received(event_type, payment=payment)
            return webhooks[count - 1] if len(webhooks) >= count else None

        seconds = self._seconds if timeout is None else timeout
        webhook = wait_until(probe, seconds, lambda: self._explain(event_type, payment))
        if webhook.error is not None:
            name = type(webhook.error).__name__
            raise NotReached(
                f"When it was handed {event_type}, the shop raised {name}: {webhook.error}"
            ) from webhook.error
        return webhook

    def repeat(self, webhook: ReceivedWebhook) -> ReceivedWebhook:
        """Let Balcão send the same event to the shop once more; returns what came.

        Webhooks arrive at least once: a shop must act once.
        """
        event_id = webhook.event.id

        def sent_delivery() -> Delivery | None:
            # While its answer is being stored, Balcão would not send it once more.
            delivery = self._delivery_of(event_id)
            return delivery if delivery.raw.get("attempts") else None

        delivery = wait_until(
            sent_delivery, self._seconds, lambda: f"Balcão stored no answer to event {event_id}."
        )
        before = self._count(event_id)
        self._client.webhooks.redeliver(delivery.id)

        def probe() -> bool:
            return self._count(event_id) > before

        wait_until(probe, self._seconds, lambda: f"Event {event_id} did not come again.")
        with self._lock:
            return [one for one in self._all if one.event.id == event_id][-1]

    def take(self, headers: Mapping[str, str], body: bytes) -> int:
        """Verify, hand on and store one request; returns the status to answer."""
        self._is_registered.wait(self._seconds)  # its secret comes with the answer of `create`
        try:
            event = verify_webhook(headers, body, self.secret)
        except WebhookVerificationError as error:
            with self._lock:
                self._refusals.append(str(error))
            return 400
        if event.type == "ping" and not self._has_pinged.is_set():
            self._has_pinged.set()  # it is ours, and no event of the shop
            return 204
        if not self._is_of_this_test(event):
            return 204
        status, failure = 204, None
        try:
            status = hand_on(self._target, headers, body)
        # Also what only ends a thread: a `pytest.fail` in the shop's function must fail the test.
        except BaseException as error:
            status, failure = 500, error
        with self._lock:
            self._all.append(ReceivedWebhook(event, headers, body, status, failure))
        return status

    def _is_of_this_test(self, event: Event) -> bool:
        """Whether the payment was created since; a merchant of BALCAO_API_KEY may have old ones."""
        if event.type in ("ping", "receipt.received"):
            return True
        with self._lock:
            # Both times are the service's. An event may come a moment after its payment.
            is_new = str(event.data.get("created_at")) >= self._registered_at
            if event.type == "payment.created" and is_new:
                self._payment_ids |= _payment_ids(event)
            return bool(self._payment_ids & _payment_ids(event))

    def _count(self, event_id: str) -> int:
        with self._lock:
            return sum(1 for webhook in self._all if webhook.event.id == event_id)

    def _delivery_of(self, event_id: str) -> Delivery:
        """The newest delivery of the event. Raises SandboxError."""
        after: str | None = None
        for _ in range(_DELIVERY_PAGES_MAX):
            page = self._client.webhooks.deliveries(self.id, limit=100, after=after)
            for delivery in page.data:
                if delivery.raw.get("event_id") == event_id:
                    return delivery
            after = page.next
            if after is None:
                break
        raise SandboxError(f"Balcão has no delivery of event {event_id}.")

    def _explain(self, event_type: str, payment: Payment | str | None) -> str:
        came = [
            f"{webhook.event.type} of {webhook.event.data.get('id')} (answered {webhook.status})"
            for webhook in self.received()
        ]
        about = "" if payment is None else f" of payment {payment_id_of(payment)}"
        text = f"No webhook {event_type}{about} came. What came: {', '.join(came) or 'nothing'}."
        if self._refusals:
            text += f" Refused signatures: {'; '.join(self._refusals)}"
        return text


def payment_id_of(payment: Payment | str) -> str:
    """The id of a payment, or the id itself."""
    return payment if isinstance(payment, str) else payment.id


def _payment_ids(event: Event) -> set[str]:
    """The ids in an event's data that may be its payment's."""
    values = (event.data.get(name) for name in ("id", "payment_id", "bank_payment_id"))
    return {value for value in values if isinstance(value, str)}


def _remove_abandoned(client: Balcao) -> None:
    """Remove the webhooks of runs that were killed: a merchant may have ten."""
    for webhook in client.webhooks.list():
        address = urlsplit(str(webhook.raw.get("url")))
        if webhook.description == DESCRIPTION and address.hostname == LOOPBACK:
            try:
                socket.create_connection((LOOPBACK, address.port or 80), timeout=5).close()
            except ConnectionRefusedError:
                client.webhooks.delete(webhook.id)


def hand_on(target: str | Handler | None, headers: Mapping[str, str], body: bytes) -> int:
    """Give a webhook to the shop; returns the shop's status. Raises what the shop raises."""
    if target is None:
        return 204
    if not isinstance(target, str):
        answer = target(headers, body)
        status: Any = getattr(answer, "status_code", answer)
        if type(status) is not int or not 200 <= status <= 599:
            raise SandboxError(
                "The function of forward_to must return a status from 200 to 599, or a response "
                f"that has one as status_code; it returned {answer!r:.200}."
            )
        return status
    request = urllib.request.Request(target, body, dict(headers), method="POST")  # noqa: S310
    # As Balcão does it: a redirect is an answer, and not followed.
    opener = urllib.request.build_opener(NoRedirects, *proxies_for(urlsplit(target).hostname or ""))
    try:
        with opener.open(request, timeout=FORWARD_SECONDS) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def _server_for(webhooks: ShopWebhooks) -> ThreadingHTTPServer:
    """A server on a free port of loopback that gives each request to `take`."""

    class RequestHandler(BaseHTTPRequestHandler):
        timeout = FORWARD_SECONDS

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if length > BODY_BYTES_MAX:
                self.send_error(http.client.REQUEST_ENTITY_TOO_LARGE)
                return
            body = self.rfile.read(length)
            headers = {
                name: value for name, value in self.headers.items() if name.lower() in _HANDED_ON
            }
            self.send_response(webhooks.take(headers, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Write nothing: the tests' output is for the tests."""

    server = ThreadingHTTPServer((LOOPBACK, 0), RequestHandler)
    server.daemon_threads = True
    return server
