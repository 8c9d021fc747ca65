"""Compare the served document of API Pix with the service by schemathesis, with a real token.

Its checks: no 5xx; no undocumented status, content type, header or shape; an invalid request is
refused; unknown methods are refused.
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle
from typing import Any

import pytest
import schemathesis
import structlog
from flask import Flask
from schemathesis import AuthContext, AuthProvider, Case, HookContext
from schemathesis.config import (
    ChecksConfig,
    GenerationConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
    SimpleCheckConfig,
)

from tests.pix_api.clients import demo_client
from tests.pix_api.recurrences import accept
from tests.support.clocks import FrozenClock
from tests.support.described import check_document
from tests.support.service import PIX_KEY, close_app, ready_app, settings_for

MAX_EXAMPLES = 25
CPF, CNPJ = "12345678909", "12345678000195"
FIRST_DAY, LAST_DAY = "2026-12-24", "2027-12-24"
EXPIRY = "2026-12-01T12:00:00Z"
IS_INSTANT, _EXPIRY = re.compile(r"\d{4}-\d{2}-\d{2}T.+"), "dataExpiracaoSolicitacao"
IS_ID_REC = re.compile(r"[a-zA-Z0-9]{29}")
IS_DAY, IS_TXID = re.compile(r"\d{4}-\d{2}-\d{2}"), re.compile(r"[a-zA-Z0-9]{26,35}")
TRIED = (
    "PUT /cob/{txid} 201",
    "PUT /cob/{txid} 400",
    "PATCH /cob/{txid} 200",
    "GET /cob/{txid} 200",
    "GET /cob/{txid} 404",
    "POST /cob 201",
    "GET /cob 200",
    "GET /cob 400",
    "PUT /lotecobv/{id} 202",
    "PUT /lotecobv/{id} 400",
    "PATCH /lotecobv/{id} 202",
    "GET /lotecobv/{id} 200",
    "GET /lotecobv 200",
    "POST /loc 201",
    "GET /loc/{id} 200",
    "DELETE /loc/{id}/txid 200",
    "GET /pix 200",
    "PUT /webhook/{chave} 200",
    "GET /webhook/{chave} 200",
    "PUT /webhookrec 200",
    "GET /webhookrec 200",
    "PUT /webhookcobr 200",
    "DELETE /webhookcobr 204",
    "POST /rec 201",
    "POST /rec 400",
    "PATCH /rec/{idRec} 200",
    "GET /rec/{idRec} 200",
    "GET /rec 200",
    "POST /solicrec 400",
    "POST /solicrec 404",
    "PATCH /solicrec/{idSolicRec} 201",
    "GET /solicrec/{idSolicRec} 200",
    "PUT /cobr/{txid} 201",
    "PUT /cobr/{txid} 400",
    "POST /cobr 400",
    "GET /cobr/{txid} 200",
    "GET /cobr 200",
    "PATCH /cobr/{txid} 200",
    "POST /cobr/{txid}/retentativa/{data} 400",
    "POST /locrec 201",
    "DELETE /locrec/{id}/idRec 404",
)
"""Answers that must have occurred: otherwise schemathesis has tested less than expected."""


class Demo(AuthProvider[str]):
    """Authenticates requests with a token of the demo merchant's client."""

    token = ""
    approved_recs: Iterator[str] = iter(())
    due_days: Iterator[str] = iter(())
    """Each in another cycle, because a cycle has one charge."""

    def get(self, case: Case, ctx: AuthContext) -> str:
        """Return the token."""
        return self.token

    def set(self, case: Case, data: str, ctx: AuthContext) -> None:
        """Put it into the header."""
        case.headers["Authorization"] = f"Bearer {data}"


