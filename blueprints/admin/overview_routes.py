"""The administrators' first page: the health of the service."""

from __future__ import annotations

from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue

from accounts.access import page_guard
from blueprints.admin.overview import checks, count_reached_limits, overview
from blueprints.admin.page import admin_and_queries, bp, page
from config import current_settings
from payments.refusals import refusal_text
from repository.admin import COUNT_MAX
from repository.database import reading


@bp.get("/admin")
@page_guard("admin")
def home() -> ResponseReturnValue:
    """The overview; `?fragment=overview` returns only the figures."""
    # Redis may be slow to answer, so ask it before a database connection is taken.
    health, reached_limits = checks(current_settings()), count_reached_limits()
    with reading() as work:
        admin, queries = admin_and_queries(work)
        figures = overview(work, queries, current_settings(), health, reached_limits)
    values: dict[str, Any] = {"now": figures, "count_max": COUNT_MAX, "refusal_text": refusal_text}
    if request.args.get("fragment") == "overview":
        return render_template("admin/_overview.html", **values)
    return page("home.html", admin, "home", **values)
