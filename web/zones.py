"""Times on pages: the viewer's time zone, its days, and instants as text.

The zone is flask-babel's zone of the request (`get_timezone`). In the portal and on the pages of
administrators the browser sends its zone in a cookie (static/js/portal/zone.js); without the
cookie, and so on every other page, the zone is São Paulo's.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import cast
from zoneinfo import ZoneInfo, available_timezones

from babel.dates import format_date
from flask import Flask, request
from flask_babel import get_locale, get_timezone
from markupsafe import Markup, escape

from repository.portal import Span

COOKIE = "balcao_zone"
SAO_PAULO = ZoneInfo("America/Sao_Paulo")


def init_zones(app: Flask) -> None:
    """Register the template filters that write instants and days."""
    for write in (clock, day, moment, when, exactly_when, full_day):
        app.add_template_filter(write)


def select_zone() -> ZoneInfo:
    """The zone in the browser's cookie if it exists, else São Paulo's; for flask-babel."""
    return _zone_or_default(request.cookies.get(COOKIE, ""))


def viewer_zone() -> ZoneInfo:
    """The zone of this request."""
    return cast("ZoneInfo", get_timezone())


def _zone_or_default(name: str) -> ZoneInfo:
    return ZoneInfo(name) if name in _names() else SAO_PAULO


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


def span_of(day: date, zone: ZoneInfo, days: int = 1) -> Span:
    """From the midnight of this day to the midnight `days` later; a day may have 23 hours."""
    return _midnight(day, zone), _midnight(day + timedelta(days=days), zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def days_between(start: datetime, end: datetime, zone: ZoneInfo | None = None) -> int:
    """How many midnights lie between two instants, in this zone or that of this request."""
    zone = zone or viewer_zone()
    return (end.astimezone(zone).date() - start.astimezone(zone).date()).days


def clock(instant: datetime, zone: ZoneInfo | None = None) -> Markup:
    """`14:35`, in this zone or that of this request."""
    return _time(instant, f"{instant.astimezone(zone or viewer_zone()):%H:%M}")


def day(instant: datetime) -> str:
    """`24 nov.`"""
    return _format_day(_local(instant).date(), "d MMM", _locale())


def moment(instant: datetime) -> Markup:
    """`24/11/2026 às 14:35`, with its zone unless the zone is surely the viewer's."""
    return _time(instant, escape(plain_when(instant)) + _zone_note(instant))


def when(instant: datetime) -> Markup:
    """`24 de nov., 14:35`; the page's script rewrites it, with the year if it is another year."""
    local, locale = _local(instant), _locale()
    form = "d MMM" if locale == "en" else "d 'de' MMM"
    return _time(instant, f"{_format_day(local.date(), form, locale)}, {local:%H:%M}", "short")


def plain_when(instant: datetime) -> str:
    """`24/11/2026 às 14:35`, as plain text for sentences."""
    local = _local(instant)
    if _locale() == "en":
        return f"{_format_day(local.date(), 'd MMM y', 'en')} at {local:%H:%M}"
    return f"{local:%d/%m/%Y} às {local:%H:%M}"


def exactly_when(instant: datetime) -> Markup:
    """`24/11/2026 às 14:35:09`, with its zone like `moment`; the page's script rewrites it."""
    text = escape(f"{plain_when(instant)}:{_local(instant):%S}")
    return _time(instant, text + _zone_note(instant), "exact")


def full_day(day: date) -> str:
    """`24 de nov. de 2026`; a day has no zone."""
    return _format_day(day, "medium", _locale())


def _local(instant: datetime) -> datetime:
    return instant.astimezone(viewer_zone())


def _locale() -> str:
    return str(get_locale())


def _zone_note(instant: datetime) -> str | Markup:
    """Which time this is; empty for Brasília's time if the browser told its zone.

    With scripts, the page writes the time in the viewer's zone: the note is for pages without
    them, and must not move the page while it loads.
    """
    local, here = _local(instant), instant.astimezone(SAO_PAULO)
    if local.utcoffset() != here.utcoffset():
        offset = f"{local:%z}"
        return f" (UTC{offset[:3]}:{offset[3:]})"
    if request.cookies.get(COOKIE, "") in _names():
        return ""
    note = "Brasília time" if _locale() == "en" else "horário de Brasília"
    return Markup("<noscript> ({})</noscript>").format(note)


def _format_day(day: date, form: str, locale: str) -> str:
    return str(format_date(day, form, locale=locale))


def _time(instant: datetime, text: str, form: str | None = None) -> Markup:
    """A `time` element with the exact instant; `form` tells the page's script how to rewrite it."""
    attribute = instant.isoformat(timespec="seconds").replace("+00:00", "Z")
    kind = Markup(' data-time="{}"').format(form) if form else ""
    return Markup(f'<time datetime="{attribute}"{kind}>{escape(text)}</time>')  # noqa: S704 - escaped
