"""Who a key belongs to, as banks told it: learnt from charges they signed, from nothing else.

The real directory of keys is DICT; a static code is signed by nobody, so without an entry here its
name is only what somebody wrote into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from bank.codes.charge import Charge
from bank.database import Database
from bank.models import KnownKey

_REMEMBERED_MAX = 1000


@dataclass(frozen=True)
class KeyOwner:
    """A key's owner; `city` may be unknown."""

    name: str
    city: str | None


class KeyDirectory:
    """Entries in the bank's own database; opens transactions of its own."""

    def __init__(self, database: Database) -> None:
        """Nothing is read yet."""
        self._database = database
        # What this process learnt already, so that a payment to a known shop costs no query.
        self._learnt: set[tuple[str, str, str, str | None]] = set()

    def find(self, key: str) -> KeyOwner | None:
        """The key's owner, or None where no bank ever told us."""
        with self._database.reading() as session:
            row = session.scalars(select(KnownKey).where(KnownKey.key == key)).first()
        return KeyOwner(row.name, row.city) if row else None

    def learn(self, charge: Charge, host: str, now: datetime) -> None:
        """Keep the owner a signed charge names; one host cannot rename what another one told."""
        if charge.payee_name is None:
            return
        told_now = (charge.key, host, charge.payee_name, charge.payee_city)
        if told_now in self._learnt:
            return
        with self._database.reading() as session:
            row = session.scalars(select(KnownKey).where(KnownKey.key == charge.key)).first()
        told = {"name": charge.payee_name, "city": charge.payee_city}
        if row is None:
            self._add(KnownKey(key=charge.key, host=host, learnt_at=now, **told))
        elif row.host == host and (row.name, row.city) != (told["name"], told["city"]):
            ours = update(KnownKey).where(KnownKey.id == row.id)
            with self._database.writing() as session:
                session.execute(ours.values(learnt_at=now, **told))
        if len(self._learnt) >= _REMEMBERED_MAX:
            self._learnt.clear()
        self._learnt.add(told_now)

    def _add(self, entry: KnownKey) -> None:
        try:
            with self._database.writing() as session:
                session.add(entry)
        except IntegrityError:
            # Another request learnt the same key in between: its entry stands.
            return
