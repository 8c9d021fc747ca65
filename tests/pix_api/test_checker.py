"""The check of answers of API Pix refuses each kind of wrong answer."""

from __future__ import annotations

import json

import pytest
from flask import Flask, Response, request

from tests.support.api_pix import (
    ContractBroken,
    PixAnswer,
    PixApi,
    check_answer,
    check_callback,
    template_of,
    valid_body,
)

TXID = "a" * 26
NOW = "2026-11-20T12:00:00.000Z"
COB = {
    "txid": TXID,
    "calendario": {"criacao": NOW, "expiracao": 3600},
    "revisao": 0,
    "status": "ATIVA",
    "valor": {"original": "1.00"},
    "chave": "12345678909",
}
VALID_BODY = {"valor": {"original": "1.00"}, "chave": "12345678909"}
PROBLEM = {
    "type": "https://pix.bcb.gov.br/api/v2/error/CobNaoEncontrado",
    "title": "Não encontrada.",
    "status": 404,
    "detail": "…",
    "correlationId": "1",
    "violacoes": [{"razao": "…", "propriedade": "cob.txid", "valor": "1"}],
}
JSON, PROBLEM_JSON = "application/json", "application/problem+json"


def answer(status, body, media_type=JSON, **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return PixAnswer(status, {"content-type": media_type, **answer_headers}, data)


def problem(status, kind, **headers):
    name = f"https://pix.bcb.gov.br/api/v2/error/{kind}"
    return answer(status, {**PROBLEM, "type": name, "status": status}, PROBLEM_JSON, **headers)


RIGHT = [
    ("GET", f"/cob/{TXID}", answer(200, COB)),
    ("GET", f"/cob/{TXID}", answer(200, COB, "application/json; charset=utf-8")),
    ("GET", f"/cob/{TXID}", answer(200, {**COB, "grown": 1})),
    ("PUT", f"/cob/{TXID}", answer(201, COB)),
    ("GET", f"/cob/{TXID}", problem(404, "CobNaoEncontrado")),
    ("GET", f"/cob/{TXID}", problem(404, "NaoEncontrado")),
    ("GET", "/cob", problem(400, "CobConsultaInvalida")),
    ("GET", "/cob", problem(401, "AcessoNegado", www_authenticate="Bearer")),
    ("GET", "/cob", problem(403, "AcessoNegado")),
    ("PUT", f"/cob/{TXID}", problem(413, "RequisicaoInvalida")),
    ("PUT", f"/cob/{TXID}", problem(415, "RequisicaoInvalida")),
    ("GET", "/cob", problem(429, "RequisicaoInvalida", retry_after="1")),
    ("GET", "/cob", problem(503, "ServicoIndisponivel", retry_after="1")),
    ("DELETE", "/cob", problem(405, "RequisicaoInvalida", allow="GET, POST")),
    ("GET", "/nothing", problem(404, "NaoEncontrado")),
    ("PUT", "/webhook/12345678909", answer(200, b"", "text/html")),
    ("DELETE", "/webhook/12345678909", answer(204, b"", "")),
    ("PUT", "/lotecobv/1", answer(202, b"", "")),
]
WRONG = {
    "a status that is not listed": ("GET", f"/cob/{TXID}", answer(201, COB)),
    "a server error": ("GET", f"/cob/{TXID}", problem(500, "ErroInternoDoServidor")),
    "a conflict": ("PUT", f"/cob/{TXID}", problem(409, "CobOperacaoInvalida")),
    "404 of a list": ("GET", "/cob", problem(404, "NaoEncontrado")),
    "415 without a body": ("GET", "/cob", problem(415, "RequisicaoInvalida")),
    "a type of another resource": ("GET", f"/cob/{TXID}", problem(404, "PixNaoEncontrado")),
    "a type of another status": ("GET", f"/cob/{TXID}", problem(404, "CobConsultaInvalida")),
    "a type of another operation": ("GET", "/cob", problem(400, "CobOperacaoInvalida")),
    "a masculine type": ("GET", f"/cobv/{TXID}", problem(404, "CobVNaoEncontrado")),
    "an unknown type": ("GET", f"/cob/{TXID}", problem(404, "Unknown")),
    "another status within": ("GET", f"/cob/{TXID}", answer(404, PROBLEM | {"status": 400})),
    "a problem as plain JSON": ("GET", f"/cob/{TXID}", answer(404, PROBLEM)),
    "a problem without a title": (
        "GET",
        f"/cob/{TXID}",
        answer(404, {k: v for k, v in PROBLEM.items() if k != "title"}, PROBLEM_JSON),
    ),
    "a violation that is no object": (
        "GET",
        f"/cob/{TXID}",
        answer(404, PROBLEM | {"violacoes": ["cob"]}, PROBLEM_JSON),
    ),
    "a value of a violation that is a number": (
        "GET",
        f"/cob/{TXID}",
        answer(404, PROBLEM | {"violacoes": [{"valor": 1}]}, PROBLEM_JSON),
    ),
    "a success as a problem": ("GET", f"/cob/{TXID}", answer(200, COB, PROBLEM_JSON)),
    "a success as HTML": ("GET", f"/cob/{TXID}", answer(200, COB, "text/html")),
    "no media type": ("GET", f"/cob/{TXID}", answer(200, COB, "")),
    "401 without WWW-Authenticate": ("GET", "/cob", problem(401, "AcessoNegado")),
    "401 that asks for Basic": (
        "GET",
        "/cob",
        problem(401, "AcessoNegado", www_authenticate="Basic"),
    ),
    "429 without Retry-After": ("GET", "/cob", problem(429, "RequisicaoInvalida")),
    "503 without Retry-After": ("GET", "/cob", problem(503, "ServicoIndisponivel")),
    "405 without Allow": ("DELETE", "/cob", problem(405, "RequisicaoInvalida")),
    "a location without its header": (
        "POST",
        "/loc",
        answer(201, {"id": 1, "location": "a.b/1", "tipoCob": "cob", "criacao": NOW}),
    ),
    "a body where there is none": ("PUT", "/webhook/12345678909", answer(200, {})),
    "a body after a deletion": ("DELETE", "/webhook/12345678909", answer(204, {})),
    "no body": ("GET", f"/cob/{TXID}", answer(200, b"")),
    "half a body": ("GET", f"/cob/{TXID}", answer(200, json.dumps(COB).encode()[:-1])),
    "NaN": ("GET", f"/cob/{TXID}", answer(200, b'{"revisao": NaN}')),
    "bytes that are not UTF-8": ("GET", f"/cob/{TXID}", answer(200, b'"\xff"')),
    "a missing member": (
        "GET",
        f"/cob/{TXID}",
        answer(200, {k: v for k, v in COB.items() if k != "revisao"}),
    ),
    "a number as text": ("GET", f"/cob/{TXID}", answer(200, COB | {"revisao": "0"})),
    "a sum as a number": ("GET", f"/cob/{TXID}", answer(200, COB | {"valor": {"original": 1.0}})),
    "a sum of three decimals": (
        "GET",
        f"/cob/{TXID}",
        answer(200, COB | {"valor": {"original": "1.000"}}),
    ),
    "a sum and a newline": (
        "GET",
        f"/cob/{TXID}",
        answer(200, COB | {"valor": {"original": "1.00\n"}}),
    ),
    "a sum of other digits": (
        "GET",
        f"/cob/{TXID}",
        answer(200, COB | {"valor": {"original": "\u0661.\u0660\u0660"}}),
    ),
    "a txid that is too long": ("GET", f"/cob/{TXID}", answer(200, COB | {"txid": "a" * 36})),
    "an unknown status of a charge": (
        "GET",
        f"/cob/{TXID}",
        answer(200, COB | {"status": "EXPIRADA"}),
    ),
    "a time without an offset": (
        "GET",
        f"/cob/{TXID}",
        answer(200, COB | {"calendario": {"criacao": NOW[:-1], "expiracao": 1}}),
    ),
    "a time that does not exist": (
        "GET",
        f"/cob/{TXID}",
        answer(200, COB | {"calendario": {"criacao": "2026-02-30T00:00:00Z", "expiracao": 1}}),
    ),
    "null for an absent member": ("GET", f"/cob/{TXID}", answer(200, COB | {"devedor": None})),
    "an unknown path that succeeds": ("GET", "/nothing", answer(200, {})),
    "an unknown method that succeeds": ("DELETE", f"/cob/{TXID}", answer(204, b"")),
}


@pytest.mark.parametrize(("method", "path", "right"), RIGHT)
def test_a_right_answer_passes(method, path, right):
    check_answer(method, path, right)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_refused(name):
    method, path, wrong = WRONG[name]
    with pytest.raises(ContractBroken, match=f"{method} {path} answered {wrong.status}"):
        check_answer(method, path, wrong)


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", "/api-pix/v2/cob/abc", "/cob/{txid}"),
        ("GET", "/api-pix/cob/abc/", "/cob/{txid}"),
        ("GET", "/cob?inicio=a/b", "/cob"),
        ("GET", "/api-pix/v2/cobv/", "/cobv"),
        ("PUT", "/pix/E1/devolucao/1", "/pix/{e2eid}/devolucao/{id}"),
        ("POST", "/cob/pagar/abc", "/cob/pagar/{txid}"),
        ("POST", "/cob/abc", None),
        ("GET", "/", None),
    ],
)
def test_a_path_belongs_to_an_operation(method, path, template):
    assert template_of(method, path) == template


