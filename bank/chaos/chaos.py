"""Chaos on request: what a scenario does to an attempt, and the mix that new payments draw from.

Everything a scenario needs is kept in rows (the notice's scenario, its number of attempts, when it
is due), so that a killed bank goes on with it where it stopped. Development only.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bank.chaos.scenarios import NEVER_NOTIFIED, DrawnScenario, Mix, Scenario, draw, mix_from
from bank.database import Database
from bank.errors import ApiBroken, ChaosIsOff
from bank.models import ChaosMix, Notice, Transfer
from bank.settings import BankSettings
from bank.updates import rows_changed
from core.clock import Clock
from core.signing.signatures import TOLERANCE

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""When a notice that was thrown away is due."""

AFTER_THE_DEADLINE = timedelta(seconds=2)
STALE_BY = 2 * TOLERANCE
SWAP_WAIT, SWAP_LEAD = timedelta(seconds=10), timedelta(seconds=2)
"""How long the first of two swapped notices waits for its partner, and then behind it."""

SLOW_SECONDS = 2.5
"""How long the look-up of a *slow-api* payment takes: less than the service waits."""

BROKEN_API_DURATION = timedelta(seconds=6)
"""How long after a *broken-api* payment its look-up answers 503."""

_ROW = 1
_OFF = Mix(((Scenario.NORMAL, 1),))


@dataclass(frozen=True)
class InjectedFaults:
    """What is done to one attempt at telling the service."""

    is_thrown_away: bool = False
    is_answer_thrown_away: bool = False
    has_forged_copy_first: bool = False
    is_signed_by_another: bool = False
    is_signed_long_ago: bool = False
    is_one_by_one: bool = False


@dataclass(frozen=True)
class ChaosRun:
    """The mix in force: its seed, and how many payments have drawn from it."""

    mix: Mix
    seed: int
    drawn: int


def injected_faults(scenario: Scenario, number: int) -> InjectedFaults:
    """What the `number`-th attempt (from 1) of a payment's notice suffers."""
    is_first = number <= 1
    return InjectedFaults(
        is_thrown_away=scenario is Scenario.LOST_ONCE and is_first,
        is_answer_thrown_away=scenario is Scenario.ANSWER_LOST and is_first,
        has_forged_copy_first=scenario is Scenario.BAD_SIGNATURE and is_first,
        is_signed_by_another=scenario is Scenario.WRONG_KEY,
        is_signed_long_ago=scenario is Scenario.STALE,
        is_one_by_one=scenario is Scenario.TEN_TIMES,
    )


def wrong_secret(secret: str) -> str:
    """A well-formed secret that is not this one."""
    digest = hashlib.sha256(b"not " + secret.encode()).digest()
    return "whsec_" + base64.b64encode(digest).decode()


def amount_to_pay(asked_centavos: int, scenario: Scenario) -> int:
    """What leaves the payer's account; a charge of one centavo cannot be underpaid."""
    if scenario is Scenario.PAY_LESS:
        return max(1, asked_centavos - 1)
    return asked_centavos + 1 if scenario is Scenario.PAY_MORE else asked_centavos


def payment_instant(now: datetime, deadline: datetime, scenario: Scenario) -> datetime:
    """When the money leaves: now, or just after the deadline where it is to be paid too late."""
    if scenario is Scenario.PAID_AFTER_DEADLINE:
        return max(now, deadline + AFTER_THE_DEADLINE)
    return now


def first_attempt_at(
    work: Session, now: datetime, deadline: datetime, scenario: Scenario, late_seconds: int
) -> datetime | None:
    """When the first attempt is due, or None for at once; part of the payment's transaction."""
    if scenario in NEVER_NOTIFIED:
        return NEVER
    if scenario is Scenario.LATE:
        return now + timedelta(seconds=late_seconds)
    if scenario in (Scenario.TOLD_AFTER_DEADLINE, Scenario.PAID_AFTER_DEADLINE):
        return max(now, deadline + AFTER_THE_DEADLINE)
    if scenario is Scenario.OUT_OF_ORDER:
        return None if _overtakes(work, now) else now + SWAP_WAIT
    return None


def _overtakes(work: Session, now: datetime) -> bool:
    """Whether an earlier notice waits to be overtaken; it then follows two seconds behind."""
    waiting = select(Notice.id, Notice.next_attempt_at).where(
        Notice.scenario == Scenario.OUT_OF_ORDER.value,
        Notice.done_at.is_(None),
        Notice.attempts == 0,
        Notice.next_attempt_at > now + SWAP_LEAD,
    )
    row = work.execute(waiting.order_by(Notice.id).limit(1)).first()
    if row is None:
        return False
    first = update(Notice).where(Notice.id == row.id, Notice.next_attempt_at == row.next_attempt_at)
    return rows_changed(work, first.values(next_attempt_at=now + SWAP_LEAD)) == 1


def inject_look_up_faults(transfers: Iterable[Transfer], clock: Clock) -> None:
    """Answer slowly, or not at all, where a payment's scenario says so. Raises ApiBroken."""
    told = [(transfer, transfer.notice) for transfer in transfers]
    for transfer, notice in told:
        if notice is None:
            continue
        if (
            notice.scenario == Scenario.BROKEN_API
            and clock.now() < transfer.made_at + BROKEN_API_DURATION
        ):
            raise ApiBroken("O banco está com um problema de propósito. Tente de novo.")
        if notice.scenario == Scenario.SLOW_API:
            time.sleep(SLOW_SECONDS)


class ChaosDesk:
    """Keeps the mix that payments without a scenario of their own draw from; thread-safe."""

    def __init__(self, settings: BankSettings, database: Database) -> None:
        """Nothing is read before it is needed."""
        self._is_allowed = settings.demo
        self._database = database

    def current(self) -> ChaosRun:
        """The mix in force; everything normal until one is set."""
        with self._database.reading() as work:
            row = work.get(ChaosMix, _ROW)
        return ChaosRun(mix_from(row.mix), row.seed, row.drawn) if row else ChaosRun(_OFF, 0, 0)

    def put(self, mix: Mix, seed: int) -> ChaosRun:
        """Begin a run: the next payment is its first. Raises ChaosIsOff outside development."""
        if not self._is_allowed:
            raise ChaosIsOff("Isto só existe em desenvolvimento.")
        row = {"mix": str(mix), "seed": seed, "drawn": 0}
        again = update(ChaosMix).where(ChaosMix.id == _ROW).values(**row)
        try:
            with self._database.writing() as work:
                if rows_changed(work, again) == 0:
                    work.add(ChaosMix(id=_ROW, **row))
        except IntegrityError:  # somebody else put the first one in between
            with self._database.writing() as work:
                work.execute(again)
        return self.current()

    def allow(self, scenario: Scenario | None) -> None:
        """Pass what a payment may ask for. Raises ChaosIsOff outside development."""
        if scenario not in (None, Scenario.NORMAL) and not self._is_allowed:
            raise ChaosIsOff("Isto só existe em desenvolvimento.")

    def draw(self) -> DrawnScenario:
        """The next payment's scenario; the number is counted in a row, so no two get the same."""
        if not self._is_allowed or self.current().mix == _OFF:
            return DrawnScenario(Scenario.NORMAL, 1)
        counted = update(ChaosMix).where(ChaosMix.id == _ROW).values(drawn=ChaosMix.drawn + 1)
        with self._database.writing() as work:
            work.execute(counted)
            row = work.get_one(ChaosMix, _ROW)
            return draw(mix_from(row.mix), row.seed, row.drawn)
