"""The payer's bank tells what a payer has decided about a recurrence."""

from __future__ import annotations

from typing import Annotated, Literal

from flask_openapi import Tag
from flask_openapi.models import RequestBody
from pydantic import BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from werkzeug.wrappers import Response as BaseResponse

from core.pix.recurrence_rules import (
    ID_REC,
    ID_SOLIC_REC,
    JOURNEY_BY_REQUEST,
    JOURNEY_WITH_PAYMENT,
)
from payments import bank_signature
from payments.bank_bodies import read_report
from payments.recurring import payer_answers
from payments.recurring.payer_answers import PayerDecision, PayerVerdict
from payments.recurring.recurrences import Acceptance
from payments.schemas import BankBody
from repository.database import in_unit_of_work
from web.answers import private_json
from web.api_docs import DocumentedBlueprint, declare, problems, reference

bp = DocumentedBlueprint(
    "recurrence_answer", __name__, url_prefix="/payments/pix", abp_tags=[Tag(name="Bank")]
)

_TXID = "^[a-zA-Z0-9]{26,35}$"
_DOCUMENT = "^([0-9]{11}|[0-9A-Z]{12}[0-9]{2})$"


class DecidingPayer(BankBody):
    """Who decides: a CPF (11 digits) or a CNPJ (14 characters). The name is not stored."""

    name: str | None = None
    document: Annotated[str, Field(pattern=_DOCUMENT)]


class RecurrenceDecision(BankBody):
    """`POST /payments/pix/recurrences/answer`: what a payer has decided.

    `journey` is required for `accepted`. 1: the payer was asked by a `request`, which is required
    then, also for `refused`. 2: the payer read a code that holds the recurrence only.
    3: the payer paid the immediate charge in the code, whose `txid` is required then. 4: a code
    that holds a charge, too, which the payer pays or not.
    """

    id_rec: Annotated[str, Field(pattern=f"^{ID_REC.pattern}$")]
    answer: Literal["accepted", "refused", "cancelled"]
    journey: Annotated[Literal[1, 2, 3, 4] | None, Field(validate_default=True)] = None
    txid: Annotated[Annotated[str, Field(pattern=_TXID)] | None, Field(validate_default=True)] = (
        None
    )
    """The charge that the payer has paid: the recurrence's `ativacao.dadosJornada.txid`."""
    request: Annotated[
        Annotated[str, Field(pattern=f"^{ID_SOLIC_REC.pattern}$")] | None,
        Field(validate_default=True),
    ] = None
    """The id of the request to the payer (`idSolicRec`); only for the first journey."""
    payer: DecidingPayer
    ispb: Annotated[str, Field(pattern="^[0-9A-Z]{8}$")]
    """The payer's bank."""
    municipality: Annotated[str, Field(pattern="^[0-9]{7}$")] | None = None
    """Where the payer lives: the code of IBGE."""

    @field_validator("journey")
    @classmethod
    def _require_journey(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None and info.data.get("answer") == PayerVerdict.ACCEPTED:
            raise PydanticCustomError("missing", "is required")
        return value

    @field_validator("txid")
    @classmethod
    def _require_txid(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("journey") == JOURNEY_WITH_PAYMENT:
            raise PydanticCustomError("missing", "is required")
        return value

    @field_validator("request")
    @classmethod
    def _require_request(cls, value: str | None, info: ValidationInfo) -> str | None:
        journey = info.data.get("journey")
        is_cancellation = info.data.get("answer") == PayerVerdict.CANCELLED
        if value is None and journey == JOURNEY_BY_REQUEST and not is_cancellation:
            raise PydanticCustomError("missing", "is required")
        if value is not None and journey != JOURNEY_BY_REQUEST:
            raise PydanticCustomError("unfitting", "belongs to journey 1")
        return value

    def decision(self) -> PayerDecision:
        """The decision in the terms of the domain."""
        payer = Acceptance(self.journey or 0, self.payer.document, self.ispb, self.municipality)
        return PayerDecision(self.id_rec, PayerVerdict(self.answer), payer, self.txid, self.request)


class RecurrenceState(BaseModel):
    """A recurrence as the payer's bank sees it."""

    id_rec: str
    status: Literal["created", "approved", "rejected", "expired", "cancelled"]


class RecurrenceDecisionAnswer(BaseModel):
    """The recurrence after the decision; `duplicate` if the decision was stored before."""

    message: str
    recurrence: RecurrenceState
    duplicate: bool


declare(bp, RecurrenceDecision)


@bp.post(
    "/recurrences/answer",
    summary="Tell what a payer has decided about a recurrence (the bank)",
    description="Signed as a confirmation. Safe to repeat. 401, 408, 425, 429 and 5xx: try again. "
    "Any other 4xx: the recurrence has ended for this payer; `code` says why.",
    request_body=RequestBody(
        content={"application/json": {"schema": reference(RecurrenceDecision)}},
        required=True,
    ),
    responses={200: RecurrenceDecisionAnswer, **problems(400, 401, 404, 409, 413, 425, 503)},
    security=bank_signature.SIGNED,
)
def answer_recurrence() -> BaseResponse:
    """Verify the signature over the raw body, then approve, reject or cancel the recurrence."""
    signed = bank_signature.verify()
    report, _ = read_report(RecurrenceDecision)
    decision = report.decision()
    result = in_unit_of_work(
        lambda work: payer_answers.take(work, decision, is_test=signed.is_test)
    )
    recurrence = result.record.recurrence
    return private_json(
        {
            "message": f"The recurrence is {recurrence.status}.",
            "recurrence": {"id_rec": recurrence.id_rec, "status": recurrence.status},
            "duplicate": result.is_repeated,
        }
    )
