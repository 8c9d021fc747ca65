"""What a client sends reaches no terminal and no log file raw."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from contextlib import contextmanager
from io import StringIO

import pytest
import structlog

from tests.support.service import ROOT, ServiceProcess, settings_for
from web import requests
from web.logs import init_logs, plain_lines, quiet_logs
from web.requests import log_answer

HOSTILE = "a\x1b]0;title\x07\r\nlevel=info\x00\x7f\x9b31m\u202eb\u2066\u200b\ufeff\u2028c\ud800é"
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800]")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
COLOUR = re.compile("\x1b\\[[0-9;]*m")


class Screen(StringIO):
    """A standard error that says whether it is a terminal."""

    is_terminal = False

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self.is_terminal


@pytest.fixture(params=["json", "logfmt", "console"])
def screen(request, monkeypatch, tmp_path):
    """The logs of a process in each format, caught; the logging of the tests comes back after."""
    caught = Screen()
    caught.is_terminal = request.param == "console"
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = []
    monkeypatch.setattr(sys, "stderr", caught)
    log_format = "json" if request.param == "json" else "console"
    init_logs(settings_for("sqlite://", tmp_path, log_format=log_format, log_level="info"))
    monkeypatch.setattr(requests, "log", structlog.get_logger())  # it keeps its first stream
    yield caught
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


@contextmanager
def one_handler():
    """The handlers that pytest adds for each test are off the root logger.

    They keep what a library logs as it came, in the report of the test, and a report with half a
    surrogate pair cannot be sent from a process of xdist to the one that collects.
    """
    root = logging.getLogger()
    handlers = root.handlers[:]
    root.handlers[:] = handlers[:1]
    try:
        yield
    finally:
        root.handlers[:] = handlers


def text_of(screen):
    """What was written, without the colours that the renderer itself writes on a terminal."""
    written = screen.getvalue()
    return COLOUR.sub("", written) if screen.is_terminal else written


def test_a_clients_text_is_escaped_in_each_field(screen):
    """An event, a value, a list, a key and another object's text: one line, nothing raw."""
    log = structlog.get_logger("clients")
    log.warning(
        f"request {HOSTILE}",
        path=HOSTILE,
        origins=[HOSTILE],
        headers={HOSTILE: HOSTILE},
        error=ValueError(HOSTILE),
        status=400,
    )

    text = text_of(screen)
    assert RAW.search(text) is None
    assert text.count("\n") == 1
    assert "x1b" in text
    assert "u202e" in text


def test_a_librarys_line_is_escaped_too(screen):
    """Libraries log by `logging`, and some of them quote the request."""
    with one_handler():
        logging.getLogger("library").warning("bad request %s", HOSTILE)

    text = text_of(screen)
    assert RAW.search(text) is None
    assert text.count("\n") == 1
    assert "x1b" in text


def test_a_traceback_keeps_its_lines_and_nothing_else_raw(screen):
    """The message of an error often quotes what a client sent."""
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        with one_handler():
            structlog.get_logger("clients").exception("request.failed")
            logging.getLogger("library").exception("request failed")

    text = text_of(screen)
    assert RAW.search(text) is None
    assert text.count("Traceback (most recent call last)") == 2


def test_ordinary_text_stays_as_it_is(screen):
    """Accents, backslashes and numbers are no danger."""
    structlog.get_logger("clients").warning("request.done", name="São João", status=200)

    text = text_of(screen)
    line = json.loads(text) if text.startswith("{") else text
    if isinstance(line, dict):
        assert (line["name"], line["status"]) == ("São João", 200)
    else:
        assert "São João" in line
        assert "status=200" in line


@pytest.mark.parametrize(
    "text",
    [
        "/payments/pix/9d1e/status",
        "".join(map(chr, range(0x21, 0x7F))),
        *["a b", "a=b", '"', "a\\b", "\\", "é", "\x7f", "\n", "", "None", "true", "{}", "'"],
        HOSTILE,
    ],
)
def test_a_line_written_in_one_step_is_the_one_of_the_processors(screen, monkeypatch, text):
    """Byte for byte but for its time, whatever the client sent."""
    sent = {"GET": "/", text: "/", "POST": text}
    for method, path in sent.items():
        log_answer(method, path, 404, 0.00123, "a1-b_2.c", code=text)
    quick = screen.getvalue()
    monkeypatch.setattr(plain_lines, "write", lambda *_: False)
    for method, path in sent.items():
        log_answer(method, path, 404, 0.00123, "a1-b_2.c", code=text)
    slow = screen.getvalue().removeprefix(quick)
    assert quick.count("\n") == 3
    assert RAW.search(text_of(screen)) is None
    assert TIME.sub("", quick) == TIME.sub("", slow)
    assert len(TIME.findall(quick)) == len(TIME.findall(slow)) == 3


def test_a_plain_line_is_written_in_one_step(screen, monkeypatch):
    """Without the processors, except on a terminal."""
    monkeypatch.setattr(structlog.stdlib.BoundLogger, "info", None)
    is_quick = plain_lines.write("request", {"path": "/", "ms": 0.5})
    assert is_quick == (not screen.is_terminal)
    assert bool(screen.getvalue()) == is_quick
    assert not plain_lines.write("request", {"path": "/a b"})


def test_lines_in_one_step_follow_the_configuration(screen, monkeypatch, tmp_path):
    """A test that captures logs gets them, and a higher level hides them."""
    with structlog.testing.capture_logs() as lines:
        log_answer("GET", "/captured", 200, 0.001, "id")
    assert [line["path"] for line in lines] == ["/captured"]
    with quiet_logs():
        assert not plain_lines.write("request", {"path": "/quiet"})
    init_logs(settings_for("sqlite://", tmp_path, log_level="warning"))
    monkeypatch.setattr(requests, "log", structlog.get_logger())
    log_answer("GET", "/hidden", 200, 0.001, "id")
    assert screen.getvalue() == ""


def test_a_command_logs_to_standard_error_by_the_setting(tmp_path):
    """A script that reads the output of a command gets that output alone."""
    lines = "import structlog\nlog = structlog.get_logger()\nlog.info('hidden-line')\n"
    result = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", "shell"],
        cwd=ROOT,
        env=ServiceProcess(tmp_path, LOG_LEVEL="warning").environment,
        input=f"{lines}log.warning('shown-line')\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "event=shown-line" in result.stderr
    assert "-line" not in result.stdout
    assert "hidden-line" not in result.stderr
