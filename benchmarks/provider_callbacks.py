"""Send 500 callbacks at once to a running service: how long they wait, and whether one is lost.

    python -m benchmarks.provider_callbacks [number] [connections]

A service process is started on SQLite; each connection sends its share one after the other.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import click
import sqlalchemy as sa

from core.clock import SystemClock
from tests.providers.bank_rows import BankRows, e2e
from tests.support.service import ServiceProcess, close_app, ready_app, settings_for

NUMBER, CONNECTIONS = 500, 50
TOKEN = hashlib.sha256(b"callbacks in the benchmark").hexdigest()[:40]


def main(number: int, connections: int) -> None:
    """Measure, and print one line."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/callbacks.db"
        app = ready_app(settings_for(url, Path(folder)), SystemClock())
        rows = BankRows(app, SystemClock())
        # The address leads nowhere, so the job asks nobody, and every hint stays.
        account = rows.account(token=TOKEN, profile="none")
        txids = [rows.payment(account).txid for _ in range(number)]
        close_app(app)
        with ServiceProcess(Path(folder), DATABASE_URL=url) as service:
            seconds = send_all(service.port, txids, connections)
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            query = sa.text("SELECT COUNT(DISTINCT txid) FROM provider_hints")
            count = connection.execute(query).scalar()
        ordered = sorted(seconds)
        p95 = ordered[int(len(ordered) * 0.95)] * 1000
        median = statistics.median(ordered) * 1000
        click.echo(
            f"{number} callbacks over {connections} connections: median {median:.0f} ms, "
            f"p95 {p95:.0f} ms, longest {ordered[-1] * 1000:.0f} ms, stored {count}"
        )


def send_all(port: int, txids: list[str], connections: int) -> list[float]:
    """The seconds of each callback."""
    seconds: list[float] = []
    start = threading.Barrier(connections)

    def run(own: list[str]) -> None:
        link = http.client.HTTPConnection("127.0.0.1", port)
        link.connect()
        start.wait()
        for txid in own:
            body = json.dumps({"pix": [{"txid": txid, "endToEndId": e2e()}]})
            begun = time.perf_counter()
            link.request("POST", f"/providers/{TOKEN}/pix", body)
            answer = link.getresponse()
            answer.read()
            seconds.append(time.perf_counter() - begun)
            assert answer.status == 200, answer.status

    threads = [
        threading.Thread(target=run, args=(txids[place::connections],))
        for place in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds


if __name__ == "__main__":
    main(
        *(
            int(text)
            for text in (sys.argv[1:] + [str(NUMBER), str(CONNECTIONS)][len(sys.argv) - 1 :])
        )
    )
