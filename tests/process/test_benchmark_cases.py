"""Each case of the benchmark that compares whole programs runs, with a few requests.

How long anything takes is no test's business.
"""

from __future__ import annotations

import pytest
import socketio

from benchmarks import subjects
from benchmarks.browser import Browser, files_in, run_alone
from benchmarks.cases import http, journey, live
from benchmarks.cpu import descendants, process_that_listens, tree_seconds
from benchmarks.load import run
from tests.support.parts import MissingPart, leave_out
from tests.support.service import ROOT


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """The service, the same service as an older version, the bare app and the simple one."""
    folder = tmp_path_factory.mktemp("subjects")
    names = ("service", subjects.WITH_REDIS, "bare", "simple", subjects.SIMPLE_GREEN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subjects.CheckoutProcess, "is_forked", True)  # a start imports for seconds
        try:
            with subjects.open_subjects(folder, "sqlite", names, ROOT) as programs:
                yield programs
        except MissingPart as part:
            leave_out(part)


def test_every_request_is_compared_with_each_program_that_has_it(running, monkeypatch):
    """The bounds are those of the operations, at the number of clients that they are for."""
    # Without the pauses that make the figures comparable, which this test does not read.
    monkeypatch.setattr(subjects.Checkout, "later_seconds", 0.0)
    monkeypatch.setattr(subjects, "SETTLE_SECONDS", 0.0)
    outcomes, samples = http.measure_running(running, 1, (2,), 4, idle_seconds=0.1)

    names = {outcome.name for outcome in outcomes}
    for operation in http.operations():
        for other in operation.bounds:
            assert f"{operation.name}, 2 clients / {other}" in names
        for other in operation.bounds_with_redis:
            assert f"{operation.name}, 2 clients / {other}, with Redis" in names
    assert {row["subject"] for row in samples["http"]} == running.keys()
    assert all(outcome.bound is None for outcome in outcomes)


def test_a_journey_goes_from_the_creation_to_the_receipt(running):
    """A page polls beside its socket at the pace of its version; a plain page does not."""
    plan = journey.Plan(4, wait_seconds=0.2, starts_within_seconds=0.2, idle_seconds=0.1)
    left_out = {subjects.WITH_REDIS, subjects.SIMPLE_GREEN}
    programs = {name: own for name, own in running.items() if name not in left_out}
    outcomes, samples = journey.measure_running(programs, 1, plan)

    assert [outcome.name for outcome in outcomes] == [
        f"journey / {other}" for other in ("bare", "simple", "before")
    ]
    requests = {name: own[0]["requests"] for name, own in samples["journey"]["subjects"].items()}
    assert requests["service"] == requests["before"] > 20
    assert requests["bare"] == 4, "creation, page, QR, confirmation"
    assert requests["simple"] == 5, "and the page again"


def test_the_browser_loads_what_a_page_names(running):
    """Modules that scripts import count, and what is in the cache is asked for with its ETag."""
    service = running["service"]

    async def visit():
        shop, browser = Browser(service.port, 0), Browser(service.port, 1)
        order = service.order((await shop.send(service.create(), 201)).body)
        html = await browser.visit(service.page(order))
        again = Browser(service.port, 2, browser.cache)
        await again.visit(service.page(order))
        for one in (shop, browser, again):
            one.close()
        return html, browser.cache, again.requests

    html, cache, requests = run_alone(visit())
    paths = {path.partition("?")[0] for path in cache}
    assert {path.partition("?")[0] for path in files_in(html)} <= paths
    assert {"/static/js/poller.js", "/static/css/base.css"} <= paths
    assert all(page.status == 200 and page.body for page in cache.values())
    assert requests == 1 + sum(not page.is_fresh for page in cache.values())


def test_idle_watchers_and_events_beside_them_are_compared(running):
    """No idle watcher may receive the event of another payment: the crowd would say so."""
    pair = {name: running[name] for name in ("service", "bare")}
    outcomes, samples = live.measure_running(pair, 1, 20, 2, 0.1)

    assert [outcome.unit for outcome in outcomes] == ["ms", "KiB each", "µs per second each"]
    assert [len(own[0]) for own in samples["live"]["delays_seconds"].values()] == [2, 2]


def test_a_browser_that_comes_back_asks_for_no_picture_that_it_may_keep(running):
    """The service's picture has an address for ever; that of the plain apps is asked for anew."""
    requests = {name: http._later_visits(subject, 2) for name, subject in running.items()}

    assert {name: len(own) for name, own in requests.items()} == {
        "service": 2,
        subjects.WITH_REDIS: 2,
        "before": 2,
        "bare": 4,
        "simple": 4,
        subjects.SIMPLE_GREEN: 4,
    }
    for name, expect in (("simple", 304), ("service", 200)):
        last = requests[name][-1:]
        assert (b"If-None-Match" in last[0]) == (expect == 304)
        run(running[name].port, last, clients=1, expect=expect)


def test_a_server_that_closes_after_each_answer_gets_new_connections(running):
    """Werkzeug's does, and each connection is a thread there."""
    simple = running["simple"]
    load = run(simple.port, [simple.create() for _ in range(6)], clients=2, expect=201)
    assert len({simple.order(body).id for body in load.bodies}) == 6


@pytest.mark.parametrize("name", ["bare", "simple", subjects.SIMPLE_GREEN])
def test_the_plain_apps_speak_socketio(running, name):
    """The library's own client hears the confirmation."""
    subject = running[name]
    with socketio.SimpleClient() as client:
        client.connect(f"http://127.0.0.1:{subject.port}", transports=["websocket"])
        order = subject.order(
            run(subject.port, [subject.create()], clients=1, expect=201).bodies[0]
        )
        if name == "bare":
            client.call("watch", {"payment_id": order.id})
        run(subject.port, [subject.confirm(order)], clients=1, expect=200)
        event = client.receive(timeout=10)
    assert event[0].startswith("payment-confirmed")


def test_the_cpu_of_a_program_is_read_from_outside(running):
    """The process that listens is the one that was started."""
    service = running["service"]
    assert process_that_listens(service.port) == service.pid
    assert service.pid in set(descendants(service.pid))
    assert tree_seconds(service.pid) > 0.1
    assert process_that_listens(1) is None
