"""The page docs/first-integration.md, run in each of its languages against a real service.

Every block of the page is run: files are written as they stand there and started by the command in
their line `Run:`. Webhooks come from the service, after real payments through the bank.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from balcao import Balcao
from tests.support.examples import ADDRESS, Example, assert_prints, examples_in
from tests.support.parts import MissingPart, leave_out
from tests.support.ports import free_port
from tests.support.service import DEMO_PASSWORD, ServiceProcess

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/first-integration.md"
EXAMPLES = examples_in(PAGE.name, PAGE.read_text(encoding="utf-8"))
PORT_OF_PAGE = "4242"
WITHIN_SECONDS = 30
FORGED_BODY = b'{"id": "forged", "type": "ping", "timestamp": "2026-01-01T00:00:00Z", "data": {}}'
SHARED_PROGRAMS = {"curl": "curl", "openssl": "openssl", "jq": "jq"}
"""Programs and their Debian packages."""


@dataclass(frozen=True)
class Language:
    """A language of the page, the ends of its file names, and the programs that it needs."""

    name: str
    suffixes: tuple[str, ...]
    programs: dict[str, str]
    hook: str


LANGUAGES = (
    Language("python", (".py",), {"python3": "python3-venv"}, "hook.py"),
    Language("node", (".mjs",), {"node": "nodejs", "npm": "npm"}, "hook.mjs"),
    Language("php", (".php",), {"php": "php-cli php-curl"}, "hook.php"),
    Language("shell", (".sh", "hook"), {"busybox": "busybox"}, "www/cgi-bin/hook"),
)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Raises AssertionError after WITHIN_SECONDS."""
    limit = time.monotonic() + WITHIN_SECONDS
    while not condition():
        assert time.monotonic() < limit, f"not within {WITHIN_SECONDS} s: {what}"
        time.sleep(0.05)


