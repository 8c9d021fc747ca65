"""Prometheus metrics of requests, payment events, the sweep, limits and webhooks."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

from flask import Response, g, request
from flask_openapi import OpenAPI
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    values,
)

from core.runtime.proxies import behind
from repository.events import StoredEvent
from web.api_docs import MACHINES
from web.bank_call_metrics import BankCallMetrics
from web.money_metrics import MoneyMetrics

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
"""Counted by name; all other methods share one label, or invented names would fill the memory."""


def shared_folder() -> Path | None:
    """Where the processes of this machine share their metrics; None if each has its own.

    The variable is that of Prometheus' client library, which reads it itself.
    """
    text = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(text) if text else None


def use_own_numbers() -> None:
    """Let the metrics that this process creates stay in its memory, whatever the variable says."""
    values.ValueClass = values.MutexValue


class Metrics:
    """The metrics of one app, in their own registry."""

    def __init__(self) -> None:
        """Declare the metrics."""
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "balcao_http_request_seconds",
            "Time to answer, by route",
            ("method", "route", "status"),
            registry=self.registry,
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
        )
        self.events = Counter(
            "balcao_payment_events_total",
            "What happened to payments, by event name",
            ("event",),
            registry=self.registry,
        )
        # To find a child again by `labels` takes a lock, which is slow under eventlet.
        self._requests_of = cache(self.requests.labels)
        self._events_of = cache(self.events.labels)
        self.sweep_lag = Gauge(
            "balcao_sweep_lag_seconds",
            "How long the oldest due payment has been waiting for the sweep",
            registry=self.registry,
            # All processes read the same rows. The largest value could be of a dead process.
            multiprocess_mode="mostrecent",
        )

        self.wrong_signatures = Counter(
            "balcao_bank_signatures_wrong_total",
            "Confirmations whose signature has the right form but is wrong",
            registry=self.registry,
        )
        self.reached_limits = Counter(
            "balcao_limits_reached_total",
            "Requests refused because a limit was reached, by limit",
            ("limit",),
            registry=self.registry,
        )

        self.job_runs = Counter(
            "balcao_job_runs_total",
            "Runs of background jobs, by job",
            ("job",),
            registry=self.registry,
        )
        self.sockets = Counter(
            "balcao_sockets_total",
            "Connections for live events that began or ended, by kind",
            ("kind", "change"),
            registry=self.registry,
        )
        self.webhooks = WebhookMetrics(self.registry)
        self.provider_accounts = ProviderAccountMetrics(self.registry)
        self.money = MoneyMetrics(self.registry)
        self.bank_calls = BankCallMetrics(self.registry)

    def count_socket(self, kind: str, change: str) -> None:
        """Count a connection that was opened or closed."""
        self.sockets.labels(kind, change).inc()

    def measure(self, response: Response) -> Response:
        """Observe the request's duration; an `after_request` hook."""
        incoming = behind(request)
        rule, method = incoming.url_rule, incoming.method
        ended = time.perf_counter()
        self.observe(
            method if method in METHODS else "(other)",
            rule.rule if rule else "(none)",
            response.status_code,
            ended - g.get("started", ended),
        )
        return response

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Observe the duration of a request to this route."""
        self._requests_of(method, route, status).observe(seconds)

    def count_events(self, events: list[StoredEvent]) -> None:
        """Count what a unit of work recorded."""
        for event in events:
            self._events_of(event.name).inc()

    def text(self) -> bytes:
        """The metrics in Prometheus text format; of all processes if they share a directory."""
        if shared_folder():
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self.registry)


class WebhookMetrics:
    """The metrics of webhooks. No label names a merchant or an endpoint."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare the metrics."""
        self.deliveries = Counter(
            "balcao_webhook_deliveries_total",
            "Deliveries that ended: delivered, failed (rests) or gone (answered 410)",
            ("outcome",),
            registry=registry,
        )
        for outcome in ("delivered", "failed", "gone"):
            self.deliveries.labels(outcome)  # a rate needs the 0 before the first one
        self.attempts = Counter(
            "balcao_webhook_attempts_total",
            "Requests to webhooks, by the answer's status: 2xx to 5xx, other, or none",
            ("answer",),
            registry=registry,
        )
        self.first_delivery = Histogram(
            "balcao_webhook_first_delivery_seconds",
            "From the transaction of an event until its first attempt was answered with 2xx",
            registry=registry,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
        )

        def gauge(name: str, text: str) -> Gauge:
            # All processes read the same rows, so the newest value counts.
            return Gauge(name, text, registry=registry, multiprocess_mode="mostrecent")

        self.lag = gauge(
            "balcao_webhook_lag_seconds",
            "How long the oldest due delivery waits, of endpoints whose last attempt succeeded",
        )
        self.pending = gauge(
            "balcao_webhook_deliveries_pending",
            "Deliveries that have not ended, of endpoints that may be sent to; counted to 10,000",
        )
        self.paused = gauge(
            "balcao_webhook_endpoints_paused",
            "Endpoints that are paused because they failed for three days; counted to 10,000",
        )
        self.unnumbered = gauge(
            "balcao_webhook_events_unnumbered",
            "Events that have no position in the feed yet; counted to 10,000",
        )

    def count_attempt(self, status: int | None) -> None:
        """Count a request by what came back; `status` is None if no answer came."""
        answer = "none"
        if status is not None:
            answer = f"{status // 100}xx" if 200 <= status < 600 else "other"
        self.attempts.labels(answer).inc()


class ProviderAccountMetrics:
    """The gauges of merchants' accounts at banks, by the account's public id."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare the metrics."""

        def gauge(name: str, text: str) -> Gauge:
            # All processes read the same rows, so the newest value counts.
            return Gauge(
                name, text, ("account",), registry=registry, multiprocess_mode="mostrecent"
            )

        self.certificate_days = gauge(
            "balcao_provider_certificate_days",
            "Days until the client certificate of an account ends; negative after its end",
        )
        self.fault = gauge(
            "balcao_provider_account_fault",
            "1 while the last exchange with the bank of an account failed, else 0",
        )
        self.answer_age = gauge(
            "balcao_provider_answer_age_seconds",
            "How long ago the bank of an account last gave a usable answer",
        )
        self._accounts: set[str] = set()

    def forget_others(self, accounts: set[str]) -> None:
        """Drop the series of accounts that are not among these."""
        for account in self._accounts - accounts:
            for one in (self.certificate_days, self.fault, self.answer_age):
                one.remove(account)
        self._accounts = accounts


def init_metrics(app: OpenAPI, metrics: Metrics) -> None:
    """Serve /metrics."""

    @app.get(
        "/metrics",
        tags=[MACHINES],
        responses={
            200: {
                "description": "The Prometheus text format.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            }
        },
    )
    def metrics_page() -> Response:
        """Prometheus text, of this process, or of all processes if they share a directory."""
        return Response(metrics.text(), content_type=CONTENT_TYPE_LATEST)
