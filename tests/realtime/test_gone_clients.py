"""Nothing is remembered of a client that went while the service worked on its message."""

from __future__ import annotations

from core.runtime.parts import EXTENSION
from realtime import rooms


def test_a_client_that_goes_while_it_begins_to_watch_is_forgotten(app, make_payment, monkeypatch):
    """A shopper closes the page at once; a stranger does it a million times."""
    lateness = app.extensions[EXTENSION].announcer.lateness
    tasks: list[object] = []
    monkeypatch.setattr(lateness, "_in_background", tasks.append)
    client = app.extensions["socketio"].test_client(app)
    payment = make_payment()
    watch = rooms._watch

    def watch_slowly(*args):
        answer = watch(*args)
        client.disconnect()
        return answer

    monkeypatch.setattr(rooms, "_watch", watch_slowly)
    client.emit("watch", {"payment_id": payment["id"], "late": True})
    lateness.change(True)
    assert tasks == []
