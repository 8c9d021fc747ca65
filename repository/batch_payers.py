"""Payers in requests that wait in batches of charges; nothing of them stays when none waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from db_models import ChargeBatch, ChargeBatchItem, ChargeBatchRequest

PERSONAL_MEMBERS = ("devedor", "solicitacaoPagador", "infoAdicionais")
"""Members of a charge as a client sends it: the debtor, and the texts for the payer."""
EXPORT_MAX = 10_000


class BatchPayers:
    """Queries on payers of charges that wait in batches. `person` is a CPF or CNPJ."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def requests_of(self, person: str) -> Sequence[tuple[ChargeBatchRequest, int, str]]:
        """The requests that name a person, oldest first, with the batch's number and the txid."""
        query = (
            select(ChargeBatchRequest, ChargeBatch.number, ChargeBatchItem.txid)
            .join(ChargeBatch, ChargeBatch.id == ChargeBatchRequest.batch_id)
            .join(
                ChargeBatchItem,
                (ChargeBatchItem.batch_id == ChargeBatchRequest.batch_id)
                & (ChargeBatchItem.position == ChargeBatchRequest.position),
            )
            .where(_names(person))
            .order_by(ChargeBatchRequest.id)
            .limit(EXPORT_MAX)
        )
        return [(request, number, txid) for request, number, txid in self._session.execute(query)]

    def erase_person(self, person: str) -> int:
        """Erase a person from the requests; those that need a debtor are refused later."""
        return self._erase(_names(person))

    def erase_before(self, before: datetime) -> int:
        """Erase payers from requests that were sent before an instant, while nobody worked."""
        return self._erase(ChargeBatchRequest.sent_at < before)

    def _erase(self, rules: ColumnElement[bool]) -> int:
        query = select(ChargeBatchRequest.id, ChargeBatchRequest.body).where(rules)
        erased = 0
        for request_id, body in self._session.execute(query.with_for_update()).all():
            rest = _without_person(body)
            if rest != body:
                change = update(ChargeBatchRequest).where(ChargeBatchRequest.id == request_id)
                self._session.execute(change.values(body=rest))
                erased += 1
        return erased


def _without_person(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in PERSONAL_MEMBERS}


def _names(person: str) -> ColumnElement[bool]:
    cpf, cnpj = (
        ChargeBatchRequest.body[("devedor", name)].as_string() == person for name in ("cpf", "cnpj")
    )
    return or_(cpf, cnpj)
