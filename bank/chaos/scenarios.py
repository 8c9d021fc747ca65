"""The scenarios of injected faults, the ending that each must reach, and mixes of scenarios.

`docs/chaos.md` documents the same table; a test compares the two.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from core.scenarios import Scenario

SEED_MAX = 2**63 - 1
WEIGHT_MAX = 1_000_000
_MIX_CHARACTERS_MAX = 500
_LATE_SECONDS_IN_A_MIX = 5


@dataclass(frozen=True)
class Ending:
    """The state that a payment must reach, even if the service or the bank is killed meanwhile.

    `payment` is its status at the service. `reason` is the code with which the service refused the
    money; None if it accepted it. `is_receipt_stored` says whether the service stores a receipt of
    the attempt. `bank_state` is the payment's status at the bank: `confirmed`, `returned`, or
    `sent` if the notice was dropped or signed wrongly, since the service then learns of the payment
    by a look-up.
    """

    payment: str
    reason: str | None
    is_receipt_stored: bool
    bank_state: str


_ACCEPTED = Ending("confirmed", None, True, "confirmed")
_FOUND_BY_LOOK_UP = Ending("confirmed", None, True, "sent")
_WRONG_AMOUNT = Ending("pending", "amount-mismatch", True, "returned")
_PAID_TOO_LATE = Ending("expired", "paid-too-late", True, "returned")

ENDINGS: Mapping[Scenario, Ending] = MappingProxyType(
    {
        Scenario.NORMAL: _ACCEPTED,
        Scenario.PAY_LESS: _WRONG_AMOUNT,
        Scenario.PAY_MORE: _WRONG_AMOUNT,
        Scenario.WRONG_KEY: _FOUND_BY_LOOK_UP,
        Scenario.STALE: _FOUND_BY_LOOK_UP,
        Scenario.BAD_SIGNATURE: _ACCEPTED,
        Scenario.DOUBLE: _ACCEPTED,
        Scenario.TEN_TIMES: _ACCEPTED,
        Scenario.PARALLEL: _ACCEPTED,
        Scenario.LATE: _ACCEPTED,
        Scenario.OUT_OF_ORDER: _ACCEPTED,
        Scenario.LOST_ONCE: _ACCEPTED,
        Scenario.ANSWER_LOST: _ACCEPTED,
        Scenario.LOST: _FOUND_BY_LOOK_UP,
        Scenario.SLOW_API: _FOUND_BY_LOOK_UP,
        Scenario.BROKEN_API: _FOUND_BY_LOOK_UP,
        Scenario.TOLD_AFTER_DEADLINE: _ACCEPTED,
        Scenario.PAID_AFTER_DEADLINE: _PAID_TOO_LATE,
        Scenario.REFUND_REFUSED: _ACCEPTED,
    }
)

FOUND_BY_LOOK_UP = frozenset(
    scenario for scenario, ending in ENDINGS.items() if ending.bank_state == "sent"
)
"""Scenarios without a notice that the service accepts: only its look-up finds the payment."""

NEVER_NOTIFIED = frozenset({Scenario.LOST, Scenario.SLOW_API, Scenario.BROKEN_API})
"""Scenarios that drop the notice for good."""

DEADLINE_SCENARIOS = frozenset({Scenario.TOLD_AFTER_DEADLINE, Scenario.PAID_AFTER_DEADLINE})
"""Scenarios that wait for the charge's deadline, so their charges need a short one."""

NEEDS_A_CHARGE = DEADLINE_SCENARIOS | {Scenario.PAY_LESS, Scenario.PAY_MORE}
"""Scenarios that break a charge's deadline or amount; a static code has neither."""

COPIES: Mapping[Scenario, int] = MappingProxyType(
    {Scenario.DOUBLE: 2, Scenario.TEN_TIMES: 10, Scenario.PARALLEL: 10}
)
"""How many copies of the notice one attempt sends; other scenarios send one."""

PRESETS: Mapping[str, str] = MappingProxyType(
    {
        "realistic": "normal=80,double=8,late=4,out-of-order=2,lost-once=3,answer-lost=3",
        "duplicates": "normal=60,double=20,parallel=10,out-of-order=10",
        "hostile": ",".join(f"{scenario.value}=1" for scenario in Scenario),
    }
)


class MixError(ValueError):
    """The text is not a mix; the message says why, and `fault` and `values` say it to pages."""

    def __init__(self, message: str, fault: str, **values: str) -> None:
        self.fault = fault
        self.values = values
        super().__init__(message)


@dataclass(frozen=True)
class Mix:
    """Scenarios with whole-number weights, in the order of the enumeration."""

    weights: tuple[tuple[Scenario, int], ...]

    def __str__(self) -> str:
        """The text that `mix_from` parses: `normal=80,double=20`."""
        return ",".join(f"{scenario.value}={weight}" for scenario, weight in self.weights)


@dataclass(frozen=True)
class DrawnScenario:
    """The scenario of one payment; *late* delays its notice by `late_seconds`."""

    scenario: Scenario
    late_seconds: int


def mix_from(text: str) -> Mix:
    """Parse a preset's name or `name=weight,…`; the default weight is 1. Raises MixError."""
    mix = PRESETS.get(text.strip(), text)
    if len(mix) > _MIX_CHARACTERS_MAX:
        raise MixError(
            f"a mix has at most {_MIX_CHARACTERS_MAX} characters",
            "too-long",
            number=str(_MIX_CHARACTERS_MAX),
        )
    weights: dict[Scenario, int] = {}
    for entry in filter(None, (part.strip() for part in mix.split(","))):
        name, equals, number = (part.strip() for part in entry.partition("="))
        try:
            scenario = Scenario(name)
        except ValueError:
            names = ", ".join([*PRESETS, *Scenario])
            raise MixError(
                f"{name[:40]!r} is not one of {names}", "unknown", name=name[:40], names=names
            ) from None
        if scenario in weights:
            raise MixError(f"{name} appears twice", "twice", name=name)
        weights[scenario] = _weight(name, number) if equals else 1
    ordered = tuple((scenario, weights[scenario]) for scenario in Scenario if weights.get(scenario))
    if not ordered:
        raise MixError("a mix needs one scenario with a weight above zero", "empty")
    return Mix(ordered)


def random_for(seed: int, number: int) -> random.Random:
    """The random numbers of the `number`-th payment of a run; they depend on the seed alone."""
    return random.Random(f"{seed}:{number}")  # noqa: S311 - repeatable on purpose


def draw(mix: Mix, seed: int, number: int) -> DrawnScenario:
    """The scenario of the `number`-th payment of a run."""
    rng = random_for(seed, number)
    scenarios, weights = zip(*mix.weights, strict=True)
    (scenario,) = rng.choices(scenarios, weights)
    return DrawnScenario(scenario, rng.randint(1, _LATE_SECONDS_IN_A_MIX))


def _weight(name: str, number: str) -> int:
    if not (number.isascii() and number.isdigit()) or int(number[:9]) > WEIGHT_MAX:
        raise MixError(
            f"the weight of {name} must be a whole number up to {WEIGHT_MAX}",
            "weight",
            name=name,
            number=str(WEIGHT_MAX),
        )
    return int(number[:9])
