"""For every page: the language, the format of money, the URLs of static files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from babel.numbers import format_currency, format_decimal
from flask import Flask, Response, g, request
from flask_babel import Babel, force_locale, get_locale, get_translations
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from config import current_settings
from core.languages import (
    ACCEPTABLE_TAGS,
    COOKIE,
    COOKIE_SECONDS,
    LANGUAGES,
    language_named,
    language_of_tag,
)
from core.money import reais
from web import zones
from web.script_modules import STATIC, digest_of

YEAR_SECONDS = 31_536_000


def language() -> str:
    """The language of `?lang=`, else of the cookie that remembers it, else of the browser."""
    if "language" not in g:
        g.language = _negotiate_language()
    name: str = g.language
    return name


def _negotiate_language() -> str:
    if name := _language_from_query() or _language_from_cookie():
        return name
    return language_of_browser(request.environ.get("HTTP_ACCEPT_LANGUAGE", ""))


@lru_cache(maxsize=256)
def language_of_browser(accept_language: str) -> str:
    """The language for a browser with this `Accept-Language`."""
    accepted = parse_accept_header(accept_language, LanguageAccept)
    return language_of_tag(accepted.best_match(ACCEPTABLE_TAGS, "pt-BR"))


def _language_from_query() -> str | None:
    return language_named(request.args.get("lang", ""))


def _language_from_cookie() -> str | None:
    """The remembered language; None without the cookie, or if it names no language of ours."""
    # Few requests have the cookie, and parsing the header costs every poll.
    if COOKIE not in request.environ.get("HTTP_COOKIE", ""):
        return None
    name = request.cookies.get(COOKIE)
    return name if name in LANGUAGES else None


def _locale_of(name: str) -> str:
    """The name of a language as Babel writes it."""
    return name.replace("-", "_")


def language_args() -> dict[str, Any]:
    """`{"lang": …}` if this page's URL has `?lang=`, to keep the language on the next page."""
    name = _language_from_query()
    return {"lang": name} if name else {}


def language_query() -> str:
    """The same as a query string: `?lang=en`, or empty."""
    name = _language_from_query()
    return f"?lang={name}" if name else ""


def language_args_to(url: str) -> dict[str, Any]:
    """`{"lang": …}` for a link to another host, which does not get the cookie of the choice."""
    # Not `host_url`: Werkzeug would decode the host, and raises for a part that it cannot decode.
    if urlsplit(url).hostname == urlsplit(f"//{request.host}").hostname:
        return {}
    name = _language_from_query() or _language_from_cookie()
    return {"lang": name} if name else {}


def init_pages(app: Flask) -> None:
    """Register the language selector, the filters, `asset` and the language helpers."""
    app.config["BABEL_DEFAULT_LOCALE"] = "pt_BR"
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = str(STATIC.parent / "translations")
    Babel(
        app,
        locale_selector=lambda: _locale_of(language()),
        timezone_selector=zones.select_zone,
    )
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]  # by jinja2.ext.i18n
        gettext=lambda text: _translations().ugettext(text),
        ngettext=lambda singular, plural, n: _translations().ungettext(singular, plural, n),
        newstyle=True,
    )
    app.add_template_filter(brl)
    app.add_template_filter(number)
    zones.init_zones(app)
    for value in (asset, language_args, language_args_to, language_query):
        app.add_template_global(value)

    @app.context_processor
    def of_the_request() -> dict[str, str]:
        return {"locale": language()}


def set_page_headers(response: Response) -> Response:
    """Set caching and language headers of pages and static files; an `after_request` hook."""
    if response.headers.get("Content-Type", "").startswith("text/html"):
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["Vary"] = "Accept, Accept-Language, Cookie"
        response.headers["Content-Language"] = language()
        response.headers.setdefault("X-Robots-Tag", "noindex")
        _remember_language(response)
    elif request.endpoint == "static" and _has_current_digest():
        response.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
    return response


def _has_current_digest() -> bool:
    """Whether the address of this static file names the content that is sent.

    During a rolling upgrade a process may be asked for the text of another version: its own text
    must not be cached for a year under that address.
    """
    asked_digest = request.args.get("v")
    if asked_digest is None:
        return False
    return asked_digest == digest_of((request.view_args or {})["filename"])


def translate(text: str) -> str:
    """Translate a text into the request's language: the `_` of Python code."""
    return str(_translations().ugettext(text))


@contextmanager
def in_language(name: str) -> Iterator[None]:
    """Translate into this language within the block: commands have no request to tell it."""
    outer = g.pop("translations", None)
    try:
        with force_locale(name.replace("-", "_")):
            yield
    finally:
        g.pop("translations", None)
        if outer is not None:
            g.translations = outer


def _translations() -> Any:
    """The request's catalogue, looked up once, because a page uses it some forty times."""
    if "translations" not in g:
        g.translations = get_translations()
    return g.translations


def _remember_language(response: Response) -> None:
    """Keep the language of `?lang=` in a cookie, for pages that are opened without it."""
    name = _language_from_query()
    if name is None or name == _language_from_cookie():
        return
    response.set_cookie(
        COOKIE,
        name,
        max_age=COOKIE_SECONDS,
        secure=current_settings().public_url.startswith("https://"),
        httponly=True,
        samesite="Lax",
    )


def brl(centavos: int, language_name: str | None = None) -> str:
    """`R$ 54,90` with a no-break space; `R$54.90` in English.

    The language is that of the request by default.
    """
    locale = _locale_of(language_name) if language_name else str(get_locale())
    return _currency(centavos, locale)


def number(count: int) -> str:
    """`1.234`; `1,234` in English."""
    return str(format_decimal(count, locale=str(get_locale())))


@lru_cache(maxsize=4096)
def _currency(centavos: int, locale: str) -> str:
    return format_currency(reais(centavos), "BRL", locale=locale).replace(" ", "\u00a0")


def asset(name: str) -> str:
    """The URL of a static file, with its digest, so that caches may keep it a year."""
    return f"{request.script_root}/static/{name}?v={_digest(name)}"


def forget_static_files() -> None:
    """Hash static files again, because they may have changed."""
    _digest.cache_clear()


@lru_cache(maxsize=512)
def _digest(name: str) -> str:
    return digest_of(name)
