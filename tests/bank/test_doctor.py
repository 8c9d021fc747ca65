"""The signature doctor: one test for each mistake that people make when they sign."""

from __future__ import annotations

import ast
import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from bank.cli import bank_cli
from bank.workbench import doctor
from bank.workbench.doctor import NamedSecret, diagnose, headers_in
from core.signing.signatures import new_secret, sign, signed_headers
from tests.bank.conftest import hidden_fields

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
KEY = bytes(range(32))
BODY = '{"bank_payment_id": "abc", "value": 100.00, "payer": {"name": "José"}}'.encode()


def headers(body: bytes = BODY, secret: str = SECRET, **changes: str) -> dict[str, str]:
    """Valid headers; `id`, `timestamp`, `signature` replace values, and empty ones are left out."""
    good = signed_headers(secret, "msg_1", NOW, body)
    good |= {f"webhook-{name}": value for name, value in changes.items()}
    return {name: value for name, value in good.items() if value}


def codes(
    pasted_headers: dict[str, str], body: bytes = BODY, secret: str = SECRET, now=NOW
) -> set[str]:
    """The codes of the findings that are faults."""
    findings = diagnose(pasted_headers, body, [NamedSecret("current", secret)], now)
    return {finding.code for finding in findings if finding.is_fault}


def digest(content: bytes, key: bytes = KEY) -> bytes:
    """HMAC-SHA256 as another program computes it."""
    return hmac.digest(key, content, hashlib.sha256)


def signature() -> str:
    """The valid signature without its version."""
    return headers()["webhook-signature"].removeprefix("v1,")


def test_a_valid_notification_has_no_fault_and_names_the_secret():
    """Developers stop trusting a tool that reports faults where there are none."""
    findings = diagnose(headers(), BODY, [NamedSecret("current", SECRET)], NOW)

    assert [finding.code for finding in findings] == ["signature-fits", "clock-ok"]
    assert "current" in findings[0].text


def test_the_previous_secret_is_recognised():
    """During a rotation some senders still use the previous secret."""
    secrets = [NamedSecret("current", new_secret()), NamedSecret("previous", SECRET)]

    findings = diagnose(headers(), BODY, secrets, NOW)

    assert [finding.code for finding in findings if finding.is_fault] == ["secret-previous"]


def test_no_finding_ever_shows_a_secret():
    """The page or the terminal may be visible to others."""
    broken = [headers(), headers(secret=new_secret()), headers(signature="v1,AAAA")]

    texts = [
        f.text
        for pasted_headers in broken
        for f in diagnose(pasted_headers, BODY, [NamedSecret("x", SECRET)], NOW)
    ]

    assert not any(SECRET[6:20] in text for text in texts)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"id": ""}, "header-missing"),
        ({"timestamp": ""}, "header-missing"),
        ({"signature": ""}, "header-missing"),
        ({"id": "an id"}, "id-malformed"),
        ({"timestamp": "yesterday"}, "timestamp-malformed"),
        ({"timestamp": str(int(NOW.timestamp()) * 1000)}, "timestamp-milliseconds"),
        ({"timestamp": str(int(NOW.timestamp()) + 7)}, "timestamp-changed"),
        ({"timestamp": str(int(NOW.timestamp()) * 1000)}, "timestamp-changed"),
        ({"id": "MSG_1"}, "id-changed"),
        ({"signature": signature()}, "version-missing"),
        ({"signature": f"v2,{signature()}"}, "version-unknown"),
        ({"signature": f"v1,{signature().rstrip('=')}"}, "base64-padding"),
        ({"signature": "v1,not base64!"}, "not-base64"),
        ({"signature": "v1,AAAA"}, "digest-length"),
    ],
)
def test_a_broken_header_is_named(changes, code):
    """The finding says which header is wrong and why."""
    assert code in codes(headers(**changes))


def test_a_hexadecimal_signature_is_recognised():
    """Many other services send hexadecimal signatures."""
    content = f"msg_1.{int(NOW.timestamp())}.".encode() + BODY

    assert codes(headers(signature=f"v1,{digest(content).hex()}")) == {"signature-hex"}


def test_the_url_alphabet_is_recognised():
    """urlsafe_b64encode is easily taken for b64encode, and differs for some digests only."""
    for number in range(100):
        body = b"%d" % number
        good = headers(body)["webhook-signature"].removeprefix("v1,")
        if re.search(r"[+/]", good):
            break
    url_safe = good.replace("+", "-").replace("/", "_")

    assert codes(headers(body, signature=f"v1,{url_safe}"), body) == {"base64-url-safe"}