def test_the_message_names_every_fault():
    """All faults at once: a test that must be run again for each fault costs an hour."""
    wrong = answer(200, COB | {"revisao": "0", "valor": {"original": "1,00"}})
    with pytest.raises(ContractBroken) as refusal:
        check_answer("GET", f"/cob/{TXID}", wrong)
    assert "revisao: " in str(refusal.value)
    assert "valor.original: " in str(refusal.value)


def test_a_request_that_is_called_valid_is_valid():
    assert valid_body("PUT", f"/cob/{TXID}", VALID_BODY) == VALID_BODY
    with pytest.raises(ContractBroken, match="original"):
        valid_body("PUT", f"/cob/{TXID}", {**VALID_BODY, "valor": {"original": "1"}})
    with pytest.raises(ContractBroken, match="takes no body"):
        valid_body("GET", f"/cob/{TXID}", VALID_BODY)
    with pytest.raises(ContractBroken, match="has no POST"):
        valid_body("POST", f"/cob/{TXID}", VALID_BODY)


CALLBACK = {
    "endToEndId": "E12345678202009091221abcdef12345",
    "txid": TXID,
    "valor": "110.00",
    "horario": NOW,
}


def test_a_callback_in_the_form_of_the_standard_passes():
    check_callback({"pix": [CALLBACK, {**CALLBACK, "txid": "1"}]})


