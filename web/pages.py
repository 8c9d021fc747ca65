"""What every page uses: its language, how money is written, the addresses of static files."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from babel.numbers import format_currency
from flask import Flask, Response, g, request
from flask_babel import Babel, get_locale, get_translations

from core.money import reais
from web import zones

LANGUAGES = ("pt-BR", "en")
_STATIC = Path(__file__).resolve().parent.parent / "static"
YEAR_SECONDS = 31_536_000


def language() -> str:
    """`?lang=` where it names one of ours, else the browser's wish, else Portuguese."""
    if "language" not in g:
        g.language = _wished_language()
    spoken: str = g.language
    return spoken


def _wished_language() -> str:
    if named := _named_language():
        return named
    # A browser that speaks any Portuguese is served ours; best_match alone knows only pt-BR.
    best = request.accept_languages.best_match(("pt-BR", "pt", "en", "en-US", "en-GB"), "pt-BR")
    return "en" if best.startswith("en") else "pt-BR"


def _named_language() -> str | None:
    """The language that `?lang=` names, however it is spelt: `pt`, `pt_br`, `EN`."""
    named = request.args.get("lang", "").lower().replace("_", "-")
    return next((one for one in LANGUAGES if named in (one.lower(), one[:2])), None)


def language_args() -> dict[str, Any]:
    """`{"lang": …}` if this page's address names a language: it goes along to the next page."""
    named = _named_language()
    return {"lang": named} if named else {}


def language_query() -> str:
    """The same as the end of an address: `?lang=en`, or nothing."""
    named = _named_language()
    return f"?lang={named}" if named else ""


def init_pages(app: Flask) -> None:
    """Register language, filters and `asset`."""
    app.config["BABEL_DEFAULT_LOCALE"] = "pt_BR"
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = str(_STATIC.parent / "translations")
    Babel(
        app,
        locale_selector=lambda: language().replace("-", "_"),
        timezone_selector=zones.select_zone,
    )
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]  # by jinja2.ext.i18n
        gettext=lambda text: _translations().ugettext(text),
        ngettext=lambda one, many, number: _translations().ungettext(one, many, number),
        newstyle=True,
    )
    app.add_template_filter(brl)
    zones.init_zones(app)
    for value in (asset, language_args, language_query):
        app.add_template_global(value)

    @app.context_processor
    def of_the_request() -> dict[str, str]:
        return {"locale": language()}


def set_page_headers(response: Response) -> Response:
    """Say how long a page or a static file may be kept; an `after_request` hook."""
    if response.headers.get("Content-Type", "").startswith("text/html"):
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["Vary"] = "Accept, Accept-Language"
        response.headers["Content-Language"] = language()
        response.headers.setdefault("X-Robots-Tag", "noindex")
    elif request.endpoint == "static" and "v" in request.args:
        response.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
    return response


def spoken(text: str) -> str:
    """The text in the request's language; for Python code, as `_` is for templates."""
    return str(_translations().ugettext(text))


def _translations() -> Any:
    """The request's catalogue, searched for once: a page asks it some forty times."""
    if "translations" not in g:
        g.translations = get_translations()
    return g.translations


def brl(centavos: int) -> str:
    """`R$ 54,90`, with a space that does not break; `R$54.90` in English."""
    return _currency(centavos, str(get_locale()))


@lru_cache(maxsize=4096)
def _currency(centavos: int, locale: str) -> str:
    return format_currency(reais(centavos), "BRL", locale=locale).replace(" ", "\u00a0")


def asset(name: str) -> str:
    """The address of a static file, marked by its content: it may be kept for a year."""
    return f"{request.script_root}/static/{name}?v={_digest(name)}"


def forget_static_files() -> None:
    """Read static files again for their addresses, because they may have changed."""
    _digest.cache_clear()


@lru_cache(maxsize=512)
def _digest(name: str) -> str:
    try:
        return hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]
    except FileNotFoundError:
        return "0"
