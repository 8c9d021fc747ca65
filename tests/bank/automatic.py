"""Orders of the service about Pix Automático, as the simulated bank receives them."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

from werkzeug.test import TestResponse

from bank.identifiers import new_identifier
from bank.mandates.collections import collection_by_id
from bank.mandates.requests import RequestAnswer, request_of
from bank.mandates.tables import BankCollection, terms_in
from bank.money.payers import payer_by_handle
from core.clock import rfc3339
from core.ids import new_txid
from core.pix.business_days import brasilia_day
from core.signing.signatures import signed_headers
from tests.bank.conftest import Bank
from tests.bank.service_double import recurrence_payload

DOCUMENTS = {"bia": "12345678909", "caio": "11144477735", "dora": "52998224725"}


def signed_post(bank: Bank, path: str, members: object) -> TestResponse:
    """Post JSON that the service signs over its body."""
    body = json.dumps(members).encode()
    secret = bank.branch.settings.webhook_secret
    headers = signed_headers(secret, "msg_order", bank.clock.now(), body)
    return bank.client.post(path, data=body, content_type="application/json", headers=headers)


def request_order(bank: Bank, payer: str = "bia", **changes: Any) -> dict[str, Any]:
    """A request for a client; `changes` replace members, `recurrence` members of the payload."""
    now = bank.clock.now()
    recurrence = recurrence_payload(now, **changes.pop("recurrence", {}))
    return {
        "id": f"SC{recurrence['idRec'][2:]}",
        "expires_at": rfc3339(now + timedelta(days=3)),
        "recurrence": recurrence,
        "payer": {"document": DOCUMENTS[payer], "ispb": bank.branch.settings.ispb},
        **changes,
    }


def send_request(bank: Bank, payer: str = "bia", **changes: Any) -> dict[str, Any]:
    """Send a request, and return its order."""
    order = request_order(bank, payer, **changes)
    assert signed_post(bank, "/api/mandate-requests", order).status_code == 201
    return order


def active_mandate(bank: Bank, payer: str = "bia", **recurrence: Any) -> str:
    """The id of a new recurrence that a client has authorised by a request."""
    order = send_request(bank, payer, recurrence=recurrence)
    with bank.branch.database.reading() as session:
        client = payer_by_handle(session, payer)
        agreed = terms_in(request_of(session, client, order["id"])).fingerprint()
    bank.branch.requests.authorise(RequestAnswer(order["id"], agreed, client), "1234")
    return str(order["recurrence"]["idRec"])


def today(bank: Bank) -> date:
    """The day in Brasília."""
    return brasilia_day(bank.clock.now())


def collection_order(bank: Bank, id_rec: str, days: int = 3, **changes: Any) -> dict[str, Any]:
    """An order to debit R$ 35,00 in a few days; `changes` replace members."""
    return {
        "txid": new_txid(),
        "id_rec": id_rec,
        "end_to_end_id": new_identifier("E", bank.branch.settings.ispb, bank.clock.now()),
        "value": 35.00,
        "settles_on": str(today(bank) + timedelta(days=days)),
        "kind": "AGND",
        "payee": {"name": "Academia Olinda", "document": "12345678000195"},
        **changes,
    }


def schedule(bank: Bank, id_rec: str, days: int = 3, **changes: Any) -> dict[str, Any]:
    """Schedule a charge, and return its order."""
    order = collection_order(bank, id_rec, days, **changes)
    answer = signed_post(bank, "/api/collections", order)
    assert answer.status_code == 201, answer.text
    return order


def collection_in(bank: Bank, order: dict[str, Any]) -> BankCollection:
    """The stored charge of this order."""
    with bank.branch.database.reading() as session:
        return collection_by_id(session, order["end_to_end_id"])
