"""What all operations of API Pix share: the form of errors, the spellings of paths, the lists."""

from __future__ import annotations

import pytest

from blueprints.pix_api import lists, problems
from blueprints.pix_api.problems import PixProblem
from blueprints.pix_api.setup import one_spelling

DAY = {"inicio": "2026-01-01T00:00:00Z", "fim": "2026-01-02T00:00:00Z"}


@pytest.fixture
def window(app):
    """Read the window of a query: `window(inicio=…)`."""

    def read(filters=None, **query):
        with app.test_request_context(query_string=query):
            return lists.read_window("CobConsultaInvalida", filters)

    return read


def test_each_type_is_one_of_the_standard():
    assert len(problems.TYPES) == 44
    feminine = [name for name in problems.TYPES if name.endswith("Encontrada")]
    assert len(feminine) == 4
    assert all(
        kind.status in (400, 403, 404, 410, 500, 503, 504) for kind in problems.TYPES.values()
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api-pix/v2/nothing", 404), ("POST", "/api-pix/", 404), ("GET", "/api-pix", 404)],
)
def test_an_unknown_path_gets_a_problem_of_the_standard(client, method, path, status):
    answer = client.open(path, method=method, headers={"Accept": "text/html"})
    assert answer.status_code == status
    if path != "/api-pix":
        assert answer.content_type == "application/problem+json"
        assert answer.json["type"] == f"{problems.TYPE_BASE}NaoEncontrado"
        assert answer.json["status"] == status
        assert answer.json["correlationId"] == answer.headers["X-Request-ID"]


def test_other_paths_keep_their_own_form(client):
    assert client.get("/api-pixel/nothing").json["code"] == "not-found"


@pytest.mark.parametrize(
    ("path", "spelling"),
    [
        ("/api-pix/v2/cob/abc", "/api-pix/v2/cob/abc"),
        ("/api-pix/cob/abc/", "/api-pix/v2/cob/abc"),
        ("/api-pix/v2/cobv/", "/api-pix/v2/cobv"),
        ("/api-pix/oauth/token/", "/api-pix/oauth/token"),
        ("/api-pix/v2/oauth/token", "/api-pix/oauth/token"),
        ("/api-pix/openapi.json", "/api-pix/openapi.json"),
    ],
)
def test_a_path_has_one_spelling(path, spelling):
    assert one_spelling(path) == spelling
    assert one_spelling(spelling) == spelling


def test_a_window_has_defaults_and_counts_its_pages(window):
    default = window(**DAY)
    assert (default.page, default.size, default.offset) == (0, 100, 0)
    parameters = window(**DAY, **{"paginacao.itensPorPagina": "2"}).parameters(5)
    assert parameters["paginacao"] == {
        "paginaAtual": 0,
        "itensPorPagina": 2,
        "quantidadeDePaginas": 3,
        "quantidadeTotalDeItens": 5,
    }
    assert default.parameters(0)["paginacao"]["quantidadeDePaginas"] == 1


def test_a_plus_that_arrived_as_a_space_is_read(window):
    query = {"inicio": "2026-01-01T00:00:00+00:00".replace("+", " "), "fim": DAY["fim"]}
    assert window(**query).parameters(0)["inicio"] == "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ({}, ["inicio", "fim"]),
        ({"inicio": "yesterday", "fim": "2026-02-30T00:00:00Z"}, ["inicio", "fim"]),
        ({"inicio": DAY["fim"], "fim": DAY["inicio"]}, ["fim"]),
        (DAY | {"paginacao.paginaAtual": "-1"}, ["paginacao.paginaAtual"]),
        (DAY | {"paginacao.itensPorPagina": "0"}, ["paginacao.itensPorPagina"]),
        (DAY | {"paginacao.itensPorPagina": "1001"}, ["paginacao.itensPorPagina"]),
        (DAY | {"cpf": "12345678900", "cnpj": "1\x00"}, ["cpf", "cnpj"]),
        (DAY | {"cpf": "12345678909", "cnpj": "12345678000195"}, ["cpf"]),
    ],
)
def test_every_violation_of_a_query_is_named(window, query, paths):
    filters = {"cpf": lists.read_cpf, "cnpj": lists.read_cnpj}
    with pytest.raises(PixProblem) as refusal:
        window(filters, **query)
    assert refusal.value.type.status == 400
    assert [violation.path for violation in refusal.value.violations] == paths
