"""Fixtures for databases, Redis and the browser, and the summary of skipped tests.

Every run loads this module, even a run of one file of pure functions. So the fixtures import slow
modules (the app, SQLAlchemy, Playwright) themselves.
"""

from __future__ import annotations

import gc
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import places
from tests.support.order import slowest_first
from tests.support.parts import REASON_PREFIX, MissingPart, everything_is_required, leave_out

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.support.browser import NewContext
    from tests.support.databases import Databases
    from tests.support.redis_space import RedisSpace
    from tests.support.servers import PrivateServer

MARK_OF_FIXTURE = {
    "chromium": pytest.mark.browser,
    "redis_url": pytest.mark.redis,
}
SERVERS = [
    pytest.param("mysql", id="mariadb", marks=pytest.mark.mysql),
    pytest.param("postgres", id="postgres", marks=pytest.mark.postgres),
]
"""The parameters of tests that are only about database servers."""
if os.environ.get("MYSQL8_URL"):
    SERVERS.append(pytest.param("mysql8", id="mysql8", marks=pytest.mark.mysql))
ENGINES = [pytest.param("sqlite", id="sqlite"), *SERVERS]

NEW_OBJECTS_BEFORE_COLLECTION = 5_000
"""Python's 700 lets one app start some hundred collections."""
PAGES_OF_FAILED_TESTS = Path("test-results")
_failed = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """The database servers of the run, for fixtures whose database outlives one test."""
    from tests.support.databases import Databases

    servers = Databases()
    yield servers
    servers.close()


@pytest.fixture
def fresh_database(databases: Databases) -> Iterator[Callable[[str], str]]:
    """Make a new migrated database: fresh_database("sqlite" | "mysql" | "postgres" | …) → URL.

    A test that names a server here carries its mark, `mysql` or `postgres`.
    """
    yield from _maker(databases.fresh)


@pytest.fixture(scope="module")
def module_database(databases: Databases) -> Iterator[Callable[[str], str]]:
    """The same for all tests of a module, which keep to rows of their own in it."""
    yield from _maker(databases.fresh)


@pytest.fixture
def empty_database(databases: Databases) -> Iterator[Callable[[str], str]]:
    """Like `fresh_database` without tables, for tests of migrations and first starts."""
    yield from _maker(databases.empty)


@pytest.fixture(params=ENGINES)
def any_database_url(request: pytest.FixtureRequest, fresh_database: Callable[[str], str]) -> str:
    """The URL of a new migrated database; the test runs once for each engine."""
    return fresh_database(request.param)


@pytest.fixture(params=ENGINES)
def any_empty_database_url(
    request: pytest.FixtureRequest, empty_database: Callable[[str], str]
) -> str:
    """The URL of a new empty database; the test runs once for each engine."""
    return empty_database(request.param)


@pytest.fixture(scope="session")
def redis_space() -> Iterator[RedisSpace]:
    """The Redis of the run."""
    from tests.support.redis_space import RedisSpace

    space = RedisSpace()
    yield space
    space.close()


@pytest.fixture
def redis_url(redis_space: RedisSpace) -> Iterator[str]:
    """The URL of an empty numbered database in Redis; channels are shared between databases."""
    with ExitStack() as stack:
        with _skip_if_missing():
            url = stack.enter_context(redis_space.fresh())
        yield url


@pytest.fixture
def private_server() -> Iterator[Callable[[str], PrivateServer]]:
    """Start a server for this test to stop, kill and restart: "mysql", "postgres" or "redis"."""
    yield from _starter()


