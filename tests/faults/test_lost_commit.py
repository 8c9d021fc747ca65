"""The answer to a COMMIT is lost, so the service does not know whether it happened."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from tests.support.cutting_proxy import CuttingProxy
from tests.support.service import end_to_end_id

pytestmark = pytest.mark.slow

ENGINES = [
    pytest.param("mysql", marks=pytest.mark.mysql),
    pytest.param("postgres", marks=pytest.mark.postgres),
]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_confirmation_whose_commit_answer_is_lost_is_kept_and_announced_once(
    engine, fresh_database, serve
):
    """The bank gets 503 and retries: a duplicate. One receipt, one event, and it is relayed."""
    direct = sa.make_url(fresh_database(engine))
    with CuttingProxy(direct.host or "127.0.0.1", direct.port or 0) as proxy:
        url = direct.set(host="127.0.0.1", port=proxy.port)
        if engine == "mysql":
            # MySQL would use TLS; the proxy must read the traffic.
            url = url.update_query_dict({"ssl_disabled": "1"})
        service = serve(DATABASE_URL=url.render_as_string(hide_password=False))
        payment, transfer_id = service.create(), end_to_end_id()

        proxy.arm(transfer_id.encode(), b"COMMIT\0" if engine == "postgres" else b"")
        first, _ = service.tell(payment, end_to_end_id=transfer_id)
        assert proxy.cut.is_set(), "the answer to the COMMIT was not lost"
        again, answer = service.tell(payment, end_to_end_id=transfer_id)

        assert (first, again) == (503, 200)
        assert answer["duplicate"] is True
        assert service.payment(payment["id"])["status"] == "confirmed"
        _wait_until_announced(direct)
        assert _count(direct, "receipts WHERE verdict = 'accepted'") == 1
        assert _count(direct, "payment_events WHERE name = 'payment.confirmed'") == 1


def _count(url: sa.URL, what: str) -> int:
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            query = sa.text("SELECT COUNT(*) FROM " + what)  # noqa: S608 - written in this file
            return int(connection.scalar(query) or 0)
    finally:
        engine.dispose()


def _wait_until_announced(url: sa.URL) -> None:
    """Wait for the relay: the process that committed never learned of its commit."""
    limit = time.monotonic() + 20
    while _count(url, "payment_events WHERE relay_at IS NOT NULL") and time.monotonic() < limit:
        time.sleep(0.2)
    assert _count(url, "payment_events WHERE relay_at IS NOT NULL") == 0
