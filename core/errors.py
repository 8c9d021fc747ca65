"""The error types of the service. They know nothing of HTTP; `web.problems` maps each to a status.

BalcaoError
├── InvalidRequest            one or more fields do not match the contract
│   ├── InvalidMoney
│   ├── MalformedJson
│   ├── InvalidCursor
│   └── PictureRefused        UnsupportedPicture, PictureTooLarge, UnreadablePicture,
│                             NoCodeInPicture
├── Unauthorized
├── Forbidden
│   └── CsrfFailed
├── TooManyRequests
├── BadSignature
├── NotFound
│   ├── PaymentNotFound
│   ├── NotOurCode
│   ├── ReceiptNotFound, TillNotFound: core.receipt_errors; RecurrenceNotFound: core.merchant_errors
│   └── Gone
├── Refused                   the money goes back to the payer
│   ├── AmountMismatch
│   ├── AlreadyPaid
│   ├── PaymentCancelled
│   └── PaidTooLate
├── Conflict
│   ├── LoginTaken
│   ├── OrderAlreadyHasPayment
│   ├── IdempotencyConflict
│   ├── NotificationConflict
│   ├── NotCancellable
│   ├── NotRenewable
│   ├── NotRefundable
│   │   ├── RefundExceedsPayment
│   │   └── RefundTooLate
│   ├── StatusNotSettable
│   ├── TooManyProofs
│   └── further ones: core.{merchant,payer,provider,receipt}_errors
├── PayerRefused, BankUnavailable, ActivationUnpaid, ProviderUnavailable: in the same modules
├── UpgradeRequired           the address speaks websocket only
├── ConcurrentUpdate          another writer was first, in every retry
├── Busy                      too much work of one kind waits
│   └── DecodersBusy          too many pictures wait to be read
└── DatabaseUnavailable
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldError:
    """A fault of one field: its dotted path, and a fragment that follows the name in a sentence."""

    field: str
    detail: str


class BalcaoError(Exception):
    """The root of all errors: `code` is stable, for programs; `detail` is a sentence for people.

    `members` are further members of the JSON answer.
    """

    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str | None = None, errors: Sequence[FieldError] = ()) -> None:
        """`detail` defaults to the title; `errors` lists every field at fault."""
        self.detail = detail or f"{self.title}."
        self.errors = tuple(errors)
        self.members: dict[str, str] = {}
        super().__init__(self.detail)


class InvalidRequest(BalcaoError):
    """Fields are missing, unknown or malformed."""

    code = "invalid-request"
    title = "The request is not valid"

    def __init__(self, errors: Sequence[FieldError] = (), detail: str | None = None) -> None:
        """`detail` defaults to a sentence that names the first three fields."""
        if detail is None and errors:
            names = "; ".join(f"{error.field} {error.detail}" for error in errors[:3])
            detail = f"{names}." if len(errors) <= 3 else f"{names}; and {len(errors) - 3} more."
        super().__init__(detail, errors)


class InvalidMoney(InvalidRequest, ValueError):
    """The value is not an amount of reais that can be paid."""

    code = "invalid-request"

    def __init__(self, why: str) -> None:
        """`why` is a fragment that follows the field's name."""
        super().__init__(detail=why)


class MalformedJson(InvalidRequest):
    """The body is not one JSON object."""

    code = "malformed-json"
    title = "The body is not valid JSON"

    def __init__(self, why: str) -> None:
        """`why` is a whole sentence."""
        super().__init__(detail=why)


class InvalidCursor(InvalidRequest):
    """The cursor of a list does not come from that list."""

    def __init__(self) -> None:
        super().__init__([FieldError("after", "is not a cursor of this list")])


class PictureRefused(InvalidRequest):
    """The file cannot be searched for a code."""

    code = "picture-refused"
    title = "The picture cannot be read"

    def __init__(self, why: str) -> None:
        """`why` is a whole sentence."""
        super().__init__(detail=why)


class UnsupportedPicture(PictureRefused):
    """The format is not PNG, JPEG, GIF or WebP, or the file holds two formats.

    `found_format` is the format's name (`SVG`, `HEIC`, `PDF`, …, or `unknown`); `picture_format` is
    set where the file is also a picture of that format.
    """

    code = "unsupported-picture"
    title = "The file is not a PNG, JPEG, GIF or WebP picture"

    def __init__(self, found_format: str, picture_format: str | None = None) -> None:
        self.found_format = found_format
        self.picture_format = picture_format
        if picture_format is not None:
            detail = f"The {picture_format} picture also holds {found_format}; send it without."
        elif found_format == "unknown":
            detail = "The file has an unknown format; send a PNG, JPEG, GIF or WebP picture."
        else:
            detail = f"The file is {found_format}; send a PNG, JPEG, GIF or WebP picture."
        super().__init__(detail)


class PictureTooLarge(PictureRefused):
    """The picture has too many bytes or pixels, or takes too much work to unpack."""

    code = "picture-too-large"
    title = "The picture is too large"


class UnreadablePicture(PictureRefused):
    """The picture's format is known, but the picture is broken or cut off."""

    code = "unreadable-picture"
    title = "The picture is broken"


class NoCodeInPicture(PictureRefused):
    """The picture is good, but no code could be read in it."""

    code = "no-code-in-picture"
    title = "No code was found in the picture"


class Unauthorized(BalcaoError):
    """The credentials are missing, unknown or expired."""

    code = "unauthorized"
    title = "Credentials are missing or wrong"


