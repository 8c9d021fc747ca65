"""`make dev`: a saved change is on the page a moment later, and errors are shown there."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from server.dev import POLL_SECONDS
from tests.support.service import ROOT, SECRET, ServiceProcess

WITHIN_SECONDS = 40
SERVED = ("app.py", "config.py", "accounts", "bank", "blueprints", "core", "db_models", "mail",
          "migrations", "payments", "providers", "realtime", "repository", "server", "static",
          "templates", "translations", "web", "webhooks")  # fmt: skip


@dataclass
class Developer:
    """A copy of the source, served while a test changes it."""

    folder: Path
    url: str
    process: subprocess.Popen

    def page(self, path: str = "/") -> tuple[int, str]:
        """Load a page as a browser does; return status and body."""
        request = urllib.request.Request(self.url + path, headers={"Accept": "text/html"})
        try:
            with urllib.request.urlopen(request, timeout=WITHIN_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def change(self, file: str, old: str, new: str) -> None:
        """Replace the first `old` in a file and save it."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def sees(self, is_there: Callable[[], bool]) -> None:
        """Poll until `is_there()` holds. Raises AssertionError."""
        end = time.monotonic() + WITHIN_SECONDS
        while time.monotonic() < end:
            try:
                if is_there():
                    return
            except (OSError, urllib.error.URLError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"the change did not appear within {WITHIN_SECONDS} s")


@pytest.fixture
def developer(tmp_path) -> Iterator[Developer]:
    """`make dev` on a copy of the source, in an empty instance folder."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name in SERVED:
        if (ROOT / name).is_dir():
            unserved = shutil.ignore_patterns("__pycache__", "vendor_sources")
            shutil.copytree(ROOT / name, folder / name, ignore=unserved)
        else:
            shutil.copy(ROOT / name, folder)
    service = ServiceProcess(tmp_path / "instance", is_first_start=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "server.dev"], cwd=folder, env=service.environment
    )
    try:
        developer = Developer(folder, service.url, process)
        developer.sees(lambda: developer.page()[0] == 200)
        yield developer
    finally:
        process.kill()
        process.wait()


def test_what_is_saved_is_served(developer: Developer):
    """Template and style sheet at once, Python after a restart that loses no request."""
    developer.change("templates/base.html", "</head>", '<meta name="saved"></head>')
    developer.sees(lambda: '<meta name="saved">' in developer.page()[1])

    address = r'href="(/static/css/base\.css\?v=\w+)"'
    before = re.search(address, developer.page()[1])
    style = developer.folder / "static/css/base.css"
    style.write_text(style.read_text(encoding="utf-8") + "\n.saved {\n}\n", encoding="utf-8")
    after = re.search(address, developer.page()[1])
    assert before
    assert after
    assert after[1] != before[1]  # the old address may be cached for a year
    assert ".saved {" in developer.page(after[1])[1]

    developer.change("web/health.py", 'status="alive"', 'status="alive", saved=True')
    developer.sees(lambda: "saved" in developer.page("/healthz")[1])


def test_a_mistake_is_a_traceback_in_the_browser_and_ends_with_its_correction(
    developer: Developer,
):
    """A broken view, then a module that cannot even be imported."""
    route = '@bp.get("/")\n'
    developer.change("blueprints/shop/routes.py", route, f"1 / 0\n\n\n{route}")
    developer.sees(lambda: "ZeroDivisionError" in developer.page()[1])
    status, page = developer.page()
    assert status == 500
    assert "blueprints/shop/routes.py" in page
    developer.change("blueprints/shop/routes.py", "1 / 0\n\n\n", "")
    developer.sees(lambda: developer.page()[0] == 200)

    alive = 'return jsonify(status="alive", **versions())'
    developer.change("web/health.py", alive, 'raise LookupError("lost")')
    developer.sees(lambda: "LookupError: lost" in developer.page("/healthz")[1])


def test_two_saves_within_one_second_show_the_second(developer: Developer):
    """Python compares size and second of a source with its bytecode, and here both are equal."""
    routes = "blueprints/shop/routes.py"
    source = developer.folder / routes
    developer.change(routes, "bp = ", "raise LookupError('mistake 0')\nbp = ")
    second = source.stat().st_mtime_ns // 10**9 * 10**9
    os.utime(source, ns=(second, second))
    time.sleep(POLL_SECONDS * 2)  # the parent sees this change of the time alone
    developer.sees(lambda: "LookupError: mistake 0" in developer.page()[1])
    developer.change(routes, "mistake 0", "mistake 1")
    os.utime(source, ns=(second + 1, second + 1))
    developer.sees(lambda: "LookupError: mistake 1" in developer.page()[1])


def test_a_restart_finishes_the_page_that_shows_a_mistake(developer: Developer):
    """A page that was cut in the middle would hide the mistake from its reader."""
    routes = "blueprints/shop/routes.py"
    developer.change(routes, "bp = ", "raise LookupError('mistake 0')\nbp = ")
    developer.sees(lambda: "LookupError: mistake 0" in developer.page()[1])
    stop = threading.Event()

    def shows(mistake: str) -> bool:
        return mistake in developer.page()[1]

    def load_pages() -> int:
        pages = 0
        while not stop.is_set():
            status, page = developer.page()  # raises where the answer is cut
            assert (status, page.rstrip()[-3:]) == (500, "-->")
            pages += 1
        return pages

    with ThreadPoolExecutor(4) as browsers:
        loads = [browsers.submit(load_pages) for _ in range(4)]
        try:
            for number in range(1, 4):
                developer.change(routes, f"mistake {number - 1}", f"mistake {number}")
                developer.sees(partial(shows, f"LookupError: mistake {number}"))
        finally:
            stop.set()
        assert all(load.result() > 0 for load in loads)


def test_ctrl_c_ends_parent_and_child(developer: Developer):
    """A child left behind would hold the port of the next start."""
    developer.process.send_signal(signal.SIGINT)
    assert developer.process.wait(WITHIN_SECONDS) == 0
    with pytest.raises(urllib.error.URLError):
        developer.page()


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"HOST": "0.0.0.0"}, "HOST=127.0.0.1"), ({"APP_ENV": "production"}, "APP_ENV=development")],  # noqa: S104
)
def test_source_code_is_shown_to_nobody_else(tmp_path, changes, words):
    """A traceback on a public address would give the source to everyone."""
    service = ServiceProcess(tmp_path / "instance", **changes)
    if "APP_ENV" in changes:
        service.environment |= {"SECRET_KEY": secrets.token_hex(32), "BANK_WEBHOOK_SECRET": SECRET}
    process = subprocess.run(
        [sys.executable, "-m", "server.dev"], cwd=ROOT, env=service.environment,
        capture_output=True, text=True, timeout=WITHIN_SECONDS, check=False,
    )  # fmt: skip
    assert process.returncode == 1
    assert words in process.stderr
    assert "Traceback" not in process.stderr


def test_flask_run_says_what_to_run_instead(tmp_path):
    """It answered 500 on a fresh clone: no tables, no demo accounts, no bank."""
    process = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", "run", "--debug"], cwd=ROOT,
        env=ServiceProcess(tmp_path / "instance").environment,
        capture_output=True, text=True, timeout=WITHIN_SECONDS, check=False,
    )  # fmt: skip
    assert process.returncode != 0
    assert "make dev" in process.stderr
