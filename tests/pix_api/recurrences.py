"""Bodies of recurrences, and what the payer's bank tells, in the tests of API Pix."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from core.clock import rfc3339
from core.pix.business_days import brasilia_day
from payments.recurring import recurrences
from payments.recurring.closings import Closing
from payments.recurring.recurrences import Acceptance
from repository.database import Work, in_unit_of_work
from repository.recurrences import RecurrenceRecord
from tests.pix_api.charges import DemoCalls
from tests.support.service import BankInTest

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


RECIPIENT = {"conta": "550689", "agencia": "2569", "ispbParticipante": "99999004", "cpf": PAYER}


def request_body(clock: Any, id_rec: str, **members: Any) -> dict[str, Any]:
    """A body that `POST /solicrec` accepts; `members` replace members."""
    expiry = rfc3339(clock.now() + timedelta(days=2))
    calendar = {"dataExpiracaoSolicitacao": expiry}
    return {"idRec": id_rec, "calendario": calendar, "destinatario": RECIPIENT, **members}


def request_of(call: DemoCalls, clock: Any, id_rec: str, **members: Any) -> dict[str, Any]:
    """Ask the payer to confirm a recurrence; return the request's object."""
    answer = call("POST", "/solicrec", request_body(clock, id_rec, **members))
    assert answer.status_code == 201, answer.text
    return dict(answer.get_json())


def tell_decision(
    bank: BankInTest, id_rec: str, answer: str = "accepted", **members: Any
) -> TestResponse:
    """The payer's bank tells what PAYER has decided, by default about a request."""
    body = {
        "id_rec": id_rec,
        "answer": answer,
        "journey": 1,
        "payer": {"name": "Bia Andrade", "document": PAYER},
        "ispb": "99999004",
        **members,
    }
    data = json.dumps(body).encode()
    headers = bank.headers(data)
    return bank.client.post("/payments/pix/recurrences/answer", data=data, headers=headers)
