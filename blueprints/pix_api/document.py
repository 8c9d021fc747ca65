"""Cut the OpenAPI document of API Pix down to the operations that an application routes.

The file has all operations of API Pix; `make openapi` writes it from Banco Central's document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from werkzeug.routing import Rule

Operation = tuple[str, str]
"""Method in upper case, and path."""

FILE = Path(__file__).parent / "standard" / "api-pix.json"
METHODS = ("get", "put", "post", "patch", "delete")
_PARAMETER = re.compile(r"<(?:\w+(?:\([^)]*\))?:)?\w+>|\{\w+\}")


def shape_of(path: str) -> str:
    """The path with `{}` for each parameter, of a rule of Flask or of a document."""
    return _PARAMETER.sub("{}", path)


def documented_operations(document: dict[str, Any]) -> list[Operation]:
    """The operations of a document."""
    return [
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    ]


def routed_shapes(rules: Iterable[Rule], base: str) -> set[Operation]:
    """Method and shape of each route below the base, without the base."""
    return {
        (method, shape_of(rule.rule.removeprefix(base)))
        for rule in rules
        if rule.rule.startswith(f"{base}/")
        for method in rule.methods or ()
        if method.lower() in METHODS
    }


def cut_to(document: dict[str, Any], routed: set[Operation]) -> dict[str, Any]:
    """The document with only these operations, and only what they refer to."""
    paths = {}
    for path, item in document["paths"].items():
        absent = {method for method in METHODS if (method.upper(), shape_of(path)) not in routed}
        if any(method in item for method in METHODS if method not in absent):
            paths[path] = {name: value for name, value in item.items() if name not in absent}
    tags = {
        tag
        for item in paths.values()
        for method in METHODS
        for tag in item.get(method, {}).get("tags", ())
    }
    security = document["components"]["securitySchemes"]
    return {
        **document,
        "tags": [tag for tag in document["tags"] if tag["name"] in tags],
        "paths": paths,
        "components": {"securitySchemes": security, **_components(document, paths)},
    }


def _components(document: dict[str, Any], paths: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The components that the paths refer to, directly or through others."""
    needed: dict[str, dict[str, Any]] = {}
    pending: list[Any] = [paths]
    while pending:
        for reference in _references(pending.pop()):
            _, _, kind, name = reference.split("/")
            group = needed.setdefault(kind, {})
            if name not in group:
                group[name] = document["components"][kind][name]
                pending.append(group[name])
    return needed


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def whole_document() -> dict[str, Any]:
    """The document with all operations of API Pix."""
    document: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return document
