"""`balcao verify`: the signature doctor."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from balcao import doctor
from balcao.cli.output import FAILED, GREEN, OK, RED, CommandFailed, paint, printable, say, say_json

BYTES_MAX = 1_000_000
_NAMES = ("current", "previous")


def add_arguments(parser: ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--headers",
        required=True,
        metavar="FILE",
        help="the headers as received: lines, curl -H, or a JSON object; - is standard input",
    )
    parser.add_argument("--body", metavar="FILE", help="the body as received, byte by byte")
    parser.add_argument(
        "--secret",
        action="append",
        metavar="whsec_…",
        help="the secret; twice: the current and the previous one (default: BALCAO_WEBHOOK_SECRET)",
    )
    parser.add_argument("--at", type=int, metavar="SECONDS", help="judge the clock at this time")
    parser.add_argument("--json", action="store_true", help="one JSON object per finding")


def run(args: Namespace) -> int:
    """Examine a webhook; status 1 if anything is wrong with it."""
    headers = doctor.headers_in(_read(args.headers).decode("utf-8", "replace"))
    body = b"" if args.body is None else _read(args.body)
    given_secrets = args.secret or list(filter(None, [os.environ.get("BALCAO_WEBHOOK_SECRET")]))
    names = [*_NAMES, *(f"number {n}" for n in range(3, len(given_secrets) + 1))]
    secrets = [doctor.NamedSecret(*pair) for pair in zip(names, given_secrets, strict=False)]
    now = time.time() if args.at is None else float(args.at)
    findings = doctor.diagnose(headers, body, secrets, now)
    for finding in findings:
        if args.json:
            say_json({"code": finding.code, "fault": finding.is_fault, "text": finding.text})
        else:
            mark = paint("✗", RED) if finding.is_fault else paint("✓", GREEN)
            say(f"{mark} {printable(finding.text)} [{finding.code}]")
    return FAILED if any(finding.is_fault for finding in findings) else OK


def _read(name: str) -> bytes:
    """The file's bytes, at most BYTES_MAX. Raises CommandFailed."""
    if name == "-":
        content = sys.stdin.buffer.read(BYTES_MAX + 1)
    else:
        try:
            with Path(name).open("rb") as file:
                content = file.read(BYTES_MAX + 1)
        except OSError as error:
            raise CommandFailed(f"{name} cannot be read: {error.strerror}.") from None
    if len(content) > BYTES_MAX:
        raise CommandFailed(f"{name} has more than {BYTES_MAX} bytes.")
    return content
