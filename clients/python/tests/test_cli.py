"""The command: what it prints, where it stores the key, and with which status it ends."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys

import pytest

from balcao.cli.main import main
from balcao.cli.output import paint, printable
from balcao.version import VERSION


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of its own, without the developer's variables and key."""
    for name in ("BALCAO_URL", "BALCAO_API_KEY", "BALCAO_BANK_URL", "BALCAO_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def type_line(monkeypatch):
    """type_line("text") puts a line into standard input, which is then no terminal."""
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text + "\n"))


def test_the_version_and_the_help_need_no_service(capsys):
    """They are the first thing that somebody types."""
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"balcao {VERSION}\n"

    assert main([]) == 2
    assert "listen" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["listen", "trigger", "pay", "payments", "events", "verify"])
def test_every_command_has_a_help(command, capsys):
    """Only the typed command's module is imported, so each must be tried."""
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"balcao {command}" in capsys.readouterr().out


def test_payments_are_an_aligned_table(script, capsys):
    """Amounts stand under each other, and a pipe gets no colours."""
    payments = [script.payment, {**script.payment, "value": 5, "status": "confirmed"}]
    server = script(script.ok({"data": payments, "next": None}))

    assert main(["payments", "--url", server.url]) == 0

    heads, first, second = capsys.readouterr().out.splitlines()
    assert heads.split() == ["CREATED", "STATUS", "VALUE", "ID", "ORDER", "DESCRIPTION"]
    assert first.index("100.10") + len("100.10") == second.index("5.00") + len("5.00")
    assert "\x1b" not in heads + first


def test_the_limit_ends_the_list(script, capsys):
    """The next page would be fetched for nothing."""
    server = script(script.ok({"data": [script.payment] * 3, "next": "c1"}))

    assert main(["payments", "--url", server.url, "--limit", "3", "--json"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["value"] for line in lines] == [100.1] * 3
    assert len(server.requests) == 1


@pytest.mark.parametrize("limit", ["0", "10001", "x"])
def test_a_limit_out_of_bounds_is_a_wrong_argument(limit):
    """Status 2, as for every wrong argument."""
    with pytest.raises(SystemExit) as end:
        main(["payments", "--limit", limit])
    assert end.value.code == 2


def test_text_of_strangers_cannot_rewrite_the_terminal():
    """A payer's name may hold escape sequences."""
    assert "\x1b" not in printable("\x1b[2J\x07Bob\nAlice")
    assert printable("Ação") == "Ação"


def test_no_color_turns_colours_off(monkeypatch):
    """https://no-color.org"""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert paint("x", "31") == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("x", "31") == "x"


def test_a_refusal_is_one_sentence_and_status_1(script, capsys):
    """A traceback helps nobody, and a script needs the status."""
    server = script(script.problem(401, "unauthorized"))

    assert main(["payments", "--url", server.url]) == 1

    error = capsys.readouterr().err
    assert error == "balcao: A sentence. [unauthorized, HTTP 401] Run `balcao login`.\n"


def test_an_address_that_is_none_is_one_sentence_too(capsys):
    """The usual mistake is a missing https://."""
    assert main(["payments", "--url", "pay.example"]) == 1
    assert "https://pay.example" in capsys.readouterr().err


def test_login_stores_the_key_for_its_owner_alone(script, type_line, home, capsys):
    """Somebody who reads the key can give refunds."""
    server = script(script.ok({"username": "alice"}))
    type_line("balcao_test_abc")

    assert main(["login", "--url", server.url]) == 0

    file = home / "balcao" / "credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {"url": server.url, "api_key": "balcao_test_abc"}
    assert "balcao_test_abc" not in capsys.readouterr().out
    assert [entry.name for entry in file.parent.iterdir()] == ["credentials.json"]


def test_a_key_that_is_refused_is_not_stored(script, type_line, home):
    """The old key must stay."""
    server = script(script.problem(401, "unauthorized"))
    type_line("balcao_test_abc")

    assert main(["login", "--url", server.url]) == 1
    assert not (home / "balcao").exists()


def test_login_with_a_password_makes_a_key(script, type_line):
    """A developer has a password; the key has only the scopes that the command needs."""
    server = script(
        script.ok({"access_token": "eyJ"}),
        script.ok({"key": "balcao_test_new"}, 201),
        script.ok({"username": "alice"}),
    )
    type_line("secret")

    assert main(["login", "--url", server.url, "--username", "alice"]) == 0

    token, key, check = server.requests
    assert token[3] == b"username=alice&password=secret"
    assert key[2]["authorization"] == "Bearer eyJ"
    assert "account:write" not in json.loads(key[3])["scopes"]
    assert check[2]["authorization"] == "Bearer balcao_test_new"


def test_a_key_is_sent_to_its_own_address_only(script, type_line, monkeypatch):
    """Another --url must not receive the key of the first."""
    own, other = (
        script(script.ok({"username": "alice"})),
        script(script.ok({"data": [], "next": None})),
    )
    type_line("balcao_test_abc")
    main(["login", "--url", own.url])

    main(["payments", "--url", other.url])
    main(["payments"])

    assert "authorization" not in other.requests[0][2]
    assert own.requests[-1][2]["authorization"] == "Bearer balcao_test_abc"

    monkeypatch.setenv("BALCAO_URL", own.url)
    monkeypatch.setenv("BALCAO_API_KEY", "balcao_test_variable")
    main(["payments", "--url", other.url])
    assert "authorization" not in other.requests[-1][2]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"url": "http://a"}'])
def test_a_broken_file_says_what_to_do(home, content, capsys):
    """The disk was full, or somebody edited it."""
    (home / "balcao").mkdir()
    (home / "balcao" / "credentials.json").write_text(content)

    assert main(["payments"]) == 1
    assert "balcao login" in capsys.readouterr().err


def test_pay_reads_an_id_an_address_or_a_code(script, capsys):
    """Whatever somebody has in the clipboard."""
    identifier = script.payment["id"]
    paid = {
        "end_to_end_id": "E1",
        "status": "confirmed",
        "amount_centavos": 10010,
        "payee": {"name": "Feira", "key": "k"},
        "answer": {"detail": "The payment has been confirmed.", "status": 200},
    }
    for text in (identifier, f"http://a.example/payments/pix/{identifier}?lang=en"):
        server = script(script.ok({"payment": script.payment}), script.ok(paid))
        assert main(["pay", text, "--url", server.url]) == 0
        assert server.requests[0][1] == f"/payments/pix/{identifier}"
        assert server.requests[1][1] == "/bank/api/pay"
        assert json.loads(server.requests[1][3])["code"] == "000201"

    server = script(script.ok({**paid, "status": "returned", "answer": None}))
    assert main(["pay", "000201ABC", "--url", server.url]) == 1
    assert json.loads(server.requests[0][3])["code"] == "000201ABC"
    assert "returned" in capsys.readouterr().out


def test_a_service_without_a_bank_says_so(script, capsys):
    """In production there is none."""
    server = script(script.problem(404, "not-found"))

    assert main(["pay", "000201ABC", "--url", server.url]) == 1
    assert "development only" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error():
    """`balcao --help | head -1` ends quietly."""
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    result = subprocess.run(
        [sys.executable, "-m", "balcao"],
        stdout=write,
        stderr=subprocess.PIPE,
        env=environment,
        check=False,
        timeout=30,
    )
    os.close(write)
    assert result.stderr == b""
