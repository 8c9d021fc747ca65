"""Outgoing mail: queued with its cause, sent by the job, tried again, given up."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from contextlib import ExitStack, closing, suppress
from datetime import timedelta

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import select, update

from core.runtime.smtp_url import SmtpServer, parse_smtp_url
from db_models import MailKind, OutgoingMail
from mail import sender
from mail import smtp as smtp_module
from mail.outgoing import write_mail
from mail.sender import FORGET_AFTER, Sender, forget_old_mails
from repository.database import in_unit_of_work, reading, unit_of_work
from repository.outgoing_mails import LEASE, PAUSES, OutgoingMails
from tests.support.ports import free_port


@pytest.fixture
def write(app):
    """Queue one message."""

    def queue(subject="Olá", body="Bom dia, João.\n", recipient="bob@example.com"):
        with app.app_context():
            in_unit_of_work(
                lambda work: write_mail(work, MailKind.RECEIPT, recipient, subject, body)
            )

    return queue


def rows(app):
    """Every message in the queue."""
    with app.app_context(), reading() as work:
        return list(work.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id)))


def test_a_message_arrives_as_it_was_written(write, send, mailbox, app):
    """Accents in subject and body too; the row forgets the text afterwards."""
    write("Recibo de R$ 54,90 de Café São João", "Você pagou.\n\nhttps://x/y\n")
    assert send() == 1
    (message,) = mailbox.messages
    assert message["Subject"] == "Recibo de R$ 54,90 de Café São João"
    assert message["From"] == "Balcão <pix@example.com>"
    assert message["To"] == "bob@example.com"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().splitlines() == ["Você pagou.", "", "https://x/y"]
    (row,) = rows(app)
    assert (row.body, row.next_try_at, row.tries) == ("", None, 1)
    assert row.sent_at is not None
    assert send() == 0
    assert len(mailbox.messages) == 1


def test_a_line_break_in_a_subject_adds_no_header(write, send, mailbox):
    """A shop's name is in the subject, and shops choose their names."""
    write("Recibo\r\nBcc: charlie@example.com")
    assert send() == 1
    (message,) = mailbox.messages
    assert message["Bcc"] is None
    assert message["Subject"] == "Recibo Bcc: charlie@example.com"


def test_a_busy_server_is_asked_again_and_then_given_up(write, send, mailbox, app, clock):
    """451 is temporary: one try after each pause, then the end with the reason."""
    mailbox.answers += ["451 Try later"] * (len(PAUSES) + 1)
    write()
    for pause in PAUSES:
        assert send() == 0
        clock.advance(seconds=pause.total_seconds() - 1)
        before = len(mailbox.answers)
        send()
        assert len(mailbox.answers) == before, "the pause is not over"
        clock.advance(seconds=1)
    assert send() == 0
    (row,) = rows(app)
    assert (row.next_try_at, row.body, row.tries) == (None, "", len(PAUSES) + 1)
    assert row.refused_at is not None
    assert "Try later" in row.error
    assert mailbox.messages == []


def test_a_refused_recipient_is_not_tried_again(write, send, mailbox, app):
    """550 is final, and the other messages are sent."""
    mailbox.answers += ["550 No such user"]
    write(recipient="nobody@example.com")
    write()
    assert send() == 1
    refused, delivered = rows(app)
    assert refused.refused_at is not None
    assert "No such user" in refused.error
    assert delivered.sent_at is not None


def test_a_server_that_is_away_loses_nothing(write, send, smtp, start_smtp, mailbox, app, clock):
    """The message waits, and is sent when the server is back."""
    write()
    smtp.stop()
    assert send() == 0
    (row,) = rows(app)
    assert row.body != ""
    start_smtp(smtp.port)
    clock.advance(seconds=PAUSES[0].total_seconds())
    assert send() == 1
    assert len(mailbox.messages) == 1


