"""Which endpoints get new events, read without a session: each numbering of events asks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select

from db_models import EndpointKind, WebhookEndpoint
from repository.connections import Unit


@dataclass(frozen=True)
class Subscription:
    """What an endpoint gets of its merchant's events."""

    endpoint_id: int
    merchant_id: int
    kind: str
    pix_key: str | None
    """The Pix key whose money a callback of API Pix is about; None for the other kinds."""
    event_types: list[str] | None
    """The types of events that it gets; None for all types."""

    @property
    def is_callback(self) -> bool:
        """Whether the endpoint gets callbacks of API Pix."""
        return self.kind != EndpointKind.EVENTS


class Subscriptions:
    """Queries on the endpoints that get new events."""

    def __init__(self, unit: Unit) -> None:
        """Use the connection of the unit of work."""
        self._connection = unit.connection

    def of_merchants(self, merchant_ids: Collection[int]) -> Sequence[Subscription]:
        """What endpoints of these merchants get, by row id; paused ones get new events too.

        No statement for no merchants.
        """
        if not merchant_ids:
            return []
        rows = self._connection.execute(_OF_MERCHANTS, {"merchant_ids": list(merchant_ids)})
        return [Subscription(*row) for row in rows]


_TABLE = WebhookEndpoint.__table__
# Built once: building a statement costs more than executing it.
_OF_MERCHANTS = (
    select(
        _TABLE.c.id,
        _TABLE.c.merchant_id,
        _TABLE.c.kind,
        _TABLE.c.pix_key,
        _TABLE.c.event_types,
    )
    .where(
        _TABLE.c.merchant_id.in_(bindparam("merchant_ids", expanding=True)),
        _TABLE.c.enabled.is_(True),
        _TABLE.c.deleted_at.is_(None),
    )
    .order_by(_TABLE.c.id)
)
