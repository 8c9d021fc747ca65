"""The viewer's zone: days begin and end where the person who looks is.

The browser tells its zone in a cookie (static/js/portal/zone.js); without one it is São Paulo's.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from babel.dates import format_date
from flask import g, request
from flask_babel import get_locale
from markupsafe import Markup, escape

from repository.portal import Span
from web.pages import SAO_PAULO

COOKIE = "balcao_zone"


def viewer_zone() -> ZoneInfo:
    """The zone that the browser told, if it is one; São Paulo's otherwise."""
    if "viewer_zone" not in g:
        g.viewer_zone = _known(request.cookies.get(COOKIE, ""))
    found: ZoneInfo = g.viewer_zone
    return found


@lru_cache(maxsize=64)
def _known(name: str) -> ZoneInfo:
    return ZoneInfo(name) if name in _names() else SAO_PAULO


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


def span_of(day: date, zone: ZoneInfo, days: int = 1) -> Span:
    """From this day's midnight to that of `days` later, as instants; a day may have 23 hours."""
    return _midnight(day, zone), _midnight(day + timedelta(days=days), zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def when(instant: datetime) -> Markup:
    """`20 de nov., 14:35` in the viewer's zone, with the year where it is another one."""
    local = instant.astimezone(viewer_zone())
    known = _moment(local.date(), str(get_locale()))
    return _time(instant, f"{known}, {local:%H:%M}", "short")


def exactly_when(instant: datetime) -> Markup:
    """Day, time to the second and offset in the viewer's zone."""
    local = instant.astimezone(viewer_zone())
    offset = f"{local:%z}"
    day = format_date(local.date(), "medium", locale=str(get_locale()))
    return _time(instant, f"{day}, {local:%H:%M:%S} (UTC{offset[:3]}:{offset[3:]})", "exact")


@lru_cache(maxsize=1024)
def _moment(day: date, locale: str) -> str:
    return str(format_date(day, "d MMM" if locale == "en" else "d 'de' MMM", locale=locale))


def _time(instant: datetime, shown: str, form: str) -> Markup:
    written = instant.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" data-time="{}">{}</time>').format(
        escape(written), form, shown
    )


def portal_day(day: date) -> str:
    """`20 de nov. de 2026`: a day by itself."""
    return str(format_date(day, "medium", locale=str(get_locale())))
