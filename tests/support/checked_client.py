"""Flask's test client, which also checks every answer of API Pix against the official document."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

CHECKED = "/api-pix/"
UNCHECKED = ("/api-pix/oauth/", "/api-pix/v2/oauth/", "/api-pix/openapi.json")
"""Below that prefix, but not operations of API Pix."""


class CheckedClient(FlaskClient):
    """The client of every application that a test makes: no test can forget the check."""

    def open(self, *args: Any, **options: Any) -> TestResponse:
        """Send a request. Raises ContractBroken for an answer that the document does not have."""
        answer = super().open(*args, **options)
        path = answer.request.path
        if path.startswith(CHECKED) and not path.startswith(UNCHECKED):
            # Imported here, because the document takes a while to read, and few tests need it.
            from tests.support.api_pix import PixAnswer, check_answer

            headers = {name.lower(): value for name, value in answer.headers}
            checked = PixAnswer(answer.status_code, headers, answer.get_data())
            check_answer(answer.request.method, path, checked)
        return answer
