"""The parts of `balcao.testing` that need no Balcão: clock, checkout, start and end of a process.

The service itself is in tests/clients of the repository. Here a checkout has an `app.py` of a few
lines, which does what the service does when it cannot start, or is left alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from balcao.testing import MovableClock, NotReached, SandboxError, checkout
from balcao.testing.errors import wait_until
from balcao.testing.service import PrivateService
from balcao.testing.webhooks import hand_on

SERVING = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args): ...
server = http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
print("Balcão is open", os.environ.get("SMTP_URL"), os.environ.get("HOST"), flush=True)
server.serve_forever()
"""


@pytest.fixture
def checkout_of(tmp_path, monkeypatch):
    """checkout_of(text of app.py) → a checkout, whose Python is this one."""
    monkeypatch.setenv("BALCAO_PYTHON", sys.executable)

    def write(app: str):
        folder = tmp_path / "checkout"
        for mark in checkout.MARKS:
            (folder / mark).parent.mkdir(parents=True, exist_ok=True)
            (folder / mark).write_text("", "utf-8")
        (folder / "app.py").write_text(app, "utf-8")
        return folder

    return write


@pytest.fixture
def folder(tmp_path):
    """An empty folder for a service."""
    path = tmp_path / "service"
    path.mkdir()
    return path


def test_the_clock_writes_what_the_service_reads(tmp_path):
    """Seconds as a number; steps add up."""
    file = tmp_path / "clock"
    clock = MovableClock(file)
    start = clock.now()
    assert not file.exists()

    clock.advance(days=1, hours=2)
    assert clock.advance(minutes=3, seconds=4.5) - start >= timedelta(hours=26, seconds=184.5)
    assert file.read_text("ascii") == "93784.500"
    target = datetime.now(timezone.utc) + timedelta(days=90)
    assert clock.advance_to(target) >= target
    assert abs(float(file.read_text("ascii")) - 90 * 86400) < 60
    lead = file.read_text("ascii")
    clock.advance_to(target - timedelta(days=1))
    assert file.read_text("ascii") == lead
    assert [path.name for path in tmp_path.iterdir()] == ["clock"]


def test_the_clock_refuses_what_the_service_would_ignore(tmp_path):
    """A step that silently did nothing would make a test of a shop wrong."""
    clock = MovableClock(tmp_path / "clock")
    with pytest.raises(SandboxError, match="only goes ahead"):
        clock.advance(seconds=-1)
    for days in (120_000, 1e300, float("inf"), float("nan")):
        with pytest.raises(SandboxError, match="300 years"):
            clock.advance(days=days)
    with pytest.raises(SandboxError, match="unset BALCAO_URL"):
        MovableClock(None).advance(seconds=1)


def test_waiting_ends_and_says_what_was_there():
    """The reader of a failed test wants to know the state, not that time was up."""
    answers = iter([None, "", "there"])
    assert wait_until(lambda: next(answers), 10, lambda: "never") == "there"
    with pytest.raises(NotReached, match=r"It is pending\. \(waited 0 s\)"):
        wait_until(lambda: False, 0, lambda: "It is pending.")


@pytest.mark.parametrize("answer", [None, ("", 204), True, 100, "204"])
def test_a_shop_that_answers_no_status_is_explained(answer):
    """A function of Flask returns a tuple, and one without `return` returns None."""
    with pytest.raises(SandboxError, match="must return a status"):
        hand_on(lambda *_: answer, {}, b"{}")


def test_a_redirect_is_the_answer_of_the_shop(script):
    """Balcão follows none, so a test must not pass by what lies behind it."""
    server = script((302, {"Location": "/elsewhere"}, b""), (200, {}, b""))
    assert hand_on(f"{server.url}/hook", {"webhook-id": "a"}, b"{}") == 302
    assert [path for _, path, _, _ in server.requests] == ["/hook"]


