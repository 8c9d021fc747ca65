"""The corpus sent to a served process: each picture shows the code of a payment that is there.

python -m tests.recovery.at_the_door          # every picture of the corpus, and the table
python -m tests.recovery.at_the_door 2        # so many of each kind
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

DOOR = "/api/payment/upload-screenshot-with-qr"
SETTINGS: dict[str, Any] = {
    # As long as a shop's: a longer address makes a denser code.
    "PUBLIC_URL": "https://pagar.loja-da-alice.com.example",
    # The job that asks the bank by itself would write down when it asks next.
    "RECONCILE_INTERVAL_SECONDS": 300,
    "RECOVERY_TRIES_PER_MINUTE": 100_000,
    "RECOVERY_PICTURES_PER_MINUTE": 100_000,
    "LOG_LEVEL": "warning",
}
NO_STATES = {"payment_traces", "reconciliations"}
"""A note for the merchant that the bank was asked, and how far a job has walked the bank's list."""

Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Shown:
    """A payment, and a picture of its code."""

    payment_id: str
    sample: Sample


def shown(service: ServiceProcess, per_kind: int = PER_KIND, seed: int = SEED) -> Iterator[Shown]:
    """Make a payment for each picture, and draw it."""
    for kind in KINDS:
        for number in range(per_kind):
            rng = random.Random(f"{seed}-{kind}-{number}")
            value = f"{rng.randint(1, 90_000)}.{rng.randint(0, 99):02d}"
            payment = service.create(value=value, order_id=f"{kind} {number}")
            yield Shown(payment["id"], sample_of(kind, number, payment["pix_code"], rng))


def answered(service: ServiceProcess, one: Shown) -> Result:
    """Send the picture; `wrong` names a payment that is not the one in it."""
    body, content_type = multipart(one.sample.data)
    began = time.perf_counter()
    status, answer, _ = service.request("POST", DOOR, body, {"Content-Type": content_type})
    took = round((time.perf_counter() - began) * 1000)
    told = json.loads(answer)
    if status != 200:
        # A foreign code beside ours may be all that was read; anything else is no honest answer.
        assert (status, told["code"]) in MISSES, (one.sample.kind, one.sample.number, told)
        return Result(one.sample.kind, False, (), None, took)
    is_right = told["payment_id"] == one.payment_id
    assert told["status"] == "pending", told
    wrong = () if is_right else (str(told["payment_id"]),)
    return Result(one.sample.kind, is_right, wrong, None, took)


MISSES = {(422, "no-code-in-picture"), (404, "not-our-code")}


def rows_of(tables: Tables) -> Rows:
    """Every row of every table that holds a state, to compare before with after."""
    names = sorted(set(sa.inspect(tables.engine).get_table_names()) - NO_STATES)
    return {
        name: sorted((tuple(row) for row in tables.rows(f"SELECT * FROM {name}")), key=repr)  # noqa: S608
        for name in names
    }


def main() -> None:
    """Send all of them and print the table; fails where reading changed a row."""
    per_kind = int(sys.argv[1]) if len(sys.argv) > 1 else PER_KIND
    with tempfile.TemporaryDirectory() as folder:
        instance = Path(folder)
        database = f"sqlite:///{instance / 'door.sqlite3'}"
        with ServiceProcess(instance, DATABASE_URL=database, **SETTINGS) as service:
            pictures = list(shown(service, per_kind))
            before = rows_of(Tables(database))
            results = [answered(service, one) for one in pictures]
            after = rows_of(Tables(database))
    sys.stdout.write(f"{table(results)}\n\n")
    rows = sum(len(of_table) for of_table in before.values())
    changed = [name for name in before if before[name] != after[name]]
    same = f"changed in {', '.join(changed)}" if changed else "each as it was"
    sys.stdout.write(f"{rows} rows of {len(before)} tables, {same}\n")
    sys.exit(bool(changed))


if __name__ == "__main__":
    main()
