"""The switch between the merchant's money and its test half, in production."""

from __future__ import annotations

from flask import Response, make_response, redirect, request, url_for

from accounts import halves, modes
from accounts.access import current_caller, page_guard, signed_in_owner
from blueprints.portal.page import bp
from config import current_settings
from core.errors import FieldError, InvalidRequest, NotFound
from repository.database import Work, in_unit_of_work
from web.pages import language_args

LISTS = {
    "home": "portal.home",
    "payments": "portal.payments",
    "new": "portal.new_payment",
    "counter": "portal.counter",
    "poster": "portal.poster",
    "signals": "portal.signals",
    "provider": "portal.providers",
    "developers": "portal.developers",
    "settings": "portal.settings",
}
"""The page that both halves have, by the section of the page on which the switch was pressed."""


@bp.post("/portal/mode")
@page_guard("merchant")
@modes.in_either_mode
def switch_mode() -> Response:
    """Show the half that `mode` names, live or test; the test half is made at its first use."""
    if not current_settings().is_live:
        raise NotFound
    mode = request.form.get("mode")
    if mode not in (modes.LIVE, modes.TEST):
        raise InvalidRequest([FieldError("mode", "must be live or test")])
    section = LISTS.get(request.form.get("section", ""), "portal.home")
    answer = make_response(redirect(url_for(section, **language_args()), 303))
    if mode == modes.LIVE:
        modes.unset_cookie(answer)
        return answer
    modes.set_cookie(answer, in_unit_of_work(_sign_in_with_a_test_half))
    return answer


def _sign_in_with_a_test_half(work: Work) -> str:
    """Make the merchant's test half if it has none; return the id of the browser's sign-in."""
    halves.ensure_test_half(work, signed_in_owner(work))
    sign_in_id = current_caller(work).sign_in_id
    if sign_in_id is None:
        raise NotFound  # page_guard lets nobody in without a cookie
    return sign_in_id
