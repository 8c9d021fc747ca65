"""The pictures payers sent as proof: the merchant looks, judges, and drops them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from accounts import audit
from accounts.access import page_guard, signed_in_merchant
from blueprints.portal.page import bp, page
from blueprints.portal.payment_rows import label_of, mark_of
from core import ids
from core.errors import FieldError, InvalidRequest, NotFound
from db_models import Account, AuditAction, ProofVerdict, RecoveryUpload
from db_models.recovery_upload import NOTE_MAX
from repository.database import Work, in_unit_of_work, reading
from repository.recovery_uploads import RecoveryUploads
from web.bodies import check_storable
from web.pages import language_args

PAGE = 10
DONE = frozenset({"verified", "rejected", "deleted"})
VERDICTS = (ProofVerdict.VERIFIED, ProofVerdict.REJECTED)


@bp.get("/portal/proofs")
@page_guard("merchant")
def proofs() -> ResponseReturnValue:
    """Those that wait; `?judged=1` shows the others. `?after=` goes on behind one of them."""
    judged, after = "judged" in request.args, request.args.get("after")
    with reading() as work:
        merchant = signed_in_merchant(work)
        found = RecoveryUploads(work.session).of_merchant(
            merchant.id, waiting=not judged, limit=PAGE, after=after
        )
        shown = [(proof, payment, mark_of(payment, work.now)) for proof, payment in found.items]
    kept: dict[str, Any] = {**({"judged": "1"} if judged else {}), **language_args()}
    older_url = url_for("portal.proofs", after=found.next, **kept) if found.next else None
    done = request.args.get("done")
    return page(
        "proofs.html",
        merchant,
        "payments",
        shown=shown,
        label_of=label_of,
        judged=judged,
        is_newest=after is None,
        newest_url=url_for("portal.proofs", **kept),
        older_url=older_url,
        note_max=NOTE_MAX,
        done=done if done in DONE else None,
    )


@bp.get("/portal/proofs/<string:proof_id>/picture")
@page_guard("merchant")
def proof_picture(proof_id: str) -> Response:
    """The picture itself, for its merchant alone."""
    with reading() as work:
        merchant = signed_in_merchant(work)
        data = RecoveryUploads(work.session).picture(merchant.id, _known(proof_id))
    if data is None:
        raise NotFound("There is no such picture.")
    return Response(
        data,
        content_type="image/jpeg",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'inline; filename="comprovante-{proof_id[:8]}.jpg"',
        },
    )


@bp.post("/portal/proofs/<string:proof_id>/review")
@page_guard("merchant")
def review_proof(proof_id: str) -> ResponseReturnValue:
    """Write `verdict` (`verified`, `rejected`) and a `note`. No payment is changed by it."""
    verdict, note = request.form.get("verdict", ""), request.form.get("note", "").strip()
    check_storable(note)
    if verdict not in VERDICTS:
        raise InvalidRequest([FieldError("verdict", "must be verified or rejected")])
    if len(note) > NOTE_MAX:
        raise InvalidRequest([FieldError("note", f"must have at most {NOTE_MAX} characters")])

    def judge(work: Work, merchant: Account, proof: RecoveryUpload) -> None:
        RecoveryUploads(work.session).judge(proof.id, verdict, note or None, work.now)
        audit.record(work, merchant, AuditAction(f"proof.{verdict}"), proof.public_id)

    _changed(proof_id, judge)
    return redirect(url_for("portal.proofs", done=verdict, **language_args()), 303)


@bp.post("/portal/proofs/<string:proof_id>/delete")
@page_guard("merchant")
def delete_proof(proof_id: str) -> ResponseReturnValue:
    """Drop the picture and what was said of it; who dropped it stays known."""

    def delete(work: Work, merchant: Account, proof: RecoveryUpload) -> None:
        RecoveryUploads(work.session).delete(proof.id)
        audit.record(work, merchant, AuditAction.PROOF_DELETED, proof.public_id)

    _changed(proof_id, delete)
    more: dict[str, Any] = {"judged": "1"} if "judged" in request.form else {}
    address = url_for("portal.proofs", done="deleted", **more, **language_args())
    return redirect(address, 303)


def _changed(proof_id: str, change: Callable[[Work, Account, RecoveryUpload], None]) -> None:
    def do(work: Work) -> None:
        merchant = signed_in_merchant(work, "payments:write")
        proof = RecoveryUploads(work.session).find(merchant.id, _known(proof_id))
        if proof is None:
            raise NotFound("There is no such picture.")
        change(work, merchant, proof)

    in_unit_of_work(do)


def _known(proof_id: str) -> str:
    if not ids.is_txid(proof_id):
        raise NotFound("There is no such picture.")
    return proof_id
