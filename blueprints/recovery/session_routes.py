"""The API for sessions, and for proofs that the merchant checks."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime
from typing import BinaryIO, cast

from flask import Response
from werkzeug.wrappers import Response as BaseResponse

from accounts import audit
from accounts.access import acting_admin, acting_merchant
from blueprints.recovery import limits, proofs
from blueprints.recovery.presenter import STATUS_WORDS
from blueprints.recovery.routes import TAG
from blueprints.recovery.schemas import (
    CleanupAnswer,
    NewSession,
    ProofAnswer,
    ProofForm,
    SessionCreated,
    SessionList,
    SessionQuery,
)
from blueprints.recovery.sessions import CUSTOMER, proof_object, session_object
from blueprints.recovery.uploads import FORM_BYTES_MAX, MULTIPART, picture_and_fields
from config import current_settings
from core.errors import FieldError, InvalidRequest, PaymentNotFound
from db_models import AuditAction, Payment
from payments.opening import open_payment
from payments.routes import presenter
from payments.schemas import NewPayment
from repository.database import Work, in_unit_of_work, now, reading
from repository.paging import Cursor
from repository.payment_list import PaymentFilters
from repository.recovery_uploads import RecoveryUploads
from web.answers import private_json
from web.api_docs import (
    IDEMPOTENCY_KEY,
    MERCHANT,
    SIGNED_IN,
    DocumentedBlueprint,
    declare,
    extra_parameters,
    problems,
    request_body,
)
from web.bodies import body_limit
from web.idempotency import CreatedAnswer, keyed_request

bp = DocumentedBlueprint("recovery_sessions", __name__, url_prefix="/api/payment", abp_tags=[TAG])
declare(bp, NewSession, ProofForm)

_STATUS_OF = {word: str(status) for status, word in STATUS_WORDS.items()}


@bp.post(
    "/create-session",
    summary="Create a payment as a session",
    responses={201: SessionCreated, **problems(400, 401, 403, 409, 413, 415, 503)},
    security=MERCHANT,
    openapi_extensions=extra_parameters(IDEMPOTENCY_KEY),
)
def create_session(body: NewSession) -> BaseResponse:
    """Create a payment with the fields of a session. Safe to repeat under an Idempotency-Key."""
    new_payment = NewPayment.of(
        body.amount,
        order_id=body.order_id,
        metadata={} if body.customer_id is None else {CUSTOMER: body.customer_id},
    )
    return open_payment(
        new_payment,
        keyed_request("create session", body),
        lambda work: acting_merchant(work, "payments:write"),
        _as_session,
    ).response()


def _as_session(payment: Payment, now: datetime) -> CreatedAnswer:
    answer = {
        "success": True,
        "message": "The payment session has been created.",
        **session_object(payment, None, now),
    }
    return CreatedAnswer(presenter().page_url(payment.txid), answer)


@bp.get(
    "/sessions",
    summary="List the merchant's sessions",
    responses={200: SessionList, **problems(400, 401, 403, 503)},
    security=MERCHANT,
)
def list_sessions(query: SessionQuery) -> Response:
    """The merchant's payments as sessions, newest first, each with its newest proof."""
    status = None if query.status is None else _STATUS_OF[query.status]
    filters = PaymentFilters(status=status, order_id=query.order_id)
    cursor = None if query.after is None else Cursor(query.after)
    with reading() as work:
        merchant = acting_merchant(work)
        page = work.payments.of_merchant(merchant.id, filters, cursor, query.limit, work.now)
        last = RecoveryUploads(work.session).last_of_each([payment.id for payment in page.items])
        data = [session_object(payment, last.get(payment.id), work.now) for payment in page.items]
    return private_json({"data": data, "next": page.next})


@bp.post(
    "/upload-screenshot",
    summary="Send a proof for the merchant to check",
    responses={
        200: ProofAnswer,
        201: ProofAnswer,
        **problems(400, 404, 409, 413, 415, 422, 429, 503),
    },
    openapi_extensions=request_body(ProofForm, MULTIPART),
)
@body_limit(FORM_BYTES_MAX)
def upload_screenshot() -> BaseResponse:
    """Store a picture for the payment's merchant; the session's id is enough to send one.

    A proof never says that money moved, and changes no payment. The answer is 200 if the same file
    was already sent. A payment can have five proofs.
    """
    limits.admit(with_picture=True)
    with ExitStack() as closing:
        file, fields = picture_and_fields(closing, ("session_id",))
        session_id = fields.get("session_id")
        if session_id is None:
            raise InvalidRequest([FieldError("session_id", "is required")])
        _check_session_exists(session_id)
        limits.admit_for(session_id)
        sha256, proof = proofs.prepare(cast("BinaryIO", file.stream))
    payment, upload, is_new = proofs.store(session_id, sha256, proof)
    message = "The picture waits for the merchant." if is_new else "This picture was already sent."
    return private_json(proof_object(payment, upload, message, now()), 201 if is_new else 200)


@bp.post(
    "/cleanup",
    summary="Delete the pictures of expired sessions",
    responses={200: CleanupAnswer, **problems(401, 403, 503)},
    security=SIGNED_IN,
)
def cleanup() -> Response:
    """Delete proofs older than PROOF_DAYS, and those of expired or cancelled sessions."""
    with reading() as work:
        acting_admin(work)
    deleted = proofs.forget_proofs_of_expired_sessions()
    deleted += proofs.forget_old_proofs(current_settings())

    def record(work: Work) -> None:
        audit.record(
            work, acting_admin(work), AuditAction.PROOFS_CLEANED, details={"count": deleted}
        )

    in_unit_of_work(record)
    message = f"{deleted} picture{'' if deleted == 1 else 's'} deleted."
    return private_json({"success": True, "message": message, "deleted": deleted})


def _check_session_exists(session_id: str) -> None:
    """Raise PaymentNotFound before a picture without a session costs any work."""
    with reading() as work:
        if work.payments.find_by_txid(session_id) is None:
            raise PaymentNotFound("There is no such session.")
