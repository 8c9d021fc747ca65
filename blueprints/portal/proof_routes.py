"""Pictures that payers sent as proof: the merchant views, judges and deletes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response, redirect, request, url_for
from flask.typing import ResponseReturnValue

from accounts import audit
from accounts.access import page_guard, signed_in_merchant
from blueprints.portal.confirmation import Question, confirmation_page, is_confirmed
from blueprints.portal.page import bp, page
from core import ids
from core.errors import FieldError, InvalidRequest, NotFound
from db_models import Account, AuditAction, ProofVerdict, RecoveryUpload
from db_models.recovery_upload import NOTE_MAX
from payments.charge_terms import amount_text
from payments.standing import mark_of
from payments.standing_words import label_of
from repository.database import Work, in_unit_of_work, reading
from repository.recovery_uploads import RecoveryUploads
from web.bodies import check_storable
from web.pages import language_args
from web.pages import translate as _

PAGE = 10
NOTICES = frozenset({"verified", "rejected", "deleted"})
VERDICTS = (ProofVerdict.VERIFIED, ProofVerdict.REJECTED)


@bp.get("/portal/proofs")
@page_guard("merchant")
def proofs() -> ResponseReturnValue:
    """Proofs without a verdict; `?judged=1` lists those with one. `?after=` is the cursor."""
    is_judged, after = "judged" in request.args, request.args.get("after")
    with reading() as work:
        merchant = signed_in_merchant(work)
        proof_page = RecoveryUploads(work.session).of_merchant(
            merchant.id, is_pending=not is_judged, limit=PAGE, after=after
        )
        rows = [(proof, payment, mark_of(payment, work.now)) for proof, payment in proof_page.items]
    url_arguments: dict[str, Any] = {**({"judged": "1"} if is_judged else {}), **language_args()}
    older_url = (
        url_for("portal.proofs", after=proof_page.next, **url_arguments)
        if proof_page.next
        else None
    )
    notice = request.args.get("done")
    return page(
        "proofs.html",
        merchant,
        "payments",
        rows=rows,
        label_of=label_of,
        is_judged=is_judged,
        is_newest=after is None,
        newest_url=url_for("portal.proofs", **url_arguments),
        older_url=older_url,
        note_max=NOTE_MAX,
        notice=notice if notice in NOTICES else None,
    )


@bp.get("/portal/proofs/<string:proof_id>/picture")
@page_guard("merchant")
def proof_picture(proof_id: str) -> Response:
    """The picture; only its merchant may see it."""
    with reading() as work:
        merchant = signed_in_merchant(work)
        data = RecoveryUploads(work.session).picture(merchant.id, _require_id(proof_id))
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
    """Store a `verdict` (`verified`, `rejected`) and a `note`; the payment does not change."""
    verdict, note = request.form.get("verdict", ""), request.form.get("note", "").strip()
    check_storable(note)
    if verdict not in VERDICTS:
        raise InvalidRequest([FieldError("verdict", "must be verified or rejected")])
    if len(note) > NOTE_MAX:
        raise InvalidRequest([FieldError("note", f"must have at most {NOTE_MAX} characters")])

    def judge(work: Work, merchant: Account, proof: RecoveryUpload) -> None:
        RecoveryUploads(work.session).judge(proof.id, verdict, note or None, work.now)
        audit.record(work, merchant, AuditAction(f"proof.{verdict}"), proof.public_id)

    _change_proof(proof_id, judge)
    return redirect(url_for("portal.proofs", done=verdict, **language_args()), 303)


@bp.post("/portal/proofs/<string:proof_id>/delete")
@page_guard("merchant")
def delete_proof(proof_id: str) -> ResponseReturnValue:
    """Delete the picture, its verdict and its note; the audit log keeps who deleted them.

    Asks first.
    """
    judged_argument: dict[str, Any] = {"judged": "1"} if "judged" in request.form else {}
    if not is_confirmed():
        back_url = url_for("portal.proofs", **judged_argument, **language_args())
        return _ask_to_delete(proof_id, back_url)

    def delete(work: Work, merchant: Account, proof: RecoveryUpload) -> None:
        RecoveryUploads(work.session).delete(proof.id)
        audit.record(work, merchant, AuditAction.PROOF_DELETED, proof.public_id)

    _change_proof(proof_id, delete)
    address = url_for("portal.proofs", done="deleted", **judged_argument, **language_args())
    return redirect(address, 303)


def _ask_to_delete(proof_id: str, back_url: str) -> ResponseReturnValue:
    with reading() as work:
        merchant = signed_in_merchant(work, "payments:write")
        proof = _own(work, merchant, proof_id)
        payment = work.payments.by_row_ids([proof.payment_id])[proof.payment_id]
    question = Question(
        _("Apagar a imagem do comprovante?"),
        _("Sim, apagar a imagem"),
        tuple(
            (label, text)
            for label, text in (
                (_("Valor"), amount_text(payment)),
                (_("Pedido"), payment.order_id),
                (_("Descrição"), payment.description),
            )
            if text
        ),
    )
    return confirmation_page(merchant, "payments", question, back_url)


def _own(work: Work, merchant: Account, proof_id: str) -> RecoveryUpload:
    proof = RecoveryUploads(work.session).find(merchant.id, _require_id(proof_id))
    if proof is None:
        raise NotFound("There is no such picture.")
    return proof


def _change_proof(proof_id: str, change: Callable[[Work, Account, RecoveryUpload], None]) -> None:
    def do(work: Work) -> None:
        merchant = signed_in_merchant(work, "payments:write")
        change(work, merchant, _own(work, merchant, proof_id))

    in_unit_of_work(do)


def _require_id(proof_id: str) -> str:
    if not ids.is_txid(proof_id):
        raise NotFound("There is no such picture.")
    return proof_id