def test_two_processes_send_a_message_once(write, app, settings, mailbox):
    """Each message has one lease: the processes share the work."""
    for number in range(12):
        write(f"Olá {number}")
    senders = [Sender(settings, parse_smtp_url(settings.smtp_url)) for _ in range(4)]

    def run(sender):
        with app.app_context():
            sender.run(lambda: True)

    threads = [threading.Thread(target=run, args=(sender,)) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    subjects = sorted(message["Subject"] for message in mailbox.messages)
    assert subjects == sorted(f"Olá {number}" for number in range(12))


def test_the_lease_of_a_dead_process_ends(write, send, app, clock, mailbox):
    """A kill -9 between the lease and the server's answer delays the message, no more."""
    write()
    (row,) = rows(app)
    with app.app_context():
        assert in_unit_of_work(
            lambda work: OutgoingMails(work.session).acquire(row, work.now + LEASE)
        )
    assert send() == 0
    clock.advance(seconds=LEASE.total_seconds())
    assert send() == 1
    assert len(mailbox.messages) == 1


def test_a_message_written_before_the_clock_was_set_back_is_sent_once(write, send, clock, mailbox):
    """Someone waits for the link to a new password."""
    write()
    clock.advance(seconds=-600)
    assert [send(), send()] == [1, 0]
    assert len(mailbox.messages) == 1


def test_a_pause_set_before_the_clock_was_set_back_is_over(write, send, clock, mailbox):
    """The server was busy for a minute; the message must not wait for ten more."""
    mailbox.answers += ["451 Try later"]
    write()
    assert send() == 0
    clock.advance(seconds=-600)
    assert [send(), send()] == [1, 0]
    assert len(mailbox.messages) == 1


@pytest.mark.parametrize("tries", range(1, len(PAUSES) + 2))
def test_only_an_end_that_no_pause_can_have_is_over(write, send, app, clock, tries):
    """A machine whose clock is a minute slow waits for the pause of one that is right."""
    write()
    longest = max(LEASE, (*PAUSES, LEASE)[tries - 1]) + timedelta(seconds=60)
    for ahead, sent in ((longest, 0), (longest + timedelta(seconds=1), 1)):
        values = {"tries": tries, "next_try_at": clock.now() + ahead}
        with app.app_context(), unit_of_work() as work:
            work.session.execute(update(OutgoingMail).values(**values))
        assert send() == sent


def test_old_messages_are_forgotten(write, send, app, clock):
    """A recipient's address is personal data."""
    write()
    send()
    clock.advance(seconds=FORGET_AFTER.total_seconds())
    with app.app_context():
        assert forget_old_mails() == 0
    clock.advance(seconds=1)
    with app.app_context():
        assert forget_old_mails() == 1
    assert rows(app) == []


class DrippingServer:
    """Speaks SMTP; from one command on it sends its reply one byte at a time."""

    def __init__(self, dripped_command, byte_seconds):
        self._dripped_command, self._byte_seconds = dripped_command, byte_seconds
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.messages = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._talk, args=[connection], daemon=True).start()

    def _talk(self, connection):
        with connection, connection.makefile("rb") as lines, suppress(OSError):
            self._reply(connection, "CONNECT", b"220 here")
            for line in lines:
                command = line[:4].decode().strip().upper()
                if command == "DATA":
                    self._reply(connection, command, b"354 go on")
                    if not any(text == b".\r\n" for text in lines):
                        return
                    self.messages += 1
                    command = "."
                self._reply(connection, command, b"250 fine")

    def _reply(self, connection, command, text):
        if command == self._dripped_command:
            for line in (text.replace(b" ", b"-", 1), text.replace(b" ", b"-", 1), text):
                for byte in line + b"\r\n":
                    time.sleep(self._byte_seconds)
                    connection.sendall(bytes([byte]))
        else:
            connection.sendall(text + b"\r\n")

    def close(self):
        """Accept no more connections."""
        self._listener.close()


@pytest.fixture
def start_dripping():
    """Start such a server."""
    with ExitStack() as running:

        def start(command, byte_seconds=0.1):
            return running.enter_context(closing(DrippingServer(command, byte_seconds)))

        yield start


