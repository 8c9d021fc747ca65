"""A real SMTP server, and the service that sends through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from core.runtime.smtp_url import parse_smtp_url
from mail.sender import Sender
from tests.support.ports import free_port
from tests.support.service import settings_for


@dataclass
class Mailbox:
    """Stores every message; `answers` are replies to the next recipients, in place of 250."""

    messages: list[EmailMessage] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    users: list[tuple[str, str]] = field(default_factory=list)

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        """Accept a recipient, or give the next answer."""
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):
        """Store the message."""
        self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 Stored"

    def authenticate(self, _server, _session, _envelope, _mechanism, credentials):
        """Accept one password."""
        self.users.append((credentials.login.decode(), credentials.password.decode()))
        return AuthResult(success=credentials.password == b"p@ss/word:1")

    def texts(self) -> list[str]:
        """The plain text of each message."""
        return [message.get_content() for message in self.messages]


@pytest.fixture
def mailbox() -> Mailbox:
    """The messages that arrived."""
    return Mailbox()


@pytest.fixture
def start_smtp(mailbox) -> Iterator[Callable[[int], Controller]]:
    """Start a real SMTP server on a port of this machine."""
    with ExitStack() as running:

        def start(port: int) -> Controller:
            controller = Controller(
                mailbox,
                hostname="127.0.0.1",
                port=port,
                authenticator=mailbox.authenticate,
                auth_require_tls=False,
            )
            controller.start()
            running.callback(_stop, controller)
            return controller

        yield start


def _stop(controller: Controller) -> None:
    """Stop a server that the test may have stopped."""
    if not controller.loop.is_closed():
        controller.stop()


@pytest.fixture
def smtp(start_smtp) -> Controller:
    """A real SMTP server on a free port."""
    return start_smtp(free_port())


@pytest.fixture
def settings(fresh_database, tmp_path, smtp) -> Any:
    """The service with that mail server."""
    return settings_for(
        fresh_database("sqlite"),
        tmp_path,
        smtp_url=f"smtp://127.0.0.1:{smtp.port}?tls=none",
        mail_from="Balcão <pix@example.com>",
    )


@pytest.fixture
def send(app, settings):
    """Run the sending job once; return how many messages the server took."""
    sender = Sender(settings, parse_smtp_url(settings.smtp_url))

    def run() -> int:
        with app.app_context():
            return sender.run(lambda: True)

    return run
