"""The served document of API Pix: written from the official one, cut to what is routed."""

from __future__ import annotations

import json

import pytest

from blueprints.pix_api.document import (
    FILE,
    cut_to,
    documented_operations,
    routed_shapes,
    shape_of,
    whole_document,
)
from scripts.api_pix.additions import EXTENSION, GENERAL_TYPES
from scripts.api_pix.official import nodes, official_document, operations, resolved
from scripts.api_pix.problem_types import TYPE_BASE, statuses, types_of_operations
from scripts.api_pix.served import BASE, TOKEN_URL, validator_of, written_document, written_text

LOCATIONS = {"/{pixUrlAccessToken}", "/cobv/{pixUrlAccessToken}", "/rec/{recUrlAccessToken}"}


@pytest.fixture
def routed(app):
    """The routes of API Pix in the application."""
    return routed_shapes(app.url_map.iter_rules(), BASE)


def test_the_file_is_what_the_tool_writes():
    """`make openapi` writes it anew after a change of a mend or an addition."""
    assert FILE.read_text(encoding="utf-8") == written_text()


def test_all_operations_but_the_locations_are_there():
    official = {(method, path) for method, path, _ in operations(official_document())}
    extensions = {
        (method, path)
        for method, path, operation in operations(whole_document())
        if operation.get(EXTENSION)
    }
    here = set(documented_operations(whole_document()))
    assert here - extensions == {pair for pair in official if pair[1] not in LOCATIONS}
    assert len(here - extensions) == 48
    assert not extensions & official


def test_the_served_document_has_what_is_routed_and_nothing_else(client, routed):
    """A document of operations that answer 404 would mislead a generated client."""
    answer = client.get("/api-pix/openapi.json")
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    served = {(method, shape_of(path)) for method, path in documented_operations(answer.json)}
    assert served == routed
    assert answer.json["servers"] == [{"url": BASE}]
    flow = answer.json["components"]["securitySchemes"]["OAuth2"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == TOKEN_URL


def test_a_route_brings_its_operation_and_what_that_refers_to():
    """The operations that are not routed yet come by themselves."""
    whole = whole_document()
    one = cut_to(whole, {("GET", "/cob/{}")})
    assert documented_operations(one) == [("GET", "/cob/{txid}")]
    assert "parameters" in one["paths"]["/cob/{txid}"]
    assert [tag["name"] for tag in one["tags"]] == ["Cob"]
    assert {"CobCompleta", "Pix", "Devolucao", "Problema"} <= set(one["components"]["schemas"])
    assert "RecCompleta" not in one["components"]["schemas"]
    assert cut_to(whole, set())["paths"] == {}
    every = {(method, shape_of(path)) for method, path in documented_operations(whole)}
    assert documented_operations(cut_to(whole, every)) == documented_operations(whole)


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/cob/<txid>", "/cob/{}"),
        ("/pix/<string(length=32):e2eid>/devolucao/<id>", "/pix/{}/devolucao/{}"),
        ("/webhook/<path:chave>", "/webhook/{}"),
        ("/pix/{e2eid}/devolucao/{id}", "/pix/{}/devolucao/{}"),
        ("/cob", "/cob"),
    ],
)
def test_a_rule_and_a_documented_path_have_one_shape(path, shape):
    assert shape_of(path) == shape


def test_every_reference_leads_somewhere():
    whole = whole_document()
    references = [
        node["$ref"] for _, node in nodes(whole) if isinstance(node, dict) and "$ref" in node
    ]
    assert len(references) > 100
    assert all(resolved(whole, {"$ref": reference}) for reference in references)


def test_every_example_of_the_document_is_true():
    """Tools send the examples of a document, and people copy them."""
    whole = whole_document()
    count = 0
    for _, node in nodes(whole):
        if isinstance(node, dict) and "examples" in node and "schema" in node:
            for name, example in node["examples"].items():
                faults = list(validator_of(node["schema"], whole).iter_errors(example["value"]))
                assert faults == [], name
                count += 1
    assert count > 40


def test_each_type_of_error_belongs_to_an_operation_or_to_all():
    """The 44 types of the official text, each with its status."""
    specific = {name for names in types_of_operations().values() for name in names}
    general = set(GENERAL_TYPES.values()) | {
        "PermanentementeRemovido",
        "ErroInternoDoServidor",
        "IndisponibilidadePorTempoEsgotado",
    }
    assert len(statuses()) == 44
    assert specific | general == set(statuses())
    assert not specific & general


def test_each_operation_names_its_types_of_errors():
    whole = whole_document()
    cob = whole["paths"]["/cob/{txid}"]["get"]["responses"]
    types = cob["404"]["content"]["application/problem+json"]["schema"]["allOf"][1]
    assert types["properties"]["type"]["enum"] == [
        f"{TYPE_BASE}CobNaoEncontrado",
        f"{TYPE_BASE}NaoEncontrado",
    ]
    for method, path, operation in operations(whole):
        errors = {int(status) for status in operation["responses"] if int(status) >= 400}
        assert {400, 401, 403, 429, 503} <= errors, (method, path)
        assert ({413, 415} <= errors) == ("requestBody" in operation), (method, path)
        assert (404 in errors) >= ("{" in path), (method, path)


def test_the_document_is_made_of_copies():
    """Each answer of the full document must be able to change without the others."""
    first, second = written_document(), written_document()
    first["paths"]["/cob"]["get"]["responses"].clear()
    assert second["paths"]["/cob"]["get"]["responses"]
    assert json.dumps(second) == json.dumps(written_document())