def test_a_python_that_is_no_child_is_explained(tmp_path):
    """A script between pytest and the service would keep it from ending with pytest."""
    program = str(Path(checkout.__file__).with_name("child.py"))
    run = subprocess.run(  # noqa: S603 - this Python
        [sys.executable, program, str(tmp_path), "-1"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "BALCAO_PYTHON" in run.stderr


def test_a_checkout_that_is_none_is_explained(tmp_path, monkeypatch, checkout_of):
    """The first thing that a new developer sees."""
    with pytest.raises(SandboxError, match=r"has no app\.py.*make install.*--balcao-checkout"):
        checkout.find_checkout(str(tmp_path))
    real_folder = checkout_of("")
    assert checkout.find_checkout(str(real_folder)) == real_folder
    monkeypatch.delenv("BALCAO_PYTHON")
    with pytest.raises(SandboxError, match=r"no \.venv: run `make install`.*BALCAO_PYTHON"):
        checkout.python_of(real_folder)


def test_the_service_gets_its_own_settings_and_ends(checkout_of, folder):
    """A developer's `.env` must not send mail, or tests into a real database."""
    checkout_folder = checkout_of(SERVING)
    (checkout_folder / ".env").write_text("SMTP_URL=smtp://mail\nHOST=0.0.0.0\n", "utf-8")
    service = PrivateService(checkout_folder, folder)
    service.start()
    try:
        assert "Balcão is open  127.0.0.1" in service.log_since(0)
        service.check()
    finally:
        service.stop()
        service.stop()
    with pytest.raises(SandboxError, match="has ended with status"):
        service.check()


def test_a_service_that_does_not_start_shows_its_log(checkout_of, folder):
    """A missing package, a wrong setting: the sentence is in the log."""
    service = PrivateService(checkout_of("raise SystemExit('Balcão cannot start: no.')"), folder)
    with pytest.raises(SandboxError, match=r"(?s)did not start \(status 1\).*cannot start: no"):
        service.start()


def test_a_service_that_never_opens_is_ended(checkout_of, folder):
    """Its log is shown, and it does not stay."""
    service = PrivateService(checkout_of("import time\ntime.sleep(60)"), folder)
    with pytest.raises(SandboxError, match="did not start in time"):
        service.start(seconds=0.5)
    with pytest.raises(SandboxError, match="has ended"):
        service.check()


def test_a_port_that_another_program_took_is_replaced(checkout_of, folder):
    """Two runs may choose the same free port; only one gets it."""
    refusal = "raise SystemExit('Port 1 on 127.0.0.1 is in use by another program: stop it.')"
    first_only = f"""
import os
if not os.path.exists("tries"):
    os.mkdir("tries")
    {refusal}
"""
    service = PrivateService(checkout_of(first_only + SERVING), folder)
    service.start()
    service.stop()

    service = PrivateService(checkout_of(refusal), folder)
    with pytest.raises(SandboxError, match="no free port"):
        service.start()


def test_a_service_whose_parent_is_killed_ends_by_itself(checkout_of, folder):
    """Even if a process that the parent forked holds the pipe open."""
    checkout_folder = checkout_of(SERVING)
    program = f"""
import os, time
from pathlib import Path
from balcao.testing.service import PrivateService
service = PrivateService(Path({str(checkout_folder)!r}), Path({str(folder)!r}))
service.start()
if os.fork() == 0:
    time.sleep(30)
    os._exit(0)
print(service._process.pid, flush=True)
time.sleep(60)
"""
    source = str(Path(checkout.__file__).parents[2])
    with subprocess.Popen(  # noqa: S603 - this Python
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": source},
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        limit = time.monotonic() + 20
        try:
            while is_running(pid):
                assert time.monotonic() < limit, "the service goes on"
                time.sleep(0.05)
        finally:
            os.killpg(parent.pid, signal.SIGKILL)  # the fork


def is_running(pid: int) -> bool:
    """Whether the process is there and not only waits to be reaped."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (ProcessLookupError, FileNotFoundError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
