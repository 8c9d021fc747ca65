"""The owners of Pix keys, learnt only from charges that banks signed.

It stands in for DICT, the real directory. Nobody signs a static code, so its name is trusted only
if its key has an entry here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from bank.codes.charge import Charge
from bank.database import Database
from bank.models import KnownKey


@dataclass(frozen=True)
class KeyOwner:
    """The owner of a Pix key; `city` may be unknown."""

    name: str
    city: str | None


class KeyDirectory:
    """Reads and writes directory entries, in transactions of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, key: str) -> KeyOwner | None:
        """The key's owner; None if no bank has signed a charge for the key."""
        with self._database.reading() as session:
            row = session.scalars(select(KnownKey).where(KnownKey.key == key)).first()
        return KeyOwner(row.name, row.city) if row else None

    def learn(self, charge: Charge, host: str, now: datetime) -> None:
        """Store the owner that a signed charge names. Only the host that named it may rename it."""
        if charge.payee_name is None:
            return
        with self._database.reading() as session:
            row = session.scalars(select(KnownKey).where(KnownKey.key == charge.key)).first()
        owner = {"name": charge.payee_name, "city": charge.payee_city}
        if row is None:
            self._add(KnownKey(key=charge.key, host=host, learnt_at=now, **owner))
        elif row.host == host and (row.name, row.city) != (owner["name"], owner["city"]):
            change = update(KnownKey).where(KnownKey.id == row.id)
            with self._database.writing() as session:
                session.execute(change.values(learnt_at=now, **owner))

    def _add(self, row: KnownKey) -> None:
        try:
            with self._database.writing() as session:
                session.add(row)
        except IntegrityError:
            # Another request has added the same key in the meantime; its entry stays.
            return