class Forbidden(BalcaoError):
    """The credentials are good, but do not allow this."""

    code = "forbidden"
    title = "This account or key may not do that"


class CsrfFailed(Forbidden):
    """A request with a sign-in cookie lacks the CSRF token that only our own pages know."""

    code = "csrf-failed"
    title = "The form's CSRF token is missing or wrong"


class TooManyRequests(BalcaoError):
    """A rate limit was reached."""

    code = "too-many-requests"
    title = "Too many requests"

    def __init__(self, retry_after_seconds: int, detail: str | None = None) -> None:
        """Take the whole seconds after which a retry may succeed; at least one."""
        self.retry_after_seconds = max(1, retry_after_seconds)
        super().__init__(
            detail or f"Too many requests. Try again in {self.retry_after_seconds} seconds."
        )


class BadSignature(BalcaoError):
    """The notification's signature is wrong, or its timestamp is too far from the present."""

    code = "bad-signature"
    title = "The signature was refused"


class NotFound(BalcaoError):
    """The address leads to nothing."""

    code = "not-found"
    title = "Nothing was found here"


class PaymentNotFound(NotFound):
    """No payment has this id."""

    code = "payment-not-found"
    title = "There is no such payment"


class NotOurCode(NotFound):
    """The code belongs to no payment of this service; `kind` says what the code is."""

    code = "not-our-code"
    title = "The code belongs to no payment of this service"

    def __init__(self, kind: str, detail: str) -> None:
        """`kind` becomes a member of the JSON answer."""
        super().__init__(detail)
        self.members["kind"] = kind


class Gone(NotFound):
    """The location existed and will not come back (API Pix 2.9.0, CobPayloadNaoEncontrado)."""

    code = "payload-gone"
    title = "This code can no longer be paid"


class Refused(BalcaoError):
    """The payment does not take the money; the bank gives it back to the payer."""

    code = "refused"
    title = "The money was refused"


class AmountMismatch(Refused):
    """The amount that arrived is not the payment's amount."""

    code = "amount-mismatch"
    title = "The amount does not match the payment"


class AlreadyPaid(Refused):
    """An earlier receipt settled this payment, or another payment of its order."""

    code = "already-paid"
    title = "The payment was already paid"


class PaymentCancelled(Refused):
    """The merchant cancelled the payment."""

    code = "payment-cancelled"
    title = "The payment was cancelled"


class PaidTooLate(Refused):
    """The payer paid after the deadline."""

    code = "paid-too-late"
    title = "The payment was paid after its deadline"


class Conflict(BalcaoError):
    """The request is valid, but the present state does not allow it."""

    code = "conflict"
    title = "The present state does not allow this"


class LoginTaken(Conflict):
    """Another account has this login."""

    code = "login-taken"
    title = "This login is taken"


class OrderAlreadyHasPayment(Conflict):
    """The order has a payment that is pending or paid."""

    code = "order-already-has-payment"
    title = "The order already has a live or paid payment"


class IdempotencyConflict(Conflict):
    """The same Idempotency-Key came with a different request."""

    code = "idempotency-conflict"
    title = "The Idempotency-Key was used with another request"


class NotificationConflict(Conflict):
    """The same end_to_end_id came with a different payment or amount."""

    code = "notification-conflict"
    title = "The same end_to_end_id came with a different payment or amount"


class NotCancellable(Conflict):
    """Only a pending payment can be cancelled."""

    code = "not-cancellable"
    title = "The payment can no longer be cancelled"


class NotRenewable(Conflict):
    """Only an expired payment can be renewed."""

    code = "not-renewable"
    title = "The payment cannot be renewed"


class NotRefundable(Conflict):
    """The payment has no money that can be refunded now."""

    code = "not-refundable"
    title = "The payment cannot be refunded"


class RefundExceedsPayment(NotRefundable):
    """The refund is larger than what is left of the payment."""

    code = "refund-exceeds-payment"
    title = "The refund is larger than what is left of the payment"


class RefundTooLate(NotRefundable):
    """Banks refund within 90 days (Manual de Padrões para Iniciação do Pix, devolução)."""

    code = "refund-too-late"
    title = "The payment is too old to be refunded"


class StatusNotSettable(Conflict):
    """A client may not set this status; it follows from what happens to the payment."""

    code = "status-not-settable"
    title = "This status cannot be set"


class TooManyProofs(Conflict):
    """The payment has reached the limit of stored proofs."""

    code = "too-many-proofs"
    title = "The payment has reached the limit of proofs"


class UpgradeRequired(BalcaoError):
    """The address speaks websocket only, and the request did not ask for the upgrade."""

    code = "upgrade-required"
    title = "This address needs a websocket upgrade"


class ConcurrentUpdate(BalcaoError):
    """Other writers changed the row in every retry; the client may try again."""

    code = "concurrent-update"
    title = "Another request changed the same payment"


class Busy(BalcaoError):
    """Too many requests wait for the same kind of heavy work; the client may try again."""

    code = "busy"
    title = "Too many requests of this kind are waiting at the moment"


class DecodersBusy(Busy):
    """Too many pictures wait to be read; nothing was stored, and the client may try again."""

    code = "decoders-busy"
    title = "Too many pictures are being read at the moment"


class DatabaseUnavailable(BalcaoError):
    """The database did not answer; nothing was changed, and the client may try again."""

    code = "service-unavailable"
    title = "The service cannot reach its database at the moment"
