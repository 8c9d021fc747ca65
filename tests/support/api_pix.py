"""Check requests and answers of API Pix against the official document, mended and extended.

`PixApi` sends requests, through Flask's test client or over real HTTP, and checks every answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self
from urllib.parse import urlencode

import urllib3
from flask.testing import FlaskClient
from jsonschema_rs import Draft202012Validator

from scripts.api_pix.additions import GENERAL_TYPES, full_document, problem_answer
from scripts.api_pix.official import resolved
from scripts.api_pix.served import BASE, validator_of

UNMATCHED = (401, 404, 405)
"""The statuses of a request that no operation takes."""
HEADERS_OF_405 = ("Allow",)


class ContractBroken(AssertionError):
    """An answer, or a request, that the document does not have."""


@dataclass(frozen=True)
class PixAnswer:
    """An answer of API Pix."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    data: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; None if it is empty."""
        return json.loads(self.data) if self.data else None

    @property
    def kind(self) -> str:
        """The name of the error's type: `CobOperacaoInvalida`."""
        name: str = self.json["type"].rpartition("/")[2]
        return name

    @property
    def violations(self) -> list[str]:
        """The paths of the violated fields."""
        return [one["propriedade"] for one in self.json.get("violacoes", [])]


def template_of(method: str, path: str) -> str | None:
    """The documented path that a request's path belongs to, or None.

    The path may begin with `/api-pix/v2` or `/api-pix`, end with a slash or a query, and have two
    slashes for one.
    """
    path = re.sub("/{2,}", "/", path.partition("?")[0]).removeprefix("/api-pix")
    path = path.removeprefix("/v2").rstrip("/") or "/"
    parts = path.split("/")
    fits = [
        template
        for template, item in full_document()["paths"].items()
        if method.lower() in item and _fits(template.split("/"), parts)
    ]
    return min(fits, key=lambda template: template.count("{"), default=None)


def _fits(template: list[str], parts: list[str]) -> bool:
    return len(template) == len(parts) and all(
        (name.startswith("{") and part != "") or name == part
        for name, part in zip(template, parts, strict=True)
    )


def check_answer(method: str, path: str, answer: PixAnswer) -> None:
    """Raise ContractBroken unless the document has this answer for this request.

    HEAD has the answers of GET, without their bodies. OPTIONS, which Flask answers, may not fail.
    """
    if method == "OPTIONS" and answer.status < 500:
        return
    if method == "HEAD":
        _check_head(path, answer)
        return
    template = template_of(method, path)
    label = f"{method} {path} answered {answer.status}"
    if answer.status == 405 or template is None:
        _check_unmatched(label, answer)
        return
    operation = full_document()["paths"][template][method.lower()]
    documented = operation["responses"].get(str(answer.status))
    if documented is None:
        listed = ", ".join(operation["responses"])
        raise ContractBroken(
            f"{label}, but {method} {template} has {listed}\n{answer.data[:500]!r}"
        )
    _check_against(label, documented, answer)


def _check_head(path: str, answer: PixAnswer) -> None:
    template = template_of("GET", path)
    statuses = {str(status) for status in UNMATCHED}
    if template is not None:
        statuses |= full_document()["paths"][template]["get"]["responses"].keys()
    if str(answer.status) not in statuses or answer.data:
        raise ContractBroken(f"HEAD {path} answered {answer.status}, {answer.data[:200]!r}")


def _check_unmatched(label: str, answer: PixAnswer) -> None:
    if answer.status not in UNMATCHED:
        raise ContractBroken(f"{label}, but the document has no such operation")
    documented = problem_answer(answer.status, [GENERAL_TYPES[answer.status]])
    if answer.status == 405:
        documented["headers"] = {name: {} for name in HEADERS_OF_405}
    _check_against(label, documented, answer)


def _check_against(label: str, documented: dict[str, Any], answer: PixAnswer) -> None:
    documented = resolved(full_document(), documented)
    for name in documented.get("headers", {}):
        if not answer.headers.get(name.lower()):
            raise ContractBroken(f"{label} without the header {name}")
    if answer.status == 401 and not answer.headers["www-authenticate"].startswith("Bearer"):
        raise ContractBroken(f"{label}, and WWW-Authenticate does not ask for a Bearer token")
    content = documented.get("content")
    if content is None:
        if answer.data:
            raise ContractBroken(f"{label} with a body, but it has none: {answer.data[:200]!r}")
        return
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
    if media_type not in content:
        raise ContractBroken(f"{label} as {media_type!r} instead of {', '.join(content)}")
    value = _parsed(label, answer.data)
    _check_value(f"{label}, but", json.dumps(content[media_type]["schema"]), value)


