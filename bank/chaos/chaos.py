"""Fault injection: what each scenario does, and the mix that payments draw scenarios from.

The state of a scenario is stored in the notice's row (scenario, attempts, next attempt), so that a
bank that is killed continues with it after its restart. Development only.
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

from bank.chaos.scenarios import NEVER_NOTIFIED, DrawnScenario, Mix, draw, mix_from
from bank.database import Database
from bank.errors import ApiBroken, ChaosIsOff
from bank.languages import translate as _
from bank.models import ChaosMix, Notice, Transfer
from bank.settings import BankSettings
from bank.updates import rows_changed
from core.clock import Clock
from core.scenarios import Scenario
from core.signing.signatures import TOLERANCE

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""The due time of a notice that is dropped for good."""

AFTER_THE_DEADLINE = timedelta(seconds=2)
STALE_BY = 2 * TOLERANCE
SWAP_WAIT, SWAP_LEAD = timedelta(seconds=10), timedelta(seconds=2)
"""How long the first of two swapped notices waits, and how long after the second it is sent."""

SLOW_SECONDS = 2.5
"""The delay of a look-up of a *slow-api* payment; it is shorter than the service's timeout."""

BROKEN_API_DURATION = timedelta(seconds=6)
"""How long after a *broken-api* payment a look-up gets 503."""

_ROW = 1
_OFF = Mix(((Scenario.NORMAL, 1),))


@dataclass(frozen=True)
class InjectedFaults:
    """The faults of one attempt to send a notice."""

    drops_notice: bool = False
    drops_answer: bool = False
    sends_forged_copy_first: bool = False
    signs_with_wrong_secret: bool = False
    signs_with_stale_time: bool = False
    sends_copies_one_by_one: bool = False


@dataclass(frozen=True)
class ChaosRun:
    """The mix in force, its seed, and how many payments have drawn from it."""

    mix: Mix
    seed: int
    draws: int


def injected_faults(scenario: Scenario, attempt: int) -> InjectedFaults:
    """The faults of this attempt to send a notice; the first attempt is 1."""
    is_first = attempt <= 1
    return InjectedFaults(
        drops_notice=scenario is Scenario.LOST_ONCE and is_first,
        drops_answer=scenario is Scenario.ANSWER_LOST and is_first,
        sends_forged_copy_first=scenario is Scenario.BAD_SIGNATURE and is_first,
        signs_with_wrong_secret=scenario is Scenario.WRONG_KEY,
        signs_with_stale_time=scenario is Scenario.STALE,
        sends_copies_one_by_one=scenario is Scenario.TEN_TIMES,
    )


def wrong_secret(secret: str) -> str:
    """A well-formed secret that differs from this one."""
    digest = hashlib.sha256(b"not " + secret.encode()).digest()
    return "whsec_" + base64.b64encode(digest).decode()


def amount_to_pay(charge_centavos: int, scenario: Scenario) -> int:
    """The amount to debit; a charge of one centavo cannot be underpaid."""
    if scenario is Scenario.PAY_LESS:
        return max(1, charge_centavos - 1)
    return charge_centavos + 1 if scenario is Scenario.PAY_MORE else charge_centavos


def payment_instant(now: datetime, deadline: datetime, scenario: Scenario) -> datetime:
    """When the payment counts as made: now, or after the deadline for *paid-after-deadline*."""
    if scenario is Scenario.PAID_AFTER_DEADLINE:
        return max(now, deadline + AFTER_THE_DEADLINE)
    return now


