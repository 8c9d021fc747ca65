"""The language of the bank's pages and sentences, chosen and remembered as in the service.

`?lang=` decides, else the cookie that remembers it, else the browser, else `BANK_LANGUAGE`. Outside
a request, as in commands and jobs, sentences are Portuguese.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from babel.support import NullTranslations
from flask import Flask, Response, current_app, g, has_request_context, request, url_for
from flask_babel import Babel, get_translations
from werkzeug.exceptions import HTTPException

from core.languages import (
    ACCEPTABLE_TAGS,
    COOKIE,
    COOKIE_SECONDS,
    LANGUAGES,
    language_named,
    language_of_tag,
)

_ROOT = Path(__file__).resolve().parents[1]
# The sentences of core/ are in the service's catalogue; the bank's own ones take precedence.
_CATALOGUES = (_ROOT / "translations", _ROOT / "bank" / "translations")

_FORM_PAGES: dict[str | None, tuple[str, tuple[str, ...]]] = {
    "login.log_in": ("login.show", ("next",)),
    "pages.pay": ("pages.review", ("code", "agreed", "scenario", "late_seconds")),
    "requests.authorise": ("requests.show", ("request_id",)),
    "requests.refuse": ("requests.show", ("request_id",)),
    "collections.cancel": ("collections.show", ("end_to_end_id",)),
    "scan.read": ("scan.show", ()),
    "chaos.set_mix": ("chaos.mix_page", ()),
    "chaos.examine_form": ("chaos.doctor_page", ()),
}
"""For each form: the page that shows it, and what this page needs of the form and its path."""


def init_languages(app: Flask, default: str) -> None:
    """Register the catalogues, the language selector and the helpers of the templates."""
    app.config["BABEL_DEFAULT_LOCALE"] = default.replace("-", "_")
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = ";".join(map(str, _CATALOGUES))
    Babel(app, locale_selector=lambda: language().replace("-", "_"))
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]  # by jinja2.ext.i18n
        gettext=translate, ngettext=translate_plural, newstyle=True
    )
    app.add_template_filter(translate, "translated")
    app.add_template_global(address_in)

    @app.context_processor
    def of_the_request() -> dict[str, str]:
        return {"locale": language()}


def language() -> str:
    """`pt-BR` or `en`."""
    if not has_request_context():
        return LANGUAGES[0]
    if "language" not in g:
        g.language = _negotiate_language()
    name: str = g.language
    return name


def translate(text: str) -> str:
    """Translate a text into the request's language: the `_` of Python code."""
    return str(_translations().ugettext(text))


def translate_plural(singular: str, plural: str, number: int) -> str:
    """Translate one of two texts, by the number: the `ngettext` of Python code."""
    return str(_translations().ungettext(singular, plural, number))


def address_in(name: str) -> str:
    """The address of this page in another language; after a refused form, of the form's page."""
    if request.method == "GET":
        arguments = [(key, text) for key, text in request.args.items(multi=True) if key != "lang"]
        return f"?{urlencode([*arguments, ('lang', name)])}"
    page, names = _FORM_PAGES.get(request.endpoint, ("pages.home", ()))
    try:
        values = {**request.form, **(request.view_args or {})}
        fields: dict[str, Any] = {key: values[key] for key in names if values.get(key)}
    except HTTPException:  # the form is too large to be read
        page, fields = "pages.home", {}
    return url_for(page, **fields, lang=name)


def set_language_headers(response: Response) -> None:
    """Set a page's language headers, and the cookie if `?lang=` names a language."""
    if not response.headers.get("Content-Type", "").startswith("text/html"):
        return
    response.headers["Vary"] = "Accept-Language, Cookie"
    response.headers["Content-Language"] = language()
    name = _language_from_query()
    if name is None or name == _language_from_cookie():
        return
    response.set_cookie(
        COOKIE,
        name,
        max_age=COOKIE_SECONDS,
        # At `/`, also where the bank is mounted below it: the service reads the same cookie.
        path="/",
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )


def _negotiate_language() -> str:
    if name := _language_from_query() or _language_from_cookie():
        return name
    default = current_app.config["BABEL_DEFAULT_LOCALE"].replace("_", "-")
    return language_of_tag(request.accept_languages.best_match(ACCEPTABLE_TAGS, default))


def _language_from_query() -> str | None:
    return language_named(request.args.get("lang", ""))


def _language_from_cookie() -> str | None:
    name = request.cookies.get(COOKIE)
    return name if name in LANGUAGES else None


def _translations() -> Any:
    if not has_request_context():
        # A command of `flask bank` has the context of the service's application, not of the bank's.
        return NullTranslations()
    if "translations" not in g:
        g.translations = get_translations()
    return g.translations
