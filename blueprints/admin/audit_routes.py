"""Who did what: entries that are written once and never changed, narrowed by the address."""

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
from repository.admin import WINDOW_ROWS, Deed, Deeds
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
class Asked:
    """What the address asks for."""

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
        """The page with the same filters."""
        days = {"from": self.from_day, "to": self.to_day}
        named: dict[str, Any] = {name: day.isoformat() for name, day in days.items() if day}
        named |= {"action": self.action, "login": self.login, **language_args(), **more}
        return url_for("admin.audit", **named)


@bp.get("/admin/audit")
@page_guard("admin")
def audit() -> ResponseReturnValue:
    """The entries. Query: `action`, `login`, `from`, `to` (days), `after`."""
    asked, zone = _asked(), zones.viewer_zone()
    with reading() as work:
        admin, queries = admin_and_queries(work)
        who = work.accounts.find_by_login(asked.login) if asked.login else None
        deeds = Deeds(
            account_id=who.id if who else None,
            action=asked.action,
            from_instant=zones.span_of(asked.from_day, zone)[0] if asked.from_day else None,
            before_instant=zones.span_of(asked.to_day, zone)[1] if asked.to_day else None,
        )
        is_nobody = asked.login is not None and who is None
        found = Page[Deed]([], None) if is_nobody else queries.deeds(deeds, asked.after, PAGE)
        actions = queries.recent_actions()
    return page(
        "audit.html",
        admin,
        "audit",
        shown=found.items,
        asked=asked,
        actions=actions,
        is_nobody=is_nobody,
        window_rows=WINDOW_ROWS,
        first_url=asked.address(),
        next_url=asked.address(after=found.next) if found.next else None,
    )


def facts(details: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The details of an entry as pairs to read; what is named like a secret is not shown.

    Whoever records a deed keeps secrets out of it; this is the net beneath.
    """
    return [
        (name.replace("_", " "), "•••" if _SECRET.search(name) else _text_of(value))
        for name, value in details.items()
    ]


def _text_of(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = ", ".join(str(one) for one in value)
    text = "—" if value is None else str(value)
    is_long = len(text) > VALUE_CHARACTERS_MAX
    return f"{text[:VALUE_CHARACTERS_MAX]}…" if is_long else text


def _asked() -> Asked:
    """What the address asks for. Raises InvalidRequest."""
    fields = QueryFields(request.args)
    action, login = fields.text("action", ACTION_MAX), fields.text("login", LOGIN_MAX)
    first, last = fields.days()
    fields.require_valid()
    return Asked(action, login, first, last, request.args.get("after"))
