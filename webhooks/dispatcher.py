"""Send due deliveries: claim them by a lease, post them, write what came back.

A run begins chains. A chain sends the deliveries of one endpoint one after the other: the
transaction that writes the result of one claims the next.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from flask import Flask

from config import current_parts
from core.clock import outside_now
from core.errors import ConcurrentUpdate, DatabaseUnavailable
from core.signing.signatures import SIGNATURE_HEADER, sign, signed_headers
from core.webhook_errors import SecretUnreadable
from db_models import DeliveryKind, DeliveryStatus, EndpointKind, WebhookEndpoint
from repository.database import Work, in_unit_of_work, ledger, now, reading
from repository.feed import Feed
from repository.webhook_deliveries import DueDelivery, WebhookDeliveries
from repository.webhook_endpoints import WebhookEndpoints
from webhooks.bodies import body_of, message_of, sources_of
from webhooks.pix_callbacks import (
    GROUP_MAX,
    callback_members,
    entries_of,
    group_of,
    request_url,
)
from webhooks.pix_callbacks import TIMEOUT_SECONDS as CALLBACK_SECONDS
from webhooks.schedule import PAUSED_AFTER, PLANS, Outcome, judge, one_jitter
from webhooks.secrets import SecretBox
from webhooks.sender import Reply, WebhookSender
from webhooks.slots import SLOTS, Slot, Slots

log = structlog.get_logger()

ENDPOINTS_PER_RUN = 1000
CANDIDATES_MORE = 2
"""A claim looks at twice as many deliveries as it wants, and at this many more."""
CHAIN_SECONDS = 1.0
"""How long a chain goes on before its slot is free for other endpoints."""
BLOCKED_PAUSE = timedelta(seconds=0.5)
"""The least pause of a delivery that waits for an earlier one, which wakes it when it ends."""
SETTLE_TRIES = 8
SETTLE_PAUSE_SECONDS = 0.5
"""A result that the database cannot take is written again, for less time than the lease lasts."""
_DETAIL_CHARACTERS_MAX = 200
_ERROR_CHARACTERS_MAX = 40
_TICK_SECONDS = 0.05
_CONTENT_TYPE = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class ClaimedDelivery:
    """A delivery with the token of its lease."""

    delivery: DueDelivery
    token: str
    occurred_at: datetime | None
    """When what it tells occurred; None for a ping."""

    @property
    def attempts(self) -> int:
        """How many attempts there are with this one."""
        return self.delivery.attempts + 1


@dataclass(frozen=True)
class Parcel:
    """Claimed deliveries that share one request, where it goes, and what is sent.

    An event has a request of its own; callbacks of API Pix share one.
    """

    endpoint: WebhookEndpoint
    """As it was when the deliveries were claimed."""
    claims: tuple[ClaimedDelivery, ...]
    """At least one."""
    message_id: str
    body: bytes

    @property
    def is_callback(self) -> bool:
        """Whether it is a callback of API Pix."""
        return self.endpoint.is_callback

    @property
    def url(self) -> str:
        """Where the request goes."""
        return request_url(self.endpoint)


@dataclass(frozen=True)
class Settlement:
    """What followed from an attempt."""

    outcomes: tuple[Outcome | None, ...]
    """In the order of the claims; None for a delivery that another process has claimed meanwhile,
    and no outcomes if nothing could be written."""
    next_parcel: Parcel | None


class Dispatcher:
    """Sends on threads of its own; any number of processes may have one."""

    def __init__(self, app: Flask, sender: WebhookSender, secrets: SecretBox) -> None:
        self._app = app
        self._sender = sender
        self._secrets = secrets
        self._pool = ThreadPoolExecutor(SLOTS, thread_name_prefix="webhooks")
        self._after_id = 0
        self._is_stopping = False
        self.slots = Slots()
        self.on_free: Callable[[], None] = lambda: None
        """Called whenever a slot becomes free."""

    def run(self) -> int:
        """Begin to send what is due and has a slot; return how many chains were begun."""
        with reading() as work:
            deliveries = WebhookDeliveries(work)
            endpoints = deliveries.endpoints_due(work.now, self._after_id, ENDPOINTS_PER_RUN)
        # The next run continues behind the last endpoint, and the order varies: each has its turn.
        self._after_id = endpoints[-1].id if len(endpoints) == ENDPOINTS_PER_RUN else 0
        begun = 0
        for endpoint in random.sample(endpoints, len(endpoints)):
            slots = [] if self._is_stopping else self.slots.take(endpoint)
            parcels: list[Parcel] = []
            try:
                if slots:
                    parcels = in_unit_of_work(
                        partial(claim, endpoint_id=endpoint.id, most=len(slots))
                    )
            except ConcurrentUpdate:
                # Somebody holds its rows for long. They stay due, and other endpoints do not wait.
                log.warning("webhooks.claim_failed", webhook=endpoint.public_id)
            finally:
                for slot in slots[len(parcels) :]:
                    self.slots.free(slot)
            for slot, parcel in zip(slots, parcels, strict=False):
                self._pool.submit(self._send_chain, slot, parcel)
            begun += len(parcels)
        return begun

    def stop(self, seconds: float) -> None:
        """Begin nothing more, and wait for the requests in progress, at most this long."""
        self._is_stopping = True
        end = time.monotonic() + seconds
        while self.slots.in_use and time.monotonic() < end:
            time.sleep(_TICK_SECONDS)

    def _send_chain(self, slot: Slot, first: Parcel) -> None:
        end = time.monotonic() + CHAIN_SECONDS
        endpoint_id = slot.endpoint_id
        try:
            parcel: Parcel | None = first
            with self._app.app_context():
                while parcel is not None:
                    sent_at = now()
                    reply = self._post(parcel, sent_at)
                    self.slots.note(
                        endpoint_id,
                        is_success=is_success(reply),
                        seconds=reply.duration_ms / 1000,
                    )
                    goes_on = time.monotonic() < end and not self._is_stopping
                    goes_on = goes_on and not self.slots.is_pausing(endpoint_id)
                    write = partial(
                        settle, parcel=parcel, reply=reply, sent_at=sent_at, most=int(goes_on)
                    )
                    settlement = _write(write, parcel)
                    _count(parcel, reply, settlement.outcomes)
                    parcel = settlement.next_parcel
        except Exception:
            # The lease ends, and the delivery is sent again; nobody waits for this thread.
            log.exception("webhooks.failed", webhook=first.endpoint.public_id)
        finally:
            self.slots.free(slot)
            self.on_free()

    def _post(self, parcel: Parcel, at: datetime) -> Reply:
        if parcel.is_callback:
            return self._sender.post(
                parcel.url, parcel.body, _CONTENT_TYPE, timeout_seconds=CALLBACK_SECONDS
            )
        try:
            headers = self._headers(parcel, at)
        except SecretUnreadable as error:
            return Reply(None, error.code, error.detail, {}, "", None, 0)
        return self._sender.post(parcel.url, parcel.body, headers)

    def _headers(self, parcel: Parcel, at: datetime) -> dict[str, str]:
        """The headers of the signature; after a rotation both secrets sign for a while."""
        endpoint = parcel.endpoint
        secret = self._secrets.open(endpoint.secret)
        # A receiver compares the timestamp with its own clock, which CLOCK_FILE does not move.
        signed_at = outside_now(ledger().clock)
        headers = signed_headers(secret, parcel.message_id, signed_at, parcel.body)
        previous, until = endpoint.previous_secret, endpoint.previous_until
        if previous is not None and until is not None and at < until:
            previous_secret = self._secrets.open(previous)
            more = sign(previous_secret, parcel.message_id, signed_at, parcel.body)
            headers[SIGNATURE_HEADER] += f" {more}"
        return {**_CONTENT_TYPE, **headers}


def is_success(reply: Reply) -> bool:
    """Whether the receiver took the event."""
    return reply.status is not None and 200 <= reply.status < 300


def claim(work: Work, endpoint_id: int, most: int) -> list[Parcel]:
    """Claim deliveries for at most this many requests; postpone those that wait for an earlier one.

    The endpoint is read here, so that nothing is claimed for one that was deleted or disabled, and
    the next request goes to its present address.
    """
    endpoint = WebhookEndpoints(work.session).find_sending(endpoint_id)
    if endpoint is None:
        return []
    is_callback = endpoint.is_callback
    deliveries = WebhookDeliveries(work)
    candidates = GROUP_MAX if is_callback else 2 * most
    due = deliveries.due(endpoint.id, work.now, candidates + CANDIDATES_MORE)
    free = []
    for delivery in due:
        if delivery.blocker_due_at is None:
            free.append(delivery)
        else:
            deliveries.postpone(delivery, max(delivery.blocker_due_at, work.now + BLOCKED_PAUSE))
    # Processes that look at the same moment choose different ones, and lock rows in one order, or
    # they would lock each other out.
    picks = group_of(free) if is_callback else random.sample(free[: 2 * most], min(most, len(free)))
    picks = sorted(picks, key=lambda one: one.id)
    tokens = {delivery.id: deliveries.claim(delivery, work.now) for delivery in picks}
    claimed = [(one, token) for one in picks if (token := tokens[one.id]) is not None]
    return _parcels(work, endpoint, claimed)


def _parcels(
    work: Work, endpoint: WebhookEndpoint, claimed: Sequence[tuple[DueDelivery, str]]
) -> list[Parcel]:
    """The requests of claimed deliveries: one for each, or one for all callbacks of API Pix."""
    if not claimed:
        return []
    positions = [one.feed_position for one, _ in claimed if one.feed_position is not None]
    events = Feed(work).at(positions)
    sources = sources_of(work, endpoint, [one for one, _ in claimed], events.values())
    presenter = current_parts().presenter
    single = []
    for delivery, token in claimed:
        event = None if delivery.feed_position is None else events[delivery.feed_position]
        message = message_of(delivery, endpoint, event, presenter, sources)
        single.append((ClaimedDelivery(delivery, token, message.occurred_at), message))
    if not endpoint.is_callback:
        return [
            Parcel(endpoint, (claim_,), message.id, body_of(message.members))
            for claim_, message in single
        ]
    entries = [entry for _, message in single for entry in entries_of(message.members)]
    claims = tuple(claim_ for claim_, _ in single)
    return [Parcel(endpoint, claims, single[0][1].id, body_of(callback_members(endpoint, entries)))]


def settle(work: Work, parcel: Parcel, reply: Reply, sent_at: datetime, most: int) -> Settlement:
    """Write one attempt and what follows from it; claim the endpoint's next delivery.

    Claims nothing if `most` is 0.
    """
    endpoint = parcel.endpoint
    deliveries = WebhookDeliveries(work)
    # What was sent together and failed together is due together again.
    uniform = one_jitter()
    outcomes: list[Outcome | None] = []
    for claim_ in parcel.claims:
        delivery = claim_.delivery
        outcome = judge(
            reply.status,
            reply.retry_after,
            attempts=claim_.attempts,
            refusals=delivery.refusals,
            now=work.now,
            plan=PLANS[EndpointKind(endpoint.kind)],
            uniform=uniform,
        )
        result = _result(delivery, outcome, work.now)
        is_ours = deliveries.settle(delivery.id, claim_.token, result)
        deliveries.insert_attempt(_attempt_row(delivery, parcel.url, reply, sent_at))
        if is_ours and outcome.status is not DeliveryStatus.PENDING:
            deliveries.wake_followers(delivery, endpoint.id, work.now)
        outcomes.append(outcome if is_ours else None)
    # All have the same answer, so the last outcome says as much of the endpoint as any other.
    _note_health(work, endpoint, outcome)
    parcels = claim(work, endpoint.id, most) if most else []
    return Settlement(tuple(outcomes), parcels[0] if parcels else None)


def _count(parcel: Parcel, reply: Reply, outcomes: Sequence[Outcome | None]) -> None:
    """Count an attempt, and the end of each delivery that has ended."""
    metrics = current_parts().metrics.webhooks
    metrics.count_attempt(reply.status)
    for claim_, outcome in zip(parcel.claims, outcomes, strict=False):
        if outcome is None or outcome.status is DeliveryStatus.PENDING:
            continue
        metrics.deliveries.labels("gone" if outcome.is_gone else str(outcome.status)).inc()
        is_first = claim_.attempts == 1 and claim_.delivery.kind == DeliveryKind.EVENT
        if is_first and is_success(reply) and claim_.occurred_at is not None:
            seconds = (now() - claim_.occurred_at).total_seconds()
            metrics.first_delivery.observe(max(0.0, seconds))


def _write(write: Callable[[Work], Settlement], parcel: Parcel) -> Settlement:
    """Write a result; while the database is away, again until the lease is nearly over."""
    for attempt in range(SETTLE_TRIES):
        try:
            return in_unit_of_work(write)
        except (DatabaseUnavailable, ConcurrentUpdate):
            if attempt == SETTLE_TRIES - 1:
                first = parcel.claims[0].delivery
                log.warning("webhooks.unwritten", delivery=first.public_id)
            time.sleep(SETTLE_PAUSE_SECONDS)
    return Settlement((), None)


def _attempt_row(
    delivery: DueDelivery, url: str, reply: Reply, sent_at: datetime
) -> dict[str, object]:
    return {
        "delivery_id": delivery.id,
        "at": sent_at,
        "duration_ms": reply.duration_ms,
        "url": url,
        "status": reply.status,
        "error": None if reply.error is None else reply.error[:_ERROR_CHARACTERS_MAX],
        "detail": None if reply.detail is None else reply.detail[:_DETAIL_CHARACTERS_MAX],
        # PostgreSQL stores no NUL characters.
        "response_headers": {
            name: value.replace("\x00", "") for name, value in reply.headers.items()
        },
        "response_body": reply.body.replace("\x00", "\N{REPLACEMENT CHARACTER}"),
    }


def _result(delivery: DueDelivery, outcome: Outcome, at: datetime) -> dict[str, object]:
    is_pending = outcome.pause is not None
    return {
        "status": outcome.status,
        "due_at": at + outcome.pause if outcome.pause is not None else None,
        "ended_at": None if is_pending else at,
        "refusals": delivery.refusals + int(outcome.is_refusal),
    }


def _note_health(work: Work, endpoint: WebhookEndpoint, outcome: Outcome) -> None:
    """Note the first failure and the first success after it; pause after three days of failures."""
    endpoints = WebhookEndpoints(work.session)
    failing_since = endpoint.failing_since
    if outcome.status is DeliveryStatus.DELIVERED:
        if failing_since is not None:
            endpoints.stop_failing(endpoint.id)
        return
    if outcome.is_gone:
        endpoints.change(endpoint.id, {"enabled": False, "is_gone": True})
        log.warning("webhooks.gone", webhook=endpoint.public_id)
    if failing_since is None:
        endpoints.start_failing(endpoint.id, work.now)
    elif work.now - failing_since >= PAUSED_AFTER:
        if WebhookDeliveries(work).delivered_since(endpoint.id, failing_since):
            # A success that was under way when this failure began did not see it.
            endpoints.change(endpoint.id, {"failing_since": work.now})
        elif endpoints.pause(endpoint.id, work.now, failing_since):
            log.warning("webhooks.paused", webhook=endpoint.public_id)
