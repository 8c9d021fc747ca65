"""Bodies and paths of charges in the tests of API Pix."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from tests.pix_api.clients import demo_client, new_client
from tests.portal.signing import KEYS
from tests.support.api_pix import PixAnswer, check_answer, valid_body

EVER = {"inicio": "2020-01-01T00:00:00Z", "fim": "2100-01-01T00:00:00Z"}


def cob_body(key: str, **members: Any) -> dict[str, Any]:
    """A body that `PUT /cob/{txid}` accepts; `members` replace members."""
    return {
        "calendario": {"expiracao": 3600},
        "devedor": {"cpf": "12345678909", "nome": "Ana Souza"},
        "valor": {"original": "10.00"},
        "chave": key,
        "solicitacaoPagador": "Mesa 4",
        "infoAdicionais": [{"nome": "Mesa", "valor": "4"}],
        **members,
    }


class DemoCalls:
    """The calls of a merchant, usually the demo one, with a token of every scope."""

    def __init__(self, app: Flask, login: str | None = None) -> None:
        """Ask for a token; `login` is an account of `tests.portal.signing`."""
        self._client = app.test_client()
        client = new_client(app, login) if login else demo_client(app)
        self._new_token = lambda: client.token(app)
        self._token = self._new_token()
        self.key = KEYS[login] if login else app.config["BALCAO"].demo_pix_key

    def __call__(
        self, method: str, path: str, body: Any = None, *, dialect: str = "", **options: Any
    ) -> TestResponse:
        """Send a request and check its answer; `body` is JSON.

        A body that is accepted must be valid, unless `dialect` says why it is accepted.
        """
        if body is not None:
            options["json"] = body
        full = f"/api-pix/v2{path}"
        answer = self._open(full, method, options)
        if answer.status_code == 401:  # as SDKs do: the clock of a test moves by days
            self._token = self._new_token()
            answer = self._open(full, method, options)
        names = {name.lower(): value for name, value in answer.headers}
        check_answer(method, full, PixAnswer(answer.status_code, names, answer.get_data()))
        if body is not None and answer.status_code < 300 and not dialect:
            valid_body(method, full, body)
        return answer

    def _open(self, path: str, method: str, options: dict[str, Any]) -> TestResponse:
        headers = {"Authorization": f"Bearer {self._token}"}
        return self._client.open(path, method=method, headers=headers, **options)

    def body(self, **members: Any) -> dict[str, Any]:
        """A valid body of an immediate charge."""
        return cob_body(self.key, **members)

    def create(self, txid: str, *, dialect: str = "", **members: Any) -> dict[str, Any]:
        """Create a charge; return its object."""
        answer = self("PUT", f"/cob/{txid}", self.body(**members), dialect=dialect)
        assert answer.status_code == 201, answer.text
        return dict(answer.get_json())


def paths_of(answer: TestResponse, kind: str) -> list[str]:
    """The fields of the violations of an error of this type."""
    body = answer.get_json()
    assert body["type"].endswith(f"/{kind}"), body
    return [violation["propriedade"] for violation in body["violacoes"]]
