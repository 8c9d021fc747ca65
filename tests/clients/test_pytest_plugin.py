"""The pytest plugin of the Python package: its service starts, and it ends in every case."""

from __future__ import annotations

import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from balcao import verify_webhook
from balcao.testing import ReceivedWebhook, Sandbox, SandboxError
from balcao.testing.service import RunningService
from tests.clients.plugin_runs import ROOT, install, outcomes, run_pytest, start_pytest
from tests.support.service import ServiceProcess
from tests.support.templates import copy_sqlite

WITHIN_SECONDS = 40.0

WAITING_TEST = """
from pathlib import Path

def test_waits(balcao):
    Path("url.new").write_text(balcao.url)
    Path("url.new").rename("url")
    while True:
        balcao.client.payments.get(balcao.client.payments.create(10).id)
"""
FAILING_TEST = """
from pathlib import Path
import pytest

def test_fails(balcao):
    Path("url").write_text(balcao.url)
    payment = balcao.client.payments.create(10)
    balcao.webhooks.forward_to(lambda headers, body: 1 / 0)
    balcao.webhooks.wait_for("payment.created", payment=payment)

def test_fails_in_the_shop(balcao):
    balcao.webhooks.forward_to(lambda headers, body: pytest.fail("in the shop"))
    payment = balcao.client.payments.create(10)
    balcao.webhooks.wait_for("payment.created", payment=payment)

def test_sees_nothing_of_another_test(balcao):
    assert balcao.webhooks.received() == []
    assert list(balcao.client.payments.list()) == []
    payment = balcao.client.payments.create(10)
    balcao.webhooks.wait_for("payment.created", payment=payment)
    assert len(balcao.webhooks.received()) == 1
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, installed."""
    return install(tmp_path_factory.mktemp("site"))


def write_test(folder: Path, text: str) -> Path:
    """A folder with one file of tests."""
    folder.mkdir(exist_ok=True)
    (folder / "test_it.py").write_text(text, "utf-8")
    return folder


def answers(url: str) -> bool:
    """Whether anything answers there."""
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def wait_for_end(url: str) -> None:
    """Raises AssertionError if the service is still there."""
    limit = time.monotonic() + WITHIN_SECONDS
    while answers(url):
        assert time.monotonic() < limit, f"the service at {url} goes on"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_service_ends_with_pytest_however_pytest_ends(site, tmp_path, number):
    """A service that stays would hold a port and memory until somebody finds it."""
    folder = write_test(tmp_path, WAITING_TEST)
    with start_pytest(site, folder, "--balcao", "-q", "--basetemp=run") as process:
        try:
            limit = time.monotonic() + WITHIN_SECONDS
            while not (folder / "url").exists():
                assert process.poll() is None, process.communicate()[0]
                assert time.monotonic() < limit
                time.sleep(0.05)
            url = (folder / "url").read_text("utf-8")
            assert answers(url)

            process.send_signal(number)
            process.wait(WITHIN_SECONDS)
        finally:
            with suppress(OSError):
                process.kill()

    wait_for_end(url)


def test_a_failure_shows_the_log_and_the_shops_error(site, tmp_path):
    """And the next test, on the same service, sees nothing of it."""
    folder = write_test(tmp_path, FAILING_TEST)

    nowhere = "http://127.0.0.1:1"  # a proxy of the company, which cannot reach this machine
    status, output = run_pytest(site, folder, "--balcao", "--basetemp=run", http_proxy=nowhere)

    assert (status, outcomes(output)) == (1, {"failed": 2, "passed": 1}), output
    assert "the shop raised ZeroDivisionError" in output
    assert "the shop raised Failed: in the shop" in output
    assert "Balcão's log" in output
    wait_for_end((folder / "url").read_text("utf-8"))


def test_without_the_option_a_test_is_skipped_with_the_reason(site, tmp_path):
    """The unit tests of a shop need no Balcão, and nothing passes that was not tried."""
    folder = write_test(tmp_path, "def test_pays(balcao): ...\ndef test_adds(): ...\n")

    status, output = run_pytest(site, folder, "-rs")

    assert (status, outcomes(output)) == (0, {"passed": 1, "skipped": 1}), output
    assert "run pytest with --balcao" in output


def test_a_checkout_without_the_equals_sign_is_explained(site, tmp_path):
    """pytest would take its configuration from the checkout, and ignore that of the shop."""
    for folder in (tmp_path, ROOT / "examples/shop-flask"):
        status, output = run_pytest(site, folder, "--balcao", "--balcao-checkout", str(ROOT))

        assert status == pytest.ExitCode.USAGE_ERROR, output
        assert f"--balcao-checkout={ROOT} with an equals sign" in output


@pytest.mark.parametrize("seconds", ["soon", "nan", "inf", "0"])
def test_a_time_that_would_never_end_is_refused(site, tmp_path, seconds):
    """A test must not wait for ever, and must not fail before it has waited."""
    status, output = run_pytest(site, tmp_path, "-o", f"balcao_timeout={seconds}")
    assert status == pytest.ExitCode.USAGE_ERROR, output
    assert f"must be a number of seconds above 0: {seconds}" in output


