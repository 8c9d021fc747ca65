"""The OpenAPI document: the parts that flask-openapi does not generate."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from types import FunctionType
from typing import Any

from flask_openapi import APIBlueprint, Info, OpenAPI, SecurityScheme, Tag
from flask_openapi.models import OAuthFlow, OAuthFlows, Response, Schema
from flask_openapi.types import ParametersTuple
from flask_openapi.utils import parse_parameters
from pydantic import BaseModel

from core.version import VERSION
from web.problems import refuse_invalid

MERCHANT: list[dict[str, list[Any]]] = [{"apiKey": []}, {"password": []}, {"cookie": []}, {}]
"""A merchant's key or sign-in, or nothing: in development that is the demo merchant."""

SIGNED_IN: list[dict[str, list[Any]]] = [{"password": []}, {"apiKey": []}, {"cookie": []}]
"""An account, by token, key or cookie."""

MACHINES = Tag(name="Machines")
TASKS = (
    "Payments",
    "Refunds",
    "Receipts",
    "Webhooks",
    "Shopper",
    "QR codes and locations",
    "Bank",
    "Transactions",
    "Recovery",
    "People",
    "Payer",
    "Machines",
)
"""The document's tags in the order in which a shop's developer needs them."""


Responses = dict[str | int, type[BaseModel] | Response | dict[str, Any] | None]
"""What flask-openapi takes as `responses`."""


IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 characters. The same key and body again get the first answer.",
    "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$", "maxLength": 255},
}
SECURITY_SCHEMES: dict[str, SecurityScheme | dict[str, Any]] = {
    "apiKey": SecurityScheme(
        type="http",
        scheme="bearer",
        description="A merchant's API key (`POST /api/keys`, or `flask merchant key`), or an "
        "access token.",
    ),
    "password": SecurityScheme(
        type="oauth2",
        description="Login and password; the password grant of RFC 6749, 4.3.",
        flows=OAuthFlows(password=OAuthFlow(tokenUrl="/token", refreshUrl="/token", scopes={})),
    ),
    "cookie": SecurityScheme(
        **{"type": "apiKey", "in": "cookie", "name": "access_token"},
        description="The cookie of `POST /api/login`. A request that may change something also "
        "needs the header `X-CSRF-TOKEN` with the value of the cookie `csrf_access_token`.",
    ),
    "bankSignature": SecurityScheme(
        **{"type": "apiKey", "in": "header", "name": "webhook-signature"},
        description="Standard Webhooks: `v1,` and base64 of the HMAC-SHA256 over "
        "`webhook-id.webhook-timestamp.body`, beside the headers of those names.",
    ),
}

_EXTRA_PARAMETERS = "x-also"
_REQUEST_BODY = "x-takes"
_REF = "#/components/schemas/{model}"
_DECLARED: dict[str, dict[str, Any]] = {}


class ProblemField(BaseModel):
    """An invalid field."""

    field: str
    detail: str


class Problem(BaseModel):
    """An error (RFC 9457), with a stable `code`."""

    type: str
    title: str
    status: int
    detail: str
    message: str
    code: str
    errors: list[ProblemField]
    request_id: str


def problems(*statuses: int) -> Responses:
    """The error answers of a route, for its `responses`; every route may answer 429."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            },
        }
        for status in sorted({*statuses, 429})
    }


def reference(model: type[BaseModel]) -> dict[str, str]:
    """A `$ref` to a model that a route uses, or that `declare` added."""
    return {"$ref": _REF.format(model=model.__name__)}


class _DescribedLater:
    """Routes whose part of the document is written when somebody asks for it.

    Writing the schemas takes 8 % of the CPU of a start, and few processes are ever asked for them.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """As for the class of flask-openapi that comes next."""
        self._undescribed: list[Callable[[], object]] = []
        super().__init__(*args, **options)

    def _collect_openapi_info(
        self, rule: str, func: FunctionType, **description: Any
    ) -> ParametersTuple:
        """Keep what the document says about a route; return what the route takes."""
        collect = super()._collect_openapi_info  # type: ignore[misc]  # of the next class
        self._undescribed.append(partial(collect, rule, func, **description))
        return parse_parameters(func, doc_ui=False)

    def describe(self) -> None:
        """Write the descriptions that are not written yet, in the order of their routes."""
        while self._undescribed:
            self._undescribed[0]()
            del self._undescribed[0]


