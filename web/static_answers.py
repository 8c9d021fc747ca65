"""Answer static files before Flask: nearly all requests of a first visit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from config import Settings
from core.runtime.parts import Parts
from web.before_flask import BeforeFlask, Headers, QuickAnswer, is_plain
from web.compression import compression_hooks, takes_gzip
from web.pages import set_page_headers
from web.script_modules import STATIC, digest_of, with_imports

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_PATH = re.compile(r"/static/((?:\w[\w.\-]*/)*\w[\w.\-]*)", re.ASCII)
"""One spelling for each file, so that strangers cannot fill the memory with others."""
_QUERY = re.compile(r"(?:v=\w{0,64})?", re.ASCII)
_TAG = re.compile(r'(?:W/)?("[\w.\-]{1,128}")', re.ASCII)
_FOR_FLASK = ("HTTP_RANGE", "HTTP_IF_RANGE", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE")
_Stamps = tuple[tuple[Path, int], ...]


@dataclass(frozen=True)
class PreparedFile:
    """The two answers of one file in one encoding, as Flask gave them."""

    digest: str
    """What the address must name for this answer, if it names a digest."""
    stamps: _Stamps
    """When the file and what it imports had changed."""
    tag: str
    """The ETag without the mark of a weak one."""
    headers: Headers
    body: bytes
    unchanged: Headers
    """The headers of a 304."""


class StaticAnswers(BeforeFlask):
    """WSGI middleware that answers GET and HEAD of static files.

    Flask's view and hooks make each answer once, and again after a change of the file. Everything
    else goes to Flask: parts, unknown files, lists of tags, and clients beyond their bound.
    """

    route = "/static/<path:filename>"

    def __init__(
        self, app: Flask, application: WSGIApplication, settings: Settings, parts: Parts
    ) -> None:
        """Wrap a WSGI application of this app."""
        super().__init__(application, settings, parts)
        self._app = app
        self._hooks: list[Callable[[Response], Response]]
        self._hooks = [set_page_headers, *compression_hooks(settings)]
        self._files: dict[tuple[str, bool, bool], PreparedFile] = {}

    def _subject(self, environ: WSGIEnvironment) -> str | None:
        """The name of the file."""
        match = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        return match[1] if match is not None and _is_for_files(environ) else None

    def _answer(self, environ: WSGIEnvironment, subject: str) -> QuickAnswer | None:
        file = self._file(environ, subject)
        if file is None:
            return None
        if environ.get("HTTP_IF_NONE_MATCH", "").removeprefix("W/") == file.tag:
            return QuickAnswer(304, file.unchanged, ())
        body = () if environ["REQUEST_METHOD"] == "HEAD" else (file.body,)
        return QuickAnswer(200, file.headers, body)

    def _file(self, environ: WSGIEnvironment, name: str) -> PreparedFile | None:
        """What to answer; None for an unknown file, and for the digest of another version."""
        query = environ.get("QUERY_STRING", "")
        has_digest = bool(query)
        key = (name, has_digest, takes_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")))
        file = self._files.get(key)
        if file is None or not _are_present(file.stamps):
            try:
                file = self._prepare(environ, key)
            except (HTTPException, OSError, ValueError):
                return None
            self._files[key] = file
        return file if query in ("", f"v={file.digest}") else None

    def _prepare(self, environ: WSGIEnvironment, key: tuple[str, bool, bool]) -> PreparedFile:
        """Let Flask's view make both answers. Raises NotFound, OSError or ValueError."""
        name, has_digest, is_gzip = key
        # Before the text is read, so that a change while it is read is noticed.
        stamps, digest = _stamps_of(name), digest_of(name)
        plain = {
            **{one: environ[one] for one in environ if not one.startswith("HTTP_")},
            "HTTP_HOST": environ.get("HTTP_HOST", "localhost"),
            "HTTP_ACCEPT_ENCODING": "gzip" if is_gzip else "",
            "REQUEST_METHOD": "GET",
            "QUERY_STRING": f"v={digest}" if has_digest else "",
        }
        headers, body = self._by_flask(plain)
        tag = dict(headers)["ETag"]
        unchanged, _ = self._by_flask({**plain, "HTTP_IF_NONE_MATCH": tag})
        return PreparedFile(digest, stamps, tag.removeprefix("W/"), headers, body, unchanged)

    def _by_flask(self, environ: WSGIEnvironment) -> tuple[Headers, bytes]:
        with self._app.request_context(environ):
            view: Any = self._app.view_functions["static"]
            response = self._app.make_response(view(**(request.view_args or {})))
            for hook in self._hooks:
                response = hook(response)
            with response:
                headers = response.get_wsgi_headers(request.environ)
                response.direct_passthrough = False
                body = response.get_data()
        return [(name, value) for name, value in headers if name != "Date"], body


def _is_for_files(environ: WSGIEnvironment) -> bool:
    """Whether the request has nothing that only Flask can answer."""
    return bool(
        environ["REQUEST_METHOD"] in ("GET", "HEAD")
        and _QUERY.fullmatch(environ.get("QUERY_STRING", "")) is not None
        and is_plain(environ, *_FOR_FLASK)
        and ("HTTP_IF_NONE_MATCH" not in environ or _TAG.fullmatch(environ["HTTP_IF_NONE_MATCH"]))
    )


def _stamps_of(name: str) -> _Stamps:
    paths = [STATIC / one for one in with_imports(name)]
    return tuple((path, path.stat().st_mtime_ns) for path in paths)


def _are_present(stamps: _Stamps) -> bool:
    """Whether no file has changed since."""
    try:
        return all(path.stat().st_mtime_ns == changed_at for path, changed_at in stamps)
    except OSError:
        return False
