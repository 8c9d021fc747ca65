"""Health, metrics and the API documents."""

from __future__ import annotations

from core.version import VERSION
from server.schema import MIGRATIONS, newest_revision


def test_healthz_answers_alive_and_names_the_versions(client):
    """Process managers ask every second; during an upgrade the answer tells old from new."""
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json) == (
        200,
        {
            "status": "alive",
            "version": VERSION,
            "revision": None,
            "schema": newest_revision(),
        },
    )
    assert newest_revision() == max(path.name[:4] for path in MIGRATIONS.glob("versions/0*.py"))


def test_ready_names_each_part(client):
    """An operator sees which one fails."""
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (200, "ready")
    assert answer.json["checks"] == {
        "database": "ok",
        "redis": "not configured",
        "sweep": "ok",
        "bank": "ok",
    }
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_sweep_that_does_not_run_is_not_ready(client, make_payment, clock):
    """Watchers would hear of no expiry; the 503 has the reason and Retry-After."""
    make_payment(expires_in=10)
    clock.advance(seconds=10 + 40)
    assert client.get("/readyz").status_code == 200
    clock.advance(seconds=1)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["status"]) == (503, "not ready")
    assert "41 s behind" in answer.json["checks"]["sweep"]
    assert answer.headers["Retry-After"]


def test_a_balancer_leaves_out_what_all_processes_share(client, make_payment, clock):
    """A worker that stopped must not take every web process away."""
    make_payment(expires_in=10)
    clock.advance(seconds=10 + 41)

    answer = client.get("/readyz?exclude=redis&exclude=sweep")

    assert (answer.status_code, answer.json["checks"]) == (200, {"database": "ok", "bank": "ok"})
    assert client.get("/readyz?exclude=redis").status_code == 503
    assert client.get("/readyz?exclude=everything").status_code == 400


def samples(client):
    """The metrics as name with labels → value."""
    lines = client.get("/metrics").text.splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def test_metrics_count_requests_by_route_and_events_by_name(client, make_payment, bank):
    """By route, never by path: an id in a label would be a new series for each payment."""
    payment = make_payment()
    bank.confirm(payment)
    client.get(f"/payments/pix/{payment['id']}/status")
    metrics = samples(client)
    assert metrics['balcao_payment_events_total{event="payment.confirmed"}'] == "1.0"
    route = 'method="GET",route="/payments/pix/<string:payment_id>/status",status="200"'
    assert metrics[f"balcao_http_request_seconds_count{{{route}}}"] == "1.0"
    assert payment["id"] not in str(metrics)
    assert "balcao_sweep_lag_seconds" in metrics


def test_unknown_methods_and_paths_make_no_new_series(client):
    """They must not fill the memory of the service or of Prometheus."""
    for number in range(20):
        client.open(f"/nowhere/{number}", method=f"X{number}")
        client.open("/healthz", method=f"X{number}")
    series = [name for name in samples(client) if name.startswith("balcao_http_request_seconds_c")]
    assert not any("X1" in name or "nowhere" in name for name in series)
    # One for 404 and one for 405, whatever the method was called, each with its creation time.
    assert len(series) <= 2 * 2


def test_the_document_is_served_and_names_every_documented_route(client):
    """/docs reads it."""
    answer = client.get("/openapi.json")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.json["openapi"].startswith("3.")
    paths = answer.json["paths"]
    for path in ("/payments/pix", "/payments/pix/confirmation", "/payments/pix/{payment_id}"):
        assert path in paths


def references(node):
    """Every $ref in a document."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from references(item)


def test_every_reference_in_the_document_leads_somewhere(client):
    """A dangling $ref breaks generated clients."""
    document = client.get("/openapi.json").json
    targets = set(references(document))
    assert targets
    for reference in targets:
        node = document
        assert reference.startswith("#/"), reference
        for part in reference[2:].split("/"):
            assert part in node, reference
            node = node[part]


def test_every_security_demand_in_the_document_is_declared(client):
    """Otherwise *Authorize* does not work."""
    document = client.get("/openapi.json").json
    declared = set(document["components"]["securitySchemes"])
    demanded = {
        name
        for operations in document["paths"].values()
        for operation in operations.values()
        for demand in operation.get("security", [])
        for name in demand
    }
    assert demanded
    assert demanded <= declared
