"""The mends of the official document of API Pix: each is needed, and none changes a valid rule."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from functools import cache
from typing import Any

import pytest

from blueprints.pix_api.document import shape_of
from scripts.api_pix.mends import MENDS, Change, Mend, apply, mended_document
from scripts.api_pix.official import (
    OFFICIAL_FILE,
    SHA256,
    Document,
    example_value,
    nodes,
    official_document,
    operations,
    resolved,
)
from scripts.api_pix.served import validator_of

CPF, CNPJ = "12345678909", "12345678000195"
TXID, E2EID = "a" * 26, "E" * 32
NOW = "2026-11-20T12:00:00.000Z"
SAQUE = {
    "valor": "5.00",
    "modalidadeAgente": "AGTEC",
    "prestadorDoServicoDeSaque": "12345678",
}
PERSON = {"cpf": CPF, "nome": "Ana"}
PAGES = {
    "paginaAtual": 0,
    "itensPorPagina": 100,
    "quantidadeDePaginas": 1,
    "quantidadeTotalDeItens": 0,
}
SPAN = {"inicio": NOW, "fim": NOW, "paginacao": PAGES}
COB_ASKED = {"valor": {"original": "1.00"}, "chave": CPF}
LOC = {"id": 1, "location": "example.com/qr/v2/abc", "tipoCob": "cob", "criacao": NOW}
COB = {
    "txid": TXID,
    "calendario": {"criacao": NOW, "expiracao": 3600},
    "revisao": 0,
    "status": "ATIVA",
    **COB_ASKED,
}
PIX = {"endToEndId": E2EID, "valor": "1.00", "horario": NOW}
SELLER = {
    "cnpj": CNPJ,
    "nome": "Loja",
    "logradouro": "Rua",
    "cidade": "Recife",
    "uf": "PE",
    "cep": "50000000",
}
COBV = {
    "txid": TXID,
    "calendario": {"criacao": NOW, "dataDeVencimento": "2026-12-01", "validadeAposVencimento": 1},
    "revisao": 0,
    "status": "ATIVA",
    "devedor": PERSON,
    "recebedor": SELLER,
    **COB_ASKED,
}
REC_ASKED = {
    "vinculo": {"contrato": "1", "devedor": PERSON},
    "calendario": {"dataInicial": "2026-12-01", "periodicidade": "MENSAL"},
    "politicaRetentativa": "NAO_PERMITE",
}
SOLIC_ASKED = {
    "idRec": "R" * 29,
    "calendario": {"dataExpiracaoSolicitacao": NOW},
    "destinatario": {"conta": "1", "ispbParticipante": "12345678", "cpf": CPF},
}
REC_PAYLOAD = {
    "idRec": "R" * 29,
    **REC_ASKED,
    "recebedor": {"cnpj": CNPJ, "nome": "Loja", "ispbParticipante": "12345678"},
    "atualizacao": [{"status": "CRIADA", "data": NOW}],
}
SOLIC = {
    **SOLIC_ASKED,
    "idSolicRec": "S" * 29,
    "status": "CRIADA",
    "atualizacao": [{"status": "CRIADA", "data": NOW}],
    "recPayload": REC_PAYLOAD,
}
HOOK = {"webhookUrl": "https://example.com/a", "criacao": NOW}

# A value that the official document refuses although its own text, examples or other schemas allow
# it; the mend makes it valid.
LEGAL: dict[str, tuple[str, Any]] = {
    "pattern-slashes": ("PessoaFisica", PERSON),
    "txid-of-pix": ("Pix", {**PIX, "txid": "short"}),
    "calendario-of-cob": ("CobSolicitada", COB_ASKED),
    "tipoCob-in-requests": ("CobSolicitada", {**COB_ASKED, "loc": {"id": 1}}),
    "txid-in-loc": ("CobGerada", {**COB, "loc": LOC}),
    "location-without-scheme": ("PayloadLocation", LOC),
    "location-of-cobv": ("CobVGerada", COBV),
    "exclusive-alternatives": ("CobValor", {"original": "0.00", "retirada": {"saque": SAQUE}}),
    "same-alternatives": ("RecRevisada", {"vinculo": {"devedor": {"nome": "Ana"}}}),
    "idCob-in-lists": ("CobsConsultadas", {"parametros": SPAN, "cobs": [COB]}),
    "pix-in-lists": ("PixConsultados", {"parametros": SPAN, "pix": [PIX]}),
    "address-of-recebedor": ("DadosRecebedor", {"recebedor": SELLER}),
    "bank-of-pagador": (
        "DadosPagadorRec",
        {"pagador": {"ispbParticipante": "12345678", "cpf": CPF}},
    ),
    "tipo-of-locrec": (
        "PayloadLocationRecGerada",
        {"id": 1, "location": "example.com/rec/1", "criacao": NOW},
    ),
    "members-of-rec": ("RecSolicitada", REC_ASKED),
    "pagador-of-solicrec": ("SolicRecSolicitada", SOLIC_ASKED),
    "rec-of-solicrec": ("SolicRecCompleta", SOLIC),
    "quote-in-atualizacao": (
        "RecNotification",
        {k: REC_PAYLOAD[k] for k in ("idRec", "atualizacao")} | {"status": "CRIADA"},
    ),
    "chave-of-webhook": ("WebhookCompleto", {**HOOK, "chave": CPF}),
    "valor-of-automatic-pix": ("PixAutomatico", {**PIX, "txid": TXID}),
}
# A value that the official document lets pass although its text forbids it; the mend refuses it.
ILLEGAL: dict[str, tuple[str, Any]] = {
    "pattern-anchors": ("TxId", f"{TXID}-{TXID}"),
    "number-of-infoAdicionais": ("CobBase", {"infoAdicionais": [{"nome": "a", "valor": "b"}] * 51}),
}
# A fault of the document as such, which the mend removes.
FAULTS = {
    "default-of-expiracao": "the default '86400' is no integer",
    "loc-id-in-requests": "a request sends the readOnly id",
    "revisao-in-queries": "a query sends the readOnly revisao",
    "location-paths": "/cobv/{} is there twice",
}
# What stays forbidden next to each mend.
REFUSED: dict[str, tuple[str, Any]] = {
    "pattern-slashes": ("PessoaFisica", {**PERSON, "cpf": "1234567890"}),
    "txid-of-pix": ("Pix", {**PIX, "txid": "a" * 36}),
    "pattern-anchors": ("CobValor", {"original": "1.000"}),
    "default-of-expiracao": ("CobExpiracao", {"expiracao": "3600"}),
    "calendario-of-cob": ("CobSolicitada", {"valor": {"original": "1.00"}}),
    "number-of-infoAdicionais": ("CobBase", {"infoAdicionais": [{"nome": "a"}]}),
    "loc-id-in-requests": ("CobSolicitada", {**COB_ASKED, "loc": {"id": "1"}}),
    "revisao-in-queries": ("Revisao", "0"),
    "tipoCob-in-requests": ("CobSolicitada", {**COB_ASKED, "loc": {"tipoCob": "cob"}}),
    "txid-in-loc": ("CobGerada", {**COB, "loc": {k: LOC[k] for k in ("id", "location")}}),
    "location-without-scheme": ("PayloadLocation", {**LOC, "location": "a" * 78}),
    "location-of-cobv": ("CobVGerada", {k: v for k, v in COBV.items() if k != "recebedor"}),
    "exclusive-alternatives": (
        "CobValor",
        {"original": "1.00", "retirada": {"saque": SAQUE, "troco": SAQUE}},
    ),
    "same-alternatives": ("RecRevisada", {"vinculo": {"devedor": {"cpf": CPF}}}),
    "idCob-in-lists": ("CobsConsultadas", {"parametros": SPAN, "cobs": [{**COB, "status": "X"}]}),
    "pix-in-lists": ("PixConsultados", {"parametros": SPAN, "cobs": []}),
    "address-of-recebedor": (
        "DadosRecebedor",
        {"recebedor": {k: v for k, v in SELLER.items() if k != "uf"}},
    ),
    "bank-of-pagador": ("DadosPagadorRec", {"pagador": {"cpf": CPF}}),
    "tipo-of-locrec": ("PayloadLocationRecGerada", {"id": 1, "criacao": NOW}),
    "members-of-rec": ("RecPayload", {k: v for k, v in REC_PAYLOAD.items() if k != "idRec"}),
    "pagador-of-solicrec": (
        "SolicRecSolicitada",
        {k: v for k, v in SOLIC_ASKED.items() if k != "destinatario"},
    ),
    "rec-of-solicrec": ("SolicRecCompleta", {k: v for k, v in SOLIC.items() if k != "recPayload"}),
    "quote-in-atualizacao": ("RecNotification", {"idRec": "R" * 29, "status": "CRIADA"}),
    "chave-of-webhook": ("WebhookCompleto", {**HOOK, "cnpj": CNPJ}),
    "valor-of-automatic-pix": ("PixAutomatico", {**PIX, "txid": TXID, "valor": "1,00"}),
}
# Why an official example contradicts the mended document: the example is wrong, by the rule that
# the schema states. Faults as `member path: message`.
WRONG_EXAMPLES = {
    r"\bloc: \"(criacao|tipoCob)\" is a required": "a location always has its type and creation",
    r"^(lotes\.\d+|the value): \"id\" is a required": "a batch always has its id",
    r"endToEndId: \"E\w{33}\" ": "34 characters instead of 32",
    r"^webhooks\.0: \"chave\" is a required": "it refers to the example of another webhook",
    r"atualizacao\.\d: \"status\" is a required": "the history names the status `situacao`",
    r"objeto: .* is longer than 35": "36 characters instead of 35",
    r"^ativacao: \"tipoJornada\" is a required": "an answer always has the type of journey",
    r"^recPayload(\.recebedor: \"ispbPart|: \"politicaR).* is a required": "an older form",
    r"^recebedor: \"(cnpj|nome)\" is a required": "the receiver's name is missing",
    r"\bcep: \"\d{5}-\d{3}\" is longer than 8": "a hyphen; the length allows digits only",
    r"tipoConta: \"POUPANÇA\" is not one of": "the enumeration has no cedilla",
    r"^tentativas\.\d: \"atualizacao\" is a required": "an attempt always has its history",
    r"modalidade: \"\d\" is not of type \"integer\"": "a number as text",
}


def faults(document: Document, schema: dict[str, Any], value: Any) -> set[str]:
    """What is wrong with a value, as `member path: message`."""
    return {
        f"{'.'.join(map(str, fault.instance_path)) or 'the value'}: {fault.message}"
        for fault in validator_of(schema, document).iter_errors(value)
    }


def faults_of(document: Document, name: str, value: Any) -> set[str]:
    return faults(document, {"$ref": f"#/components/schemas/{name}"}, value)


def faults_of_document(document: Document) -> set[str]:
    """What is wrong with a document as such."""
    wrong = set()
    shapes = Counter(shape_of(path) for path in document["paths"])
    wrong |= {f"{shape} is there twice" for shape, count in shapes.items() if count > 1}
    for _, node in nodes(document["components"]["schemas"]):
        if isinstance(node, dict) and "default" in node and node.get("type") == "integer":
            default = node["default"]
            if not isinstance(default, int):
                wrong.add(f"the default {default!r} is no integer")
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            schema = resolved(document, resolved(document, parameter)["schema"])
            if schema.get("readOnly"):
                wrong.add(f"a query sends the readOnly {parameter['name']}")
    for _, name, schema in _requested_members(document):
        if schema.get("readOnly"):
            wrong.add(f"a request sends the readOnly {name}")
    return wrong


def _requested_members(document: Document) -> list[tuple[str, str, dict[str, Any]]]:
    """The members of the schemas that requests refer to, and of the parts that those name."""
    pending = [
        node["schema"]
        for _, node in nodes(document["components"]["requestBodies"])
        if isinstance(node, dict) and "schema" in node
    ]
    visited: set[tuple[str, str]] = set()
    members = []
    while pending:
        for pointer, node in nodes(pending.pop()):
            if not isinstance(node, dict):
                continue
            name = pointer.rpartition("/")[2]
            reference = node.get("$ref")
            if isinstance(reference, str) and (reference, name) not in visited:
                visited.add((reference, name))
                target = resolved(document, node)
                members.append((reference, name, target))
                pending.append(target)
    return members


@cache
def without(name: str) -> Document:
    """The document with all mends but this."""
    return apply(official_document(), tuple(mend for mend in MENDS if mend.name != name))


def examples(document: Document) -> list[tuple[str, dict[str, Any], Any]]:
    """Name, schema and value of each example of a request or an answer."""
    places = {
        "paths": document["paths"],
        **{kind: document["components"][kind] for kind in ("requestBodies", "responses")},
    }
    return [
        (example["$ref"].rpartition("/")[2], node["schema"], example_value(document, example))
        for _, node in nodes(places)
        if isinstance(node, dict) and "examples" in node and "schema" in node
        for example in node["examples"].values()
    ]


def test_the_official_document_is_unmodified():
    """A reader who compares our copy with Banco Central's must find the same bytes."""
    assert hashlib.sha256(OFFICIAL_FILE.read_bytes()).hexdigest() == SHA256
    assert len(list(operations(official_document()))) == 51


