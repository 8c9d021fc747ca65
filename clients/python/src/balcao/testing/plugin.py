"""The pytest plugin: `pytest --balcao`, and the fixtures `balcao` and `balcao_service`.

pytest loads it by itself when the package `balcao` is installed.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from balcao.errors import BalcaoError
from balcao.testing.checkout import find_checkout
from balcao.testing.errors import SandboxError
from balcao.testing.sandbox import Sandbox
from balcao.testing.service import PrivateService, RunningService, Service

SKIPPED = "needs Balcão: run pytest with --balcao (or set `balcao = true` in its configuration)"
DEFAULT_SECONDS = "15"
_LOG_BEGIN = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("balcao")
    group.addoption(
        "--balcao",
        action="store_true",
        help="run the tests that need Balcão, against a private service with its simulated bank",
    )
    group.addoption(
        "--balcao-checkout",
        metavar="PATH",
        help="the checkout of Balcão that is started (BALCAO_CHECKOUT; its `.venv` has the Python, "
        "or BALCAO_PYTHON)",
    )
    parser.addini("balcao", "as --balcao", type="bool", default=False)
    parser.addini("balcao_checkout", "as --balcao-checkout, relative to the configuration")
    parser.addini(
        "balcao_timeout", "seconds to wait for each promised state", default=DEFAULT_SECONDS
    )


@pytest.fixture(scope="session")
def balcao_service(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service of this session: private, unless BALCAO_URL names a development service."""
    if not (pytestconfig.getoption("balcao") or pytestconfig.getini("balcao")):
        pytest.skip(SKIPPED)
    url = os.environ.get("BALCAO_URL")
    bypass_proxies()
    try:
        if url and not pytestconfig.getoption("balcao_checkout"):
            yield RunningService(url, os.environ.get("BALCAO_API_KEY") or None)
            return
        service = PrivateService(
            find_checkout(_checkout_path(pytestconfig)), tmp_path_factory.mktemp("balcao")
        )
        service.start()
    except SandboxError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture
def balcao(request: pytest.FixtureRequest, balcao_service: Service) -> Iterator[Sandbox]:
    """A merchant of this test's own: `client`, `api_key`, `pay…`, `webhooks`, `clock`."""
    seconds = _seconds(request.config)
    request.node.stash[_LOG_BEGIN] = balcao_service.log_size()
    try:
        balcao_service.check()
        sandbox = Sandbox(balcao_service, seconds)
    except (SandboxError, BalcaoError) as error:
        pytest.fail(f"{error}", pytrace=False)
    yield sandbox
    try:
        balcao_service.check()
    except SandboxError as error:
        sandbox.webhooks.stop()
        pytest.fail(f"{error}", pytrace=False)
    try:
        sandbox.close()
    except BalcaoError as error:
        pytest.fail(f"{error}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the service logged during a test that failed."""
    report = yield
    begin = item.stash.get(_LOG_BEGIN, None)
    service = getattr(item, "funcargs", {}).get("balcao_service")
    if report.failed and begin is not None and service is not None:
        log = service.log_since(begin)
        if log:
            report.sections.append((f"Balcão's log ({report.when})", log))
    return report


def bypass_proxies() -> None:
    """Let no proxy of the environment stand between tests, service and shop on loopback."""
    for name in ("no_proxy", "NO_PROXY"):
        hosts = os.environ.get(name, "")
        if "127.0.0.1" not in hosts.split(","):
            os.environ[name] = f"{hosts},127.0.0.1".lstrip(",")


def _checkout_path(config: pytest.Config) -> str | None:
    """The named checkout: option, environment, configuration; None if there is none."""
    path = config.getoption("balcao_checkout") or os.environ.get("BALCAO_CHECKOUT")
    if path:
        return str(path)
    entry = str(config.getini("balcao_checkout") or "")
    if not entry:
        return None
    folder = config.inipath.parent if config.inipath else Path.cwd()
    return str(folder / entry)


def _seconds(config: pytest.Config) -> float:
    text = str(config.getini("balcao_timeout"))
    try:
        return float(text)
    except ValueError:
        raise pytest.UsageError(f"balcao_timeout must be a number of seconds: {text}") from None
