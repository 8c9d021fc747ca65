"""The tables of docs/api-pix.md agree with the routes, the mends and the document."""

from __future__ import annotations

import re
from pathlib import Path

from flask import Flask

from blueprints.pix_api.document import routed_shapes, shape_of
from scripts.api_pix.additions import EXTENSION, full_document
from scripts.api_pix.mends import MENDS
from scripts.api_pix.official import official_document, operations
from scripts.api_pix.served import BASE

PAGE = Path(__file__).resolve().parents[2] / "docs/api-pix.md"
LOCATIONS = {
    "/{pixUrlAccessToken}": "/qr/v2/{token}",
    "/cobv/{pixUrlAccessToken}": "/qr/v2/cobv/{token}",
    "/rec/{recUrlAccessToken}": "/qr/v2/rec/{token}",
}


def rows(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without its header."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def scopes_of(operation: dict) -> str:
    """The scopes of an operation as the table writes them."""
    needed = [
        f"`{scope}`"
        for requirement in operation.get("security", [])
        for scopes in requirement.values()
        for scope in scopes
    ]
    return ", ".join(needed) or "none"


def test_the_table_of_operations_says_what_is_routed(app: Flask):
    """A reader decides by the table whether the service is enough for a shop."""
    routed = routed_shapes(app.url_map.iter_rules(), BASE)
    paths = {shape_of(rule.rule) for rule in app.url_map.iter_rules()}
    expected = []
    for method, path, operation in operations(official_document()):
        served = "yes" if (method, shape_of(path)) in routed else "not yet"
        if path in LOCATIONS:
            is_served = shape_of(LOCATIONS[path]) in paths
            served = f"yes, at `{LOCATIONS[path]}`" if is_served else "not yet"
        expected.append([f"`{method} {path}`", scopes_of(operation), served])

    assert len(expected) == 51
    actual = rows("What is served")
    missing_rows = [f"| {' | '.join(row)} |" for row in expected if row not in actual]
    assert missing_rows == [], "docs/api-pix.md lacks these rows, or says otherwise there"
    assert actual == expected


def test_the_table_of_mends_is_the_list():
    assert rows("Mends of the official document") == [[mend.place, mend.reason] for mend in MENDS]


def test_the_page_names_every_extension(app: Flask):
    """A shop that uses an extension works with this service and fails with its bank."""
    routed = routed_shapes(app.url_map.iter_rules(), BASE)
    extensions = {
        f"{method} {path}"
        for method, path, operation in operations(full_document())
        if operation.get(EXTENSION) and (method, shape_of(path)) in routed
    }
    text = PAGE.read_text(encoding="utf-8").split("\n## Dialects and extensions\n")[1]
    section = text.split("\n## ")[0]
    named_extensions = set(
        re.findall(r"^\| `((?:GET|POST|PUT|PATCH|DELETE) /[^`]*)`", section, re.M)
    )
    assert named_extensions == extensions


def test_every_route_below_the_base_is_documented(app: Flask):
    """A route that no document has would be checked against nothing."""
    documented = {(method, shape_of(path)) for method, path, _ in operations(full_document())}
    assert routed_shapes(app.url_map.iter_rules(), BASE) <= documented