@pytest.mark.parametrize(("seconds", "where"), [(301, "no passado"), (-400, "no futuro")])
def test_clock_skew_is_reported_in_seconds(seconds, where):
    """The signature is right, but one of the two clocks is wrong."""
    now = NOW + timedelta(seconds=seconds)

    findings = diagnose(headers(), BODY, [NamedSecret("current", SECRET)], now)

    (fault,) = [finding for finding in findings if finding.is_fault]
    assert fault.code == "clock-skew"
    assert f"{abs(seconds)} s {where}" in fault.text


@pytest.mark.parametrize(
    ("signed_form", "words"),
    [
        (b'{"bank_payment_id":"abc","value":100.00,"payer":{"name":"Jos\xc3\xa9"}}', "compacto"),
        (
            b'{"bank_payment_id": "abc", "value": 100.0, "payer": {"name": "Jos\xc3\xa9"}}',
            "espaços",
        ),
        (b'{"bank_payment_id": "abc", "payer": {"name": "Jos\xc3\xa9"}, "value": 100.00}', "ordem"),
        (
            b'{"bank_payment_id": "abc", "value": 100.00, "payer": {"name": "Jos\\u00e9"}}',
            "acentos",
        ),
        (b'{"bank_payment_id":"abc","payer":{"name":"Jos\\u00e9"},"value":100.0}', "compacto"),
        (json.dumps(json.loads(BODY), indent=2, ensure_ascii=False).encode(), "recuo de 2"),
        (BODY + b"\n", "com uma quebra de linha no fim"),
        (BODY + b"\r\n", "CRLF no fim"),
        (b"", "vazio"),
    ],
)
def test_a_rewritten_body_is_recognised(signed_form, words):
    """The most common mistake: a proxy or a framework parsed the JSON and wrote it again."""
    findings = diagnose(headers(signed_form), BODY, [NamedSecret("current", SECRET)], NOW)

    assert findings[0].code == "body-changed"
    assert words in findings[0].text


@pytest.mark.parametrize(
    ("signed_form", "received_form"),
    [
        (b'{"a":\n1}', b'{"a":\r\n1}'),
        (b'{"a":\r\n1}', b'{"a":\n1}'),
        (b'{"a":1}', b'{"a":1}\n'),
        (b'{"a":1}', b'\xef\xbb\xbf{"a":1}'),
        (b'{"a":1}', b'  {"a":1} '),
    ],
)
def test_changed_line_breaks_and_edges_are_recognised(signed_form, received_form):
    """They are invisible on a screen, but change the signed bytes."""
    assert codes(headers(signed_form), received_form) == {"body-changed"}


@pytest.mark.parametrize(
    ("content", "code"),
    [(BODY, "signed-body-only"), (f"{int(NOW.timestamp())}.".encode() + BODY, "signed-without-id")],
)
def test_signing_only_a_part_is_recognised(content, code):
    """Some other services sign the body alone."""
    base64_text = base64.b64encode(digest(content)).decode()

    assert codes(headers(signature=f"v1,{base64_text}")) == {code}


def test_an_id_from_the_body_is_recognised():
    """The sender signed the payment's id and sent another one in the header."""
    good = sign(SECRET, "abc", NOW, BODY)

    assert codes(headers(signature=good)) == {"id-changed"}


@pytest.mark.parametrize(
    ("secret", "code"),
    [
        (f" {SECRET}\n", "secret-whitespace"),
        (SECRET.removeprefix("whsec_"), "secret-without-prefix"),
        ("whsec_not base64", "secret-not-base64"),
        ("whsec_" + base64.b64encode(b"short").decode(), "secret-too-short"),
        # Fixed: each of several test processes must name the case alike.
        (
            "whsec_" + base64.b64encode(b"other secret of the bank in tests!").decode(),
            "no-secret-fits",
        ),
    ],
)
def test_a_secret_that_was_pasted_wrongly_is_named(secret, code):
    """It is the first thing to check, and often the last one that people think of."""
    assert code in codes(headers(), secret=secret)


def test_a_missing_secret_is_reported():
    """The result must not look like a valid signature."""
    assert diagnose(headers(), BODY, [], NOW)[0].code == "secret-missing"


