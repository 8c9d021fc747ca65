"""Run schemathesis over an OpenAPI document, and report what the service does otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from schemathesis import Case, engine
from schemathesis.engine import events
from schemathesis.engine.recorder import ScenarioRecorder

IsRight = Callable[[Case, str, int], bool]
"""Whether a finding is right on purpose: the request, the check's name, and the answer's status
(0 without an answer)."""


def check_document(document: Any, labels: Sequence[str], is_right: IsRight) -> None:
    """Check every answer of the service. Raises AssertionError with every finding.

    `labels` are answers that must have occurred, such as `GET /events 200`: otherwise schemathesis
    has tested less than expected.
    """
    wrong: dict[str, str] = {}
    answer_counts: Counter[str] = Counter()
    for event in engine.from_schema(document).execute():
        if isinstance(event, events.NonFatalError):
            wrong[f"{event.label}: {event.info.title}"] = str(event.value)
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.ScenarioFinished):
            _gather(event.recorder, is_right, wrong, answer_counts)
    report = "\n\n".join(f"{title}\n{detail}" for title, detail in sorted(wrong.items()))
    assert not wrong, report
    for label in labels:
        assert answer_counts[label], f"{label} never happened: {sorted(answer_counts)}"


def _gather(
    recorder: ScenarioRecorder, is_right: IsRight, wrong: dict[str, str], counts: Counter[str]
) -> None:
    for case_id, checks in recorder.checks.items():
        case = recorder.cases[case_id].value
        answer = recorder.interactions[case_id].response
        status = 0 if answer is None else answer.status_code
        if answer is not None:
            counts[f"{case.operation.label} {status}"] += 1
        for check in checks:
            if check.failure_info is not None and not is_right(case, check.name, status):
                failure = check.failure_info.failure
                answer_text = answer.text[:300] if answer is not None else ""
                wrong[f"{case.operation.label}: {check.name}: {failure.title}"] = (
                    f"{failure.message}\n{check.failure_info.code_sample}\n{answer_text}"
                )
