"""Templates with their sentences translated when they are compiled, once for each language.

A payment page has some fifty sentences, and looking each up costs a sixth of the page.
"""

from __future__ import annotations

import re

from flask import Flask, current_app
from jinja2 import Environment, Template
from jinja2.ext import Extension

from core.languages import LANGUAGES
from web.pages import language, translate

_ENVIRONMENTS = "balcao_page_templates"
"""Key in the app's extensions."""
_SENTENCE = re.compile(r"""(?<!\w)_\((?:"([^"\\]+)"|'([^'\\]+)')\)""")
"""A sentence without values: one with values is translated when the page is drawn."""


def with_translations(source: str) -> str:
    """The template with each sentence without values as a constant in the request's language."""
    return _SENTENCE.sub(_constant, source)


class _Translated(Extension):
    """Translates a template before Jinja reads it."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:  # noqa: ARG002 - Jinja's signature
        return with_translations(source)


def _constant(match: re.Match[str]) -> str:
    # As for Jinja's gettext, a sentence may hold tags, and is a format: `%%` is a percent sign.
    text = translate(match[1] or match[2]) % {}
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'("{quoted}"|safe)'


def init_page_templates(app: Flask) -> None:
    """Make an environment for each language; they share all but the compiled templates."""
    environments: dict[str, Environment] = {}
    for name in LANGUAGES:
        # A class for each: what an environment compiles is known by the names of its extensions.
        extension = type(f"{_Translated.__name__}_{name}", (_Translated,), {})
        environments[name] = app.jinja_env.overlay(extensions=[extension])
    app.extensions[_ENVIRONMENTS] = environments


def page_template(name: str) -> Template:
    """The template in the request's language, for Flask's `render_template`."""
    environments: dict[str, Environment] = current_app.extensions[_ENVIRONMENTS]
    return environments[language()].get_template(name)
