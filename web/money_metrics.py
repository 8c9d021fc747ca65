"""Prometheus metrics of money at real banks. No label names a merchant or an account."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class MoneyMetrics:
    """How money at real banks is learnt of, and what is still unknown."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare the metrics."""
        self.delay = Histogram(
            "balcao_provider_booking_delay_seconds",
            "From the bank's time of a Pix until it was booked, by the way it was learnt of",
            ("way",),
            registry=registry,
            buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 86_400),
        )
        self.receipts = Counter(
            "balcao_provider_receipts_total",
            "Pix of real banks that were booked: confirmed, received, or the code of a misfit",
            ("result",),
            registry=registry,
        )
        self.callbacks = Counter(
            "balcao_provider_callbacks_total",
            "Callbacks of real banks: stored, nothing, unreadable or unknown (no such token)",
            ("result",),
            registry=registry,
        )
        self.unknown_charges = Gauge(
            "balcao_provider_unknown_charges",
            "Charges whose outcome at the bank is unknown for more than a minute; up to 10,000",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.misfits = Gauge(
            "balcao_provider_misfits",
            "Money of real banks that fits no payment, and returns that exceed theirs, "
            "which nobody dealt with; up to 10,000 each",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