@pytest.mark.parametrize("key", [SECRET.encode(), SECRET.removeprefix("whsec_").encode()])
def test_a_secret_used_undecoded_is_recognised(key):
    """A common mistake in languages without a Standard Webhooks library."""
    content = f"msg_1.{int(NOW.timestamp())}.".encode() + BODY
    base64_text = base64.b64encode(digest(content, key)).decode()

    assert codes(headers(signature=f"v1,{base64_text}")) == {"secret-not-decoded"}


@pytest.mark.parametrize(
    "pasted",
    [
        "Webhook-Id: msg_1\nWEBHOOK-TIMESTAMP: 5\r\nwebhook-signature: v1,x",
        "curl -H 'webhook-id: msg_1' \\\n  -H 'webhook-timestamp: 5' \\\n"
        ' --header "webhook-signature: v1,x"',
        '{"Webhook-Id": "msg_1", "webhook-timestamp": "5", "webhook-signature": "v1,x"}',
    ],
)
def test_headers_are_read_from_logs_terminals_and_programs(pasted):
    """Developers paste headers in each of these forms."""
    assert headers_in(pasted) == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "5",
        "webhook-signature": "v1,x",
    }


@pytest.mark.parametrize(
    "noise", ["", "\0", "::::", "[1, 2", "webhook-id", "{" * 5000, "é: ü\ud800"]
)
def test_noise_is_examined_without_an_error(noise):
    """People paste anything."""
    pasted_headers = headers_in(noise) | {"webhook-signature": noise, "webhook-id": noise}

    assert diagnose(
        pasted_headers, noise.encode("utf-8", "replace"), [NamedSecret("x", noise)], NOW
    )


def test_every_finding_is_in_the_document():
    """Readers look up the codes there."""
    source = ast.parse(Path(doctor.__file__).read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(source) if isinstance(node, ast.Constant)}
    document = (
        (ROOT / "docs/chaos.md").read_text(encoding="utf-8").split("## The signature doctor")[1]
    )
    documented_codes = re.findall(r"^\| `([a-z0-9-]+)` \|", document, flags=re.M)

    assert documented_codes
    assert set(documented_codes) <= texts
    kebab = {t for t in texts if isinstance(t, str) and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", t)}
    assert kebab - {"svix-id", "x-request-id", "utf-8"} == set(documented_codes)


def test_the_page_examines_with_the_banks_own_secret_and_shows_none(bank, service):
    """In development nobody has to look for the secret first."""
    signed_form = signed_headers(service.secret, "msg_1", bank.clock.now(), b'{"a":\n1}')
    page = bank.client.get("/doctor")
    pasted = {
        **hidden_fields(page.text),
        "headers": "\r\n".join(f"{name}: {value}" for name, value in signed_form.items()),
        "body": '{"a":\r\n1}',
    }

    answer = bank.client.post("/doctor", data=pasted)

    assert answer.status_code == 200
    assert "A assinatura confere (segredo current)" in answer.text
    assert service.secret not in answer.text


def test_the_command_examines_files_with_a_secret(tmp_path):
    """It needs no running bank."""
    now = datetime.now(UTC)
    body = tmp_path / "body.json"
    header_file = tmp_path / "headers.txt"
    body.write_bytes(BODY + b"\n")
    signed_form = signed_headers(SECRET, "msg_1", now, BODY)
    header_file.write_text("\n".join(f"{name}: {value}" for name, value in signed_form.items()))
    arguments = ["verify", "--secret", SECRET, "--headers", str(header_file), "--body", str(body)]

    fault_result = CliRunner().invoke(bank_cli, arguments)
    body.write_bytes(BODY)
    valid_result = CliRunner().invoke(bank_cli, arguments)

    assert (fault_result.exit_code, valid_result.exit_code) == (1, 0), (
        fault_result.output + valid_result.output
    )
    assert "[body-changed]" in fault_result.output
    assert "[signature-fits]" in valid_result.output


def test_without_a_secret_the_command_asks_the_running_bank(bank, bank_url, service, tmp_path):
    """The bank uses its own secret and does not reveal it."""
    header_file = tmp_path / "headers.txt"
    signed_form = signed_headers(service.secret, "msg_1", bank.clock.now(), b"")
    header_file.write_text("\n".join(f"{name}: {value}" for name, value in signed_form.items()))

    result = CliRunner().invoke(
        bank_cli, ["verify", "--headers", str(header_file), "--url", bank_url]
    )

    assert result.exit_code == 0, result.output
    assert "segredo current" in result.output
