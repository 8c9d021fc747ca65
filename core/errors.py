"""What can go wrong, as types. They know nothing of HTTP; `web.problems` maps them once.

BalcaoError
├── InvalidRequest            a field, or several, are not what the contract says
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
│   └── Gone
├── Refused                   money that goes back to the payer
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
│   └── PaymentExpired, NoWallet, WalletExists: core.payer_errors
├── PayerRefused, BankUnavailable: core.payer_errors
├── UpgradeRequired           what answers here is a websocket
├── ConcurrentUpdate          two writers met and this one lost more often than allowed
├── DecodersBusy             more pictures came at once than are read at once
└── DatabaseUnavailable
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with one field: its dotted path and a sentence fragment."""

    field: str
    detail: str


class BalcaoError(Exception):
    """The root: `code` is stable and for machines, `detail` is one sentence for people.

    `members` go with the answer beside these, by their own names.
    """

    code: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str | None = None, errors: Sequence[FieldError] = ()) -> None:
        """Keep the sentence (default: the title) and the fields at fault, all at once."""
        self.detail = detail or f"{self.title}."
        self.errors = tuple(errors)
        self.members: dict[str, str] = {}
        super().__init__(self.detail)


class InvalidRequest(BalcaoError):
    """Fields that are missing, unknown or not of their form."""

    code = "invalid-request"
    title = "The request is not valid"

    def __init__(self, errors: Sequence[FieldError] = (), detail: str | None = None) -> None:
        """Take the fields at fault; the sentence names them unless one is given."""
        if detail is None and errors:
            named = "; ".join(f"{error.field} {error.detail}" for error in errors[:3])
            detail = f"{named}." if len(errors) <= 3 else f"{named}; and {len(errors) - 3} more."
        super().__init__(detail, errors)


class InvalidMoney(InvalidRequest, ValueError):
    """Not an amount of reais that can be paid."""

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
    """A list was asked to go on after something that is not in it."""

    def __init__(self) -> None:
        """The cursor is opaque, so the sentence says where to get a good one."""
        super().__init__([FieldError("after", "is not a cursor this list gave")])


class PictureRefused(InvalidRequest):
    """A file that cannot be looked at for a code."""

    code = "picture-refused"
    title = "The picture cannot be read"

    def __init__(self, why: str) -> None:
        """`why` is a whole sentence."""
        super().__init__(detail=why)


class UnsupportedPicture(PictureRefused):
    """Another format than PNG, JPEG, GIF and WebP, or two formats in one file.

    `found` is the format's name (`SVG`, `HEIC`, `PDF`, …, or `unknown`); `inside` is the picture's
    own format where `found` hides within it.
    """

    code = "unsupported-picture"
    title = "The file is no PNG, JPEG, GIF or WebP picture"

    def __init__(self, found: str, inside: str | None = None) -> None:
        """Name what was found by content."""
        self.found = found
        self.inside = inside
        named = "of an unknown format" if found == "unknown" else f"{found}"
        super().__init__(
            f"The file is {named}; send a PNG, JPEG, GIF or WebP picture."
            if inside is None
            else f"The {inside} picture holds {found} as well; send it without."
        )


class PictureTooLarge(PictureRefused):
    """Too many bytes or pixels, or too much work to unpack."""

    code = "picture-too-large"
    title = "The picture is too large"


class UnreadablePicture(PictureRefused):
    """A picture of a known format that is broken or cut off."""

    code = "unreadable-picture"
    title = "The picture is broken"


class NoCodeInPicture(PictureRefused):
    """A good picture, and no code that could be read in it."""

    code = "no-code-in-picture"
    title = "No code was found in the picture"


class Unauthorized(BalcaoError):
    """Nobody, or somebody unknown, asked for what needs a merchant."""

    code = "unauthorized"
    title = "Credentials are missing or wrong"


class Forbidden(BalcaoError):
    """Somebody known asked for what is not theirs to do."""

    code = "forbidden"
    title = "This account or key may not do that"


class CsrfFailed(Forbidden):
    """A request by cookie came without the token that only our own pages know."""

    code = "csrf-failed"
    title = "The form's token is missing or does not fit"


class TooManyRequests(BalcaoError):
    """A limit was reached; it lets go by itself."""

    code = "too-many-requests"
    title = "Too many requests"

    def __init__(self, retry_after_seconds: int, detail: str | None = None) -> None:
        """Whole seconds until it is worth asking again."""
        self.retry_after_seconds = max(1, retry_after_seconds)
        super().__init__(
            detail or f"Too many requests. Try again in {self.retry_after_seconds} seconds."
        )


