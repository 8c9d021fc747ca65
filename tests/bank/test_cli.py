"""`flask bank …`: the commands that pay over HTTP at a running bank."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner

from app import create_app
from bank.cli import bank_cli
from bank.terminal import bank_url as bank_address
from bank.terminal import service_url as service_address
from config import Settings
from core.pix import br_code
from tests.bank.service_double import PAYEE_KEY
from tests.support.ports import free_port
from tests.support.service import ROOT, close_app
from tests.support.service import settings_for as service_settings

NOWHERE = "http://127.0.0.1:9/bank"


@pytest.fixture(autouse=True)
def environment_without_addresses(monkeypatch):
    """No variable of the machine names an address."""
    for name in ("BANK_INTERNAL_URL", "BANK_SERVICE_URL", "BANK_URL", "HOST", "PORT", "PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def service_app(fresh_database, tmp_path):
    """The service, whose commands `flask` runs."""
    app = create_app(service_settings(fresh_database("sqlite"), tmp_path))
    yield app
    close_app(app)


@pytest.fixture
def run(bank_url):
    """Run the command against the running bank; the PIN is typed at the prompt."""

    def invoke(*arguments, pin="1234\n"):
        result = CliRunner().invoke(bank_cli, [*arguments, "--url", bank_url], input=pin)
        return result.exit_code, result.output.replace("\xa0", " ")

    return invoke


def test_the_pay_command_prints_payee_and_amount(run, bank, service):
    """It prompts for the PIN and does not print it."""
    code, _ = service.charge(bank.clock.now())

    status, text = run("pay", code)

    assert status == 0, text
    assert "Loja da Alice" in text
    assert "R$ 54,90" in text
    assert "confirmado" in text
    assert not re.search(r"\b1234\b", text)  # an id may contain these digits by chance
    assert len(service.notices) == 1


def test_a_returned_payment_is_exit_status_1(run, bank, service):
    """A script can react to it."""
    service.answers = [(409, "paid-too-late")]
    code, _ = service.charge(bank.clock.now())

    status, text = run("pay", code, "--pin", "1234", "--payer", "caio", "--scenario", "double")

    assert status == 1
    assert "devolvido" in text
    assert "(409)" in text


@pytest.mark.parametrize("amount", ["12,50", "12.50", "R$ 12,50"])
def test_an_amount_in_a_terminal_is_read_as_on_the_page(run, bank, amount):
    """People type a comma in a terminal too."""
    code = br_code.encode_static(PAYEE_KEY, "Barraca", "Olinda")

    status, text = run("pay", code, "--value", amount)

    assert status == 0, text
    assert "R$ 12,50" in text
    assert bank.balance() == 482_350 - 1250


def test_an_invalid_amount_is_refused_before_any_request(run, bank):
    """`1,234` is a thousand to one person and one real to another."""
    code = br_code.encode_static(PAYEE_KEY, "Barraca", "Olinda")

    status, text = run("pay", code, "--value", "1,234")

    assert status == 2
    assert "must be an amount of reais, as 12,50" in text
    assert bank.balance() == 482_350


def test_a_refusal_is_one_sentence(run):
    """A code that cannot be read causes no stack trace."""
    status, text = run("pay", "oi")

    assert status == 1
    assert "Não conseguimos ler este código" in text
    assert "Traceback" not in text


def test_the_command_says_that_the_bank_is_not_running():
    """This is the most likely mistake."""
    result = CliRunner().invoke(bank_cli, ["statement", "--pin", "1234", "--url", NOWHERE])

    assert result.exit_code == 1
    assert "Ele está no ar?" in result.output
    assert "--url" in result.output


class ServiceWithoutBank(BaseHTTPRequestHandler):
    """Refuses the bank's routes as the service does when another process serves the bank."""

    def do_POST(self):
        body = b'{"title": "Not found", "status": 404, "code": "not-found"}'
        self.send_response(404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        """Log nothing."""


def test_the_command_says_that_another_address_has_the_bank():
    """`make bank` serves on a port of its own; only --url or BANK_URL tells the command."""
    with HTTPServer(("127.0.0.1", 0), ServiceWithoutBank) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        result = CliRunner().invoke(bank_cli, ["pay", "oi", "--pin", "1234", "--url", url])
        server.shutdown()

    assert result.exit_code == 1
    assert f"O que responde em {url}/api/pay não é o banco" in result.output
    assert "--url" in result.output


@pytest.mark.parametrize("is_flask", [True, False])
def test_commands_ask_the_bank_of_their_installation(service_app, is_flask, monkeypatch):
    """`PORT` moves the bank; `flask bank` and `python -m bank` follow."""
    port = free_port()
    monkeypatch.setenv("PORT", str(port))
    for arguments in (["pay", "oi", "--pin", "1234"], ["statement", "--pin", "1234"], ["chaos"]):
        if is_flask:
            result = service_app.test_cli_runner().invoke(args=["bank", *arguments])
        else:
            result = CliRunner().invoke(bank_cli, arguments)
        assert result.exit_code == 1
        assert f"http://127.0.0.1:{port}/bank/api" in result.output


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "http://127.0.0.1:5000/bank"),
        ({"PORT": "5077"}, "http://127.0.0.1:5077/bank"),
        ({"HOST": "0.0.0.0", "PORT": "5077"}, "http://127.0.0.1:5077/bank"),  # noqa: S104
        ({"HOST": "192.0.2.7"}, "http://192.0.2.7:5000/bank"),
        ({"PUBLIC_URL": "https://pay.example.com/"}, "https://pay.example.com/bank"),
        ({"PUBLIC_URL": "https://pay.example.com", "PORT": "5077"}, "https://pay.example.com/bank"),
        ({"BANK_URL": "http://127.0.0.1:5001/"}, "http://127.0.0.1:5001"),
        ({"BANK_URL": "", "PORT": "5077"}, "http://127.0.0.1:5077/bank"),
        (
            {"BANK_URL": "https://bank.example.com", "BANK_INTERNAL_URL": "http://bank:5001"},
            "http://bank:5001",
        ),
    ],
)
def test_a_command_asks_the_bank_that_the_service_asks(tmp_path, monkeypatch, environment, address):
    """The command reads the settings without the service, but by the same rules."""
    settings = Settings.from_env({"INSTANCE_DIR": str(tmp_path), **environment})
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert bank_address() == address == settings.bank_internal_url
    assert service_address() == settings.public_url


