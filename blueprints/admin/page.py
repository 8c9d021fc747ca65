"""The administrators' blueprint, and what its views share."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from accounts.access import acting_admin
from config import current_settings
from db_models import Account
from repository.admin import AdminQueries
from repository.database import Work
from web import zones

bp = Blueprint("admin", __name__)


def admin_and_queries(work: Work) -> tuple[Account, AdminQueries]:
    """The administrator and the queries of these pages. Raises Unauthorized or Forbidden."""
    return acting_admin(work), AdminQueries(work.session)


def page(
    template: str, admin: Account, section: str, status: int = 200, **values: Any
) -> ResponseReturnValue:
    """Render a page of the administration; `section` is its entry in the navigation."""
    html = render_template(
        f"admin/{template}",
        admin=admin,
        section=section,
        zone=zones.viewer_zone().key,
        is_development=current_settings().is_development,
        **values,
    )
    return html, status
