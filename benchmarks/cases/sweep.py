"""The time to expire ten thousand due payments in a small table and in a large one."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from benchmarks.report import Outcome, median
from core.clock import SystemClock
from db_models import Payment
from db_models.base import db
from payments.sweep import BATCH, expire_batch
from tests.support.service import close_app, ready_app, settings_for

SMALL, LARGE, DUE = 20_000, 1_000_000, 10_000
BOUND = 2.0
_INSERTED_AT_ONCE = 5_000


def measure(folder: Path, database_url: str, rounds: int = 3) -> list[Outcome]:
    """Measure the seconds to expire all due payments."""
    app = ready_app(settings_for(database_url, folder), SystemClock())
    seconds: dict[int, list[float]] = {SMALL: [], LARGE: []}
    with app.app_context():
        rows = 0
        for size in (SMALL, LARGE):
            _fill(size - rows)
            rows = size
            for _ in range(rounds):
                _move_deadlines()
                seconds[size].append(_sweep())
    close_app(app)
    return [
        Outcome(
            f"sweep of {DUE:,}: table of {LARGE:,} / {SMALL:,}",
            median(seconds[LARGE]),
            median(seconds[SMALL]),
            "s",
            BOUND,
            "lower",
            rounds,
        )
    ]


def _fill(rows: int) -> None:
    """Insert payments of the merchant whose deadlines are far away."""
    now = SystemClock().now()
    with db.engine.begin() as connection:
        merchant = connection.scalar(sa.text("SELECT id FROM accounts"))
    for start in range(0, rows, _INSERTED_AT_ONCE):
        batch = [
            _row(merchant, now, number)
            for number in range(start, min(rows, start + _INSERTED_AT_ONCE))
        ]
        with db.engine.begin() as connection:
            connection.execute(sa.insert(Payment.__table__), batch)


def _row(merchant: int, now: datetime, number: int) -> dict[str, object]:
    import secrets

    return {
        "txid": secrets.token_hex(16),
        "watch_code": secrets.token_hex(16),
        "merchant_id": merchant,
        "amount_centavos": 1000 + number % 977,
        "refunded_centavos": 0,
        "metadata": {},
        "br_code": "0" * 160,
        "status": "pending",
        "created_at": now - timedelta(days=2),
        "expires_at": now + timedelta(days=20, seconds=number % 86_400),
        "sequence": 1,
    }


def _move_deadlines() -> None:
    """Make the oldest payments pending and due a moment ago, each at its own instant."""
    now = SystemClock().now()
    with db.engine.begin() as connection:
        ids = connection.scalars(sa.select(Payment.id).order_by(Payment.id).limit(DUE)).all()
        connection.execute(
            sa.update(Payment)
            .where(Payment.id == sa.bindparam("key"))
            .values(expires_at=sa.bindparam("due"), status="pending", resolved_at=None),
            [
                {"key": key, "due": now - timedelta(milliseconds=number + 1)}
                for number, key in enumerate(ids)
            ],
        )


def _sweep() -> float:
    started = time.perf_counter()
    expired = 0
    while True:
        batch_size, won = expire_batch(BATCH)
        expired += won
        if batch_size < BATCH:
            break
    elapsed = time.perf_counter() - started
    assert expired == DUE, f"{expired} of {DUE} were expired"
    return elapsed
