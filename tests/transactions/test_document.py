"""The document of these doors against the doors, tried by schemathesis as a merchant signed in.

The test of the whole document has no credentials and sees these routes from outside alone.
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
TRIED = (
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
    """The app, asked by a merchant who is signed in."""

    def __init__(self, app: Flask, merchant: Merchant) -> None:
        self.app = app
        self._header = merchant.headers["Authorization"]

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Pass the request on."""
        environ["HTTP_AUTHORIZATION"] = self._header
        return self.app(environ, start)


@pytest.fixture
def document(tmp_path) -> Iterator[Any]:
    """The document of a service whose merchant has a transaction in every state."""
    clock = FrozenClock()
    app = ready_app(settings_for(f"sqlite:///{tmp_path / 'balcao.sqlite'}", tmp_path), clock)
    person = Person(app, "alice")
    person.sign_up()
    alice = Merchant(person, person.bearer())
    made = [alice.create() for _ in range(4)]
    BankInTest(app.test_client(), clock).confirm(as_payment(made[1]))
    alice.put(made[2], "cancelled")
    # NUL in a text and a cursor of nobody's are valid by the document, and refused.
    taken = PositiveDataAcceptanceConfig(
        expected_statuses=["2xx", "3xx", "400", "401", "403", "404", "409", "5xx"]
    )
    checks = ChecksConfig(
        positive_data_acceptance=taken, ignored_auth=SimpleCheckConfig(enabled=False)
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
        """Three times out of four ask for one that is there: ids cannot be guessed."""
        for name, field in (("transaction_id", "id"), ("watch_code", "watch_code")):
            asked = (path_parameters or {}).get(name)
            if isinstance(asked, str) and ids.is_txid(asked) and int(asked[0], 16) % 4:
                path_parameters[name] = made[int(asked[1], 16) % len(made)][field]
        return path_parameters

    yield schema.include(path_regex=PATHS)
    close_app(app)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_doors_do_what_the_document_says(document: Any) -> None:
    """No answer that is not documented, none of another shape, and no 5xx, signed in."""
    wrong: dict[str, str] = {}
    answered: Counter[str] = Counter()
    for event in engine.from_schema(document).execute():
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            wrong[f"{event.label}: {event.info.title}"] = str(event.value)
        if not isinstance(event, events.ScenarioFinished):
            continue
        for case_id, checks in event.recorder.checks.items():
            case: Case = event.recorder.cases[case_id].value
            answer = event.recorder.interactions[case_id].response
            if answer is not None:
                answered[f"{case.operation.label} {answer.status_code}"] += 1
            for check in checks:
                if check.failure_info is not None:
                    told = answer.text[:300] if answer is not None else ""
                    title = f"{case.operation.label}: {check.name}"
                    wrong[title] = f"{check.failure_info.failure.message}\n{told}"
    assert not wrong, "\n\n".join(f"{title}\n{why}" for title, why in sorted(wrong.items()))
    assert [label for label in TRIED if not answered[label]] == []
