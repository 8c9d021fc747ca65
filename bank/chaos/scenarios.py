"""How a payment is to go wrong: the scenarios, what each must end in, and mixes of them.

Plain values only. `docs/chaos.md` shows the same table to people; a test compares the two.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

LATE_SECONDS_DEFAULT, LATE_SECONDS_MAX = 10, 300
SEED_MAX = 2**63 - 1
WEIGHT_MAX = 1_000_000
_MIX_CHARACTERS_MAX = 500
_LATE_SECONDS_IN_A_MIX = 5


class Scenario(StrEnum):
    """How this payment is to go, for whoever tests a shop."""

    NORMAL = "normal"
    PAY_LESS = "pay-less"
    PAY_MORE = "pay-more"
    WRONG_KEY = "wrong-key"
    STALE = "stale"
    BAD_SIGNATURE = "bad-signature"
    DOUBLE = "double"
    TEN_TIMES = "ten-times"
    PARALLEL = "parallel"
    LATE = "late"
    OUT_OF_ORDER = "out-of-order"
    LOST_ONCE = "lost-once"
    ANSWER_LOST = "answer-lost"
    LOST = "lost"
    SLOW_API = "slow-api"
    BROKEN_API = "broken-api"
    TOLD_AFTER_DEADLINE = "told-after-deadline"
    PAID_AFTER_DEADLINE = "paid-after-deadline"


@dataclass(frozen=True)
class Ending:
    """Where a payment must end, whoever is killed on the way.

    `payment` is its status at the service; `reason` the code its money was refused with, None if
    it was taken; `is_kept_there` whether the service keeps a receipt of the attempt;
    `bank_state` what the bank believes: `confirmed`, `returned`, or `sent` for a notice that was
    thrown away, since only the service's own question brought the news.
    """

    payment: str
    reason: str | None
    is_receipt_stored: bool
    bank_state: str


_TAKEN = Ending("confirmed", None, True, "confirmed")
_FOUND = Ending("confirmed", None, True, "sent")
_OTHER_AMOUNT = Ending("pending", "amount-mismatch", True, "returned")
_UNSIGNED = Ending("pending", "bad-signature", False, "returned")
_TOO_LATE = Ending("expired", "paid-too-late", True, "returned")

ENDINGS: Mapping[Scenario, Ending] = MappingProxyType(
    {
        Scenario.NORMAL: _TAKEN,
        Scenario.PAY_LESS: _OTHER_AMOUNT,
        Scenario.PAY_MORE: _OTHER_AMOUNT,
        Scenario.WRONG_KEY: _UNSIGNED,
        Scenario.STALE: _UNSIGNED,
        Scenario.BAD_SIGNATURE: _TAKEN,
        Scenario.DOUBLE: _TAKEN,
        Scenario.TEN_TIMES: _TAKEN,
        Scenario.PARALLEL: _TAKEN,
        Scenario.LATE: _TAKEN,
        Scenario.OUT_OF_ORDER: _TAKEN,
        Scenario.LOST_ONCE: _TAKEN,
        Scenario.ANSWER_LOST: _TAKEN,
        Scenario.LOST: _FOUND,
        Scenario.SLOW_API: _FOUND,
        Scenario.BROKEN_API: _FOUND,
        Scenario.TOLD_AFTER_DEADLINE: _TAKEN,
        Scenario.PAID_AFTER_DEADLINE: _TOO_LATE,
    }
)

NEVER_NOTIFIED = frozenset(
    scenario for scenario, ending in ENDINGS.items() if ending.bank_state == "sent"
)
"""Their notice is thrown away for good: only the service's look-up finds the money."""

DEADLINE_SCENARIOS = frozenset({Scenario.TOLD_AFTER_DEADLINE, Scenario.PAID_AFTER_DEADLINE})
"""They wait for the charge's deadline, so it should be near."""

COPIES: Mapping[Scenario, int] = MappingProxyType(
    {Scenario.DOUBLE: 2, Scenario.TEN_TIMES: 10, Scenario.PARALLEL: 10}
)
"""How often a notice is sent at each attempt, where not once."""

PRESETS: Mapping[str, str] = MappingProxyType(
    {
        "realistic": "normal=80,double=8,late=4,out-of-order=2,lost-once=3,answer-lost=3",
        "duplicates": "normal=60,double=20,parallel=10,out-of-order=10",
        "hostile": ",".join(f"{scenario.value}=1" for scenario in Scenario),
    }
)


class MixError(ValueError):
    """The text is no mix; it says why."""


@dataclass(frozen=True)
class Mix:
    """Scenarios with whole-number weights, in the order of the enumeration."""

    weights: tuple[tuple[Scenario, int], ...]

    def __str__(self) -> str:
        """The mix as it may be typed again: `normal=80,double=20`."""
        return ",".join(f"{scenario.value}={weight}" for scenario, weight in self.weights)


@dataclass(frozen=True)
class DrawnScenario:
    """What one payment of a run got: a scenario, and how long *late* holds its notice back."""

    scenario: Scenario
    late_seconds: int


def mix_from(text: str) -> Mix:
    """Read a preset's name, or `name=weight,…` (weight 1 where none is given). Raises MixError."""
    told = PRESETS.get(text.strip(), text)
    if len(told) > _MIX_CHARACTERS_MAX:
        raise MixError(f"a mix has at most {_MIX_CHARACTERS_MAX} characters")
    weights: dict[Scenario, int] = {}
    for entry in filter(None, (part.strip() for part in told.split(","))):
        name, equals, number = (part.strip() for part in entry.partition("="))
        try:
            scenario = Scenario(name)
        except ValueError:
            known = ", ".join([*PRESETS, *Scenario])
            raise MixError(f"{name[:40]!r} is none of {known}") from None
        if scenario in weights:
            raise MixError(f"{name} is named twice")
        weights[scenario] = _weight(name, number) if equals else 1
    listed = tuple((scenario, weights[scenario]) for scenario in Scenario if weights.get(scenario))
    if not listed:
        raise MixError("a mix needs one scenario with a weight above zero")
    return Mix(listed)


def random_for(seed: int, number: int) -> random.Random:
    """The chance of the `number`-th payment of a run: the same for the same seed, in any thread."""
    return random.Random(f"{seed}:{number}")  # noqa: S311 - repeatable on purpose


def draw(mix: Mix, seed: int, number: int) -> DrawnScenario:
    """The scenario of the `number`-th payment of a run."""
    by_chance = random_for(seed, number)
    scenarios, weights = zip(*mix.weights, strict=True)
    (scenario,) = by_chance.choices(scenarios, weights)
    return DrawnScenario(scenario, by_chance.randint(1, _LATE_SECONDS_IN_A_MIX))


def _weight(name: str, number: str) -> int:
    if not (number.isascii() and number.isdigit()) or int(number[:9]) > WEIGHT_MAX:
        raise MixError(f"the weight of {name} must be a whole number up to {WEIGHT_MAX}")
    return int(number[:9])
