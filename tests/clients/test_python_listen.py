"""`balcao listen` against the running service, over its restart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from balcao import Balcao, verify_webhook
from balcao.signatures import secret_key
from tests.support.service import DEMO_PASSWORD, ServiceProcess

ROOT = Path(__file__).resolve().parents[2]
SECRET = "whsec_" + "c2VjcmV0" * 5
WITHIN_SECONDS = 30


def wait_until_in_feed(shop: Balcao, count: int) -> None:
    """Wait until the feed has this many events. Raises AssertionError."""
    limit = time.monotonic() + WITHIN_SECONDS
    while len(list(shop.events.list())) < count:
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_a_listener_forwards_each_event_once_over_a_restart(tmp_path):
    """Ids in the order of the feed: none lost while the service was away, and none doubled.

    The first one happens while the service is away for the listener, and its feed was empty before.
    """
    ids: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            ids.append(verify_webhook(self.headers.items(), body, SECRET).id)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            return

    def wait_for(count: int) -> None:
        limit = time.monotonic() + WITHIN_SECONDS
        while len(ids) < count:
            assert time.monotonic() < limit, ids
            time.sleep(0.05)

    assert secret_key(SECRET)
    receiver = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, args=(0.05,), daemon=True).start()
    with ServiceProcess(tmp_path) as service:
        shop = Balcao(service.url)
        form = {"username": "demo", "password": DEMO_PASSWORD}
        token = shop.transport.request("POST", "/token", form=form).json()["access_token"]
        shop = Balcao(service.url, token)
        words = ["listen", "--forward-to", f"http://127.0.0.1:{receiver.server_port}/hook"]
        listener = subprocess.Popen(
            [sys.executable, "-m", "balcao", *words, "--secret", SECRET],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT / "clients/python/src"),
                "XDG_CONFIG_HOME": str(tmp_path),
                "BALCAO_URL": service.url,
                "BALCAO_API_KEY": token,
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert listener.stdout is not None
            while "Connected" not in listener.stdout.readline():
                assert listener.poll() is None
            # The listener sleeps while the service restarts, so the event comes before it is back.
            listener.send_signal(signal.SIGSTOP)
            service.kill()
            service.start()
            shop.payments.create(10)
            wait_until_in_feed(shop, 1)
            listener.send_signal(signal.SIGCONT)
            wait_for(1)
            service.kill()
            service.start()
            for _ in range(3):
                shop.payments.create(10)
            wait_for(4)
            assert ids == [event.id for event in shop.events.list()]
        finally:
            listener.kill()
            listener.communicate()
            receiver.shutdown()
            receiver.server_close()
