"""Payments: create, get, list, cancel, refund."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypedDict

from balcao.errors import NotCancellable, PaymentNotFound, UnexpectedAnswer
from balcao.models import Page, Payment, Refund
from balcao.transport import Transport

Amount = Decimal | int | str
"""Reais: `Decimal("54.90")`, `"54.90"`, or an int of whole reais. Never a float."""

_PAYMENT_ID = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)
_PATH = "/payments/pix"


def reais(value: Amount) -> str:
    """The amount as the service reads it. Raises TypeError for a float, ValueError otherwise.

    The service checks the range.
    """
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, str)):
        raise TypeError("An amount is a Decimal, a text or an int of reais, never a float.")
    try:
        amount = Decimal(value)
        if not amount.is_finite() or amount != amount.quantize(Decimal("0.01")):
            raise ValueError(f"{value} is not an amount of reais with at most two decimals.")
    except InvalidOperation:
        raise ValueError(f"{value!r} is not an amount of reais.") from None
    return f"{amount:.2f}"


def new_idempotency_key() -> str:
    """A new random key."""
    return f"py-{uuid.uuid4().hex}"


class PaymentTest(TypedDict, total=False):
    """How the simulated bank pays by itself, in test mode; every field has a default."""

    scenario: str
    """One of Balcão's docs/chaos.md; default `normal`."""
    pay_after: int
    """Seconds from the creation; default 0."""
    late_seconds: int
    """The delay of the scenario `late`; default 10."""


class Payments:
    """The merchant's payments."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        value: Amount,
        *,
        order_id: str | None = None,
        description: str | None = None,
        expires_in: int | None = None,
        metadata: Mapping[str, str] | None = None,
        return_url: str | None = None,
        cancel_url: str | None = None,
        payer: Mapping[str, str] | None = None,
        test: PaymentTest | None = None,
        idempotency_key: str | None = None,
    ) -> Payment:
        """Create a payment of `value` reais, which expires after `expires_in` seconds.

        The client makes an idempotency key, so its retries never create a second payment. Pass your
        own key to be safe over a crash of your program too. `payer` has a `name` and a `document`.
        With `test` the payment pays itself, in test mode only: `{"scenario": "double"}`, or `{}`.
        Raises OrderAlreadyHasPayment, InvalidRequest, and any other ApiError.
        """
        fields: dict[str, Any] = {
            "value": reais(value),
            "order_id": order_id,
            "description": description,
            "expires_in": expires_in,
            "metadata": None if metadata is None else dict(metadata),
            "return_url": return_url,
            "cancel_url": cancel_url,
            "payer": None if payer is None else dict(payer),
            "test": None if test is None else dict(test),
        }
        answer = self._transport.request(
            "POST",
            _PATH,
            body={name: value for name, value in fields.items() if value is not None},
            headers={"Idempotency-Key": idempotency_key or new_idempotency_key()},
        )
        return _payment_in(answer.json())

    def get(self, payment_id: str) -> Payment:
        """Read a payment. Raises PaymentNotFound."""
        return _payment_in(self._transport.request("GET", _path_of(payment_id)).json())

    def page(
        self,
        *,
        status: str | None = None,
        order_id: str | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
        q: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Page[Payment]:
        """One page of payments, newest first, at most `limit` (1 to 100)."""
        query = {
            "status": status,
            "order_id": order_id,
            "from": _rfc3339(created_from),
            "to": _rfc3339(created_to),
            "q": q,
            "limit": limit,
            "after": after,
        }
        answer = self._transport.request("GET", _PATH, query=query)
        return Page.from_raw(answer.json(), Payment.from_raw)

    def list(self, **filters: Any) -> Iterator[Payment]:
        """All payments, newest first, fetched page by page; the filters are those of `page`."""
        after: str | None = filters.pop("after", None)
        while True:
            page = self.page(after=after, **filters)
            yield from page.data
            if page.next is None or page.next == after:
                return
            after = page.next

    def cancel(self, payment_id: str) -> Payment:
        """Cancel a pending payment. Raises NotCancellable and PaymentNotFound."""
        path = f"{_path_of(payment_id)}/cancel"
        try:
            return _payment_in(self._transport.request("POST", path).json())
        except NotCancellable:
            # The first of two attempts may have cancelled it, and its answer was lost.
            payment = self.get(payment_id)
            if payment.status != "cancelled":
                raise
            return payment

    def refund(
        self,
        payment_id: str,
        value: Amount | None = None,
        *,
        refund_id: str | None = None,
        description: str | None = None,
        idempotency_key: str | None = None,
    ) -> Refund:
        """Refund `value` reais of a confirmed payment, by default all that is left.

        The refund may still be `processing`: read `refunds` later, or wait for the event
        `payment.refunded` or `refund.failed`. Raises NotRefundable, RefundExceedsPayment,
        RefundTooLate, and any other ApiError.
        """
        body: dict[str, Any] = {} if value is None else {"value": reais(value)}
        if refund_id is not None:
            body["refund_id"] = refund_id
        if description is not None:
            body["description"] = description
        answer = self._transport.request(
            "POST",
            f"{_path_of(payment_id)}/refunds",
            body=body,
            headers={"Idempotency-Key": idempotency_key or new_idempotency_key()},
        )
        return Refund.from_raw(answer.json())

    def refunds(self, payment_id: str) -> Sequence[Refund]:
        """The payment's refunds, oldest first."""
        answer = self._transport.request("GET", f"{_path_of(payment_id)}/refunds").json()
        if not isinstance(answer, Sequence):
            raise UnexpectedAnswer("The service answered without a list of refunds.")
        return [Refund.from_raw(entry) for entry in answer]


def _payment_in(answer: object) -> Payment:
    return Payment.from_raw(answer.get("payment") if isinstance(answer, dict) else None)


def _path_of(payment_id: str) -> str:
    """Raises PaymentNotFound for an id that would be another address."""
    if not _PAYMENT_ID.fullmatch(payment_id):
        raise PaymentNotFound(404, "payment-not-found", "No payment has this id.")
    return f"{_PATH}/{payment_id}"


def _rfc3339(instant: datetime | None) -> str | None:
    if instant is None:
        return None
    if instant.tzinfo is None:
        raise ValueError("A time needs a time zone: datetime(…, tzinfo=timezone.utc).")
    return instant.isoformat()
