"""The errors of API Pix: a type of the standard, and every violation at once.

Source: API Pix 2.9.0, section *Tratamento de erros* and schema `Problema` (RFC 7807).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, current_app, g

from core.errors import FieldError
from web import problems

PREFIX = "/api-pix"
LOCATIONS, RECURRENCE_LOCATIONS = "/qr/v2", "/qr/v2/rec"
KEY_SET = "/qr/v2/jwks"
TYPE_BASE = "https://pix.bcb.gov.br/api/v2/error/"
_VALUE_CHARACTERS_MAX = 200


@dataclass(frozen=True)
class ProblemType:
    """A type of error: the end of its URI, its HTTP status and its title."""

    name: str
    status: int
    title: str


_TITLES: tuple[tuple[str, int, str], ...] = (
    ("RequisicaoInvalida", 400, "Requisição inválida."),
    ("AcessoNegado", 403, "Acesso negado."),
    ("NaoEncontrado", 404, "Não encontrado."),
    ("PermanentementeRemovido", 410, "Permanentemente removido."),
    ("ErroInternoDoServidor", 500, "Erro interno do servidor."),
    ("ServicoIndisponivel", 503, "Serviço indisponível."),
    ("IndisponibilidadePorTempoEsgotado", 504, "Tempo esgotado."),
    ("CobPayloadNaoEncontrado", 404, "Cobrança não encontrada."),
    ("CobPayloadOperacaoInvalida", 400, "Consulta da cobrança inválida."),
    ("RecPayloadNaoEncontrado", 404, "Recorrência não encontrada."),
    ("RecPayloadOperacaoInvalida", 400, "Consulta da recorrência inválida."),
    ("CobNaoEncontrado", 404, "Cobrança não encontrada."),
    ("CobOperacaoInvalida", 400, "Cobrança inválida."),
    ("CobConsultaInvalida", 400, "Consulta de cobranças inválida."),
    ("CobVNaoEncontrada", 404, "Cobrança com vencimento não encontrada."),
    ("CobVOperacaoInvalida", 400, "Cobrança com vencimento inválida."),
    ("CobVConsultaInvalida", 400, "Consulta de cobranças com vencimento inválida."),
    ("LoteCobVNaoEncontrado", 404, "Lote de cobranças não encontrado."),
    ("LoteCobVOperacaoInvalida", 400, "Lote de cobranças inválido."),
    ("LoteCobVConsultaInvalida", 400, "Consulta de lotes de cobranças inválida."),
    ("PayloadLocationNaoEncontrado", 404, "Location não encontrada."),
    ("PayloadLocationOperacaoInvalida", 400, "Location inválida."),
    ("PayloadLocationConsultaInvalida", 400, "Consulta de locations inválida."),
    ("PayloadLocationRecNaoEncontrado", 404, "Location de recorrência não encontrada."),
    ("PayloadLocationRecConsultaInvalida", 400, "Consulta de locations de recorrência inválida."),
    ("PixNaoEncontrado", 404, "Pix não encontrado."),
    ("PixConsultaInvalida", 400, "Consulta de Pix inválida."),
    ("PixDevolucaoNaoEncontrada", 404, "Devolução não encontrada."),
    ("PixDevolucaoInvalida", 400, "Devolução inválida."),
    ("WebhookNaoEncontrado", 404, "Webhook não encontrado."),
    ("WebhookOperacaoInvalida", 400, "Webhook inválido."),
    ("WebhookConsultaInvalida", 400, "Consulta de webhooks inválida."),
    ("WebhookRecOperacaoInvalida", 400, "Webhook de recorrências inválido."),
    ("WebhookRecConsultaInvalida", 400, "Consulta do webhook de recorrências inválida."),
    ("WebhookCobROperacaoInvalida", 400, "Webhook de cobranças recorrentes inválido."),
    ("WebhookCobRConsultaInvalida", 400, "Consulta do webhook de cobranças recorrentes inválida."),
    ("RecNaoEncontrada", 404, "Recorrência não encontrada."),
    ("RecOperacaoInvalida", 400, "Recorrência inválida."),
    ("RecConsultaInvalida", 400, "Consulta de recorrências inválida."),
    ("SolicRecNaoEncontrada", 404, "Solicitação de recorrência não encontrada."),
    ("SolicRecOperacaoInvalida", 400, "Solicitação de recorrência inválida."),
    ("CobRNaoEncontrado", 404, "Cobrança recorrente não encontrada."),
    ("CobROperacaoInvalida", 400, "Cobrança recorrente inválida."),
    ("CobRConsultaInvalida", 400, "Consulta de cobranças recorrentes inválida."),
)
TYPES: Mapping[str, ProblemType] = {entry[0]: ProblemType(*entry) for entry in _TITLES}
"""All types of the standard, by name."""

_GENERAL = {
    401: "AcessoNegado",
    403: "AcessoNegado",
    404: "NaoEncontrado",
    405: "RequisicaoInvalida",
    410: "PermanentementeRemovido",
    503: "ServicoIndisponivel",
    504: "IndisponibilidadePorTempoEsgotado",
}
"""The types of errors that no operation has named, by status; RequisicaoInvalida for others."""


@dataclass(frozen=True)
class Violation:
    """One violation: the reason as a sentence, the dotted path of the field, and what came."""

    reason: str
    path: str
    value: object = None

    def as_json(self) -> dict[str, str]:
        """The member of `violacoes`; values that are not plain are left out."""
        body = {"razao": self.reason, "propriedade": self.path}
        if isinstance(self.value, str | int) and not isinstance(self.value, bool):
            body["valor"] = str(self.value)[:_VALUE_CHARACTERS_MAX]
        return body


class PixProblem(Exception):
    """An error of API Pix, answered in the standard's form."""

    def __init__(self, kind: str, detail: str, violations: Sequence[Violation] = ()) -> None:
        """`kind` is a name of `TYPES`; `detail` a sentence for people."""
        self.type = TYPES[kind]
        self.detail = detail
        self.violations = tuple(violations)
        super().__init__(f"{kind}: {detail}")


