"""`balcao verify`: each finding of the signature doctor, and the status of the command."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from balcao.cli.main import main
from balcao.doctor import NamedSecret, diagnose, headers_in
from balcao.signatures import signed_headers

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"o" * 32).decode()
AT = 1_795_000_000
BODY = b'{"id": "evt_1", "value": 100.00}'


def headers(secret: str = SECRET, body: bytes = BODY, at: int = AT, **changes: str):
    own = signed_headers(secret, "evt_1", at, body)
    return {**own, **{name.replace("_", "-"): value for name, value in changes.items()}}


def codes(own, body=BODY, secrets=(SECRET,), now=AT) -> list[str]:
    named_secrets = [NamedSecret("current", secret) for secret in secrets]
    return [finding.code for finding in diagnose(own, body, named_secrets, now)]


def signature_over(content: bytes, key: bytes = b"s" * 32) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def test_a_good_signature_fits():
    """The one case without a fault."""
    assert codes(headers()) == ["signature-fits", "clock-ok"]


WHOLE = f"evt_1.{AT}.".encode() + BODY
RIGHT = signature_over(WHOLE)
CASES = {
    "no-secret-fits": (headers(OTHER_SECRET), BODY),
    "body-changed": (headers(), b'{"id":"evt_1","value":100.00}'),
    "id-changed": ({**headers(), "webhook-id": "msg_evt_1"}, BODY),
    "timestamp-changed": ({**headers(), "webhook-timestamp": str(AT + 7)}, BODY),
    "signed-body-only": ({**headers(), "webhook-signature": signature_over(BODY)}, BODY),
    "signed-without-id": (
        {**headers(), "webhook-signature": signature_over(f"{AT}.".encode() + BODY)},
        BODY,
    ),
    "secret-not-decoded": (
        {**headers(), "webhook-signature": signature_over(WHOLE, SECRET.encode())},
        BODY,
    ),
    "signature-hex": (
        {**headers(), "webhook-signature": "v1," + base64.b64decode(RIGHT[3:]).hex()},
        BODY,
    ),
    "version-missing": ({**headers(), "webhook-signature": RIGHT[3:]}, BODY),
    "version-unknown": ({**headers(), "webhook-signature": "v2" + RIGHT[2:]}, BODY),
    "base64-padding": ({**headers(), "webhook-signature": RIGHT.rstrip("=")}, BODY),
    "not-base64": ({**headers(), "webhook-signature": "v1,%%%%"}, BODY),
    "digest-length": ({**headers(), "webhook-signature": "v1,AAAA"}, BODY),
    "header-missing": ({**headers(), "webhook-id": ""}, BODY),
    "id-malformed": ({**headers(), "webhook-id": "a b"}, BODY),
    "timestamp-malformed": ({**headers(), "webhook-timestamp": "soon"}, BODY),
    "timestamp-milliseconds": ({**headers(), "webhook-timestamp": f"{AT}000"}, BODY),
    "clock-skew": (headers(at=AT - 301), BODY),
}


@pytest.mark.parametrize("code", CASES)
def test_each_mistake_has_its_finding(code):
    """A developer searches for the code."""
    own, body = CASES[code]
    assert code in codes(own, body)


@pytest.mark.parametrize(
    ("code", "secret"),
    [
        ("secret-whitespace", f" {SECRET}\n"),
        ("secret-without-prefix", SECRET[6:]),
        ("secret-not-base64", "whsec_%"),
        ("secret-too-short", "whsec_AAAA"),
        ("secret-missing", None),
    ],
)
def test_a_secret_pasted_badly_is_found(code, secret):
    """The most common mistake of all."""
    assert code in codes(headers(), secrets=() if secret is None else (secret,))


def test_headers_are_read_as_people_paste_them():
    """From a log, from curl, or from a debugger."""
    own = headers()
    lines = "\n".join(f"{name.title()}: {value}" for name, value in own.items())
    curl = "curl " + " \\\n".join(f"-H '{name}: {value}'" for name, value in own.items())

    assert headers_in(lines) == own
    assert headers_in(curl) == own
    assert headers_in(json.dumps(own)) == own


def test_the_command_ends_with_1_if_anything_is_wrong(tmp_path, capsys):
    """So that a script can use it; and it never shows the secret."""
    (tmp_path / "headers").write_text("\n".join(f"{n}: {v}" for n, v in headers().items()))
    (tmp_path / "body").write_bytes(BODY)
    command = ["verify", "--headers", str(tmp_path / "headers"), "--at", str(AT)]
    command += ["--secret", SECRET]

    assert main([*command, "--body", str(tmp_path / "body")]) == 0
    assert "[signature-fits]" in capsys.readouterr().out
    assert main(command) == 1
    output = capsys.readouterr().out
    assert "[no-secret-fits]" in output
    assert SECRET not in output


def test_a_file_that_is_not_there_is_one_sentence(capsys):
    """The usual typing mistake."""
    assert main(["verify", "--headers", "/nowhere"]) == 1
    assert "/nowhere" in capsys.readouterr().err
