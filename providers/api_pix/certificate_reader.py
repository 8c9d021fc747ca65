"""Read a stranger's certificate files in a process of its own, which may not run long.

A file of a few kilobytes may ask for hours of work: a PFX names how often its password is hashed,
and a key of 90,000 bits is tested for primes. OpenSSL does it in one call that nothing can
interrupt, and meanwhile no other request of the process would be answered.
"""

from __future__ import annotations

import base64
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from core.runtime.gate import Gate
from core.runtime.hub import active_hub, run_on_pool
from providers.api_pix.certificates import (
    CertificateProblem,
    ClientCertificate,
    read_authorities,
    read_certificate,
)

CPU_SECONDS = 5
"""An ordinary file takes a tenth of a second, and the start of the process about one."""
WALL_SECONDS = 20
MEMORY_BYTES_MAX = 1 << 30
_ROOT = Path(__file__).parents[2]
_MODULE = "providers.api_pix.certificate_reader"

_gate = Gate(2, 6)
"""A merchant who sends such files again and again uses two processors at most."""


def certificate_of(
    data: bytes, password: str, key_pem: bytes | None, *, at: datetime
) -> ClientCertificate:
    """As `read_certificate`, but a file that takes too long is a CertificateProblem `unreadable`.

    Raises Busy if too many files are being read.
    """
    answer = _ask(
        {
            "data": _text(data),
            "password": password,
            "key": None if key_pem is None else _text(key_pem),
            "at": at.isoformat(),
        }
    )
    members = answer["certificate"]
    return ClientCertificate(
        **{
            **members,
            "chain": tuple(members["chain"]),
            "not_before": datetime.fromisoformat(members["not_before"]),
            "not_after": datetime.fromisoformat(members["not_after"]),
        }
    )


def authorities_of(data: bytes) -> str:
    """As `read_authorities`, but a file that takes too long is a CertificateProblem.

    Raises Busy if too many files are being read.
    """
    return str(_ask({"authorities": _text(data)})["authorities"])


def _ask(question: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of the other process. What it reads and writes passes through pipes only."""
    with _gate.place(WALL_SECONDS):
        if active_hub() == "eventlet":  # its `subprocess` would block the hub; gevent's does not
            output = run_on_pool(_run, json.dumps(question).encode())
        else:
            output = _run(json.dumps(question).encode())
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        raise CertificateProblem(
            "unreadable", "The file takes too long to open, or is damaged. Export it again."
        ) from None
    if "problem" in answer:
        raise CertificateProblem(*answer["problem"])
    return answer


def _run(question: bytes) -> bytes:
    """Its output; empty if its limits ended it, so that nobody here needs a time-out."""
    return subprocess.run(  # noqa: S603 - this module, by this interpreter
        [sys.executable, "-m", _MODULE, str(CPU_SECONDS), str(WALL_SECONDS)],
        input=question,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=_ROOT,
        check=False,
    ).stdout


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def answer_of(question: Mapping[str, Any]) -> dict[str, Any]:
    """What the other process answers to a question of `_ask`."""
    try:
        if "authorities" in question:
            return {"authorities": read_authorities(base64.b64decode(question["authorities"]))}
        key = question["key"]
        certificate = read_certificate(
            base64.b64decode(question["data"]),
            question["password"],
            None if key is None else base64.b64decode(key),
            at=datetime.fromisoformat(question["at"]),
        )
    except CertificateProblem as problem:
        return {"problem": [problem.code, str(problem)]}
    return {"certificate": asdict(certificate)}


def _main(cpu_seconds: int, wall_seconds: int) -> None:
    """Answer the question on the standard input, within limits that the system enforces."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # it ends the process, wherever that is
    signal.alarm(wall_seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    with suppress(ValueError, OSError):  # macOS knows the limit, and refuses it
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would have the key
    json.dump(answer_of(json.load(sys.stdin)), sys.stdout, default=datetime.isoformat)


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]))
