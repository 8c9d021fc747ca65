"""Recurring charges, and what the payer's bank does with them, in the tests of API Pix."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from core.pix.business_days import brasilia_day
from payments.recurring import charge_job
from tests.pix_api.charges import DemoCalls
from tests.pix_api.recurrences import accept, offer
from tests.support.service import BankInTest

RETRIES = "PERMITE_3R_7D"


def approved(app: Flask, call: DemoCalls, clock: Any, **members: Any) -> dict[str, Any]:
    """A recurrence from today on that a payer has accepted."""
    today = brasilia_day(clock.now())
    calendar = {"dataInicial": str(today), "periodicidade": "MENSAL"}
    rec = offer(call, clock, **{"calendario": calendar, **members})
    accept(app, rec["idRec"])
    return rec


def cobr_body(rec: dict[str, Any], due_day: date, **members: Any) -> dict[str, Any]:
    """A body that `PUT /cobr/{txid}` accepts; `members` replace members."""
    return {
        "idRec": rec["idRec"],
        "infoAdicional": "Assinatura de novembro",
        "calendario": {"dataDeVencimento": str(due_day)},
        "valor": {"original": "35.00"},
        "ajusteDiaUtil": False,
        "recebedor": {"agencia": "9708", "conta": "012682", "tipoConta": "CORRENTE"},
        "devedor": {"email": "ana@example.com", "cidade": "Recife", "uf": "PE"},
        **members,
    }


def charged(
    call: DemoCalls, rec: dict[str, Any], due_day: date, txid: str | None = None, **members: Any
) -> dict[str, Any]:
    """Create a charge; return its object."""
    method, path = ("POST", "/cobr") if txid is None else ("PUT", f"/cobr/{txid}")
    answer = call(method, path, cobr_body(rec, due_day, **members))
    assert answer.status_code == 201, answer.text
    return dict(answer.get_json())


def day_after(clock: Any, days: int) -> date:
    """The day in Brasília so many days from now."""
    return brasilia_day(clock.now()) + timedelta(days=days)


def read(call: DemoCalls, cobr: dict[str, Any]) -> dict[str, Any]:
    """The charge as it stands."""
    answer = call("GET", f"/cobr/{cobr['txid']}")
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def order_due(app: Flask) -> int:
    """Run the job that orders first attempts."""
    with app.app_context():
        return charge_job.run()


def pay(app: Flask, clock: Any, order: dict[str, Any], **changes: Any) -> TestResponse:
    """The payer's bank pays what was ordered."""
    payment = {"id": order["txid"], "value": order["value"]}
    return BankInTest(app.test_client(), clock).confirm(
        payment, end_to_end_id=order["end_to_end_id"], **changes
    )


def fail(app: Flask, clock: Any, order: dict[str, Any], code: str, **changes: Any) -> TestResponse:
    """The payer's bank tells that it could not pay."""
    bank, client = BankInTest(app.test_client(), clock), app.test_client()
    body = {name: order[name] for name in ("txid", "end_to_end_id")}
    data = json.dumps({**body, "code": code, "text": "Não deu", **changes}).encode()
    path = "/payments/pix/collections/failed"
    return client.post(path, data=data, headers=bank.headers(data))


def words(cobr: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The statuses of the charge's history, and those of each attempt."""
    attempts = [
        [step["status"] for step in attempt["atualizacao"]]
        for attempt in cobr.get("tentativas", ())
    ]
    return [step["status"] for step in cobr["atualizacao"]], attempts
