"""What is logged and counted of the exchange with a bank: nothing secret, nothing of people."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog
from flask import has_app_context

from config import current_parts
from providers.api_pix.breaker import BreakerState
from providers.port import AccountRefusal, ProviderAway
from web.bank_call_metrics import BankCallMetrics

log = structlog.get_logger()

HOUR_SECONDS = 3600.0


@dataclass
class CallRecord:
    """One call, as far as it may be told."""

    operation: str
    txid: str | None
    correlation_id: str
    http_status: int | None = None
    """The HTTP status of the last answer; None without one."""


class ExchangeRecords:
    """The records of one account; `label` names its bank and never its merchant."""

    def __init__(self, label: str) -> None:
        """Nothing has failed yet."""
        self._label = label
        self._lock = threading.Lock()
        self._failing: dict[str, str] = {}
        self._warned_at: dict[str, float] = {}
        self._is_open = False

    @contextmanager
    def measured(self, record: CallRecord) -> Iterator[None]:
        """Log and count the call that the block makes."""
        began = time.monotonic()
        try:
            yield
        except ProviderAway as error:
            self._note(record, began, error.code, f"away-{error.code}")
            raise
        except AccountRefusal as error:
            self._note(record, began, error.code, "account-refused")
            raise
        else:
            status = record.http_status or 0
            self._note(record, began, None, f"{status // 100}xx")

    def note_breaker(self, state: BreakerState) -> None:
        """Log and count that the breaker opened or closed."""
        is_open = state is not BreakerState.CLOSED
        with self._lock:
            if is_open == self._is_open:
                return
            self._is_open = is_open
        if is_open:
            log.warning("provider.breaker_opened", bank=self._label)
        else:
            log.info("provider.breaker_closed", bank=self._label)
        if metrics := _metrics():
            metrics.note_breaker(self._label, is_open=is_open)

    def note_token(self, missing_scopes: tuple[str, ...]) -> None:
        """Count a new token, and warn of scopes that it lacks."""
        if missing_scopes and self._may_warn("scopes"):
            log.warning("provider.scopes_missing", bank=self._label, scopes=missing_scopes[:20])
        if metrics := _metrics():
            metrics.token_set.labels(self._label).set_to_current_time()

    def warn_of_clock(self, offset: timedelta | None) -> None:
        """Warn, once an hour, that the bank's clock and ours differ."""
        if offset is not None and self._may_warn("clock"):
            log.warning(
                "provider.clock_differs", bank=self._label, seconds=round(offset.total_seconds())
            )

    def _may_warn(self, subject: str) -> bool:
        moment = time.monotonic()
        with self._lock:
            last = self._warned_at.get(subject)
            if last is not None and moment - last < HOUR_SECONDS:
                return False
            self._warned_at[subject] = moment
            return True

    def _note(self, record: CallRecord, began: float, failure: str | None, result: str) -> None:
        seconds = time.monotonic() - began
        details = {
            "bank": self._label,
            "operation": record.operation,
            "txid": record.txid,
            "status": record.http_status,
            "correlation": record.correlation_id,
            "ms": round(seconds * 1000),
        }
        with self._lock:
            before = self._failing.get(record.operation)
            if failure is None:
                self._failing.pop(record.operation, None)
            else:
                self._failing[record.operation] = failure
        if failure is not None and failure != before:
            log.warning("provider.call_failed", failure=failure, **details)
        elif failure is None and before is not None:
            log.info("provider.call_works_again", **details)
        else:
            log.debug("provider.call", failure=failure, **details)
        if metrics := _metrics():
            metrics.calls.labels(self._label, record.operation, result).inc()
            if record.http_status is not None:
                metrics.seconds.labels(self._label, record.operation).observe(seconds)


def _metrics() -> BankCallMetrics | None:
    """The metrics of the app; None outside of one, as in a script."""
    return current_parts().metrics.bank_calls if has_app_context() else None