class BadSignature(BalcaoError):
    """A notification that was not signed by the bank, or not now."""

    code = "bad-signature"
    title = "The signature was refused"


class NotFound(BalcaoError):
    """Nothing stands at this address."""

    code = "not-found"
    title = "Nothing was found here"


class PaymentNotFound(NotFound):
    """No payment has this id."""

    code = "payment-not-found"
    title = "There is no such payment"


class NotOurCode(NotFound):
    """A code that leads to no payment here; `kind` says what it is."""

    code = "not-our-code"
    title = "The code is no payment of this service"

    def __init__(self, kind: str, detail: str) -> None:
        """`kind` goes with the answer as a member of its own."""
        super().__init__(detail)
        self.members["kind"] = kind


class Gone(NotFound):
    """A location that was, and for good will not be (API Pix 2.9.0, CobPayloadNaoEncontrado)."""

    code = "payload-gone"
    title = "This code can no longer be paid"


class Refused(BalcaoError):
    """Money that is not taken and goes back to its payer."""

    code = "refused"
    title = "The money was refused"


class AmountMismatch(Refused):
    """Another amount arrived than was asked."""

    code = "amount-mismatch"
    title = "The amount does not match the payment"


class AlreadyPaid(Refused):
    """Another receipt settled this payment, or its order, before."""

    code = "already-paid"
    title = "The payment was already paid"


class PaymentCancelled(Refused):
    """Its merchant cancelled the payment."""

    code = "payment-cancelled"
    title = "The payment was cancelled"


class PaidTooLate(Refused):
    """The bank took the money after the deadline."""

    code = "paid-too-late"
    title = "The payment was paid after its deadline"


class Conflict(BalcaoError):
    """The request is fine, but not in the present state."""

    code = "conflict"
    title = "The request does not fit the present state"


class LoginTaken(Conflict):
    """Another account has this login."""

    code = "login-taken"
    title = "This login is taken"


class OrderAlreadyHasPayment(Conflict):
    """The order has a payment that can be, or was, paid."""

    code = "order-already-has-payment"
    title = "The order already has a live or paid payment"


class IdempotencyConflict(Conflict):
    """One Idempotency-Key came with two different requests."""

    code = "idempotency-conflict"
    title = "The Idempotency-Key was used with another request"


class NotificationConflict(Conflict):
    """One end_to_end_id came with two different payments or amounts."""

    code = "notification-conflict"
    title = "The same end_to_end_id was told with other contents"


class NotCancellable(Conflict):
    """Only a pending payment can be cancelled."""

    code = "not-cancellable"
    title = "The payment can no longer be cancelled"


class NotRenewable(Conflict):
    """Only an expired payment can be renewed."""

    code = "not-renewable"
    title = "The payment cannot be renewed"


class NotRefundable(Conflict):
    """Nothing of this payment can be given back, as it stands."""

    code = "not-refundable"
    title = "The payment cannot be refunded"


class RefundExceedsPayment(NotRefundable):
    """More was asked for than is left of the payment."""

    code = "refund-exceeds-payment"
    title = "The refund is larger than what is left of the payment"


class RefundTooLate(NotRefundable):
    """Banks give back for 90 days (Manual de Padrões para Iniciação do Pix, devolução)."""

    code = "refund-too-late"
    title = "The payment is too old to be refunded"


class StatusNotSettable(Conflict):
    """A status that nobody writes by hand."""

    code = "status-not-settable"
    title = "This status cannot be set"


class TooManyProofs(Conflict):
    """A payment has as many proofs as are kept of one."""

    code = "too-many-proofs"
    title = "The payment has as many proofs as are kept"


class UpgradeRequired(BalcaoError):
    """An address of websockets was asked for something else."""

    code = "upgrade-required"
    title = "A websocket answers here: ask for the upgrade"


class ConcurrentUpdate(BalcaoError):
    """Several writers met over one row; asking again settles it."""

    code = "concurrent-update"
    title = "Another request changed the same payment"


class DecodersBusy(BalcaoError):
    """Too many pictures are being read; nothing was kept, and the caller may try again."""

    code = "decoders-busy"
    title = "Too many pictures are being read at the moment"


class DatabaseUnavailable(BalcaoError):
    """The database did not answer; nothing was lost, and the caller may try again."""

    code = "service-unavailable"
    title = "The service cannot reach its database at the moment"
