"""Search a log file for secrets of an account at a bank."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

from payments.at_bank.findings import AuditRule, Findings
from providers.secrets import AccountSecrets

_PIECE_BYTES = 65_536
_SHORTEST = 8
"""A shorter secret would match by chance."""
_KEY_LINE_BYTES = 40
_BEARER = re.compile(rb"[Bb]earer [A-Za-z0-9._~+/\-]{20,}")


def scan_log(findings: Findings, path: Path, secrets: AccountSecrets) -> int:
    """Add a finding for each line with a secret or an access token; returns how many lines it has.

    The file is read in pieces, so it may be of any size. A finding names the line, not the secret.
    Raises OSError.
    """
    secret_forms = dict(_forms(secrets))
    number, rest = 1, b""
    reported = 0
    with path.open("rb") as file:
        while piece := file.readline(_PIECE_BYTES):
            text = rest + piece
            names = [name for name, form in secret_forms.items() if form in text]
            if _BEARER.search(text):
                names.append("an access token")
            if names and number != reported:
                findings.add(AuditRule.SECRET_IN_LOG, f"{path.name}:{number}", ", ".join(names))
                reported = number
            if piece.endswith(b"\n"):
                number, rest = number + 1, b""
            else:
                # A secret may begin in one piece of a long line and end in the next.
                rest = piece[-1024:]
    return number - (0 if rest else 1)


def _forms(secrets: AccountSecrets) -> Iterator[tuple[str, bytes]]:
    """The texts that give a secret away, by what they are."""
    if len(secrets.client_secret) >= _SHORTEST:
        yield "client_secret", secrets.client_secret.encode()
        pair = f"{secrets.client_id}:{secrets.client_secret}".encode()
        yield "credentials in Base64", base64.b64encode(pair)
    if len(secrets.callback_token) >= _SHORTEST:
        yield "callback token", secrets.callback_token.encode()
    lines = [line for line in secrets.private_key_pem.split() if len(line) >= _KEY_LINE_BYTES]
    for number, line in enumerate(lines[1:] or lines):
        # The first line of a PKCS #8 key names the algorithm and is the same in many keys.
        yield f"private key, line {number + 1}", line.encode()
