"""The errors of the package.

    BalcaoError
    ├── ApiError                   the service refused the request; has `code` and `status`
    │   ├── InvalidRequest         400, 413, 414, 415, 422
    │   ├── Unauthorized           401
    │   ├── Forbidden              403
    │   ├── NotFound               404, 410    PaymentNotFound, …
    │   ├── Conflict               409         OrderAlreadyHasPayment, NotCancellable, …
    │   ├── TooManyRequests        429
    │   └── ServiceUnavailable     500, 502, 503, 504
    ├── ConnectionFailed           no answer; whether the request took effect is unknown
    ├── UnexpectedAnswer           an answer that is not the service's
    └── WebhookVerificationError   a webhook that must not be believed

Catch a family, or the class of one code. A code without a class raises its family, so a newer
service breaks no older client.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class BalcaoError(Exception):
    """Any error of this package."""


class ConnectionFailed(BalcaoError):
    """The service did not answer, after all retries."""


class UnexpectedAnswer(BalcaoError):
    """The answer is not one of Balcão: a proxy's page, broken JSON, a missing field."""


class WebhookVerificationError(BalcaoError):
    """The webhook is not signed with one of the secrets, is too old, or is not an event."""


@dataclass(frozen=True)
class FieldProblem:
    """What is wrong with one field of the request."""

    field: str
    detail: str


class ApiError(BalcaoError):
    """The service's answer to a request that it refused."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: tuple[FieldProblem, ...] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """`retry_after` is in seconds, from the header Retry-After."""
        super().__init__(f"{detail} [{code}, HTTP {status}]")
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.request_id = request_id
        self.retry_after = retry_after


class InvalidRequest(ApiError):
    """The request is wrong; `errors` names the fields. The same request fails again."""


class Unauthorized(ApiError):
    """The API key or token is missing, unknown, revoked or expired."""


class Forbidden(ApiError):
    """The credentials may not do this: the wrong role, or a missing scope."""


class NotFound(ApiError):
    """There is no such thing, or it belongs to another merchant."""


class Conflict(ApiError):
    """The request conflicts with the present state: read the object again."""


class TooManyRequests(ApiError):
    """A rate limit, still reached after all retries; `retry_after` says when it ends."""


class ServiceUnavailable(ApiError):
    """The service cannot answer at the moment. Nothing was created twice: send it again."""


class PaymentNotFound(NotFound):
    """`payment-not-found`."""


class ReceiptNotFound(NotFound):
    """`receipt-not-found`."""


class OrderAlreadyHasPayment(Conflict):
    """`order-already-has-payment`: the order has a payment that is pending or paid."""


class IdempotencyConflict(Conflict):
    """`idempotency-conflict`: the key was used before with another request."""


class NotCancellable(Conflict):
    """`not-cancellable`: only a pending payment can be cancelled."""


class NotRefundable(Conflict):
    """`not-refundable`: the payment is not confirmed, or nothing is left to refund."""


class RefundExceedsPayment(Conflict):
    """`refund-exceeds-payment`: less than this is left of the payment."""


class RefundTooLate(Conflict):
    """`refund-too-late`: banks refund for 90 days after the payment."""


class PixKeyMissing(Conflict):
    """`pix-key-missing`: the merchant has not entered a Pix key yet."""


CLASS_OF_CODE: Mapping[str, type[ApiError]] = {
    "idempotency-conflict": IdempotencyConflict,
    "not-cancellable": NotCancellable,
    "not-refundable": NotRefundable,
    "order-already-has-payment": OrderAlreadyHasPayment,
    "payment-not-found": PaymentNotFound,
    "pix-key-missing": PixKeyMissing,
    "receipt-not-found": ReceiptNotFound,
    "refund-exceeds-payment": RefundExceedsPayment,
    "refund-too-late": RefundTooLate,
}

_FAMILY_OF_STATUS: Mapping[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    429: TooManyRequests,
}


def error_from(
    status: int, members: object, request_id: str | None, retry_after: float | None
) -> ApiError:
    """The error of an answer; `members` is its parsed body, or anything if it had none."""
    body: Mapping[str, Any] = members if isinstance(members, dict) else {}
    code = body.get("code")
    code = code if isinstance(code, str) and code else f"http-{status}"
    detail = body.get("detail") or body.get("message")
    detail = detail if isinstance(detail, str) else f"The service answered with status {status}."
    problems = body.get("errors")
    own_id = body.get("request_id")
    family = CLASS_OF_CODE.get(code) or _FAMILY_OF_STATUS.get(status)
    if family is None:
        family = ServiceUnavailable if status >= 500 else InvalidRequest
    return family(
        status,
        code,
        detail,
        errors=tuple(_problems(problems if isinstance(problems, list) else [])),
        request_id=own_id if isinstance(own_id, str) else request_id,
        retry_after=retry_after,
    )


def _problems(entries: list[object]) -> list[FieldProblem]:
    return [
        FieldProblem(str(entry.get("field", "")), str(entry.get("detail", "")))
        for entry in entries
        if isinstance(entry, dict)
    ]
