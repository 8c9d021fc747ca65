"""A service in production that serves the bank of test halves, and keys of both halves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accounts.halves import ensure_test_half
from accounts.keys import SCOPES
from accounts.service import make_key
from core.clock import SystemClock
from repository.database import Work, in_unit_of_work
from tests.accounts.people import Person
from tests.support.ports import free_port
from tests.support.service import (
    PIX_KEY,
    TEST_BANK_SECRET,
    ServiceProcess,
    close_app,
    ready_app,
    settings_for,
)


@contextmanager
def shop_in_production(
    folder: Path, **more: Any
) -> Iterator[tuple[ServiceProcess, dict[str, str]]]:
    """The running service, on an http address as behind a proxy, with the merchant alice.

    The second value has a key of her `live` and one of her `test` half.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment: dict[str, Any] = {
        "APP_ENV": "production",
        "SIGN_UP": "open",
        "DATABASE_URL": f"sqlite:///{folder}/balcao.sqlite3",
        "PUBLIC_URL": url,
        "TEST_BANK_URL": f"{url}/bank",
        "TEST_BANK_WEBHOOK_SECRET": TEST_BANK_SECRET,
        **more,
    }
    database = environment.pop("DATABASE_URL")
    app = ready_app(settings_for(database, folder, **environment), SystemClock())
    Person(app, "alice").sign_up()

    def make(work: Work) -> dict[str, str]:
        merchant = work.accounts.by_login("alice")
        assert merchant is not None
        work.accounts.change(merchant.id, {"pix_key": PIX_KEY})
        halves = {"live": merchant, "test": ensure_test_half(work, merchant)}
        return {
            name: make_key(work, account, "tests", tuple(SCOPES), by=None)[1]
            for name, account in halves.items()
        }

    with app.app_context():
        keys = in_unit_of_work(make)
    close_app(app)
    with ServiceProcess(folder, PORT=port, DATABASE_URL=database, **environment) as service:
        yield service, keys