def test_a_missing_checkout_is_explained_once(site, tmp_path):
    """The first error that a developer sees has one sentence and no lines of code."""
    folder = write_test(tmp_path, "def test_pays(balcao): ...\n")

    _, output = run_pytest(site, folder, "--balcao", "--balcao-checkout=nowhere")

    assert "nowhere is no checkout of Balcão" in output
    assert "During handling" not in output


# --- a service that somebody else has started ----------------------------------------------------


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A development service."""
    with ServiceProcess(
        tmp_path_factory.mktemp("running"), SWEEP_INTERVAL_SECONDS="0.2"
    ) as running:
        yield running


def test_a_running_service_is_used_and_stays(site, tmp_path, service):
    """BALCAO_URL: nothing is started, nothing is stopped, and the clock is not moved."""
    folder = write_test(
        tmp_path,
        """
import pytest
from balcao.testing import SandboxError

def test_pays(balcao):
    payment = balcao.pay(balcao.client.payments.create(10))
    balcao.webhooks.wait_for("payment.confirmed", payment=payment)

def test_has_no_clock(balcao):
    payment = balcao.client.payments.create(10)
    with pytest.raises(SandboxError, match="expires_in=10"):
        balcao.expire(payment)
    with pytest.raises(SandboxError, match="unset BALCAO_URL"):
        balcao.clock.advance(days=1)
""",
    )

    status, output = run_pytest(site, folder, "--balcao", "--basetemp=run", BALCAO_URL=service.url)

    assert (status, outcomes(output)) == (0, {"passed": 2}), output
    assert answers(service.url)


def test_a_merchant_of_several_tests_sees_the_webhooks_of_one(service):
    """BALCAO_API_KEY: events of older payments are not those of the test."""
    first = Sandbox(RunningService(service.url, None), 15)
    old_payment = first.client.payments.create(10)
    first.webhooks.wait_for("payment.created", payment=old_payment)
    second = Sandbox(RunningService(service.url, first.api_key), 15)
    try:
        # As if the event had been numbered a moment later.
        hooks, begin = second.client.webhooks, old_payment.created_at - timedelta(seconds=5)
        assert hooks.replay(second.webhooks.id, begin) == 1
        first.pay(old_payment)
        first.webhooks.wait_for("payment.confirmed", payment=old_payment)
        payment = second.pay(second.client.payments.create(10))
        second.webhooks.wait_for("payment.confirmed", payment=payment)
        assert second.webhooks.received(payment=old_payment) == []
        assert len(second.webhooks.received()) == 2
    finally:
        first.close()
        second.close()


def test_webhooks_of_runs_that_were_killed_are_removed(service):
    """A merchant may have ten; the eleventh run would be refused."""
    killed = Sandbox(RunningService(service.url, None), 15)
    running = Sandbox(RunningService(service.url, killed.api_key), 15)
    killed.webhooks.stop()  # as the system does when a process is killed

    after = Sandbox(RunningService(service.url, killed.api_key), 15)
    try:
        registered = {webhook.id for webhook in after.client.webhooks.list()}
        assert registered == {running.webhooks.id, after.webhooks.id}
    finally:
        running.close()
        after.close()


def test_an_event_is_repeated_although_its_answer_is_not_stored_yet(service, monkeypatch):
    """Balcão sends nothing twice at once, so a repetition that was asked for then would be lost."""
    sandbox = Sandbox(RunningService(service.url, None), 15)
    webhooks, hooks = sandbox.webhooks, sandbox.client.webhooks
    list_deliveries, looks, has_looked_twice = hooks.deliveries, [], threading.Event()

    def look(*arguments, **options):
        looks.append(arguments)
        if len(looks) == 2:
            has_looked_twice.set()
        return list_deliveries(*arguments, **options)

    repetitions: list[Future[ReceivedWebhook]] = []

    def take(headers, body):
        if not repetitions:
            event = verify_webhook(headers, body, webhooks.secret)
            webhook = ReceivedWebhook(event, headers, body, 204)
            repetitions.append(pool.submit(webhooks.repeat, webhook))
            has_looked_twice.wait(10)
        return 204

    monkeypatch.setattr(hooks, "deliveries", look)
    webhooks.forward_to(take)
    with ThreadPoolExecutor(1) as pool:
        try:
            payment = sandbox.client.payments.create(10)
            webhooks.wait_for("payment.created", payment=payment, count=2)
            assert repetitions[0].result(15).is_about(payment)
        finally:
            sandbox.close()


def test_a_live_service_is_refused_before_anything_is_created(tmp_path):
    """A test that pays at a shop's real service would be a disaster."""
    url = f"sqlite:///{tmp_path / 'live.sqlite3'}"
    copy_sqlite(tmp_path / "live.sqlite3", demo_accounts=False)
    with (
        ServiceProcess(tmp_path, APP_ENV="production", DATABASE_URL=url) as live,
        pytest.raises(SandboxError, match="its money is real"),
    ):
        RunningService(live.url, None)


def test_no_service_at_the_address_is_an_error():
    """And not a private service that nobody asked for."""
    with pytest.raises(SandboxError, match="No Balcão answers at BALCAO_URL"):
        RunningService("http://127.0.0.1:1", None)