def test_a_command_reads_the_defaults_of_the_env_file(tmp_path, monkeypatch):
    """The process's own variables come first, as for the service."""
    monkeypatch.setattr("bank.settings.ROOT", tmp_path)
    (tmp_path / ".env").write_text("PORT=5077\nHOST=192.0.2.7\n", encoding="utf-8")
    monkeypatch.setenv("PORT", "5088")

    assert bank_address() == "http://192.0.2.7:5088/bank"

    (tmp_path / ".env").write_bytes("PORT=5077 # à".encode("latin-1"))
    result = CliRunner().invoke(bank_cli, ["pay", "oi", "--pin", "1234"])
    assert result.exit_code == 1
    assert ".env is not UTF-8" in result.output


def test_paying_from_the_terminal_imports_neither_the_service_nor_the_bank():
    """Their imports take a second of each payment."""
    program = """
        import atexit, runpy, sys
        atexit.register(lambda: print(*sys.modules))
        runpy.run_module("bank", run_name="__main__", alter_sys=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    order = ["pay", "oi", "--pin", "1234", "--url", NOWHERE]

    run = subprocess.run([*command, *order], cwd=ROOT, capture_output=True, text=True, check=False)

    imported = set(run.stdout.split())
    assert "Ele está no ar?" in run.stderr
    assert {"bank.cli", "bank.pay_cli", "urllib3"} <= imported
    assert not imported & {"app", "config", "bank.app", "bank.models", "bank.serving"}
    assert not imported & {"argon2", "eventlet", "flask", "PIL", "pydantic", "sqlalchemy"}


def test_the_help_lists_every_command():
    """A command that the list names must exist in the module that the list names."""
    result = CliRunner().invoke(bank_cli, ["--help"])

    assert result.exit_code == 0, result.output
    for name in ("audit", "burst", "chaos", "pay", "statement", "unlock", "verify"):
        assert f"\n  {name} " in result.output


def test_the_statement_lists_transfers_and_balance(run, bank, service):
    """The newest transfer comes first."""
    code, _ = service.charge(bank.clock.now())
    bank.pay(code)

    printed = run("statement")[1].removeprefix("Senha: ").lstrip("\n").splitlines()
    # Threads of the service in this process may log between the lines.
    lines = [line for line in printed if not re.match(r"\d{4}-\d{2}-\d{2} [0-9:]{8} \[", line)]

    assert lines[0] == "Bia Andrade: saldo R$ 4.768,60"
    assert "\N{MINUS SIGN}R$ 54,90" in lines[-2]
    assert "Saldo inicial" in lines[-1]
