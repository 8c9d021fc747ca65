"""Bodies of recurrences, and what the payer's bank tells, in the tests of API Pix."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Flask

from core.pix.business_days import brasilia_day
from payments.recurring import recurrences
from payments.recurring.recurrences import Acceptance, Closing
from repository.database import Work, in_unit_of_work
from repository.recurrences import RecurrenceRecord
from tests.pix_api.charges import DemoCalls

PAYER = "52998224725"
REJECTION = Closing("AP13", "O pagador não reconhece a recorrência")


def rec_body(clock: Any, **members: Any) -> dict[str, Any]:
    """A body that `POST /rec` accepts; `members` replace members."""
    today = brasilia_day(clock.now())
    return {
        "vinculo": {
            "contrato": "63100862",
            "devedor": {"cpf": "12345678909", "nome": "Ana Souza"},
            "objeto": "Assinatura mensal",
        },
        "calendario": {
            "dataInicial": str(today + timedelta(days=10)),
            "dataFinal": str(today + timedelta(days=375)),
            "periodicidade": "MENSAL",
        },
        "valor": {"valorRec": "35.00"},
        "politicaRetentativa": "NAO_PERMITE",
        **members,
    }


def offer(call: DemoCalls, clock: Any, **members: Any) -> dict[str, Any]:
    """Create a recurrence; return its object."""
    answer = call("POST", "/rec", rec_body(clock, **members))
    assert answer.status_code == 201, answer.text
    return dict(answer.get_json())


def reserve(call: DemoCalls) -> dict[str, Any]:
    """Reserve a location; return its object."""
    answer = call("POST", "/locrec")
    assert answer.status_code == 201, answer.text
    return dict(answer.get_json())


def change(app: Flask, id_rec: str, verb: Callable[..., Any], *arguments: Any) -> RecurrenceRecord:
    """What the payer's bank does to the demo merchant's recurrence: one verb in one transaction."""

    def write(work: Work) -> RecurrenceRecord:
        merchant = work.accounts.by_login("demo")
        record = work.recurrences.find(merchant.id, id_rec)
        assert record is not None
        changed_record: RecurrenceRecord = verb(work, record, *arguments)
        return changed_record

    with app.app_context():
        return in_unit_of_work(write)


def accept(app: Flask, id_rec: str, journey: int = 2) -> RecurrenceRecord:
    """A payer accepts the recurrence."""
    return change(app, id_rec, recurrences.approve, Acceptance(journey, PAYER, "99999004"))
