"""Run the examples of README and guides against a service, and compare their output.

All shell blocks run in order and in one shell; `tests.support.examples` explains the marks.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.support.examples import (
    ADDRESS,
    Example,
    assert_prints,
    differing_lines,
    examples_in,
)
from tests.support.service import SECRET, SECRET_KEY, ServiceProcess

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/developers.md", "docs/operators.md")
}
BETWEEN = "=====next====="
WITHIN_SECONDS = 20


def examples(kind: str) -> list[Example]:
    """The documents' blocks that are run, of one kind, in order."""
    return [
        example
        for document, text in DOCUMENTS.items()
        for example in examples_in(document, text)
        if example.kind == kind
    ]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The service as `make run` starts it, with the secret where a first run writes it."""
    folder = tmp_path_factory.mktemp("instance")
    (folder / "bank_webhook_secret").write_text(f"{SECRET}\n", encoding="utf-8")
    with ServiceProcess(folder) as running:
        yield running


def as_here(text: str, service: ServiceProcess, folder: Path) -> str:
    """The example with this service's address and the test's own files."""
    text = text.replace(ADDRESS, service.url).replace("instance/", f"{service.instance}/")
    for name in ("qr.png", "page.html"):
        text = text.replace(f"-o {name}", f"-o {folder / name}")
    return text.replace(".venv/bin/", f"{Path(sys.executable).parent}/")


def printed(script: list[str], environment: dict[str, str]) -> list[str]:
    """Run the scripts in one shell, in order; return the output of each."""
    whole = f"\necho; echo {BETWEEN}\n".join(script)
    process = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", whole],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout.split(BETWEEN)


def test_the_shell_examples_print_what_the_documents_show(service: ServiceProcess, tmp_path: Path):
    """Pasting these is the first thing that a developer does."""
    run_examples = examples("run")
    script = [as_here(example.text, service, tmp_path) for example in run_examples]

    outputs = printed(script, {"BANK_URL": f"{service.url}/bank"})

    assert len(run_examples) == len(outputs) >= 7
    for example, output in zip(run_examples, outputs, strict=True):
        assert_prints(example, output, service.url)
    assert (tmp_path / "qr.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_the_operators_commands_make_a_database_and_a_merchant(tmp_path: Path):
    """A production installation starts with these commands and ends with a merchant's first key."""
    environment = {"INSTANCE_DIR": str(tmp_path), "SECRET_KEY": SECRET_KEY}
    environment |= {"BANK_WEBHOOK_SECRET": SECRET, "PUBLIC_URL": "https://pay.example.com"}
    (commands,) = examples("run: production")
    bin_folder = f"{Path(sys.executable).parent}/"

    (output,) = printed([commands.text.replace(".venv/bin/", bin_folder)], environment)

    assert_prints(commands, output, ADDRESS)
    assert (tmp_path / "balcao.sqlite3").exists()


def python_example(word: str, service: ServiceProcess, folder: Path) -> Path:
    """The Python block that contains this word, written to a file."""
    (example,) = [example for example in examples("run: python") if word in example.text]
    path = folder / "example.py"
    path.write_text(as_here(example.text, service, folder), encoding="utf-8")
    return path


@contextmanager
def running_program(path: Path, *arguments: str) -> Iterator[queue.Queue[str]]:
    """The lines that the program prints, as they come; the program is stopped afterwards."""
    process = subprocess.Popen(
        [sys.executable, str(path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: queue.Queue[str] = queue.Queue()
    output = process.stdout
    assert output is not None

    def read() -> None:
        for line in output:
            lines.put(line.strip())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield lines
    finally:
        process.kill()
        process.wait(10)
        reader.join(10)
        output.close()


def test_the_python_listener_hears_the_payment_it_watches(service: ServiceProcess, tmp_path: Path):
    """The state comes first and events follow, so a program like the example misses nothing."""
    payment = service.create(value=10)

    with running_program(python_example("socketio", service, tmp_path), payment["id"]) as lines:
        first = lines.get(timeout=WITHIN_SECONDS)
        service.tell(payment)
        second = lines.get(timeout=WITHIN_SECONDS)

    assert (first, second) == ("pending", f"{payment['id']} confirmed")


def test_the_python_example_signs_a_valid_confirmation(service: ServiceProcess, tmp_path: Path):
    """A developer who connects a bank starts from these lines."""
    payment = service.create(value="12.34")
    path = python_example("urllib", service, tmp_path)

    process = subprocess.run(
        [sys.executable, str(path), payment["id"], "12.34", SECRET],
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert (process.stdout.strip(), process.stderr) == ("The payment has been confirmed.", "")
    assert service.payment(payment["id"])["status"] == "confirmed"


def test_the_javascript_listener_hears_the_payment_it_watches(
    service: ServiceProcess, page: Page, tmp_path: Path
):
    """The client is the one that the service serves, which is the same code as the npm package."""
    payment = service.create(value=10)
    (example,) = examples("run: js")
    (client,) = (ROOT / "static" / "vendor").glob("socket.io-*/*.js")
    imported = f"const {{ io }} = await import('/{client.relative_to(ROOT).as_posix()}');"
    body = as_here(example.text, service, tmp_path).replace(
        'import { io } from "socket.io-client";', imported
    )
    messages: queue.Queue[str] = queue.Queue()
    page.on("console", lambda message: messages.put(message.text))
    page.goto(f"{service.url}/docs/errors")

    page.evaluate(
        f"async (id) => {{ const process = {{ argv: ['', '', id] }};\n{body} }}", payment["id"]
    )
    first = _next_message(page, messages)
    service.tell(payment)
    second = _next_message(page, messages)

    assert (first, second) == ("pending", f"{payment['id']} confirmed")


def _next_message(page: Page, messages: queue.Queue[Any]) -> str:
    """The next line on the page's console, for which Playwright waits."""
    for _ in range(WITHIN_SECONDS * 20):
        if not messages.empty():
            return str(messages.get())
        page.wait_for_timeout(50)
    raise AssertionError("the page said nothing")


def test_a_new_member_is_named_by_the_failure():
    """The failure names the missing line, so nobody has to compare two screens of JSON."""
    expected, printed_now = '{"id":"…","value":5}', '{"id":"1","value":5,"note":null}'

    assert differing_lines(expected, printed_now) == '  only in the answer: "note":null}'
