"""The places where the official document of API Pix 2.9.0 contradicts itself, and the mends.

A mend makes the document agree with its own examples, its own text, or its own other schemas. No
mend adds or relaxes a rule that the document states without contradiction; tests show both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from scripts.api_pix.official import (
    Document,
    node_at,
    nodes,
    official_document,
    parts_of,
    pointer_of,
)

_SCHEMAS = "/components/schemas"


@dataclass(frozen=True)
class Change:
    """One value of the document, replaced."""

    pointer: str
    old: Any
    """What the official document has there; None if it has nothing."""
    new: Any
    """What replaces it; None to remove it."""


@dataclass(frozen=True)
class Mend:
    """A contradiction and its resolution."""

    name: str
    place: str
    reason: str
    changes: Callable[[Document], list[Change]]


def _change(place: str, old: Any, new: Any) -> Callable[[Document], list[Change]]:
    return _changes((place, old, new))


def _removal(place: str) -> Callable[[Document], list[Change]]:
    """Removes what is at the place, whatever it says."""
    return lambda document: [Change(_SCHEMAS + place, node_at(document, _SCHEMAS + place), None)]


def _changes(*changes: tuple[str, Any, Any]) -> Callable[[Document], list[Change]]:
    return lambda _document: [Change(_SCHEMAS + place, old, new) for place, old, new in changes]


def _patterns(document: Document) -> Iterator[tuple[str, str]]:
    for pointer, node in nodes(document):
        if pointer.endswith("/pattern") and isinstance(node, str):
            yield pointer, node


def _without_slashes(document: Document) -> list[Change]:
    return [
        Change(pointer, pattern, pattern[1:-1])
        for pointer, pattern in _patterns(document)
        if pattern.startswith("/^") and pattern.endswith("$/")
    ]


def _anchored(document: Document) -> list[Change]:
    return [
        Change(pointer, pattern, f"^{pattern}$")
        for pointer, pattern in _patterns(document)
        if pattern[0] not in "/^"
    ]


def _txids_of_pix(document: Document) -> list[Change]:
    """`allOf` of a txid of 26 to 35 characters and one of 1 to 35: only the second is meant."""
    both = [{"$ref": "#/components/schemas/TxId"}, {"pattern": "[a-zA-Z0-9]{1,35}"}]
    return [
        Change(f"{pointer}/0", both[0], {"type": "string"})
        for pointer, node in nodes(document)
        if pointer.endswith("/allOf") and node == both
    ]


def _location_formats(document: Document) -> list[Change]:
    return [
        Change(f"{pointer}/format", "uri", None)
        for pointer, node in nodes(document)
        if pointer.endswith(("/location", "/headers/location/schema"))
        if isinstance(node, dict) and node.get("format") == "uri"
    ]


def _location_paths(document: Document) -> list[Change]:
    return [
        Change(pointer_of("paths", path), document["paths"][path], None)
        for path in (
            "/{pixUrlAccessToken}",
            "/cobv/{pixUrlAccessToken}",
            "/rec/{recUrlAccessToken}",
        )
    ]


def _alternatives(_document: Document) -> list[Change]:
    """`oneOf` of objects without required members: each object matches every alternative."""
    places = {
        "CobValor/properties/retirada": ("saque", "troco"),
        "CobPayloadValor/properties/retirada": ("saque", "troco"),
        "RecEncerramento/properties/encerramento": ("rejeicao", "cancelamento"),
        "CobRAtualizacao/properties/encerramento": ("cancelamento", "rejeicao"),
        "CobVValor/properties/desconto": ("descontoDataFixa",),
    }
    return [
        Change(f"{_SCHEMAS}/{place}/oneOf/{position}/required", None, [member])
        for place, members in places.items()
        for position, member in enumerate(members)
    ]


_LOC_OLD = ["id", "txid", "tipoCob", "criacao"]
_LOC_NEW = ["id", "tipoCob", "criacao"]
_ADDRESS = ["logradouro", "cidade", "uf", "cep"]
_CHAVE = {"type": "string", "title": "Chave DICT do recebedor", "maxLength": 77}

MENDS: tuple[Mend, ...] = (
    Mend(
        "pattern-slashes",
        "every pattern of a CPF and of `codMun`",
        "The slashes of a JavaScript literal stand within the pattern, so that no CPF matches.",
        _without_slashes,
    ),
    Mend(
        "txid-of-pix",
        "`txid` of `Pix`, `PixAutomatico`, `ParametrosConsultaPix`, and of the query of `GET /pix`",
        "`allOf` joins the 26 to 35 characters of a charge with the 1 to 35 that the description "
        "of a Pix allows; a static code has at most 25.",
        _txids_of_pix,
    ),
    Mend(
        "pattern-anchors",
        "every pattern without `^` and `$`",
        "The pattern of a whole value matches any text that contains one: the lengths and decimals "
        "that the descriptions state would not hold.",
        _anchored,
    ),
    Mend(
        "default-of-expiracao",
        "`CobExpiracao.expiracao`",
        "The default of an integer is a text.",
        _change("/CobExpiracao/properties/expiracao/default", "86400", 86400),
    ),
    Mend(
        "calendario-of-cob",
        "`CobSolicitada`",
        "`calendario` is required, but its only member has a default, and three of the four "
        "examples of a request leave it out.",
        _change("/CobSolicitada/required", ["valor", "chave", "calendario"], ["valor", "chave"]),
    ),
    Mend(
        "number-of-infoAdicionais",
        "`CobBase.infoAdicionais`",
        "An array has no `maximum`; `maxItems` is meant.",
        _changes(
            ("/CobBase/properties/infoAdicionais/maximum", 50, None),
            ("/CobBase/properties/infoAdicionais/maxItems", None, 50),
        ),
    ),
    Mend(
        "loc-id-in-requests",
        "`PayloadLocationId`",
        "`readOnly` forbids in a request the `loc.id` by which requests name a location.",
        _change("/PayloadLocationId/readOnly", True, None),
    ),
    Mend(
        "revisao-in-queries",
        "`Revisao`",
        "`readOnly` forbids in a request the `revisao` that is a parameter of two queries.",
        _change("/Revisao/readOnly", True, None),
    ),
    Mend(
        "tipoCob-in-requests",
        "`PayloadLocationCob`",
        "`tipoCob` is required, but no member has this name, and no example of a request sends it.",
        _change("/PayloadLocationCob/required", ["id", "tipoCob"], ["id"]),
    ),
    Mend(
        "txid-in-loc",
        "`loc` of `CobGerada` and `CobVGerada`",
        "`txid` is required, but `PayloadLocation` has no such member, and no example has it.",
        _changes(
            ("/CobGerada/allOf/2/properties/loc/required", _LOC_OLD, _LOC_NEW),
            ("/CobVGerada/allOf/3/properties/loc/required", _LOC_OLD, _LOC_NEW),
        ),
    ),
    Mend(
        "location-without-scheme",
        "every `location`, and the header of this name",
        "`format: uri` needs a scheme; every example, and the manual, writes a location without.",
        _location_formats,
    ),
    Mend(
        "location-of-cobv",
        "`CobVGerada`",
        "`location` is required, but no member has this name, and a charge loses its location "
        "when `DELETE /loc/{id}/txid` unbinds it.",
        _change("/CobVGerada/required/0", "location", None),
    ),
    Mend(
        "exclusive-alternatives",
        "`retirada`, `desconto` and `encerramento`",
        "`oneOf` lists objects without required members, so that each example matches more than "
        "one of them, which `oneOf` forbids.",
        _alternatives,
    ),
    Mend(
        "same-alternatives",
        "`vinculo.devedor` of `RecRevisada`",
        "Both alternatives of `oneOf` are the same, so that nothing matches only one.",
        _removal("/RecRevisada/allOf/1/properties/vinculo/properties/devedor/oneOf/1"),
    ),
    Mend(
        "idCob-in-lists",
        "`CobsConsultadas` and `CobsVConsultadas`",
        "`idCob` is required, but no schema and no example has this member.",
        _changes(
            *(
                (
                    f"/{name}/properties/cobs/items/allOf/1/required",
                    ["status", "txid", "idCob"],
                    ["status", "txid"],
                )
                for name in ("CobsConsultadas", "CobsVConsultadas")
            )
        ),
    ),
    Mend(
        "pix-in-lists",
        "`PixConsultados`",
        "`cobs` is required, but the member is called `pix`, as in the example.",
        _change("/PixConsultados/required", ["parametros", "cobs"], ["parametros", "pix"]),
    ),
    Mend(
        "address-of-recebedor",
        "`DadosRecebedor`",
        "The members of the address are required one level too high, beside `recebedor`; within "
        "it they are required as well.",
        _change("/DadosRecebedor/required", _ADDRESS, None),
    ),
    Mend(
        "bank-of-pagador",
        "`DadosPagadorRec`",
        "`ispbParticipante` is required one level too high, beside `pagador`, whose member it is.",
        _changes(
            ("/DadosPagadorRec/required", ["ispbParticipante"], None),
            (
                "/DadosPagadorRec/properties/pagador/allOf/0/required",
                None,
                ["ispbParticipante"],
            ),
        ),
    ),
    Mend(
        "tipo-of-locrec",
        "`PayloadLocationRecGerada`",
        "`tipo` is required, but no member has this name, and no example has it.",
        _change(
            "/PayloadLocationRecGerada/required",
            ["id", "location", "tipo", "criacao"],
            ["id", "location", "criacao"],
        ),
    ),
    Mend(
        "members-of-rec",
        "`RecBase`",
        "`retentativa` is required, but the member is `politicaRetentativa`, which "
        "`RecConfiguracao` requires; `idRec` is required in requests, but the service makes it.",
        _changes(
            (
                "/RecBase/required",
                ["idRec", "calendario", "vinculo", "retentativa"],
                ["calendario", "vinculo"],
            ),
            ("/RecCompleta/required", ["status", "recebedor"], ["idRec", "status", "recebedor"]),
            (
                "/RecCompletaPesquisada/required",
                ["status", "recebedor"],
                ["idRec", "status", "recebedor"],
            ),
            ("/RecGerada/required", ["recebedor"], ["idRec", "recebedor"]),
        ),
    ),
    Mend(
        "pagador-of-solicrec",
        "`SolicRecBase`",
        "`pagador` is required, but no member has this name; `destinatario` is required as well.",
        _change(
            "/SolicRecBase/required",
            ["calendario", "pagador", "idRec", "destinatario"],
            ["calendario", "idRec", "destinatario"],
        ),
    ),
    Mend(
        "rec-of-solicrec",
        "`SolicRecCompleta`",
        "`rec` is required, but the member is called `recPayload`, as in the examples.",
        _change("/SolicRecCompleta/required", ["rec"], ["recPayload"]),
    ),
    Mend(
        "quote-in-atualizacao",
        "`RecNotification`",
        "A quotation mark got into the name of the required member `atualizacao`.",
        _change("/RecNotification/required/2", 'atualizacao"', "atualizacao"),
    ),
    Mend(
        "chave-of-webhook",
        "`WebhookCompleto`",
        "`cnpj` is required, but the examples have the key of the webhook, `chave`.",
        _changes(
            (
                "/WebhookCompleto/required",
                ["webhookUrl", "cnpj", "criacao"],
                ["webhookUrl", "chave", "criacao"],
            ),
            ("/WebhookCompleto/properties/chave", None, _CHAVE),
        ),
    ),
    Mend(
        "valor-of-automatic-pix",
        "`PixAutomatico.valor`",
        "The value is a text and by `anyOf` an object at once.",
        _removal("/PixAutomatico/properties/valor/anyOf"),
    ),
    Mend(
        "location-paths",
        "the three paths of locations",
        "`/cobv/{pixUrlAccessToken}` is the same path as `/cobv/{txid}`, and so for `rec`; OpenAPI "
        "forbids that. Locations are open to everybody and served at `/qr/v2/`.",
        _location_paths,
    ),
)


def apply(document: Document, mends: tuple[Mend, ...] = MENDS) -> Document:
    """Apply the mends to this document, and return it.

    Raises ValueError if the document does not have what a mend replaces.
    """
    for mend in mends:
        for change in mend.changes(document):
            _apply_one(document, mend.name, change)
    return document


def _apply_one(document: Document, name: str, change: Change) -> None:
    *parents, last = parts_of(change.pointer)
    owner = node_at(document, pointer_of(*parents))
    key: Any = int(last) if isinstance(owner, list) else last
    old_value = owner[key] if isinstance(owner, list) else owner.get(key)
    if old_value != change.old:
        raise ValueError(f"{name}: {change.pointer} is {old_value!r}, not {change.old!r}")
    if change.new is None:
        del owner[key]
    else:
        owner[key] = change.new


@cache
def _mended() -> Document:
    return apply(official_document())


def mended_document() -> Document:
    """The official document with all mends. Treat it as read-only: it is made once."""
    return _mended()
