"""Prometheus metrics of the exchange with real banks. No label names a merchant."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class BankCallMetrics:
    """Calls to banks, by profile and environment, such as `efi-live`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare the metrics."""
        self.calls = Counter(
            "balcao_provider_calls_total",
            "Calls to a bank by operation and result: 2xx, 4xx, account-refused or away-…",
            ("bank", "operation", "result"),
            registry=registry,
        )
        self.seconds = Histogram(
            "balcao_provider_call_seconds",
            "Duration of calls that were answered, with the wait for a token, by operation",
            ("bank", "operation"),
            registry=registry,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60),
        )
        self.unreadable = Counter(
            "balcao_provider_unreadable_items_total",
            "Pix and charges in a bank's lists that could not be read, and were skipped",
            ("bank", "list"),
            registry=registry,
        )
        self.breaker_changes = Counter(
            "balcao_provider_breaker_changes_total",
            "How often calls were stopped because a bank was away (open), and let go on (closed)",
            ("bank", "state"),
            registry=registry,
        )
        self.open_breakers = Gauge(
            "balcao_provider_breakers_open",
            "Accounts whose calls are stopped now because their bank is away",
            ("bank",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.token_set = Gauge(
            "balcao_provider_token_timestamp_seconds",
            "When a bank last gave a token; its age is time() minus this",
            ("bank",),
            registry=registry,
            multiprocess_mode="mostrecent",
        )

    def note_breaker(self, bank: str, *, is_open: bool) -> None:
        """Count that a breaker opened or closed."""
        self.breaker_changes.labels(bank, "open" if is_open else "closed").inc()
        if is_open:
            self.open_breakers.labels(bank).inc()
        else:
            self.open_breakers.labels(bank).dec()