@pytest.mark.parametrize(
    "wrong",
    [
        CALLBACK,
        {},
        {"pix": []},
        {"pix": CALLBACK},
        {"pix": [{**CALLBACK, "valor": 110}]},
        {"pix": [{**CALLBACK, "txid": "a" * 36}]},
        {"pix": [{**CALLBACK, "devolucoes": {}}]},
        {"pix": [{name: value for name, value in CALLBACK.items() if name != "horario"}]},
    ],
)
def test_a_callback_in_another_form_is_refused(wrong):
    with pytest.raises(ContractBroken, match="the callback is wrong"):
        check_callback(wrong)


@pytest.fixture
def api():
    """An API that answers with what the request asks for."""
    app = Flask(__name__)

    @app.route("/api-pix/v2/<path:rest>", methods=["GET", "PUT"])
    def echo(rest):
        body = COB if rest == f"cob/{TXID}" else {}
        status = 201 if request.method == "PUT" else 200
        return Response(json.dumps(body), status, content_type=JSON)

    return PixApi(app.test_client(), token="secret")


def test_every_answer_of_the_test_client_is_checked(api):
    assert api.get(f"/cob/{TXID}").json == COB
    with pytest.raises(ContractBroken):
        api.get("/pix/" + "E" * 32)
    assert api.calls == 2


def test_an_accepted_body_must_be_valid_or_explained(api):
    """A test that calls its body valid by mistake would hide what the service accepts."""
    numeral = {**VALID_BODY, "calendario": {"expiracao": "3600"}}
    assert api.put(f"/cob/{TXID}", VALID_BODY).status == 201
    assert api.put(f"/cob/{TXID}", numeral, dialect="a number as text").status == 201
    with pytest.raises(ContractBroken, match="expiracao"):
        api.put(f"/cob/{TXID}", numeral)


def test_the_client_of_every_application_checks(app):
    """The other tests use the client of the fixture, so none of them can forget the check."""

    @app.after_request
    def change_type(response):
        response.content_type = "text/plain"
        return response

    with pytest.raises(ContractBroken, match="GET /api-pix/v2/nothing answered 404 as 'text/plain"):
        app.test_client().get("/api-pix/v2/nothing")
    assert app.test_client().get("/api-pix/openapi.json").status_code == 200