def _parsed(label: str, data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except ValueError as error:
        raise ContractBroken(f"{label}, and the body is no JSON: {error}: {data[:200]!r}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_value(label: str, schema: str, value: Any) -> None:
    faults = [
        f"{'.'.join(map(str, fault.instance_path)) or 'the body'}: {fault.message}"
        for fault in _validator(schema).iter_errors(value)
    ]
    if faults:
        listed = "\n  ".join(faults)
        raise ContractBroken(f"{label}\n  {listed}\nin {json.dumps(value, ensure_ascii=False)}")


@cache
def _validator(schema: str) -> Draft202012Validator:
    return validator_of(json.loads(schema), full_document())


def valid_body(method: str, path: str, body: Any) -> Any:
    """The body, which the document allows for this request. Raises ContractBroken."""
    template = template_of(method, path)
    if template is None:
        raise ContractBroken(f"the document has no {method} {path}")
    operation = full_document()["paths"][template][method.lower()]
    if "requestBody" not in operation:
        raise ContractBroken(f"{method} {template} takes no body")
    request = resolved(full_document(), operation["requestBody"])
    schema = request["content"]["application/json"]["schema"]
    _check_value(f"{method} {template} takes no such body:", json.dumps(schema), body)
    return body


def check_callback(body: Any) -> None:
    """Raise ContractBroken unless this is what `POST {webhookUrl}/pix` carries."""
    schema = {
        "allOf": [
            resolved(full_document(), _CALLBACK)["content"]["application/json"]["schema"],
            {"type": "object", "required": ["pix"], "properties": {"pix": {"minItems": 1}}},
        ]
    }
    _check_value("the callback is wrong:", json.dumps(schema), body)


_CALLBACK = {"$ref": "#/components/requestBodies/WebhookPixBody"}


def check_rec_callback(body: Any) -> None:
    """Raise ContractBroken unless this is what `POST {webhookUrl}/rec` carries."""
    _check_list("recs", "RecNotification", body)


def check_cobr_callback(body: Any) -> None:
    """Raise ContractBroken unless this is what `POST {webhookUrl}/cobr` carries."""
    _check_list("cobsr", "CobRNotification", body)


def _check_list(member: str, item: str, body: Any) -> None:
    items = {"type": "array", "minItems": 1, "items": {"$ref": f"#/components/schemas/{item}"}}
    schema = {"type": "object", "required": [member], "properties": {member: items}}
    _check_value("the callback is wrong:", json.dumps(schema), body)


@dataclass
class PixApi:
    """Sends requests of API Pix, and checks every answer.

    A body that is accepted must be valid, unless `dialect` says why it is accepted nevertheless.
    """

    client: FlaskClient | None = None
    url: str = ""
    """The service's address, if there is no test client."""
    token: str = ""
    base: str = BASE
    calls: int = field(default=0, init=False)
    _pool: urllib3.PoolManager = field(default_factory=urllib3.PoolManager, init=False, repr=False)

    def as_bearer(self, token: str) -> Self:
        """The same, with another token."""
        return type(self)(client=self.client, url=self.url, token=token, base=self.base)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        data: bytes | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        dialect: str = "",
    ) -> PixAnswer:
        """Send and check. `body` is sent as JSON, `data` as it is. Raises ContractBroken."""
        request_headers = dict(headers or {})
        if self.token:
            request_headers.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None:
            data = json.dumps(body).encode()
            request_headers.setdefault("Content-Type", "application/json")
        full = self.base + path + (f"?{urlencode(query)}" if query else "")
        answer = self._send(method, full, data, request_headers)
        self.calls += 1
        check_answer(method, full, answer)
        if body is not None and answer.status < 300 and not dialect:
            valid_body(method, full, body)
        return answer

    def _send(
        self, method: str, path: str, data: bytes | None, headers: dict[str, str]
    ) -> PixAnswer:
        if self.client is not None:
            there = self.client.open(path, method=method, data=data, headers=headers)
            answer_headers = {name.lower(): value for name, value in there.headers}
            return PixAnswer(there.status_code, answer_headers, there.get_data())
        response = self._pool.request(
            method, self.url.rstrip("/") + path, body=data, headers=headers, redirect=False
        )
        answer_headers = {name.lower(): value for name, value in response.headers.items()}
        return PixAnswer(response.status, answer_headers, response.data)

    def get(self, path: str, **query: Any) -> PixAnswer:
        """GET with these parameters of the query."""
        return self.request("GET", path, query=query)

    def put(self, path: str, body: Any = None, **parts: Any) -> PixAnswer:
        """PUT this JSON."""
        return self.request("PUT", path, body=body, **parts)

    def post(self, path: str, body: Any = None, **parts: Any) -> PixAnswer:
        """POST this JSON."""
        return self.request("POST", path, body=body, **parts)

    def patch(self, path: str, body: Any = None, **parts: Any) -> PixAnswer:
        """PATCH with this JSON."""
        return self.request("PATCH", path, body=body, **parts)

    def delete(self, path: str, **parts: Any) -> PixAnswer:
        """DELETE."""
        return self.request("DELETE", path, **parts)