class Caller:
    """A WSGI client that replaces values which no schema can express: keys, check digits."""

    def __init__(self, app: Flask) -> None:
        """Wrap the application."""
        self.app = app

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Pass the request on."""
        if environ["REQUEST_METHOD"] in ("PUT", "POST", "PATCH"):
            data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            body = _with_own_values(data)
            environ["wsgi.input"] = io.BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
        return self.app(environ, start)


def _with_own_values(data: bytes) -> bytes:
    """The body with the merchant's key and right documents where it has valid forms of them."""
    try:
        body = json.loads(data)
        if isinstance(body.get("chave"), str) and len(body["chave"]) <= 77:
            body["chave"] = PIX_KEY
        link, calendar = body.get("vinculo"), body.get("calendario")
        if isinstance(calendar, dict):
            # A generated date is nearly always in the past; a date of no form stays as it is.
            days = {"dataInicial": FIRST_DAY, "dataFinal": LAST_DAY}
            texts = {name: calendar[name] for name in days if isinstance(calendar.get(name), str)}
            calendar |= {name: days[name] for name in texts if IS_DAY.fullmatch(texts[name])}
        if type(body.get("loc")) is int and 0 < body["loc"] < 2**63:
            del body["loc"]  # no number of a location of a recurrence can be guessed
        journey = (body.get("ativacao") or {}).get("dadosJornada") or {}
        if IS_TXID.fullmatch(journey.get("txid", "")):
            journey["txid"] = "0" * 32
        if isinstance(calendar, dict) and IS_INSTANT.fullmatch(str(calendar.get(_EXPIRY))):
            calendar[_EXPIRY] = EXPIRY
        owner = link if isinstance(link, dict) else body
        for debtor in (owner.get("devedor"), body.get("destinatario")):
            if not isinstance(debtor, dict):
                continue
            if str(debtor.get("cpf", "")).isdigit() and len(debtor["cpf"]) == 11:
                debtor["cpf"] = CPF
            if str(debtor.get("cnpj", "")).isalnum() and len(debtor["cnpj"]) == 14:
                debtor["cnpj"] = CNPJ
        if IS_ID_REC.fullmatch(str(body.get("idRec"))) and "destinatario" not in body:
            body["idRec"] = next(Demo.approved_recs)
            if isinstance(calendar, dict) and IS_DAY.fullmatch(
                str(calendar.get("dataDeVencimento"))
            ):
                calendar["dataDeVencimento"] = next(Demo.due_days)
        if isinstance(body.get("webhookUrl"), str) and "://" in body["webhookUrl"]:
            body["webhookUrl"] = "https://example.com/a"
        return json.dumps(body).encode()
    except (ValueError, TypeError, AttributeError):
        return data


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The document of a service that has charges and locations."""
    folder = tmp_path_factory.mktemp("api_pix_document")
    app = ready_app(settings_for(f"sqlite:///{folder / 'balcao.sqlite'}", folder), FrozenClock())
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    Demo.token = demo_client(app).token(app)
    existing = _existing(app)
    checks = ChecksConfig(
        # Which keys, locations and dates are allowed, no schema says: a valid body may be refused.
        positive_data_acceptance=PositiveDataAcceptanceConfig(enabled=False),
        # Its own request fails over WSGI; test_access_tokens.py tests missing and wrong tokens.
        ignored_auth=SimpleCheckConfig(enabled=False),
    )
    generation = GenerationConfig(
        max_examples=MAX_EXAMPLES, with_security_parameters=False, deterministic=True
    )
    project = ProjectConfig(generation=generation, checks=checks)
    config = SchemathesisConfig(projects=ProjectsConfig(default=project))
    schema = schemathesis.openapi.from_wsgi("/api-pix/openapi.json", Caller(app), config=config)
    schema.auth()(Demo)

    @schema.hook
    def map_path_parameters(context: HookContext, path_parameters: Any) -> Any:
        """Use existing ids in half of the requests, because ids cannot be guessed."""
        for name, values in existing.items():
            value = (path_parameters or {}).get(name)
            if isinstance(value, str) and len(value) % 2:
                path_parameters[name] = values[len(value) // 2 % len(values)]
        return path_parameters

    yield schema
    structlog.reset_defaults()
    close_app(app)


def _existing(app: Flask) -> dict[str, list[str]]:
    """Ids of charges and locations, by the names of the document's parameters."""
    client, headers = app.test_client(), {"Authorization": f"Bearer {Demo.token}"}
    body = {"valor": {"original": "10.00"}, "chave": PIX_KEY}
    txids, ids = [], []
    for number in range(4):
        txid = f"{number}" * 32
        answer = client.put(f"/api-pix/v2/cob/{txid}", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        txids.append(txid)
        ids.append(str(answer.get_json()["loc"]["id"]))
    rec = {
        "vinculo": {"contrato": "1", "devedor": {"cpf": CPF, "nome": "Ana Souza"}},
        "calendario": {"dataInicial": FIRST_DAY, "periodicidade": "MENSAL"},
        "politicaRetentativa": "NAO_PERMITE",
    }
    recs = [client.post("/api-pix/v2/rec", json=rec, headers=headers) for _ in range(12)]
    id_recs = [answer.get_json()["idRec"] for answer in recs]
    payer = {"conta": "1", "ispbParticipante": "99999004", "cpf": CPF}
    ask = {"calendario": {"dataExpiracaoSolicitacao": EXPIRY}, "destinatario": payer}
    requests = [
        client.post("/api-pix/v2/solicrec", json={**ask, "idRec": id_rec}, headers=headers)
        for id_rec in id_recs[:6]
    ]
    for id_rec in id_recs[8:]:
        accept(app, id_rec)
    # One after the other, with a day in another month each time.
    days = [f"2027-{month:02}-28" for month in range(1, 12)]
    Demo.approved_recs, Demo.due_days = cycle(id_recs[8:]), cycle(days)
    for number in range(4):
        txid = f"{number}" * 33
        answer = client.put(
            f"/api-pix/v2/cobr/{txid}",
            json={
                "idRec": id_recs[8 + number],
                "calendario": {"dataDeVencimento": "2026-12-28"},
                "valor": {"original": "10.00"},
                "recebedor": {"conta": "1", "tipoConta": "CORRENTE"},
            },
            headers=headers,
        )
        assert answer.status_code == 201, answer.text
        txids.append(txid)
    return {
        "txid": txids,
        "id": ids,
        "chave": [PIX_KEY],
        "idRec": id_recs,
        "idSolicRec": [answer.get_json()["idSolicRec"] for answer in requests],
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_service_does_what_its_document_says(document: Any) -> None:
    """Generated clients and readers rely on the document."""
    check_document(document, TRIED, _is_dialect)


def _is_dialect(case: Case, check: str, _status: int) -> bool:
    """Whether the finding is data that is accepted on purpose.

    An empty parameter counts as absent: some SDKs send it. So does a null: of a recurring charge
    these are the only members that may be missing. The charges of a batch are checked after the
    answer.
    """
    if check != "negative_data_rejection":
        return False
    if "" in (case.query or {}).values() or _is_frame_of_batch(case):
        return True
    body = case.body
    is_charge = case.operation.path.startswith("/cobr")
    return is_charge and isinstance(body, dict) and None in body.values()


def _is_frame_of_batch(case: Case) -> bool:
    """Whether this is a batch with nothing wrong but within its charges, or with a null."""
    body = case.body
    if case.operation.path != "/lotecobv/{id}" or not isinstance(body, dict):
        return False
    charges = body.get("cobsv")
    is_list = isinstance(charges, list) and all(
        isinstance(charge, dict) and isinstance(charge.get("txid"), str) for charge in charges
    )
    missing = (None,) if case.operation.method.upper() == "PATCH" else ()
    is_text = isinstance(body.get("descricao"), str) or body.get("descricao") in missing
    return is_text and (is_list or charges in missing)
