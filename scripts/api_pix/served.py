"""The document from which the service cuts what it serves: all operations, with our own frame."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

from jsonschema_rs import Draft202012Validator

from blueprints.pix_api.document import FILE
from scripts.api_pix.additions import EXTENSION, full_document
from scripts.api_pix.mends import MENDS
from scripts.api_pix.official import Document, example_value, nodes, resolved

BASE = "/api-pix/v2"
TOKEN_URL = "/api-pix/oauth/token"  # noqa: S105 - an address
_MEDIA_TYPES = ("/application~1json", "/application~1problem+json")


def written_document() -> Document:
    """The full document with our description, address and token URL, and with true examples."""
    full = full_document()
    document = copy.deepcopy(full)
    document["info"] = _info(full["info"])
    document["servers"] = [{"url": BASE}]
    flows = document["components"]["securitySchemes"]["OAuth2"]["flows"]
    flows["clientCredentials"]["tokenUrl"] = TOKEN_URL
    _keep_true_examples(document, full)
    return document


def written_text() -> str:
    """The document as the file has it."""
    return json.dumps(written_document(), ensure_ascii=False, indent=1) + "\n"


def write() -> None:
    """Write the file anew."""
    FILE.write_text(written_text(), encoding="utf-8")


def _info(official: dict[str, Any]) -> dict[str, Any]:
    mends = "\n".join(f"- {mend.place}: {mend.reason}" for mend in MENDS)
    return {
        **{name: official[name] for name in ("title", "version", "license")},
        "description": (
            "The operations of API Pix 2.9.0 (Banco Central do Brasil, Apache 2.0) that Balcão "
            "serves.\n\nThis is a modified copy. Added: the answers 400, 401, 403, 413, 415, 429 "
            "and 503 where the official document does not list them, the types of errors of each "
            f"operation, and the extensions marked `{EXTENSION}`. A path may end with a slash, and "
            "may leave out `/v2`. Removed: the locations, which are served at `/qr/v2/`. Mended, "
            f"because the official document contradicts itself:\n\n{mends}"
        ),
    }


def _keep_true_examples(document: Document, full: Document) -> None:
    """Write each example out, and drop those that contradict their schema.

    Clients and tools send and compare the examples of a document.
    """
    for pointer, node in list(nodes(document)):
        if not isinstance(node, dict):
            continue
        if "$ref" in json.dumps(node.get("example", "")):
            del node["example"]
        if not pointer.endswith(_MEDIA_TYPES) or "examples" not in node:
            continue
        schema = json.dumps(node["schema"])
        written = {
            name: {**resolved(full, example), "value": example_value(full, example)}
            for name, example in node.pop("examples").items()
        }
        true = {
            name: example
            for name, example in written.items()
            if _validator(schema).is_valid(example["value"])
        }
        if true:
            node["examples"] = true
    del document["components"]["examples"]


@cache
def _validator(schema: str) -> Draft202012Validator:
    return validator_of(json.loads(schema), full_document())


def validator_of(schema: dict[str, Any], document: Document) -> Draft202012Validator:
    """A validator of a schema that refers to the document's components."""
    return Draft202012Validator(
        {"allOf": [schema], "components": document["components"]}, validate_formats=True
    )


if __name__ == "__main__":
    write()
