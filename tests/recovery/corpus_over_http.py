"""Send the corpus to a served process; each picture shows the code of an existing payment.

python -m tests.recovery.corpus_over_http      # every picture of the corpus, and the table
python -m tests.recovery.corpus_over_http 2    # two pictures of each kind
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.db.tables import Tables
from tests.recovery.conftest import multipart
from tests.recovery.corpus import PER_KIND, SEED, Result, Sample, sample_of, table
from tests.recovery.kinds import KINDS
from tests.support.service import ServiceProcess

PATH = "/api/payment/upload-screenshot-with-qr"
SETTINGS: dict[str, Any] = {
    # As long as a real shop's URL, because a longer URL makes a denser code.
    "PUBLIC_URL": "https://pagar.loja-da-alice.com.example",
    # The reconciliation job would write when it asks the bank next.
    "RECONCILE_INTERVAL_SECONDS": 300,
    "RECOVERY_TRIES_PER_MINUTE": 100_000,
    "RECOVERY_PICTURES_PER_MINUTE": 100_000,
    "LOG_LEVEL": "warning",
}
TABLES_THAT_MAY_CHANGE = {"payment_traces", "reconciliations"}
"""The trace that the bank was asked, and the cursor of the reconciliation job."""

Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class PicturedPayment:
    """A payment, and a picture of its code."""

    payment_id: str
    sample: Sample


def pictured_payments(
    service: ServiceProcess, per_kind: int = PER_KIND, seed: int = SEED
) -> Iterator[PicturedPayment]:
    """Create a payment for each picture, and draw the picture."""
    for kind in KINDS:
        for number in range(per_kind):
            rng = random.Random(f"{seed}-{kind}-{number}")
            value = f"{rng.randint(1, 90_000)}.{rng.randint(0, 99):02d}"
            payment = service.create(value=value, order_id=f"{kind} {number}")
            yield PicturedPayment(payment["id"], sample_of(kind, number, payment["pix_code"], rng))


def upload(service: ServiceProcess, pictured: PicturedPayment) -> Result:
    """Send the picture; the result's `wrong` names a payment that the picture does not show."""
    body, content_type = multipart(pictured.sample.data)
    started_at = time.perf_counter()
    status, answer, _ = service.request("POST", PATH, body, {"Content-Type": content_type})
    took_ms = round((time.perf_counter() - started_at) * 1000)
    body_json = json.loads(answer)
    if status != 200:
        # The reader may find no code, or only the foreign code beside ours.
        assert (status, body_json["code"]) in MISSES, (
            pictured.sample.kind,
            pictured.sample.number,
            body_json,
        )
        return Result(pictured.sample.kind, False, (), None, took_ms)
    is_right = body_json["payment_id"] == pictured.payment_id
    assert body_json["status"] == "pending", body_json
    wrong = () if is_right else (str(body_json["payment_id"]),)
    return Result(pictured.sample.kind, is_right, wrong, None, took_ms)


MISSES = {(422, "no-code-in-picture"), (404, "not-our-code")}


def rows_of(tables: Tables) -> Rows:
    """Every row of the tables that must not change."""
    names = sorted(set(sa.inspect(tables.engine).get_table_names()) - TABLES_THAT_MAY_CHANGE)
    return {
        name: sorted((tuple(row) for row in tables.rows(f"SELECT * FROM {name}")), key=repr)  # noqa: S608
        for name in names
    }


def main() -> None:
    """Send the corpus and print the results; exit with 1 if a row changed."""
    per_kind = int(sys.argv[1]) if len(sys.argv) > 1 else PER_KIND
    with tempfile.TemporaryDirectory() as folder:
        instance = Path(folder)
        database = f"sqlite:///{instance / 'corpus.sqlite3'}"
        with ServiceProcess(instance, DATABASE_URL=database, **SETTINGS) as service:
            pictures = list(pictured_payments(service, per_kind))
            before = rows_of(Tables(database))
            results = [upload(service, pictured) for pictured in pictures]
            after = rows_of(Tables(database))
    sys.stdout.write(f"{table(results)}\n\n")
    row_count = sum(len(rows) for rows in before.values())
    changed = [name for name in before if before[name] != after[name]]
    outcome = f"changed in {', '.join(changed)}" if changed else "unchanged"
    sys.stdout.write(f"{row_count} rows of {len(before)} tables, {outcome}\n")
    sys.exit(bool(changed))


if __name__ == "__main__":
    main()