@dataclass
class Developer:
    """A person who follows the page in one language, in a folder and with a terminal."""

    language: Language
    service: ServiceProcess
    home: Path
    login: str
    port: int = field(default_factory=free_port)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def shop(self) -> Path:
        """The folder of the shop."""
        return self.home / "shop"

    def adapted(self, text: str) -> str:
        """The page's text with this service's address, a free port and this merchant's login."""
        text = text.replace(ADDRESS, self.service.url).replace(PORT_OF_PAGE, str(self.port))
        return text.replace("username=demo", f"username={self.login}")

    def shell(self, text: str) -> list[str]:
        """The command that runs the text in the terminal, with its variables and folder."""
        before = f'cd "{self.home}/balcao"; [ ! -e ../state ] || . ../state'
        after = f'{{ export -p; echo "cd \'$PWD\'"; }} >"{self.home}/state"'
        return ["bash", "-euo", "pipefail", "-c", f"{before}\n{text}\n{after}"]

    def type(self, text: str) -> str:
        """Run the text in the terminal, as a person pastes it; return what it prints."""
        result = subprocess.run(
            self.shell(self.adapted(text)), capture_output=True, text=True, timeout=60, check=False
        )
        assert result.returncode == 0, f"{text}\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def follow(self, kind: str) -> None:
        """Run the blocks of this kind, and compare what they print with the page."""
        for example in blocks(kind):
            output = self.type(example.text)
            if example.answer:
                assert_prints(example, output, self.service.url)

    def write_files(self) -> None:
        """Save the files of the language."""
        for example in EXAMPLES:
            name = example.kind.removeprefix("file: ")
            if name != example.kind and name.endswith(self.language.suffixes):
                path = self.shop / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.adapted(example.text), encoding="utf-8")

    def install_package(self) -> None:
        """Install the package for the language, if it has one."""
        if self.language.name not in ("python", "node"):
            return
        try:
            self.follow(f"run: {self.language.name}")
        except AssertionError as error:
            if "No matching distribution found for setuptools" in str(error):
                leave_out(MissingPart("the package index, from which pip fetches setuptools"))
            raise

    def command_of(self, stem: str) -> str:
        """How the page runs a file."""
        name = self.language.hook if stem == "hook" else stem + self.language.suffixes[0]
        text = (self.shop / name).read_text(encoding="utf-8")
        command = re.search(r"^(?:#|//|<\?php //) Run: (.+)$", text, re.M)
        assert command, name
        return command[1]

    def start(self, text: str) -> subprocess.Popen[str]:
        """Start something that does not end, in the terminal's folder."""
        process = subprocess.Popen(
            self.shell(self.adapted(text)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def stop(self, process: subprocess.Popen[str]) -> str:
        """End it with its children; return what it printed."""
        self.started.remove(process)
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate(timeout=10)[0]

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """The receiver of the page, running."""
        process = self.start(self.command_of("hook"))
        try:
            wait_until(self._is_listening, "the receiver listens")
            yield
        finally:
            sys.stdout.write(self.stop(process))  # for the report of a failure

    def _is_listening(self) -> bool:
        assert self.started[-1].poll() is None, self.started[-1].communicate()[0]
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def order(self, number: str, centavos: int = 5490) -> str:
        """Take an order and create its payment; return the payment's address."""
        (self.shop / "orders" / number).write_text(f"{centavos}\n", encoding="ascii")
        return self.type(self.command_of("pay").replace("1042", number)).strip()

    def is_paid(self, number: str) -> bool:
        """Whether the shop has marked the order."""
        return (self.shop / "paid" / number).exists()

    def confirmation_of(self, address: str) -> str:
        """The id of the event that the payment was paid, as soon as it is in the feed."""
        client, payment_id, ids = self.client(), address.rpartition("/")[2], list[str]()

        def is_in_feed() -> bool:
            confirmations = client.events.list(type="payment.confirmed")
            ids[:] = [event.id for event in confirmations if event.data["id"] == payment_id]
            return bool(ids)

        wait_until(is_in_feed, "the event is in the feed")
        (event_id,) = ids
        return event_id

    def deliveries_of(self, event_id: str) -> list[str]:
        """The status of each delivery of the event to the one webhook."""
        webhooks = self.client().webhooks
        (webhook,) = webhooks.list()
        deliveries = webhooks.deliveries(webhook.id, limit=100).data
        mine = [delivery.raw for delivery in deliveries if delivery.raw["event_id"] == event_id]
        return [delivery["status"] for delivery in mine]

    def client(self) -> Balcao:
        """The merchant's own client, to look at the service."""
        return Balcao(self.service.url, self.type('echo "$BALCAO_API_KEY"').strip())


def blocks(kind: str) -> list[Example]:
    """The page's blocks of a kind."""
    matches = [example for example in EXAMPLES if example.kind == kind]
    assert matches, kind
    return matches


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service for all languages; each has a merchant of its own."""
    with ServiceProcess(tmp_path_factory.mktemp("first-service")) as running:
        yield running


@pytest.fixture(scope="module", params=LANGUAGES, ids=lambda language: language.name)
def developer(
    request: pytest.FixtureRequest,
    service: ServiceProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Developer]:
    """A developer who has followed the page up to the registered webhook."""
    language = request.param
    for program, package in (SHARED_PROGRAMS | language.programs).items():
        if shutil.which(program) is None:
            leave_out(MissingPart(f"{program} (Debian: {package})"))
    if language.name == "php":
        modules = subprocess.run(["php", "-m"], capture_output=True, text=True, check=True).stdout
        if "curl" not in modules.split():
            leave_out(MissingPart("PHP's curl extension (Debian: php-curl)"))
    home = tmp_path_factory.mktemp(f"first-{language.name}")
    (home / "balcao/instance").mkdir(parents=True)
    (home / "balcao/instance/demo_password").write_text(f"{DEMO_PASSWORD}\n", encoding="ascii")
    shutil.copytree(ROOT / "clients", home / "balcao/clients", ignore=_not_in_git)
    person = {"username": f"alice-{language.name}", "password": DEMO_PASSWORD}
    Balcao(service.url, "").transport.request("POST", "/users/", body=person)
    developer = Developer(language, service, home, person["username"])
    try:
        developer.follow("run")
        developer.write_files()
        developer.install_package()
        yield developer
    finally:
        for process in [*developer.started]:
            developer.stop(process)


_not_in_git = shutil.ignore_patterns("node_modules", "__pycache__", "*.egg-info", "build")


def test_every_marked_block_of_the_page_is_used():
    """A block that no test runs is soon wrong."""
    text = PAGE.read_text(encoding="utf-8")
    kinds = {"run", "run: python", "run: node", "run: listen", "run: pay", "run: forge"}
    suffixes = tuple(suffix for language in LANGUAGES for suffix in language.suffixes)

    files = {example.kind for example in EXAMPLES} - kinds

    assert all(kind.startswith("file: ") and kind.endswith(suffixes) for kind in files)
    marked = len(EXAMPLES) + sum(example.answer is not None for example in EXAMPLES)
    assert marked == text.count("\n```") / 2
    for kind in files:  # the page that the service shows has no marks
        name = kind.removeprefix("file: ")
        assert f"`{name}`:\n\n<!-- {kind} -->" in text
    for stem in ("pay", "catch_up", "refund"):
        assert {f"file: {stem}.{end}" for end in ("py", "mjs", "php", "sh")} <= files


def test_a_paid_order_is_marked_by_the_webhook_once(developer: Developer):
    """The webhook has two signatures, as during a rotation, and comes again without effect."""
    webhooks = developer.client().webhooks
    (webhook,) = webhooks.list()
    webhooks.rotate(webhook.id)
    with developer.receiving():
        address = developer.order("1042")
        assert developer.order("1042") == address
        assert not developer.is_paid("1042")
        developer.follow("run: pay")
        wait_until(lambda: developer.is_paid("1042"), "the order is marked")
        event_id = developer.confirmation_of(address)
        wait_until(lambda: developer.deliveries_of(event_id) == ["delivered"], "it was delivered")

        (developer.shop / "paid/1042").unlink()
        (delivery,) = (
            delivery.id
            for delivery in webhooks.deliveries(webhook.id, limit=100).data
            if delivery.raw["event_id"] == event_id
        )
        webhooks.redeliver(delivery)
        twice = ["delivered", "delivered"]
        wait_until(lambda: developer.deliveries_of(event_id) == twice, "it came again")

    assert not developer.is_paid("1042")
    assert (developer.shop / "seen" / event_id).exists()


def test_forged_and_old_webhooks_are_refused(developer: Developer):
    """The page's own proof: 204 for the good one, 400 for the others."""
    with developer.receiving():
        developer.follow("run: forge")


@pytest.mark.parametrize("secret", ["", "whsec_"])
def test_an_empty_secret_believes_nobody(developer: Developer, secret: str):
    """Everybody can sign with an empty key."""
    with terminal_with(developer, f"WEBHOOK_SECRET='{secret}'"), developer.receiving():
        now = str(int(time.time()))
        digest = hmac.digest(b"", f"forged.{now}.".encode() + FORGED_BODY, "sha256")
        assert_refused(developer, now, base64.b64encode(digest).decode())


def test_a_receiver_whose_openssl_fails_believes_nobody(developer: Developer, tmp_path: Path):
    """The shell needs it: two commands that fail print the same, nothing. Others must not care."""
    (tmp_path / "openssl").write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
    (tmp_path / "openssl").chmod(0o755)
    path = developer.type('echo "$PATH"').strip()
    with terminal_with(developer, f"PATH='{tmp_path}:{path}'"), developer.receiving():
        assert_refused(developer, str(int(time.time())), "")


@contextmanager
def terminal_with(developer: Developer, setting: str) -> Iterator[None]:
    """The terminal with another variable for a while."""
    state = (developer.home / "state").read_bytes()
    developer.type(f"export {setting}")
    try:
        yield
    finally:
        (developer.home / "state").write_bytes(state)


def assert_refused(developer: Developer, sent_at: str, signature: str) -> None:
    """Post an event; the receiver must answer with an error, or not at all."""
    headers = {
        "webhook-id": "forged",
        "webhook-timestamp": sent_at,
        "webhook-signature": f"v1,{signature}",
    }
    url = f"http://127.0.0.1:{developer.port}/cgi-bin/hook"
    request = urllib.request.Request(url, FORGED_BODY, headers)
    with pytest.raises((OSError, http.client.HTTPException)):
        urllib.request.urlopen(request, timeout=10)
    assert not (developer.shop / "seen/forged").exists()


def test_an_order_paid_with_another_amount_is_not_marked(developer: Developer):
    """The order was changed after its payment was created."""
    with developer.receiving():
        address = developer.order("1044")
        (developer.shop / "orders/1044").write_text("5491\n", encoding="ascii")
        developer.follow("run: pay")
        event_id = developer.confirmation_of(address)
        wait_until((developer.shop / "seen" / event_id).exists, "the event came")
    assert not developer.is_paid("1044")


def test_what_happened_during_a_failure_is_caught_up(developer: Developer):
    """The receiver is down; the feed has the event with the same id."""
    address = developer.order("1043")
    developer.follow("run: pay")
    event_id = developer.confirmation_of(address)
    assert not developer.is_paid("1043")

    developer.type(developer.command_of("catch_up"))

    assert developer.is_paid("1043")
    assert (developer.shop / "position").read_text().strip() == event_id
    developer.type(developer.command_of("catch_up"))
    assert (developer.shop / "position").read_text().strip() == event_id


def test_a_refund_is_requested_once(developer: Developer):
    """The second request with the same number is the same refund."""
    address = developer.order("1045")
    developer.follow("run: pay")

    for _ in range(2):
        assert developer.type(developer.command_of("refund")) == "r1042a\n"

    refunds = developer.client().payments.refunds(address.rpartition("/")[2])
    assert [(refund.id, refund.amount_centavos) for refund in refunds] == [("r1042a", 1490)]


@pytest.mark.parametrize("developer", LANGUAGES[:1], ids=["python"], indirect=True)
def test_a_laptop_hears_by_listen(developer: Developer):
    """Without a webhook: the command of the Python package fetches the event and posts it."""
    webhooks = developer.client().webhooks
    for webhook in webhooks.list():
        webhooks.delete(webhook.id)
    (block,) = blocks("run: listen")
    listener = developer.start(block.text)
    assert listener.stdout is not None
    lines = iter(listener.stdout.readline, "")
    secret = next(line.split()[-1] for line in lines if "Signing secret" in line)
    assert any("Connected" in line for line in lines)
    developer.type(f"WEBHOOK_SECRET={secret}")
    with developer.receiving():
        developer.order("1046")
        developer.follow("run: pay")
        wait_until(lambda: developer.is_paid("1046"), "the order is marked")
