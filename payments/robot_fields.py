"""The field `test` of a new payment: how the bank's robot payer shall pay it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from config import current_settings
from core.scenarios import LATE_SECONDS_DEFAULT, LATE_SECONDS_MAX, Scenario
from repository.robot_payments import PAY_AFTER_MAX
from web.bodies import StrictBody

PAY_AFTER_SECONDS_MAX = int(PAY_AFTER_MAX.total_seconds())


def whole_number(value: object) -> object:
    """An int for a whole Decimal: JSON Schema counts 60.0 as an integer.

    The size is checked first, because int(1e999999) never ends.
    """
    if isinstance(value, Decimal) and value.adjusted() < 10 and value == value.to_integral_value():
        return int(value)
    return value


REAL_MONEY = "exists in test mode only: in live mode payers pay by themselves, so leave it out"


def _only_with_tests(value: object) -> object:
    """Refuse the field where no test half has a bank; `robot.order` refuses it for real money."""
    if current_settings().bank_to_ask(is_test_half=True) is None:
        raise ValueError(REAL_MONEY)
    return value


class RobotTerms(StrictBody):
    """How the bank's robot payer pays; each field has a default."""

    scenario: Annotated[Scenario, Field(strict=False)] = Scenario.NORMAL
    pay_after: Annotated[
        int, Field(ge=0, le=PAY_AFTER_SECONDS_MAX), BeforeValidator(whole_number)
    ] = 0
    """Seconds from the creation until the robot pays."""
    late_seconds: Annotated[
        int, Field(ge=1, le=LATE_SECONDS_MAX), BeforeValidator(whole_number)
    ] = LATE_SECONDS_DEFAULT
    """How long the scenario *late* delays the bank's notice; other scenarios ignore it."""

    def columns(self) -> dict[str, Any]:
        """The terms as the payment's row stores them and its merchant reads them."""
        return self.model_dump(mode="json")


PaymentTest = Annotated[RobotTerms, BeforeValidator(_only_with_tests)]
