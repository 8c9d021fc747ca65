"""What a process does: serve clients, run the jobs, or both (the setting ROLE)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PROBES = ("/healthz", "/readyz", "/metrics")

JOBS_OF_EACH_PROCESS = frozenset({"flush", "key-uses", "client-uses", "refusals"})
"""They write down what this process has in memory, so a process that only serves runs them too."""


class OnlyProbes:
    """WSGI middleware for a process that runs jobs: it answers its operator, and nobody else."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a probe; everything else is 404."""
        if environ.get("PATH_INFO") in PROBES:
            return self._application(environ, start_response)
        body = json.dumps(
            {
                "title": "Not Found",
                "status": 404,
                "code": "not-found",
                "detail": "This process runs jobs: ask one with ROLE=web.",
            }
        ).encode()
        head = [
            ("Content-Type", "application/problem+json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        ]
        start_response("404 Not Found", head)
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]
