"""The JSON object of a request to a payer (API Pix 2.9.0, SolicRecCompleta)."""

from __future__ import annotations

from typing import Any

from core.clock import rfc3339
from db_models import Account, RecurrenceRequest, RequestStatus
from payments.halves_wall import ispb_of
from payments.recurring.objects import ERASED_CPF, document_member, payload_object
from repository.recurrence_requests import RequestRecord
from repository.recurrences import RecurrenceRecord

STATUS_WORDS = {
    RequestStatus.CREATED: "CRIADA",
    RequestStatus.SENT: "ENVIADA",
    RequestStatus.RECEIVED: "RECEBIDA",
    RequestStatus.ACCEPTED: "ACEITA",
    RequestStatus.REJECTED: "REJEITADA",
    RequestStatus.EXPIRED: "EXPIRADA",
    RequestStatus.CANCELLED: "CANCELADA",
}
ERASED_ACCOUNT = "0"
"""What answers show in place of an account that was erased: the standard requires one."""


def request_object(
    record: RequestRecord, recurrence: RecurrenceRecord, merchant: Account
) -> dict[str, Any]:
    """A request, with the terms of its recurrence."""
    request = record.request
    return {
        "idSolicRec": request.id_solic_rec,
        "idRec": record.id_rec,
        "calendario": {"dataExpiracaoSolicitacao": rfc3339(request.expires_at)},
        "status": STATUS_WORDS[RequestStatus(request.status)],
        "destinatario": _recipient(request),
        "atualizacao": [
            {"status": STATUS_WORDS[RequestStatus(step.status)], "data": rfc3339(step.changed_at)}
            for step in record.changes
        ],
        "recPayload": payload_object(recurrence, merchant, ispb_of(merchant.id)),
    }


def _recipient(request: RecurrenceRequest) -> dict[str, str]:
    document = request.payer_document or ERASED_CPF
    body = {
        "conta": request.payer_account or ERASED_ACCOUNT,
        "ispbParticipante": request.payer_ispb,
        document_member(document): document,
    }
    return body if request.payer_branch is None else {**body, "agencia": request.payer_branch}
