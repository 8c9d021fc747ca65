"""Which types of errors an operation of API Pix may answer, read from the official text.

The text names for each type its status and its operations: API Pix 2.9.0, `info.description`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache

from scripts.api_pix.official import Document, official_document, operations

TYPE_BASE = "https://pix.bcb.gov.br/api/v2/error/"
Operation = tuple[str, str]
"""Method in upper case, and path."""

_SECTION = re.compile(r"^\s*### `(\w+)`$(.*?)(?=^\s*##|\Z)", re.MULTILINE | re.DOTALL)
_STATUS = re.compile(r"__HTTP Status Code__:(.*)")
_ENDPOINTS = re.compile(r"__endpoints?__:(.*)")
_ENDPOINT = re.compile(r"`\[?([A-Z|]+)\]? (/[^`]*)`")

_ALSO: Mapping[Operation, tuple[str, ...]] = {
    # A 404 is listed for these, and the text names no type; the type of what is missing fits.
    ("PUT", "/cob/{txid}"): ("CobNaoEncontrado",),
    ("PUT", "/cobv/{txid}"): ("CobVNaoEncontrada",),
    ("PUT", "/lotecobv/{id}"): ("LoteCobVNaoEncontrado",),
    ("PUT", "/webhook/{chave}"): ("WebhookNaoEncontrado",),
    ("PUT", "/pix/{e2eid}/devolucao/{id}"): ("PixNaoEncontrado",),
    ("GET", "/pix/{e2eid}/devolucao/{id}"): ("PixNaoEncontrado",),
    ("POST", "/solicrec"): ("RecNaoEncontrada",),
    ("PATCH", "/solicrec/{idSolicRec}"): ("SolicRecNaoEncontrada",),
    ("PUT", "/cobr/{txid}"): ("RecNaoEncontrada",),
    ("POST", "/cobr"): ("RecNaoEncontrada",),
}


@cache
def statuses() -> Mapping[str, tuple[int, ...]]:
    """The statuses of each type."""
    return {
        name: tuple(int(status) for status in re.findall(r"\[(\d{3})\b", line.group(1)))
        for name, text in _SECTION.findall(_text(official_document()))
        if (line := _STATUS.search(text))
    }


@cache
def types_of_operations() -> Mapping[Operation, tuple[str, ...]]:
    """The names of the types that each operation may answer, without the general ones."""
    names_by_operation: dict[Operation, list[str]] = defaultdict(list)
    existing = {(method, path) for method, path, _ in operations(official_document())}
    for name, text in _SECTION.findall(_text(official_document())):
        line = _ENDPOINTS.search(text)
        for methods, path in _ENDPOINT.findall(line.group(1) if line else ""):
            for method in methods.split("|"):
                # The text writes `[POST|PUT|PATCH] /cob/{txid}` for `POST /cob` as well.
                for operation in ((method, path), (method, path.rpartition("/")[0])):
                    if operation in existing:
                        names_by_operation[operation].append(name)
                        break
    for operation, names in _ALSO.items():
        names_by_operation[operation].extend(names)
    return {operation: tuple(names) for operation, names in names_by_operation.items()}


def types_for(operation: Operation, status: int) -> list[str]:
    """The names of the types of this operation with this status."""
    names = types_of_operations().get(operation, ())
    return [name for name in names if status in statuses()[name]]


def _text(document: Document) -> str:
    text: str = document["info"]["description"]
    return text
