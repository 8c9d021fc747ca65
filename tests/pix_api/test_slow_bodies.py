"""A client may send its body as slowly as it likes, and nothing waits for it but its own answer."""

from __future__ import annotations

import io

from config import parts_of
from tests.pix_api.clients import demo_client

BODY = b'{"tipoCob": "cob", "descricao": "", "valor": {"original": "1.00"}, "webhookUrl": "x"}'
METHODS = ("POST", "PUT", "PATCH")
PARTS = {"txid": "a" * 30, "batch_id": "1", "location_id": "1", "refund_id": "1", "key": "x"}


class Wire(io.BytesIO):
    """A request's body, which notes how many database connections are held while it is read."""

    def __init__(self, pools):
        super().__init__(BODY)
        self._pools = pools
        self.held = []

    def read(self, *args):
        """Read on."""
        self._note()
        return super().read(*args)

    def readinto(self, buffer):
        """Read on."""
        self._note()
        return super().readinto(buffer)

    def _note(self):
        self.held.append(sum(pool.checkedout() for pool in self._pools))


def routes_with_a_body(app):
    """Method and path of each route of API Pix that may read a body."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api-pix/v2/"):
            values = {name: PARTS.get(name, "1") for name in rule.arguments}
            for method in sorted(rule.methods & {*METHODS}):
                yield method, rule.build(values, append_unknown=False)[1]


def test_no_connection_of_the_database_is_held_while_a_body_arrives(each_app):
    """A transaction on SQLite that waits for a client would stop every payment of every shop."""
    token = demo_client(each_app).token(each_app)
    ledger = parts_of(each_app).ledger
    pools = {ledger.engine.pool, ledger.reading_engine.pool}
    routes = list(routes_with_a_body(each_app))
    assert len(routes) > 8
    for method, path in routes:
        wire = Wire(pools)
        each_app.test_client().open(
            path,
            method=method,
            input_stream=wire,
            headers={"Authorization": f"Bearer {token}"},
            content_type="application/json",
        )
        assert wire.held, (method, path)
        assert set(wire.held) == {0}, (method, path)
