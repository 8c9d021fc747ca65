"""Payers in charges of API Pix: in their terms, and in the revisions before the newest one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from db_models import ChargeRevision, Payment

PERSONAL_TERMS = ("debtor", "info")
"""Members of `Payment.charge_terms` about a person: e-mail and address, and the payer's texts."""
_PERSONAL = ("payer_name", "payer_document")
EXPORT_MAX = 10_000


class ChargePayers:
    """Queries on payers of charges. `person` is a document or an end-to-end id."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def erase_range(self, after_id: int, last_id: int, before: datetime) -> int:
        """Erase payers from the charges of a range that were created before an instant."""
        rules = and_(Payment.id > after_id, Payment.id <= last_id, Payment.created_at < before)
        return self._erase_terms(rules) + self._erase_revisions(rules)

    def erase_person(self, person: str) -> int:
        """Erase a person from terms and old revisions; return how many rows changed."""
        is_person = _is_person(person)
        of_old = or_(is_person, _names(person))
        return self._erase_terms(is_person) + self._erase_revisions(of_old)

    def revisions_of(self, person: str) -> Sequence[tuple[ChargeRevision, str]]:
        """The old revisions that name a person, oldest first, with the payment's id."""
        query = (
            select(ChargeRevision, Payment.txid)
            .join(Payment, Payment.id == ChargeRevision.payment_id)
            .where(or_(_names(person), Payment.end_to_end_id == person))
            .order_by(ChargeRevision.payment_id, ChargeRevision.revision)
            .limit(EXPORT_MAX)
        )
        return [(revision, txid) for revision, txid in self._session.execute(query)]

    def _erase_terms(self, rules: ColumnElement[bool]) -> int:
        query = select(Payment.id, Payment.charge_terms).where(
            rules, Payment.charge_terms.is_not(None)
        )
        erased = 0
        for payment_id, terms in self._session.execute(query.with_for_update()).all():
            rest = _without_person(terms)
            if rest != terms:
                change = update(Payment).where(Payment.id == payment_id)
                self._session.execute(change.values(charge_terms=rest or None))
                erased += 1
        return erased

    def _erase_revisions(self, rules: ColumnElement[bool]) -> int:
        query = (
            select(ChargeRevision.payment_id, ChargeRevision.revision, ChargeRevision.state)
            .join(Payment, Payment.id == ChargeRevision.payment_id)
            .where(rules)
        )
        erased = 0
        for payment_id, revision, state in self._session.execute(query).all():
            rest = {**state, **dict.fromkeys(_PERSONAL)}
            if state.get("charge_terms"):
                rest["charge_terms"] = _without_person(state["charge_terms"]) or None
            if rest != state:
                change = update(ChargeRevision).where(
                    ChargeRevision.payment_id == payment_id, ChargeRevision.revision == revision
                )
                self._session.execute(change.values(state=rest))
                erased += 1
        return erased


def _without_person(terms: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in terms.items() if name not in PERSONAL_TERMS}


def _is_person(person: str) -> ColumnElement[bool]:
    return or_(Payment.payer_document == person, Payment.end_to_end_id == person)


def _names(person: str) -> ColumnElement[bool]:
    document: ColumnElement[bool] = ChargeRevision.state["payer_document"].as_string() == person
    return document
