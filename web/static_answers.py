"""Answer static files below Flask: nearly all requests of a first visit."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from werkzeug.datastructures import Accept
from werkzeug.exceptions import HTTPException
from werkzeug.http import http_date, parse_accept_header

from config import Settings
from core.runtime.parts import Parts
from web.compression import compression_hooks
from web.limits import network_of
from web.pages import set_page_headers
from web.request_counts import REQUESTS
from web.requests import hub_hooks, request_id_of
from web.script_modules import STATIC, digest_of, with_imports

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ROUTE = "/static/<path:filename>"
_PATH = re.compile(r"/static/((?:\w[\w.\-]*/)*\w[\w.\-]*)", re.ASCII)
"""One spelling for each file, so that strangers cannot fill the memory with others."""
_QUERY = re.compile(r"(?:v=\w{0,64})?", re.ASCII)
_TAG = re.compile(r'(?:W/)?("[\w.\-]{1,128}")', re.ASCII)
_FOR_FLASK = (
    *("HTTP_RANGE", "HTTP_IF_RANGE", "HTTP_IF_MATCH", "HTTP_IF_MODIFIED_SINCE"),
    *("HTTP_IF_UNMODIFIED_SINCE", "HTTP_TRANSFER_ENCODING"),
)
_Headers = list[tuple[str, str]]
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
    headers: _Headers
    body: bytes
    unchanged: _Headers
    """The headers of a 304."""


class StaticAnswers:
    """WSGI middleware that answers GET and HEAD of static files.

    Flask's view and hooks make each answer once, and again after a change of the file. Everything
    else goes to Flask: parts, unknown files, lists of tags, and clients beyond their bound.
    """

    def __init__(
        self, app: Flask, application: WSGIApplication, settings: Settings, parts: Parts
    ) -> None:
        """Wrap a WSGI application of this app."""
        self._app = app
        self._application = application
        self._requests_max = settings.requests_per_minute
        self._parts = parts
        self._hooks: list[Callable[[Response], Response]]
        self._hooks = [set_page_headers, *compression_hooks(settings)]
        self._hub_yields = hub_hooks(settings, parts.socketio)
        self._files: dict[tuple[str, bool, bool], PreparedFile] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        match = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        if match is None or not _is_plain(environ):
            return self._application(environ, start_response)
        started = time.perf_counter()
        network = network_of(environ.get("REMOTE_ADDR") or "unknown")
        file = self._file(environ, match[1])
        if file is None:
            return self._application(environ, start_response)
        counts = self._parts.request_counts
        if not counts.take_if_free(REQUESTS, network, self._requests_max):
            return self._application(environ, start_response)
        is_unchanged = environ.get("HTTP_IF_NONE_MATCH", "").removeprefix("W/") == file.tag
        method = environ["REQUEST_METHOD"]
        status = 304 if is_unchanged else 200
        self._parts.metrics.observe(method, ROUTE, status, time.perf_counter() - started)
        own = [
            ("Date", http_date(self._parts.ledger.clock.now())),
            ("X-Request-ID", request_id_of(environ)),
        ]
        if is_unchanged:
            start_response("304 NOT MODIFIED", file.unchanged + own)
        else:
            start_response("200 OK", file.headers + own)
        for hub_yield in self._hub_yields:
            hub_yield.after_answer()
        return () if is_unchanged or method == "HEAD" else (file.body,)

    def _file(self, environ: WSGIEnvironment, name: str) -> PreparedFile | None:
        """What to answer; None for an unknown file, and for the digest of another version."""
        query = environ.get("QUERY_STRING", "")
        has_digest = bool(query)
        takes_gzip = _takes_gzip(environ.get("HTTP_ACCEPT_ENCODING", ""))
        key = (name, has_digest, takes_gzip)
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
        name, has_digest, takes_gzip = key
        # Before the text is read, so that a change while it is read is noticed.
        stamps, digest = _stamps_of(name), digest_of(name)
        plain = {
            **{one: environ[one] for one in environ if not one.startswith("HTTP_")},
            "HTTP_HOST": environ.get("HTTP_HOST", "localhost"),
            "HTTP_ACCEPT_ENCODING": "gzip" if takes_gzip else "",
            "REQUEST_METHOD": "GET",
            "QUERY_STRING": f"v={digest}" if has_digest else "",
        }
        headers, body = self._answer(plain)
        tag = dict(headers)["ETag"]
        unchanged, _ = self._answer({**plain, "HTTP_IF_NONE_MATCH": tag})
        return PreparedFile(digest, stamps, tag.removeprefix("W/"), headers, body, unchanged)

    def _answer(self, environ: WSGIEnvironment) -> tuple[_Headers, bytes]:
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


def _is_plain(environ: WSGIEnvironment) -> bool:
    """Whether the request has nothing that only Flask can answer."""
    return bool(
        environ["REQUEST_METHOD"] in ("GET", "HEAD")
        and _QUERY.fullmatch(environ.get("QUERY_STRING", "")) is not None
        and environ.get("CONTENT_LENGTH") in (None, "", "0")
        and not any(name in environ for name in _FOR_FLASK)
        and ("HTTP_IF_NONE_MATCH" not in environ or _TAG.fullmatch(environ["HTTP_IF_NONE_MATCH"]))
    )


@lru_cache(maxsize=256)
def _takes_gzip(accepts: str) -> bool:
    return parse_accept_header(accepts, Accept)["gzip"] > 0


def _stamps_of(name: str) -> _Stamps:
    paths = [STATIC / one for one in with_imports(name)]
    return tuple((path, path.stat().st_mtime_ns) for path in paths)


def _are_present(stamps: _Stamps) -> bool:
    """Whether no file has changed since."""
    try:
        return all(path.stat().st_mtime_ns == changed_at for path, changed_at in stamps)
    except OSError:
        return False
