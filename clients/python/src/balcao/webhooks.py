"""Webhooks: addresses that receive a merchant's events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from balcao.errors import NotFound, UnexpectedAnswer
from balcao.models import Delivery, Page, Webhook
from balcao.payments import new_idempotency_key
from balcao.transport import Repeat, Transport

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_PATH = "/webhooks"


class Webhooks:
    """The merchant's webhooks. An API key needs the scope `webhooks:write`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        url: str,
        *,
        events: Sequence[str] | None = None,
        description: str | None = None,
        idempotency_key: str | None = None,
    ) -> Webhook:
        """Register an address; keep the `secret` of the result, which is shown only once.

        Without `events` it receives all types. The service sends it a ping at once.
        """
        body: dict[str, Any] = {"url": url}
        if events is not None:
            body["events"] = list(events)
        if description is not None:
            body["description"] = description
        key = idempotency_key or new_idempotency_key()
        answer = self._transport.request("POST", _PATH, body=body, headers={"Idempotency-Key": key})
        return Webhook.from_raw(answer.json())

    def list(self) -> Iterator[Webhook]:
        """All webhooks."""
        after: str | None = None
        while True:
            answer = self._transport.request("GET", _PATH, query={"after": after})
            page = Page.from_raw(answer.json(), Webhook.from_raw)
            yield from page.data
            if page.next is None or page.next == after:
                return
            after = page.next

    def get(self, webhook_id: str) -> Webhook:
        """Read one webhook, without its secret. Raises NotFound."""
        return Webhook.from_raw(self._transport.request("GET", _path_of(webhook_id)).json())

    def update(self, webhook_id: str, **changes: Any) -> Webhook:
        """Change `url`, `events`, `enabled` or `description`; None leaves a field as it is."""
        answer = self._transport.request("PATCH", _path_of(webhook_id), body=changes)
        return Webhook.from_raw(answer.json())

    def delete(self, webhook_id: str) -> None:
        """Remove a webhook; nothing happens if it is gone already."""
        try:
            self._transport.request("DELETE", _path_of(webhook_id))
        except NotFound:
            return

    def rotate(self, webhook_id: str) -> Webhook:
        """Make a new secret; for 24 hours both sign, so verify with both.

        Not repeated after a lost answer, because a second rotation would end the first secret.
        """
        path = f"{_path_of(webhook_id)}/rotate"
        answer = self._transport.request("POST", path, repeat=Repeat.IF_NOTHING_DONE)
        return Webhook.from_raw(answer.json())

    def ping(self, webhook_id: str) -> Delivery:
        """Send a ping to the address."""
        path = f"{_path_of(webhook_id)}/ping"
        answer = self._transport.request("POST", path, repeat=Repeat.IF_NOTHING_DONE)
        return Delivery.from_raw(answer.json())

    def deliveries(
        self, webhook_id: str, *, limit: int | None = None, after: str | None = None
    ) -> Page[Delivery]:
        """One page of what was sent and what was answered."""
        query = {"limit": limit, "after": after}
        answer = self._transport.request("GET", f"{_path_of(webhook_id)}/deliveries", query=query)
        return Page.from_raw(answer.json(), Delivery.from_raw)

    def redeliver(self, delivery_id: str) -> Delivery:
        """Send a delivery again, as a new delivery."""
        path = f"{_path_of(delivery_id, 'deliveries/')}/redeliver"
        answer = self._transport.request("POST", path, repeat=Repeat.IF_NOTHING_DONE)
        return Delivery.from_raw(answer.json())

    def replay(self, webhook_id: str, start: datetime, end: datetime | None = None) -> int:
        """Send the events from `start` to `end` again, both included; return how many.

        Both need a time zone. Without `end`, up to now.
        """
        if start.tzinfo is None or (end is not None and end.tzinfo is None):
            raise ValueError("A time needs a time zone: datetime(…, tzinfo=timezone.utc).")
        body = {"from": start.isoformat()} | ({} if end is None else {"to": end.isoformat()})
        answer = self._transport.request(
            "POST", f"{_path_of(webhook_id)}/replay", body=body, repeat=Repeat.IF_NOTHING_DONE
        ).json()
        count = answer.get("deliveries") if isinstance(answer, dict) else None
        if type(count) is not int:
            raise UnexpectedAnswer("The service answered without the number of deliveries.")
        return count


def _path_of(identifier: str, folder: str = "") -> str:
    """Raises NotFound for an id that would be another address."""
    if not _ID.fullmatch(identifier):
        raise NotFound(404, "not-found", "Nothing has this id.")
    return f"{_PATH}/{folder}{identifier}"
