"""The robot's API for the service: an order to pay a charge of a test by itself.

Requests are signed as in `service_api`. As in `wallet_api` the body has fields of its own and no
unknown ones, so that the signed body of another address is refused here. Development only.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from bank.blueprints import forms
from bank.blueprints.service_api import require_signature
from bank.branch import current_branch
from bank.errors import InvalidInput
from bank.models import RobotOrder
from bank.money.robot import AHEAD_MAX, NewRobotOrder
from core.clock import parse_rfc3339
from core.errors import FieldError
from core.scenarios import LATE_SECONDS_DEFAULT, Scenario

bp = Blueprint("robot_api", __name__, url_prefix="/api/robot-orders")

_ORDER_ID = re.compile(r"[a-zA-Z0-9]{1,35}", re.ASCII)
_CODE_CHARACTERS_MAX = 2048
_FIELDS = ("order_id", "code", "pay_at", "scenario", "late_seconds")


@bp.post("")
def accept_order() -> ResponseReturnValue:
    """Pay a code at `pay_at`, once per order_id.

    Body: {"order_id", "code", "pay_at", "scenario"?, "late_seconds"?}.
    """
    require_signature(request.get_data())
    order, is_repeated = current_branch().robot.accept(_new_order(forms.json_object(request)))
    response = jsonify(order_entry(order))
    response.status_code = 201
    if is_repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def order_entry(order: RobotOrder) -> dict[str, Any]:
    """An order as JSON; `reason` is the code with which the robot could not pay."""
    return {"order_id": order.order_id, "status": order.status, "reason": order.reason}


def _new_order(members: dict[str, Any]) -> NewRobotOrder:
    errors = [
        FieldError(name[:40], "is not a known field") for name in members if name not in _FIELDS
    ]
    order_id, code = members.get("order_id"), members.get("code")
    if not isinstance(order_id, str) or not _ORDER_ID.fullmatch(order_id):
        errors.append(FieldError("order_id", "must be 1 to 35 letters and digits"))
    if not isinstance(code, str) or not 0 < len(code) <= _CODE_CHARACTERS_MAX:
        errors.append(FieldError("code", f"must be 1 to {_CODE_CHARACTERS_MAX} characters"))
    pay_at = _pay_at(members.get("pay_at"), errors)
    scenario, late_seconds = Scenario.NORMAL, LATE_SECONDS_DEFAULT
    try:
        scenario = forms.scenario_in(members) or scenario
    except (InvalidInput, TypeError):
        errors.append(FieldError("scenario", "must be one of " + ", ".join(Scenario)))
    try:
        late_seconds = forms.late_seconds_in(members)
    except InvalidInput as error:
        errors += error.errors
    if errors or pay_at is None:
        raise InvalidInput(errors)
    return NewRobotOrder(str(order_id), str(code), scenario, late_seconds, pay_at)


def _pay_at(value: Any, errors: list[FieldError]) -> datetime | None:
    """The time to pay; adds to `errors` and returns None if it is not acceptable."""
    try:
        pay_at = parse_rfc3339(value if isinstance(value, str) else "")
    except ValueError:
        errors.append(FieldError("pay_at", "must be a time of RFC 3339"))
        return None
    if pay_at > current_branch().clock.now() + AHEAD_MAX:
        errors.append(FieldError("pay_at", "must be at most a day ahead"))
        return None
    return pay_at