def first_attempt_at(
    work: Session, now: datetime, deadline: datetime, drawn_scenario: DrawnScenario
) -> datetime | None:
    """When the notice is first sent; None for at once. Runs in the payment's transaction."""
    scenario = drawn_scenario.scenario
    if scenario in NEVER_NOTIFIED:
        return NEVER
    if scenario is Scenario.LATE:
        return now + timedelta(seconds=drawn_scenario.late_seconds)
    if scenario in (Scenario.TOLD_AFTER_DEADLINE, Scenario.PAID_AFTER_DEADLINE):
        return max(now, deadline + AFTER_THE_DEADLINE)
    if scenario is Scenario.OUT_OF_ORDER:
        return None if _overtakes(work, now) else now + SWAP_WAIT
    return None


def _overtakes(work: Session, now: datetime) -> bool:
    """Whether an earlier notice waits to be swapped; it is then sent SWAP_LEAD from now."""
    waiting_notices = select(Notice.id, Notice.next_attempt_at).where(
        Notice.scenario == Scenario.OUT_OF_ORDER.value,
        Notice.done_at.is_(None),
        Notice.attempts == 0,
        Notice.next_attempt_at > now + SWAP_LEAD,
    )
    row = work.execute(waiting_notices.order_by(Notice.id).limit(1)).first()
    if row is None:
        return False
    swap = update(Notice).where(Notice.id == row.id, Notice.next_attempt_at == row.next_attempt_at)
    return rows_changed(work, swap.values(next_attempt_at=now + SWAP_LEAD)) == 1


def inject_look_up_faults(transfers: Iterable[Transfer], clock: Clock) -> None:
    """Delay or fail a look-up if the scenario of a payment says so. Raises ApiBroken."""
    for transfer in transfers:
        notice = transfer.notice
        if notice is None:
            continue
        if (
            notice.scenario == Scenario.BROKEN_API
            and clock.now() < transfer.made_at + BROKEN_API_DURATION
        ):
            raise ApiBroken(_("O banco está com um problema de propósito. Tente de novo."))
        if notice.scenario == Scenario.SLOW_API:
            time.sleep(SLOW_SECONDS)


class ChaosDesk:
    """Stores the mix that payments without a scenario draw from; thread-safe."""

    def __init__(self, settings: BankSettings, database: Database) -> None:
        self._is_allowed = settings.demo
        self._database = database

    def current_run(self) -> ChaosRun:
        """The mix in force; all payments are normal until one is set."""
        with self._database.reading() as work:
            row = work.get(ChaosMix, _ROW)
        return ChaosRun(mix_from(row.mix), row.seed, row.drawn) if row else ChaosRun(_OFF, 0, 0)

    def start_run(self, mix: Mix, seed: int) -> ChaosRun:
        """Set the mix; the next payment is the first to draw. Raises ChaosIsOff in production."""
        if not self._is_allowed:
            raise ChaosIsOff(_("Isto só existe em desenvolvimento."))
        row = {"mix": str(mix), "seed": seed, "drawn": 0}
        change = update(ChaosMix).where(ChaosMix.id == _ROW).values(**row)
        try:
            with self._database.writing() as work:
                if rows_changed(work, change) == 0:
                    work.add(ChaosMix(id=_ROW, **row))
        except IntegrityError:  # another request has inserted the row in the meantime
            with self._database.writing() as work:
                work.execute(change)
        return self.current_run()

    def check_allowed(self, scenario: Scenario | None) -> None:
        """Raises ChaosIsOff for a scenario other than *normal* in production."""
        if scenario not in (None, Scenario.NORMAL) and not self._is_allowed:
            raise ChaosIsOff(_("Isto só existe em desenvolvimento."))

    def draw(self) -> DrawnScenario:
        """Draw the next payment's scenario; the table counts draws, so each has its number."""
        if not self._is_allowed or self.current_run().mix == _OFF:
            return DrawnScenario(Scenario.NORMAL, 1)
        increment = update(ChaosMix).where(ChaosMix.id == _ROW).values(drawn=ChaosMix.drawn + 1)
        with self._database.writing() as work:
            work.execute(increment)
            row = work.get_one(ChaosMix, _ROW)
            return draw(mix_from(row.mix), row.seed, row.drawn)