def refuse(kind: str, reason: str, path: str, value: object = None) -> PixProblem:
    """The error with one violation, whose reason is the detail as well."""
    return PixProblem(kind, reason, [Violation(reason, path, value)])


def refuse_any(kind: str, faults: Sequence[Violation]) -> None:
    """Raise PixProblem with all these violations, if there are any; the first is the detail."""
    if faults:
        raise PixProblem(kind, faults[0].reason, faults)


def init_problems(app: Flask) -> None:
    """Give errors the standard's form, below /api-pix and at locations."""
    app.register_error_handler(PixProblem, _answer)
    problems.use_form(app, PREFIX, general_problem)
    problems.use_form(app, RECURRENCE_LOCATIONS, recurrence_location_problem)
    problems.use_form(app, LOCATIONS, location_problem, but=KEY_SET)


def _answer(problem: PixProblem) -> Response:
    g.problem_code = problem.type.name
    return _response(problem.type, problem.type.status, problem.detail, problem.violations)


def general_problem(status: int, detail: str, field_errors: Sequence[FieldError] = ()) -> Response:
    """The answer for an error that no operation of the standard names."""
    name = _GENERAL.get(status, "RequisicaoInvalida" if status < 500 else "ErroInternoDoServidor")
    violations = [Violation(error.detail, error.field) for error in field_errors]
    return _response(TYPES[name], status, detail, violations)


def location_problem(status: int, detail: str, field_errors: Sequence[FieldError] = ()) -> Response:
    """The answer of a charge's location to a payer's bank, also where no charge is."""
    return _location_problem("Cob", status, detail, field_errors)


def recurrence_location_problem(
    status: int, detail: str, field_errors: Sequence[FieldError] = ()
) -> Response:
    """The answer of a location of a recurrence to a payer's bank."""
    return _location_problem("Rec", status, detail, field_errors)


def _location_problem(
    resource: str, status: int, detail: str, field_errors: Sequence[FieldError]
) -> Response:
    endings = {400: "OperacaoInvalida", 404: "NaoEncontrado", 410: "NaoEncontrado"}
    if status not in endings:
        return general_problem(status, detail, field_errors)
    violations = [
        Violation(f"O parâmetro {error.field} não é válido: {error.detail}.", error.field)
        for error in field_errors
    ]
    name = f"{resource}Payload{endings[status]}"
    return _response(TYPES[name], status, detail, violations)


def _response(
    kind: ProblemType, status: int, detail: str, violations: Sequence[Violation]
) -> Response:
    body = {
        **problem_object(kind, status, detail, violations),
        "correlationId": g.get("request_id", ""),
    }
    return Response(current_app.json.dumps(body), status, content_type="application/problem+json")


def problem_object(
    kind: ProblemType, status: int, detail: str, violations: Sequence[Violation]
) -> dict[str, Any]:
    """A `Problema` of no particular request."""
    body: dict[str, Any] = {
        "type": f"{TYPE_BASE}{kind.name}",
        "title": kind.title,
        "status": status,
        "detail": detail,
    }
    if violations:
        body["violacoes"] = [violation.as_json() for violation in violations]
    return body
