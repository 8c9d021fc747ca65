"""Queries on webhook endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from core import ids
from core.webhook_errors import EndpointNotFound
from db_models import Account, EndpointKind, WebhookDelivery, WebhookEndpoint
from repository.connections import rows_changed

MAY_BE_SENT_TO = (
    WebhookEndpoint.enabled.is_(True),
    WebhookEndpoint.paused_at.is_(None),
    WebhookEndpoint.deleted_at.is_(None),
)
"""Conditions of queries, as `WebhookEndpoints.find_sending` checks them."""


class WebhookEndpoints:
    """Queries on webhook_endpoints; deleted endpoints are found by no query but `delete_old`."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def lock_merchant(self, merchant_id: int) -> None:
        """Let no other transaction count this merchant's endpoints until this one ends."""
        self._session.scalars(select(Account.id).where(Account.id == merchant_id).with_for_update())

    def insert(self, values: Mapping[str, Any]) -> WebhookEndpoint:
        """Store a new endpoint; return it."""
        row = {"public_id": ids.new_public_id(), **values}
        result = self._session.connection().execute(insert(WebhookEndpoint.__table__), row)
        key: Any = result.inserted_primary_key
        return self._session.get_one(WebhookEndpoint, int(key[0]))

    def of_merchant(
        self, merchant_id: int, kind: EndpointKind | None = None
    ) -> Sequence[WebhookEndpoint]:
        """The merchant's endpoints of this kind or of all, oldest first; they are bounded."""
        query = select(WebhookEndpoint).where(
            WebhookEndpoint.merchant_id == merchant_id, WebhookEndpoint.deleted_at.is_(None)
        )
        if kind is not None:
            query = query.where(WebhookEndpoint.kind == kind)
        return self._session.scalars(query.order_by(WebhookEndpoint.id)).all()

    def own(
        self, merchant_id: int, public_id: str, kind: EndpointKind | None = None
    ) -> WebhookEndpoint:
        """The merchant's endpoint. Raises EndpointNotFound, also for another merchant's or kind."""
        endpoint = None
        if ids.is_txid(public_id):
            query = select(WebhookEndpoint).where(
                WebhookEndpoint.public_id == public_id,
                WebhookEndpoint.merchant_id == merchant_id,
                WebhookEndpoint.deleted_at.is_(None),
            )
            endpoint = self._session.scalars(query).one_or_none()
        if endpoint is None or kind not in (None, endpoint.kind):
            raise EndpointNotFound
        return endpoint

    def of_pix_key(self, merchant_id: int, pix_key: str) -> WebhookEndpoint | None:
        """The merchant's endpoint for the callbacks of this key, or None."""
        query = select(WebhookEndpoint).where(
            WebhookEndpoint.merchant_id == merchant_id, WebhookEndpoint.pix_key == pix_key
        )
        return self._session.scalars(query).one_or_none()

    def sole(self, merchant_id: int, kind: EndpointKind) -> WebhookEndpoint | None:
        """The merchant's endpoint of a kind of which there is one for each merchant, or None."""
        return next(iter(self.of_merchant(merchant_id, kind)), None)

    def exists(self, merchant_id: int, public_id: str) -> bool:
        """Whether the merchant has this endpoint."""
        try:
            return self.own(merchant_id, public_id, EndpointKind.EVENTS) is not None
        except EndpointNotFound:
            return False

    def find_sending(self, endpoint_id: int) -> WebhookEndpoint | None:
        """The endpoint with this row id, if it may be sent to now."""
        endpoint = self._session.scalars(_BY_ID, {"row": endpoint_id}).one_or_none()
        if endpoint is None or not endpoint.enabled:
            return None
        is_open = endpoint.paused_at is None and endpoint.deleted_at is None
        return endpoint if is_open else None

    def after(self, row: int, limit: int) -> Sequence[WebhookEndpoint]:
        """Endpoints of all merchants with a greater row id, in its order."""
        query = select(WebhookEndpoint).where(
            WebhookEndpoint.id > row, WebhookEndpoint.deleted_at.is_(None)
        )
        return self._session.scalars(query.order_by(WebhookEndpoint.id).limit(limit)).all()

    def count(self, merchant_id: int, kind: EndpointKind) -> int:
        """How many endpoints of this kind the merchant has."""
        query = select(func.count()).where(
            WebhookEndpoint.merchant_id == merchant_id,
            WebhookEndpoint.kind == kind,
            WebhookEndpoint.deleted_at.is_(None),
        )
        return int(self._session.scalar(query) or 0)

    def change(self, endpoint_id: int, values: Mapping[str, Any], *conditions: Any) -> bool:
        """Update the endpoint if it is not deleted and meets the conditions; False otherwise."""
        statement = update(WebhookEndpoint).where(
            WebhookEndpoint.id == endpoint_id, WebhookEndpoint.deleted_at.is_(None), *conditions
        )
        return rows_changed(self._session, statement.values(**values)) == 1

    def start_failing(self, endpoint_id: int, now: datetime) -> None:
        """Note the first failure after a success."""
        self.change(endpoint_id, {"failing_since": now}, WebhookEndpoint.failing_since.is_(None))

    def stop_failing(self, endpoint_id: int) -> None:
        """Note a success: the endpoint works again."""
        self.change(endpoint_id, {"failing_since": None, "paused_at": None})

    def pause(self, endpoint_id: int, now: datetime, failing_since: datetime) -> bool:
        """Pause an endpoint that failed since then; False if it is paused or worked meanwhile."""
        return self.change(
            endpoint_id,
            {"paused_at": now},
            WebhookEndpoint.paused_at.is_(None),
            WebhookEndpoint.failing_since == failing_since,
        )

    def paused(self, limit: int) -> Sequence[WebhookEndpoint]:
        """Paused endpoints of all merchants, the longest paused first."""
        query = select(WebhookEndpoint).where(
            WebhookEndpoint.paused_at.is_not(None), WebhookEndpoint.deleted_at.is_(None)
        )
        return self._session.scalars(query.order_by(WebhookEndpoint.paused_at).limit(limit)).all()

    def delete_old(self, limit: int) -> int:
        """Delete deleted endpoints that have no deliveries left; return how many."""
        has_delivery = (
            select(WebhookDelivery.id)
            .where(WebhookDelivery.endpoint_id == WebhookEndpoint.id)
            .exists()
        )
        query = select(WebhookEndpoint.id).where(
            WebhookEndpoint.deleted_at.is_not(None), ~has_delivery
        )
        row_ids = self._session.scalars(query.limit(limit)).all()
        if not row_ids:
            return 0
        statement = delete(WebhookEndpoint).where(WebhookEndpoint.id.in_(row_ids))
        return rows_changed(self._session, statement)


# Built once: building a statement costs more than executing it.
_BY_ID = select(WebhookEndpoint).where(WebhookEndpoint.id == bindparam("row"))