class DocumentedBlueprint(_DescribedLater, APIBlueprint):
    """Routes for the document; several apps share the descriptions."""

    def declare(self, model: type[BaseModel]) -> None:
        """Add a model to the document's components, with its whole schema."""
        self._undescribed.append(partial(self._describe_model, model))

    def _describe_model(self, model: type[BaseModel]) -> None:
        schema = model.model_json_schema(ref_template=_REF)
        schemas = {**schema.pop("$defs", {}), model.__name__: schema}
        self.components_schemas.update({name: Schema(**value) for name, value in schemas.items()})
        _DECLARED.update(schemas)


def declare(bp: DocumentedBlueprint, *models: type[BaseModel]) -> None:
    """Add models to the document's components, with their whole schemas.

    Needed for models that no route names, and for keywords that flask-openapi drops, such as
    `propertyNames`.
    """
    for model in models:
        bp.declare(model)


def extra_parameters(*parameters: dict[str, Any]) -> dict[str, Any]:
    """Document parameters that a route reads itself; for its `openapi_extensions`."""
    return {_EXTRA_PARAMETERS: list(parameters)}


def request_body(model: type[BaseModel], *content_types: str) -> dict[str, Any]:
    """Document a body that a route reads itself; for its `openapi_extensions`.

    The model must be declared.
    """
    content = {name: {"schema": reference(model)} for name in content_types}
    return {_REQUEST_BODY: {"content": content, "required": True}}


def html_page(description: str) -> dict[str, Any]:
    """Document an HTML page as an answer."""
    return {"description": description, "content": {"text/html": {"schema": {"type": "string"}}}}


def picture(description: str) -> dict[str, Any]:
    """Document a QR picture as an answer."""
    return {
        "description": description,
        "content": {
            "image/png": {"schema": {"type": "string", "format": "binary"}},
            "image/svg+xml": {"schema": {"type": "string"}},
        },
    }


_WRITING = threading.Lock()


class DocumentedApp(_DescribedLater, OpenAPI):
    """A Flask app whose document also has declared models, own bodies and the common 413."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself: views and hooks are plain functions.

        Flask asks before each call of a view and of a hook, and looks for coroutines.
        """
        return func

    def register_api(self, api: APIBlueprint, **options: Any) -> None:
        """Register the routes; their descriptions are added when the document is written."""
        self._undescribed.append(partial(self._add_descriptions, api))
        self.register_blueprint(api, **options)

    def _add_descriptions(self, api: APIBlueprint) -> None:
        if isinstance(api, DocumentedBlueprint):
            api.describe()
        self.tags += [tag for tag in api.tags if tag.name not in self.tag_names]
        self.tag_names += [tag.name for tag in api.tags if tag.name not in self.tag_names]
        self.paths.update(api.paths)
        self.components_schemas.update(api.components_schemas)

    @property
    def api_doc(self) -> dict[str, Any]:
        """The document, written once: two threads must not write into the same one."""
        with _WRITING:
            document: dict[str, Any] = super().api_doc
        return document

    def generate_spec_json(self) -> None:
        """Write the document into `spec_json`."""
        self.describe()
        super().generate_spec_json()  # type: ignore[no-untyped-call]
        self.spec_json["components"]["schemas"].update(_DECLARED)
        order = {name: position for position, name in enumerate(TASKS)}
        self.spec_json["tags"].sort(key=lambda tag: order.get(tag["name"], len(order)))
        for operations in self.spec_json["paths"].values():
            for operation in operations.values():
                answers = operation["responses"]
                if "application/problem+json" not in answers["400"].get("content", {}):
                    del answers["400"]  # flask-openapi adds a 400 to each route
                if parameters := operation.pop(_EXTRA_PARAMETERS, None):
                    operation.setdefault("parameters", []).extend(parameters)
                if body := operation.pop(_REQUEST_BODY, None):
                    operation["requestBody"] = body
                answers.update({str(status): answer for status, answer in problems(413).items()})


def make_app(import_name: str, **options: Any) -> OpenAPI:
    """A Flask app that documents itself at /openapi.json and /docs."""
    return DocumentedApp(
        import_name,
        info=Info(
            title="Balcão",
            version=VERSION,
            description="Self-hosted, Pix-style payments with a live checkout.",
        ),
        security_schemes=SECURITY_SCHEMES,
        validation_error_status=400,
        validation_error_model=Problem,
        validation_error_callback=refuse_invalid,
        doc_ui=False,
        **options,
    )
