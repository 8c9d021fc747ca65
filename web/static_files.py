"""Send the service's own style sheets and scripts without comments and indentation.

These are a tenth of the bytes of a payment page, and shoppers pay for their data. Every line keeps
its number, so that an error in a browser names the line of the source.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, request
from werkzeug.security import safe_join

from web.compression import public_text

_MIMETYPES = {".css": "text/css", ".js": "text/javascript"}
_AS_PUBLISHED = "vendor/"
"""Libraries are sent byte for byte, as their checksums say."""
_CSS_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_JS_COMMENT = re.compile(r"^[ \t]*(?:/\*\*.*?\*/[ \t]*$|//[^\n]*)", re.DOTALL | re.MULTILINE)
_EDGES = re.compile(r"^[ \t]+|[ \t]+$", re.MULTILINE)


def init_static_files(app: Flask) -> None:
    """Wrap the view of static files."""
    whole_file = app.view_functions["static"]

    @public_text
    def static_file(filename: str) -> Response:
        text = None if filename.startswith(_AS_PUBLISHED) else _text_of(app, filename)
        if text is None:
            return whole_file(filename=filename)  # type: ignore[return-value]  # Flask's own view
        response = Response(text, mimetype=_MIMETYPES[Path(filename).suffix])
        response.add_etag()
        response.headers["Cache-Control"] = "no-cache"
        response.make_conditional(request)
        return response

    app.view_functions["static"] = static_file


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
        changed_at = Path(path).stat().st_mtime_ns
    except (OSError, ValueError):
        return None
    return _read(path, changed_at)


@lru_cache(maxsize=256)
def _read(path: str, _changed_at: int) -> str:
    """The file's text to send, read again after a change."""
    return without_comments(Path(path).read_text("utf-8"), Path(path).suffix)
