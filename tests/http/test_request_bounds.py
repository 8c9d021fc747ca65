"""Every route is bounded for each client, and nobody who behaves ever meets a bound."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config import Settings, parts_of
from core.errors import TooManyRequests
from tests.http.checks import add_merchant, client_of, problem
from tests.support.service import close_app, ready_app, settings_for
from web import request_counts
from web.limits import forget_counts, limits, per_seconds
from web.request_counts import RequestCounts

ROOT = Path(__file__).resolve().parents[2]
PROBES = {"healthz", "readyz", "metrics_page"}


@pytest.fixture
def strict(tmp_path, fresh_database, clock):
    """Start a service with these bounds, in a minute that does not end."""
    apps = []

    def start(**bounds):
        settings = settings_for(fresh_database("sqlite"), tmp_path, **bounds)
        apps.append(ready_app(settings, clock))
        parts_of(apps[-1]).request_counts._clock = lambda: 600.0
        return apps[-1]

    yield start
    for app in apps:
        close_app(app)


def at(app, address):
    """A client at this address."""
    client = app.test_client()
    client.environ_base["REMOTE_ADDR"] = address
    return client


def test_every_route_has_a_bound(strict):
    """A route without a bound is one that a stranger may call as fast as the network allows."""
    app = strict(requests_per_minute=1, bank_requests_per_minute=1)
    unbounded = set()
    for number, rule in enumerate(app.url_map.iter_rules()):
        values = dict.fromkeys(rule.arguments, "0" * 32)
        if "name" in values and "poster" in rule.rule:
            values["name"] = "qr.png"
        with app.test_request_context():
            path = app.url_map.bind("127.0.0.1").build(
                rule.endpoint, values, method=min(rule.methods - {"HEAD", "OPTIONS"})
            )
        client = at(app, f"198.51.{number // 250}.{number % 250}")
        method = min(rule.methods - {"HEAD", "OPTIONS"})
        first = client.open(path, method=method)
        second = client.open(path, method=method)
        if (first.status_code == 429, second.status_code) != (False, 429):
            unbounded.add(rule.endpoint)
    assert unbounded == PROBES


def test_a_refusal_says_when_to_come_back_and_is_counted_once(strict):
    """A program waits; a browser gets a page; the operator sees the limit once for each client."""
    app = strict(requests_per_minute=2)
    charlie = at(app, "203.0.113.9")
    assert [charlie.get("/docs").status_code for _ in range(2)] == [200, 200]
    answer = charlie.get("/docs")
    problem(answer, 429, "too-many-requests")
    assert answer.headers["Retry-After"] == "60"
    page = charlie.get("/docs", headers={"Accept": "text/html"})
    assert (page.status_code, page.mimetype) == (429, "text/html")
    assert at(app, "203.0.113.8").get("/docs").status_code == 200
    assert charlie.get("/healthz").status_code == 200
    with app.app_context():
        assert limits().hits("requests") == {"requests": 1}


def test_a_network_of_ipv6_is_one_client(strict):
    """One customer has 2^64 addresses."""
    app = strict(requests_per_minute=2)
    statuses = [at(app, f"2001:db8:1:2::{n}").get("/docs").status_code for n in range(1, 4)]
    assert statuses == [200, 200, 429]
    assert at(app, "2001:db8:1:3::1").get("/docs").status_code == 200


def test_work_that_costs_more_has_a_bound_of_its_own(strict, clock):
    """Two of each kind are answered; the third is refused, and other kinds are not."""
    app = strict(renewals_per_minute=2, checks_per_minute=2, qr_images_per_minute=2)
    bob, charlie = at(app, "203.0.113.8"), at(app, "203.0.113.9")
    payment = bob.post("/payments/pix", json={"value": 1, "expires_in": 60}).json["payment"]
    page = f"/payments/pix/{payment['id']}"
    image = f"/payments/pix/qr_code/qr_code_payment_{payment['id']}"
    assert [charlie.get(f"{image}.svg").status_code for _ in range(3)] == [200, 200, 429]
    assert [charlie.post(f"{page}/check").status_code for _ in range(3)] == [200, 200, 429]
    clock.advance(seconds=61)
    assert [charlie.post(f"{page}/renew").status_code for _ in range(3)] == [201, 201, 429]
    assert charlie.get(f"{page}/status").status_code == 200
    assert bob.post(f"{page}/renew").status_code == 201


def test_creations_are_counted_for_each_merchant(strict):
    """A merchant's servers share a bound; another merchant at the same address has its own."""
    app = strict(creations_per_minute=2)
    alice = client_of(app, add_merchant(app, "alice", "alice@example.com"))
    charlie = client_of(app, add_merchant(app))
    statuses = [alice.post("/payments/pix", json={"value": 1}).status_code for _ in range(3)]
    assert statuses == [201, 201, 429]
    assert charlie.post("/payments/pix", json={"value": 1}).status_code == 201
    body = {"amount": 1}
    assert alice.post("/transactions/", json=body).status_code == 429
    open_door = at(app, "203.0.113.9")
    statuses = [open_door.post("/payments/pix", json={"value": 1}).status_code for _ in range(3)]
    assert statuses == [201, 201, 429]


def test_fifty_shoppers_behind_one_address_never_meet_a_bound():
    """A family, an office, a phone company: each page at its fastest, twice over."""
    poller = (ROOT / "static/js/poller.js").read_text()
    (fastest_ms,) = re.findall(r"HURRY_MS = ([\d_]+)", poller)
    polls = 60_000 // int(fastest_ms)
    files = len(list((ROOT / "static").rglob("*.*")))
    default = {name: field.default for name, field in Settings.model_fields.items()}
    assert 50 * (polls + files) <= default["requests_per_minute"]
    assert 50 * polls * 2 <= default["requests_per_minute"]
    assert default["qr_images_per_minute"] >= 50 * 2 * 2
    assert default["renewals_per_minute"] >= 50
    assert default["checks_per_minute"] >= 50 * 2


def test_a_minute_ends_and_its_counts_are_forgotten():
    """Nothing of a minute stays in memory."""
    now = [59.0]
    breaches: list[str] = []
    counts = RequestCounts(breaches.append, lambda: now[0])
    counts.take("a", "x", 1)
    for _ in range(2):
        with pytest.raises(TooManyRequests) as refusal:
            counts.take("a", "x", 1)
        assert refusal.value.retry_after_seconds == 1
    counts.take("b", "x", 1)
    now[0] = 60.0
    counts.take("a", "x", 1)
    assert breaches == ["a"]
    assert len(counts._counts) == 1


def test_a_clock_that_was_set_back_leaves_nobody_without_requests(strict):
    """The counts hold times: after a jump they would lie in the future and never leave a window."""
    app = strict()
    minute = per_seconds(1, 60)
    with app.app_context():
        for _ in range(2):
            assert limits().take(minute, "charlie") is None
            assert limits().take(minute, "charlie") is not None
            forget_counts()


def test_the_number_of_counts_is_bounded(monkeypatch):
    """Whoever has a million addresses fills no memory: clients that come late share one count."""
    monkeypatch.setattr(request_counts, "CLIENTS_MAX", 2)
    counts = RequestCounts(lambda _: None, lambda: 0.0)
    for client in ("a", "b", "c"):
        counts.take("k", client, 1)
    with pytest.raises(TooManyRequests):
        counts.take("k", "d", 1)
    with pytest.raises(TooManyRequests):
        counts.take("k", "a", 1)
    assert len(counts._counts) == 3
