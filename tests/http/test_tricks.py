"""The benchmark's plain forms answer as the optimisations do, so that equal things are compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import pytest

from benchmarks.in_process import Service, send
from benchmarks.tricks.child import TRICKS, measure
from core.clock import SystemClock
from tests.support.service import close_app, ready_app, settings_for

# Tests run without a hub.
MEASURED_HERE = [trick for trick in TRICKS if "HubYield" not in trick.where]
NEW_EACH_TIME = ("X-Request-ID", "Set-Cookie", "ETag", "Content-Length", "Location")


ENGINES = ["sqlite", pytest.param("mysql", marks=pytest.mark.mysql)]
"""The service defers INSERTs on MariaDB alone, which the benchmark measures by default."""


@pytest.fixture(scope="module", params=ENGINES)
def start_service(request, tmp_path_factory, databases):
    """A function that starts a service as the benchmark measures it, on a database of its own."""

    @contextmanager
    def start() -> Iterator[Service]:
        with databases.fresh(request.param) as url:
            app = ready_app(settings_for(url, tmp_path_factory.mktemp("measured")), SystemClock())
            try:
                yield Service(app)
            finally:
                close_app(app)

    return start


@pytest.fixture(scope="module")
def service(start_service):
    """The service as it is."""
    with start_service() as service:
        yield service


@pytest.mark.parametrize("trick", MEASURED_HERE, ids=lambda one: f"{one.where}: {one.name}")
def test_the_plain_form_of_a_trick_answers_the_same(trick, service, start_service):
    """Otherwise the benchmark compares two different answers, or no longer runs at all."""
    with ExitStack() as stack:
        plain, off = service, trick.off
        if trick.is_built_in:
            with trick.off(service.app):
                plain, off = stack.enter_context(start_service()), nullcontext
        for name in trick.operations:
            operation = service.operations()[name]
            fast = send(service.app, operation.prepare(2)[0])
            request = plain.operations()[name].prepare(2)[0]
            with off(plain.app):
                slow = send(plain.app, request)
            assert slow.status == fast.status == operation.expect
            assert lasting(slow.headers) == lasting(fast.headers)


def test_a_trick_is_measured_in_one_round(service):
    """The answers may be equal and the measurement itself still fail."""
    trick = next(trick for trick in MEASURED_HERE if not trick.is_built_in and not trick.is_distant)
    operation = service.operations()[trick.operations[0]]

    result = measure(trick, operation, service, service, rounds=1)

    assert result["with"] > 0
    assert result["without"] > 0
    assert result["least"] == pytest.approx([result["with"], result["without"]])


def lasting(headers):
    """The headers, without the values that differ from answer to answer.

    A server adds `Date` to every answer, and Werkzeug to conditional ones.
    """
    return sorted(
        (name, "" if name in NEW_EACH_TIME else value) for name, value in headers if name != "Date"
    )