@pytest.fixture(scope="module")
def module_server() -> Iterator[Callable[[str], PrivateServer]]:
    """The same for all tests of a module, each of which leaves the server running."""
    yield from _starter()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The running browser. Tests open pages with `page` or `new_context`."""
    from tests.support.browser import running_chromium

    with ExitStack() as running:
        with _skip_if_missing():
            browser = running.enter_context(running_chromium())
        yield browser


@pytest.fixture
def new_context(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[NewContext]:
    """Open a separate browser: new_context(viewport=…, java_script_enabled=…, …) → context.

    The default is a shopper in São Paulo. After a failed test, a screenshot of each open page is
    written into test-results/.
    """
    from tests.support.browser import SHOPPER

    contexts: list[BrowserContext] = []

    def open_context(**options: Any) -> BrowserContext:
        contexts.append(chromium.new_context(**{**SHOPPER, **options}))
        return contexts[-1]

    yield open_context
    if request.node.stash.get(_failed, False):
        _photograph(request.node.nodeid, [page for one in contexts for page in one.pages])
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_context: NewContext) -> Page:
    """An empty page in a new browser context."""
    return new_context().new_page()


def _maker(
    database: Callable[[str], AbstractContextManager[str]],
) -> Iterator[Callable[[str], str]]:
    with ExitStack() as stack:

        def make(engine: str) -> str:
            with _skip_if_missing():
                return stack.enter_context(database(engine))

        yield make


def _starter() -> Iterator[Callable[[str], PrivateServer]]:
    from tests.support.servers import PRIVATE_SERVERS

    with ExitStack() as started:

        def start(kind: str) -> PrivateServer:
            with _skip_if_missing():
                return started.enter_context(PRIVATE_SERVERS[kind]())

        yield start


@contextmanager
def _skip_if_missing() -> Iterator[None]:
    lacking: MissingPart | None = None
    try:
        yield
    except MissingPart as missing:
        lacking = missing
    if lacking is not None:
        leave_out(lacking)


def _photograph(test: str, pages: list[Page]) -> None:
    from playwright.sync_api import Error as PlaywrightError

    PAGES_OF_FAILED_TESTS.mkdir(exist_ok=True)
    name = re.sub(r"\W+", "-", test).strip("-")
    for number, open_page in enumerate(pages, start=1):
        # A closed or hanging page must not hide the test's own failure.
        with suppress(PlaywrightError):
            path = PAGES_OF_FAILED_TESTS / f"{name}-{number}.png"
            open_page.screenshot(path=path, full_page=True, timeout=5000)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Put pytest's temporary folders beside ours, trust no CA and keep our order of files."""
    config.option.loadscopereorder = False
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(places.root()))
    # Drivers read the system's CA certificates for each connection, which takes 20 ms. The tests
    # connect only to loopback, so no certificate is needed.
    os.environ["SSL_CERT_FILE"] = os.environ["SSL_CERT_DIR"] = os.devnull


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need the browser or Redis, before -m selects; run the slowest files first."""
    slowest_first(items)
    for item in items:
        for fixture, mark in MARK_OF_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Spare the modules and the items from every collection of garbage, as the service does.

    They live as long as the run, and to look through them again and again took a fifth of the time
    of a test that makes an app.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS_BEFORE_COLLECTION, *gc.get_threshold()[1:])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Store whether the test failed, for the fixtures that end after it."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


def _reasons(skipped: list[Any]) -> Counter[str]:
    """The number of skipped tests by reason."""
    texts = [report.longrepr[2] if isinstance(report.longrepr, tuple) else "" for report in skipped]
    return Counter(text.removeprefix("Skipped: ") for text in texts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the skipped tests with their reasons at the end of the run."""
    reasons = _reasons(terminalreporter.stats.get("skipped", []))
    if not reasons:
        return
    terminalreporter.section("not run", yellow=True)
    for reason, count in sorted(reasons.items()):
        why = reason.removeprefix(REASON_PREFIX)
        prefix = "missing here: " if reason.startswith(REASON_PREFIX) else ""
        terminalreporter.line(f"{count} test{'s' if count > 1 else ''} not run, {prefix}{why}")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run with skipped tests if everything is required."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not everything_is_required():
        return
    if reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
