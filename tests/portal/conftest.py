"""Alice and Charlie are merchants, each with a browser; Bob is a payer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from db_models import RefundStatus
from db_models.base import db
from payments import refunds
from payments.refund_reports import RefundReport
from repository.accounts import RecentAccounts
from repository.database import Work, in_unit_of_work, ledger
from tests.portal.signing import CONFIRMED, Browser, make_account, sign_in

NOT_COUNTED = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA", "SET ")


@pytest.fixture
def people(app: Flask) -> None:
    """The accounts of Alice, Charlie and Bob."""
    make_account(app, "alice")
    make_account(app, "charlie")
    make_account(app, "bob", "payer")


@pytest.fixture
def alice(app: Flask, people: None) -> Browser:
    """Alice's browser, signed in."""
    return sign_in(app, "alice")


@pytest.fixture
def charlie(app: Flask, people: None) -> Browser:
    """Charlie's browser, signed in."""
    return sign_in(app, "charlie")


@pytest.fixture
def charge(alice: Browser) -> Callable[..., dict[str, Any]]:
    """Create a payment of Alice's: charge(value="54.90", order_id=…) → the payment object."""

    def make(by: Browser = alice, **fields: Any) -> dict[str, Any]:
        answer = by.client.post(
            "/payments/pix",
            json={"value": "54.90", **fields},
            headers={"X-CSRF-TOKEN": by.token},
        )
        assert answer.status_code == 201, answer.text
        payment: dict[str, Any] = answer.get_json()["payment"]
        return payment

    return make


@pytest.fixture
def give_back(app: Flask, alice: Browser) -> Callable[[dict[str, Any], str], None]:
    """Refund a part of a paid payment of Alice's, and let the bank report it as done."""

    def refund(payment: dict[str, Any], value: str) -> None:
        form = {"value": value, **CONFIRMED}
        assert alice.post(f"/portal/payments/{payment['id']}/refund", form).status_code == 303
        with app.app_context():
            in_unit_of_work(partial(settle, payment["id"]))

    def settle(txid: str, work: Work) -> None:
        row = work.refunds.of_payment(work.payments.by_txid(txid).id)[-1]
        report = RefundReport(RefundStatus.DONE, f"D{row.id}", None, None)
        refunds.settle(work, row.id, report)

    return refund


@pytest.fixture
def count_statements(app: Flask) -> Callable[[], Any]:
    """Record the statements of a block: `with count_statements() as statements: …`."""

    @contextmanager
    def record() -> Iterator[list[str]]:
        statements: list[str] = []

        def append(_connection, _cursor, statement, _parameters, _context, _many) -> None:
            if not statement.lstrip().upper().startswith(NOT_COUNTED):
                statements.append(statement)

        with app.app_context():
            current = ledger()
            engines = {current.engine, current.reading_engine, db.engine}
            current.recent = RecentAccounts()
        for engine in engines:
            sa.event.listen(engine, "before_cursor_execute", append)
        try:
            yield statements
        finally:
            for engine in engines:
                sa.event.remove(engine, "before_cursor_execute", append)

    return record
