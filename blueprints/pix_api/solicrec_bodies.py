"""The bodies of a request to a payer (API Pix 2.9.0, SolicRecSolicitada and SolicRecRevisada)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from blueprints.pix_api.fields import Cnpj, Cpf, IdRec, Instant, PixBody
from blueprints.pix_api.problems import Violation
from payments.recurring.requests import OPEN_FOR_MAX, PayerAccount

_EXPIRY = "solicrec.calendario.dataExpiracaoSolicitacao"


class SolicRecCalendario(PixBody):
    """Until when the payer can accept."""

    dataExpiracaoSolicitacao: Instant


class Destinatario(PixBody):
    """The account of the payer who is asked, and the document of its owner."""

    conta: Annotated[str, Field(pattern="^[0-9A-Za-z-]{1,20}$")]
    """The payer's bank refuses an account with other characters: no account has any."""
    ispbParticipante: Annotated[str, Field(pattern="^[0-9A-Z]{8}$")]
    agencia: Annotated[str, Field(pattern="^[0-9A-Za-z-]{0,4}$")] | None = None
    cpf: Cpf | None = None
    cnpj: Cnpj | None = None

    @model_validator(mode="after")
    def _one_document(self) -> Self:
        if (self.cpf is None) == (self.cnpj is None):
            raise ValueError("deve ter cpf ou cnpj, e não os dois")
        return self


class SolicRecBody(PixBody):
    """`POST /solicrec`."""

    idRec: IdRec
    calendario: SolicRecCalendario
    destinatario: Destinatario

    @property
    def expires_at(self) -> datetime:
        """From when on the payer cannot accept."""
        return self.calendario.dataExpiracaoSolicitacao

    def recipient(self) -> PayerAccount:
        """Who is asked."""
        to = self.destinatario
        document = to.cpf or to.cnpj or ""
        return PayerAccount(document, to.ispbParticipante, to.conta, to.agencia or None)


class SolicRecPatch(PixBody):
    """`PATCH /solicrec/{idSolicRec}`."""

    status: Literal["CANCELADA"]


def faults_of_expiry(expires_at: datetime, now: datetime) -> list[Violation]:
    """The violations of the end of a request that is created now."""
    if expires_at <= now:
        reason = f"O campo {_EXPIRY} é anterior à data de criação da solicitação da recorrência."
        return [Violation(reason, _EXPIRY)]
    if expires_at - now > OPEN_FOR_MAX:
        reason = f"O campo {_EXPIRY} deve ser no máximo {OPEN_FOR_MAX.days} dias depois da criação."
        return [Violation(reason, _EXPIRY)]
    return []