@pytest.mark.parametrize("command", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"])
def test_a_server_that_drips_its_reply_is_left_before_the_lease_ends(
    write, app, settings, start_dripping, monkeypatch, command
):
    """Each byte comes in time, and the whole too late: another process would take the message."""
    monkeypatch.setattr(sender, "CONVERSATION_SECONDS", 1.0)
    server = start_dripping(command)
    write()
    started_at = time.monotonic()
    with app.app_context():
        url = f"smtp://127.0.0.1:{server.port}?tls=none"
        assert Sender(settings, parse_smtp_url(url)).run(lambda: True) == 0
    assert time.monotonic() - started_at < 2.5
    (row,) = rows(app)
    assert (row.sent_at, row.refused_at, server.messages) == (None, None, 0)
    assert row.error


def test_a_slow_answer_to_a_whole_message_is_awaited(
    write, app, settings, start_dripping, monkeypatch
):
    """A server that scans for viruses has the message: who gives up now sends it twice."""
    monkeypatch.setattr(smtp_module, "REPLY_SECONDS", 0.5)
    server = start_dripping(".", 0.07)
    write()
    with app.app_context():
        url = f"smtp://127.0.0.1:{server.port}?tls=none"
        assert Sender(settings, parse_smtp_url(url)).run(lambda: True) == 1
    assert server.messages == 1


def test_a_conversation_ends_before_the_lease():
    """With room for the pause of a machine that swaps."""
    assert LEASE.total_seconds() * 3 / 4 >= sender.CONVERSATION_SECONDS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1, signed by itself: paths of certificate and key."""
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x",
         "-addext", "subjectAltName=IP:127.0.0.1", "-out", paths[0], "-keyout", paths[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return paths


def greet_over_tls(port):
    """Connect once without verifying, so that the server creates its handler."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain) as connection,
    ):
        connection.recv(100)


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_password_goes_out_only_over_tls_that_is_verified(
    write, app, settings, mailbox, certificate, monkeypatch, scheme, is_trusted
):
    """STARTTLS and TLS from the first byte; a certificate that nobody signed is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    options = {"ssl_context": context} if scheme == "smtps" else {"tls_context": context}
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=mailbox.authenticate,
        auth_require_tls=scheme == "smtp",
        require_starttls=scheme == "smtp",
        **options,  # type: ignore[arg-type]  # one of two contexts
    )
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    write()
    if scheme == "smtps":
        # Its own first connection uses the server's side of TLS.
        monkeypatch.setattr(controller, "_trigger_server", lambda: greet_over_tls(controller.port))
    controller.start()
    try:
        url = f"{scheme}://mailer:p%40ss%2Fword%3A1@127.0.0.1:{controller.port}"
        with app.app_context():
            sent = Sender(settings, parse_smtp_url(url)).run(lambda: True)
    finally:
        controller.stop()
    assert sent == (1 if is_trusted else 0)
    assert mailbox.users == ([("mailer", "p@ss/word:1")] if is_trusted else [])


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", SmtpServer("mail.example.com", 587, "starttls")),
        ("smtps://a:b@mail.example.com", SmtpServer("mail.example.com", 465, "tls", "a", "b")),
        ("smtp://127.0.0.1:1025?tls=none", SmtpServer("127.0.0.1", 1025, "none")),
        ("smtp://a%40b:c%2Fd@h:25", SmtpServer("h", 25, "starttls", "a@b", "c/d")),
    ],
)
def test_the_address_of_the_server_is_read(url, server):
    """Ports and TLS as the schemes say; user and password are percent-decoded."""
    assert parse_smtp_url(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com:587",
        "http://mail.example.com",
        "smtp://",
        "smtp://a:p/w@h:25",
        "smtp://h:587/path",
        "smtp://h?starttls=1",
        "smtps://h?tls=none",
        "smtp://user:secret@mail.example.com?tls=none",
        "smtp://h:99999",
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(url):
    """At the start, in one sentence, and not when the first message is due."""
    with pytest.raises(ValueError, match=r"^(must|has|says|would)"):
        parse_smtp_url(url)
