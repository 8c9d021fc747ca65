"""The pytest plugin: `pytest --balcao`, and the fixtures `balcao` and `balcao_service`.

pytest loads it by itself when the package `balcao` is installed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
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


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Refuse a checkout whose configuration pytest took for that of the shop.

    pytest looks for its configuration before it knows the options of plugins. Without the equals
    sign it takes the path for tests.
    """
    path = early_config.known_args_namespace.balcao_checkout
    if not path or early_config.inipath is None:
        return
    checkout = Path(path).expanduser().resolve()
    invocation = early_config.invocation_params
    is_foreign = "--balcao-checkout" in invocation.args or not _is_in(invocation.dir, checkout)
    if is_foreign and _is_in(early_config.inipath, checkout):
        raise pytest.UsageError(
            f"pytest took its configuration from {early_config.inipath}. Write "
            f"--balcao-checkout={path} with an equals sign."
        )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a `balcao_timeout` that is not a number of seconds, before tests are collected."""
    _seconds(config)


@pytest.fixture(scope="session")
def balcao_service(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service of this session: private, unless BALCAO_URL names a development service."""
    if not (pytestconfig.getoption("balcao") or pytestconfig.getini("balcao")):
        # The unit tests of a shop run without a checkout of Balcão; the skipped ones are counted.
        pytest.skip(SKIPPED)
    url = os.environ.get("BALCAO_URL")
    if url and not pytestconfig.getoption("balcao_checkout"):
        with _readable_errors():
            running_service = RunningService(url, os.environ.get("BALCAO_API_KEY") or None)
        yield running_service
        return
    with _readable_errors():
        service = PrivateService(
            find_checkout(_checkout_path(pytestconfig)), tmp_path_factory.mktemp("balcao")
        )
        service.start()
    try:
        yield service
    finally:
        service.stop()


@pytest.fixture
def balcao(request: pytest.FixtureRequest, balcao_service: Service) -> Iterator[Sandbox]:
    """A merchant of this test's own: `client`, `api_key`, `pay…`, `webhooks`, `clock`."""
    seconds = _seconds(request.config)
    request.node.stash[_LOG_BEGIN] = balcao_service.log_size()
    with _readable_errors():
        balcao_service.check()
        sandbox = Sandbox(balcao_service, seconds)
    yield sandbox
    with _readable_errors():
        try:
            balcao_service.check()
        except SandboxError:
            sandbox.webhooks.stop()
            raise
        sandbox.close()


@contextmanager
def _readable_errors() -> Iterator[None]:
    """The sentence of an error, without the lines of code that raised it."""
    try:
        yield
    except (SandboxError, BalcaoError) as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


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


def _checkout_path(config: pytest.Config) -> str | None:
    """The named checkout: option, environment, configuration; None if there is none."""
    path = config.getoption("balcao_checkout") or os.environ.get("BALCAO_CHECKOUT")
    if path:
        return str(path)
    entry = str(config.getini("balcao_checkout") or "")
    if not entry:
        return None
    folder = config.inipath.parent if config.inipath else Path.cwd()
    return str(folder / Path(entry).expanduser())


def _is_in(path: Path, folder: Path) -> bool:
    return folder in path.resolve().parents or folder == path.resolve()


def _seconds(config: pytest.Config) -> float:
    text = str(config.getini("balcao_timeout"))
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise pytest.UsageError(f"balcao_timeout must be a number of seconds above 0: {text}")
    return seconds
