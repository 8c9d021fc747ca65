"""Debian's Chromium, driven by Playwright, and axe for accessibility.

The browser reaches loopback and nothing else, so a page that needs the internet fails its test.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from playwright.sync_api import (
    Browser,
    BrowserContext,
    CDPSession,
    Page,
    Playwright,
    sync_playwright,
)

from tests.support.parts import MissingPart
from tests.support.servers import find_program

AXE = Path(__file__).parent.parent / "vendor" / "axe-core-4.14.1" / "axe.min.js"
HEADLESS_PROGRAM = "chromium-headless-shell"
"""The same Chromium without windows: the pages take two thirds of the time; it has no camera."""
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--headless",
    "--no-sandbox",  # CI runs as root, where Chromium's sandbox does not start
    "--disable-gpu",
    "--disable-dev-shm-usage",  # /dev/shm is 64 MB in a container
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
SHOPPER = {"locale": "pt-BR", "timezone_id": "America/Sao_Paulo"}

AXE_MILLISECONDS = 60_000
# The parser creates elements inside <noscript> only if scripts are off.
JAVASCRIPT_IS_OFF = """(() => {
  const element = document.createElement("div");
  element.innerHTML = "<noscript><p></p></noscript>";
  return element.querySelector("p") !== null;
})()"""
# No timer fires if scripts are off, and axe schedules its work by timers of 0 ms. It also loads
# style sheets with a timer, which the option `preload` turns off.
TIMERS_AT_ONCE = (
    "globalThis.setTimeout = (work, _delay, ...rest) => { work(...rest); return 0; }; 0"
)

NewContext = Callable[..., BrowserContext]


@dataclass(frozen=True)
class Violation:
    """One rule of axe that a page breaks, and the elements that break it."""

    rule: str
    impact: str
    help: str
    elements: tuple[str, ...]


def find_chromium(*, has_camera: bool = False) -> str:
    """The path of the browser: CHROMIUM, else the first one found. Raises MissingPart."""
    if path := os.environ.get("CHROMIUM"):
        if not os.access(path, os.X_OK):
            raise MissingPart(f"CHROMIUM is set to {path}, which cannot be run")
        return path
    result = find_program(*(PROGRAMS if has_camera else (HEADLESS_PROGRAM, *PROGRAMS)))
    if result is None:
        raise MissingPart("Chromium (apt install chromium, or set CHROMIUM)")
    return result


_running: list[Playwright] = []
_sessions: WeakKeyDictionary[Page, CDPSession] = WeakKeyDictionary()


@contextmanager
def _driver() -> Iterator[Playwright]:
    """Playwright itself: a thread can have only one, so browsers share it."""
    if _running:
        yield _running[0]
        return
    with sync_playwright() as playwright:
        _running.append(playwright)
        try:
            yield playwright
        finally:
            _running.clear()


@contextmanager
def running_chromium(*more_flags: str, has_camera: bool = False) -> Iterator[Browser]:
    """A running browser, closed at the end. Raises MissingPart.

    With `has_camera` it is one whose `--use-fake-device-for-media-stream` works.

    Playwright keeps an asyncio loop in this thread until then, so call asyncio.run() from another
    thread.
    """
    program = find_chromium(has_camera=has_camera)
    with _driver() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS, *more_flags])
        try:
            yield browser
        finally:
            browser.close()


def axe_violations(page: Page, exclude: str | None = None, **options: Any) -> list[Violation]:
    """The accessibility rules that the page breaks now; empty if there are none.

    axe runs in an isolated world: it sees the page's elements, the page's scripts do not see it,
    and it works under any Content-Security-Policy and without JavaScript. Elements that `exclude`
    selects are skipped. `options` are those of axe.run, such as
    rules={"region": {"enabled": False}}.
    """
    session = _session(page)
    frame = session.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
    # In a document that was checked before, this world exists and contains axe.
    world = session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": "axe"})
    context = world["executionContextId"]
    if _evaluate(session, context, JAVASCRIPT_IS_OFF):
        _evaluate(session, context, TIMERS_AT_ONCE)
        options = {"preload": False, **options}
    if not _evaluate(session, context, "'axe' in globalThis"):
        _evaluate(session, context, AXE.read_text(encoding="utf-8") + "; undefined")
    examined = "document" if exclude is None else json.dumps({"exclude": [[exclude]]})
    call = f"axe.run({examined}, {json.dumps(options)}).then(found => found.violations)"
    result = _evaluate(session, context, call)
    return [
        Violation(
            rule=one["id"],
            impact=one["impact"] or "",
            help=one["help"],
            elements=tuple(node["html"] for node in one["nodes"]),
        )
        for one in result
    ]


def _session(page: Page) -> CDPSession:
    """The page's only session for axe, because a world belongs to the session that created it."""
    if page not in _sessions:
        _sessions[page] = page.context.new_cdp_session(page)
    return _sessions[page]


def _evaluate(session: CDPSession, context: int, expression: str) -> Any:
    question = {
        "expression": expression,
        "contextId": context,
        "awaitPromise": True,
        "returnByValue": True,
    }
    answer = session.send("Runtime.evaluate", question, timeout=AXE_MILLISECONDS)
    if "exceptionDetails" in answer:
        raise AssertionError(f"axe did not run: {answer['exceptionDetails']}")
    return answer["result"].get("value")
