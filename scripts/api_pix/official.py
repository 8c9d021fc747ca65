"""Read the official document of API Pix 2.9.0, and find things in it.

Source: github.com/bacen/pix-api, `openapi.yaml` of 2025-09-05; the file is kept unmodified.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]

FOLDER = Path(__file__).resolve().parents[2] / "blueprints" / "pix_api" / "standard"
OFFICIAL_FILE = FOLDER / "api-pix-2.9.0.yaml"
SHA256 = "4047ae07a639dea4c13cdb60f79e2b849b4825aa6ebebbe96938b9a22d9f1ca8"
METHODS = ("get", "put", "post", "patch", "delete")


class _JsonLoader(yaml.CSafeLoader):
    """Reads dates and times as text, as JSON has them."""


_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


@cache
def _parsed() -> Document:
    text = OFFICIAL_FILE.read_text(encoding="utf-8")
    document: Document = yaml.load(text, _JsonLoader)  # noqa: S506 - a safe loader
    texts: Document = _with_text_keys(document)
    return texts


def _with_text_keys(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(name): _with_text_keys(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_with_text_keys(value) for value in node]
    return node


def official_document() -> Document:
    """A copy of the official document, as JSON values."""
    return copy.deepcopy(_parsed())


def pointer_of(*parts: str | int) -> str:
    """The JSON pointer (RFC 6901) of these members."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def parts_of(pointer: str) -> list[str]:
    """The members that a JSON pointer, or a local `$ref` such as `#/a/b`, names."""
    return [
        part.replace("~1", "/").replace("~0", "~")
        for part in pointer.removeprefix("#").split("/")[1:]
    ]


def node_at(document: Document, pointer: str) -> Any:
    """The node at a pointer. Raises KeyError or IndexError."""
    node: Any = document
    for part in parts_of(pointer):
        node = node[int(part)] if isinstance(node, list) else node[part]
    return node


def resolved(document: Document, node: Any) -> Any:
    """The node, or what it refers to."""
    while isinstance(node, Mapping) and isinstance(node.get("$ref"), str):
        node = node_at(document, node["$ref"])
    return node


def example_value(document: Document, node: Any) -> Any:
    """An example with its references replaced: the document writes some within the value."""
    node = resolved(document, node)
    if isinstance(node, dict):
        if set(node) == {"allOf"}:
            return example_value(document, node["allOf"][0])
        if "value" in node and set(node) <= {"summary", "description", "value"}:
            return example_value(document, node["value"])
        return {name: example_value(document, value) for name, value in node.items()}
    if isinstance(node, list):
        return [example_value(document, value) for value in node]
    return node


def nodes(node: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every node with its pointer, except those within examples."""
    yield pointer, node
    if isinstance(node, dict):
        for name, value in node.items():
            if name in ("example", "examples") and not pointer.endswith("/properties"):
                continue
            yield from nodes(value, pointer + pointer_of(name))
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from nodes(value, pointer + pointer_of(position))


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method in upper case, path and operation of each operation."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]
