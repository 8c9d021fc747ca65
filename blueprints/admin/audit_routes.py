"""The audit log: entries are written once and never changed; the address holds the filters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flask import request, url_for
from flask.typing import ResponseReturnValue

from accounts.access import page_guard
from blueprints.admin.page import admin_and_queries, bp, page
from repository.admin import WINDOW_ROWS, AuditRow, AuditSearch
from repository.database import reading
from repository.paging import Page
from web import zones
from web.pages import language_args
from web.query_fields import QueryFields

PAGE = 50
ACTION_MAX, LOGIN_MAX = 40, 64
VALUE_CHARACTERS_MAX = 200
_SECRET = re.compile(r"password|secret|token|card|(^|_)pin($|_)", re.IGNORECASE)


@dataclass(frozen=True)
class AuditFilters:
    """Filters and cursor from the address."""

    action: str | None
    login: str | None
    from_day: date | None
    to_day: date | None
    after: str | None

    @property
    def is_narrowed(self) -> bool:
        """Whether any filter is set."""
        return any((self.action, self.login, self.from_day, self.to_day))

    def address(self, **more: str | None) -> str:
        """The address of the page with the same filters."""
        days = {"from": self.from_day, "to": self.to_day}
        arguments: dict[str, Any] = {name: day.isoformat() for name, day in days.items() if day}
        arguments |= {"action": self.action, "login": self.login, **language_args(), **more}
        return url_for("admin.audit", **arguments)


@bp.get("/admin/audit")
@page_guard("admin")
def audit() -> ResponseReturnValue:
    """The entries. Query: `action`, `login`, `from`, `to` (days), `after`."""
    filters, zone = _filters(), zones.viewer_zone()
    with reading() as work:
        admin, queries = admin_and_queries(work)
        account = work.accounts.find_by_login(filters.login) if filters.login else None
        search = AuditSearch(
            account_id=account.id if account else None,
            action=filters.action,
            from_instant=zones.span_of(filters.from_day, zone)[0] if filters.from_day else None,
            before_instant=zones.span_of(filters.to_day, zone)[1] if filters.to_day else None,
        )
        is_unknown_login = filters.login is not None and account is None
        if is_unknown_login:
            entries = Page[AuditRow]([], None)
        else:
            entries = queries.audit(search, filters.after, PAGE)
        actions = queries.recent_actions()
    return page(
        "audit.html",
        admin,
        "audit",
        entries=entries.items,
        filters=filters,
        actions=actions,
        is_unknown_login=is_unknown_login,
        window_rows=WINDOW_ROWS,
        first_url=filters.address(),
        next_url=filters.address(after=entries.next) if entries.next else None,
    )


def facts(details: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the details of an entry as pairs of name and text.

    The code that records an entry leaves secrets out. In case it did not, a value whose name
    looks like a secret is masked here.
    """
    return [
        (name.replace("_", " "), "•••" if _SECRET.search(name) else _text_of(value))
        for name, value in details.items()
    ]


def _text_of(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = ", ".join(str(element) for element in value)
    text = "—" if value is None else str(value)
    is_long = len(text) > VALUE_CHARACTERS_MAX
    return f"{text[:VALUE_CHARACTERS_MAX]}…" if is_long else text


def _filters() -> AuditFilters:
    """Read the address. Raises InvalidRequest."""
    fields = QueryFields(request.args)
    action, login = fields.text("action", ACTION_MAX), fields.text("login", LOGIN_MAX)
    first, last = fields.days()
    fields.require_valid()
    return AuditFilters(action, login, first, last, request.args.get("after"))