def test_each_mend_is_proven():
    names = [mend.name for mend in MENDS]
    assert len(set(names)) == len(names)
    assert {*LEGAL, *ILLEGAL, *FAULTS} == set(names)
    assert {*REFUSED} == set(names) - {"location-paths"}
    assert all(mend.changes(official_document()) for mend in MENDS)


@pytest.mark.parametrize("name", LEGAL)
def test_a_legal_value_needs_the_mend(name):
    schema, value = LEGAL[name]
    assert faults_of(mended_document(), schema, value) == set()
    assert faults_of(without(name), schema, value)


@pytest.mark.parametrize("name", ILLEGAL)
def test_an_illegal_value_needs_the_mend(name):
    schema, value = ILLEGAL[name]
    assert faults_of(mended_document(), schema, value)
    assert faults_of(without(name), schema, value) == set()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_document_needs_the_mend(name):
    assert FAULTS[name] in faults_of_document(without(name))
    assert FAULTS[name] not in faults_of_document(mended_document())


def test_the_mended_document_has_no_such_fault():
    assert faults_of_document(mended_document()) == set()


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_forbidden_beside_a_mend_stays_forbidden(name):
    schema, value = REFUSED[name]
    assert faults_of(mended_document(), schema, value)


def test_an_example_that_was_valid_stays_valid():
    """A mend that refused an official example would change a rule."""
    mended = mended_document()
    checked = 0
    for name, schema, value in examples(official_document()):
        if not faults(official_document(), schema, value):
            assert faults(mended, schema, value) == set(), name
            checked += 1
    assert checked > 20


def test_every_example_that_still_fails_is_explained():
    """An unexplained failure may be a contradiction that nobody has looked at."""
    unexplained, used = [], set()
    for name, schema, value in examples(mended_document()):
        for fault in faults(mended_document(), schema, value):
            reasons = [pattern for pattern in WRONG_EXAMPLES if re.search(pattern, fault)]
            used.update(reasons)
            if not reasons:
                unexplained.append(f"{name}: {fault}")
    assert unexplained == []
    assert used == set(WRONG_EXAMPLES)


def test_a_mend_of_another_document_is_refused():
    """A later version of API Pix may have mended the place itself, or moved it."""
    strange = Mend("strange", "", "", lambda _: [Change("/info/version", "1.0.0", "2.0.0")])
    with pytest.raises(ValueError, match=r"strange: /info/version is '2\.9\.0'"):
        apply(official_document(), (strange,))
