"""Schemathesis compares these routes with their OpenAPI document, as a merchant who is signed in.

The test of the whole document has no credentials, so these routes only refuse its requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import schemathesis
from flask import Flask
from schemathesis import Case, HookContext, engine
from schemathesis.config import (
    ChecksConfig,
    GenerationConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
    SimpleCheckConfig,
)
from schemathesis.engine import events

from core import ids
from tests.accounts.people import Person
from tests.support.clocks import FrozenClock
from tests.support.service import BankInTest, close_app, ready_app, settings_for
from tests.transactions.merchant import Merchant, as_payment

PATHS = r"^/(transactions|watch|api/start_payment|api/transactions)"
MAX_EXAMPLES = 30
EXPECTED_ANSWERS = (
    "POST /transactions/ 201",
    "POST /transactions/ 400",
    "GET /transactions/ 200",
    "GET /transactions/ 400",
    "GET /transactions/{transaction_id} 200",
    "GET /transactions/{transaction_id} 404",
    "PUT /transactions/{transaction_id} 409",
    "PUT /transactions/{transaction_id} 400",
    "POST /api/start_payment 201",
    "GET /api/transactions 200",
    "GET /watch/{watch_code} 200",
    "GET /watch/{watch_code} 404",
)


class SignedIn:
    """The app, which gets every request with the merchant's token."""

    def __init__(self, app: Flask, merchant: Merchant) -> None:
        self.app = app
        self._header = merchant.headers["Authorization"]

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Add the token to the request."""
        environ["HTTP_AUTHORIZATION"] = self._header
        return self.app(environ, start)


@pytest.fixture
def document(tmp_path) -> Iterator[Any]:
    """The OpenAPI document of a service whose merchant has transactions in several states."""
    clock = FrozenClock()
    app = ready_app(settings_for(f"sqlite:///{tmp_path / 'balcao.sqlite'}", tmp_path), clock)
    person = Person(app, "alice")
    person.sign_up()
    alice = Merchant(person, person.bearer())
    transactions = [alice.create() for _ in range(4)]
    BankInTest(app.test_client(), clock).confirm(as_payment(transactions[1]))
    alice.set_status(transactions[2], "cancelled")
    # The document allows NUL in a text and an unknown cursor, which the service refuses.
    accepted_statuses = PositiveDataAcceptanceConfig(
        expected_statuses=["2xx", "3xx", "400", "401", "403", "404", "409", "5xx"]
    )
    checks = ChecksConfig(
        positive_data_acceptance=accepted_statuses, ignored_auth=SimpleCheckConfig(enabled=False)
    )
    generation = GenerationConfig(
        max_examples=MAX_EXAMPLES, with_security_parameters=False, deterministic=True
    )
    project = ProjectConfig(generation=generation, checks=checks)
    config = SchemathesisConfig(projects=ProjectsConfig(default=project))
    client = SignedIn(app, alice)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", client, config=config)

    @schema.hook
    def map_path_parameters(context: HookContext, path_parameters: Any) -> Any:
        """Three times out of four use an existing id, because ids cannot be guessed."""
        for name, field in (("transaction_id", "id"), ("watch_code", "watch_code")):
            value = (path_parameters or {}).get(name)
            if isinstance(value, str) and ids.is_txid(value) and int(value[0], 16) % 4:
                path_parameters[name] = transactions[int(value[1], 16) % len(transactions)][field]
        return path_parameters

    yield schema.include(path_regex=PATHS)
    close_app(app)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_routes_do_what_the_document_says(document: Any) -> None:
    """Every answer has a documented status and shape, and none is a 5xx."""
    failures: dict[str, str] = {}
    answer_counts: Counter[str] = Counter()
    for event in engine.from_schema(document).execute():
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            failures[f"{event.label}: {event.info.title}"] = str(event.value)
        if not isinstance(event, events.ScenarioFinished):
            continue
        for case_id, checks in event.recorder.checks.items():
            case: Case = event.recorder.cases[case_id].value
            answer = event.recorder.interactions[case_id].response
            if answer is not None:
                answer_counts[f"{case.operation.label} {answer.status_code}"] += 1
            for check in checks:
                if check.failure_info is not None:
                    answer_text = answer.text[:300] if answer is not None else ""
                    title = f"{case.operation.label}: {check.name}"
                    failures[title] = f"{check.failure_info.failure.message}\n{answer_text}"
    assert not failures, "\n\n".join(f"{title}\n{why}" for title, why in sorted(failures.items()))
    assert [label for label in EXPECTED_ANSWERS if not answer_counts[label]] == []
