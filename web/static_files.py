"""Send the service's own style sheets and scripts without comments and indentation.

These are a tenth of the bytes of a payment page, and shoppers pay for their data. Every line keeps
its number, so that an error in a browser names the line of the source. The imports of a module name
the digest of what they import.
"""

from __future__ import annotations

import re
from pathlib import Path

from flask import Flask, Response, request
from werkzeug.security import safe_join

from config import Settings
from core.runtime.parts import Parts
from web.compression import public_text
from web.script_modules import AS_PUBLISHED, with_digests
from web.static_answers import StaticAnswers

_MIMETYPES = {".css": "text/css", ".js": "text/javascript"}
_CSS_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_JS_COMMENT = re.compile(r"^[ \t]*(?:/\*\*.*?\*/[ \t]*$|//[^\n]*)", re.DOTALL | re.MULTILINE)
_EDGES = re.compile(r"^[ \t]+|[ \t]+$", re.MULTILINE)


def init_static_files(app: Flask, settings: Settings, parts: Parts) -> None:
    """Wrap the view of static files, and answer most requests for them before Flask."""
    whole_file = app.view_functions["static"]

    @public_text
    def static_file(filename: str) -> Response:
        text = None if filename.startswith(AS_PUBLISHED) else _text_of(app, filename)
        if text is None:
            return whole_file(filename=filename)  # type: ignore[return-value]  # Flask's own view
        response = Response(text, mimetype=_MIMETYPES[Path(filename).suffix])
        response.add_etag()
        response.headers["Cache-Control"] = "no-cache"
        response.make_conditional(request)
        return response

    app.view_functions["static"] = static_file
    app.wsgi_app = StaticAnswers(app, app.wsgi_app, settings, parts)  # type: ignore[method-assign]


def without_comments(source: str, suffix: str) -> str:
    """The source without comments and without spaces at the edges of its lines.

    A comment in a script is removed only if it has lines of its own. No script may have a template
    text of several lines, because its spaces would be lost.
    """
    comment = _CSS_COMMENT if suffix == ".css" else _JS_COMMENT
    return _EDGES.sub("", comment.sub(lambda match: "\n" * match[0].count("\n"), source))


def _text_of(app: Flask, filename: str) -> str | None:
    """What to send of a style sheet or script; None for other files and for missing ones."""
    path = safe_join(str(app.static_folder), filename)
    if path is None or Path(path).suffix not in _MIMETYPES:
        return None
    try:
        source = Path(path).read_text("utf-8")
    except (OSError, ValueError):
        return None
    text = without_comments(source, Path(path).suffix)
    if Path(path).suffix != ".js":
        return text
    return with_digests(Path(path).relative_to(str(app.static_folder)).as_posix(), text)
