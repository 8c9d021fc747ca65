"""Direct access to the rows of a database, without the service's rules."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from db_models import Account, Payment, PaymentEvent, Receipt

NOON = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
"""The initial instant of the tests' clock."""


class Tables:
    """A database; each query uses a new connection."""

    def __init__(self, url: str) -> None:
        options = {"isolation_level": "AUTOCOMMIT"} if not url.startswith("sqlite") else {}
        self.engine = sa.create_engine(url, poolclass=sa.NullPool, **options)
        if url.startswith("sqlite"):
            # SQLite checks foreign keys only if each connection turns the check on.
            sa.event.listen(self.engine, "connect", _check_foreign_keys)

    @contextmanager
    def connected(self) -> Iterator[sa.Connection]:
        """A transaction, committed at the end."""
        with self.engine.begin() as connection:
            yield connection

    def rows(self, query: Any, **values: Any) -> list[Any]:
        """The rows of a statement, given as text or as an expression."""
        statement = sa.text(query) if isinstance(query, str) else query
        with self.connected() as connection:
            return list(connection.execute(statement, values).all())

    def change(self, statement: Any, **values: Any) -> None:
        """Run a statement that returns no rows."""
        with self.connected() as connection:
            connection.execute(
                sa.text(statement) if isinstance(statement, str) else statement, values
            )

    def insert(self, model: Any, *rows: Mapping[str, Any]) -> None:
        """Insert rows without any check but the database's."""
        with self.connected() as connection:
            for start in range(0, len(rows), 500):
                connection.execute(sa.insert(model.__table__), list(rows[start : start + 500]))

    def merchant_id(self) -> int:
        """The row id of the first account, the demo merchant."""
        return int(self.rows(sa.select(Account.id).order_by(Account.id))[0][0])

    def payment(self, txid: str) -> Any:
        """The row of a payment."""
        return self.rows(sa.select(Payment.__table__).where(Payment.txid == txid))[0]

    def receipts(self, *txids: str) -> list[Any]:
        """The receipts of these payments, in the order of their insertion."""
        query = sa.select(Receipt.__table__).where(Receipt.bank_payment_id.in_(txids))
        return self.rows(query.order_by(Receipt.id))

    def events(self, *txids: str) -> list[Any]:
        """The events of these payments, in the order of their insertion."""
        query = (
            sa.select(PaymentEvent.__table__, Payment.txid)
            .join(Payment, Payment.id == PaymentEvent.payment_id)
            .where(Payment.txid.in_(txids))
        )
        return self.rows(query.order_by(PaymentEvent.id))

    def event_names(self, txid: str) -> list[str]:
        """The names of a payment's events, in order."""
        return [event.name for event in self.events(txid)]


def _check_foreign_keys(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys = ON")


def payment_row(merchant_id: int, **changes: Any) -> dict[str, Any]:
    """A valid row of `payments`: pending, due in half an hour."""
    return {
        "txid": secrets.token_hex(16),
        "watch_code": secrets.token_hex(16),
        "merchant_id": merchant_id,
        "amount_centavos": 5490,
        "refunded_centavos": 0,
        "metadata": {},
        "br_code": "0002",
        "status": "pending",
        "created_at": NOON,
        "expires_at": NOON + timedelta(minutes=30),
        "sequence": 1,
        **changes,
    }


def receipt_row(payment_id: int | None, **changes: Any) -> dict[str, Any]:
    """A valid row of `receipts`: accepted for this payment."""
    return {
        "end_to_end_id": f"E{secrets.token_hex(15)}",
        "bank_payment_id": secrets.token_hex(16),
        "payment_id": payment_id,
        "amount_centavos": 5490,
        "paid_at": NOON,
        "told_at": NOON,
        "verdict": "accepted",
        **changes,
    }
