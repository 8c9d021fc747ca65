"""Hand outgoing mail to the SMTP server: leases, retries, and an end."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import urlsplit

import structlog

from config import Settings
from core.runtime.smtp_url import SmtpServer
from db_models import OutgoingMail
from mail.smtp import Connection, connect
from repository.database import Work, in_unit_of_work, now, reading
from repository.outgoing_mails import LEASE, PAUSES, OutgoingMails

log = structlog.get_logger()

BATCH = 20
"""Messages per run."""
CONVERSATION_SECONDS = 90.0
"""How long a message may take, with the connection. Below the lease, or two processes send it."""
_QUIT_SECONDS = 5.0
FORGET_AFTER = timedelta(days=30)
_FORGET_BATCH = 500
_ERROR_CHARACTERS_MAX = 200

_PERMANENT = range(500, 600)


class Sender:
    """Send due messages, one after the other, over one connection per run."""

    def __init__(self, settings: Settings, server: SmtpServer) -> None:
        self._server = server
        self._from = settings.mail_from or ""
        self._domain = urlsplit(settings.public_url).hostname or "localhost"

    def run(self, keep_going: Callable[[], bool]) -> int:
        """Send a batch; return how many messages the server took."""
        with reading() as work:
            due = OutgoingMails(work.session).due(work.now, BATCH)
        sent = 0
        connection: Connection | None = None
        try:
            for mail in due:
                # Counted from before the lease, so that it ends first.
                deadline = time.monotonic() + CONVERSATION_SECONDS
                if not keep_going() or not _acquire(mail):
                    continue
                try:
                    connection = connection or connect(self._server, deadline)
                    connection.deadline = deadline
                    connection.send_message(self._message(mail))
                except (OSError, smtplib.SMTPException) as error:
                    _record_failure(mail, error)
                    _close(connection)
                    connection = None
                else:
                    sent += 1
                    _finish(mail)
        finally:
            _close(connection)
        return sent

    def _message(self, mail: OutgoingMail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._from
        message["To"] = mail.recipient
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(mail.created_at)
        message["Message-ID"] = f"<{mail.public_id}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.body)
        return message


def forget_old_mails() -> int:
    """Delete a batch of messages older than thirty days; return how many."""
    before = now() - FORGET_AFTER
    return in_unit_of_work(
        lambda work: OutgoingMails(work.session).forget_before(before, _FORGET_BATCH)
    )


def _acquire(mail: OutgoingMail) -> bool:
    return in_unit_of_work(lambda work: OutgoingMails(work.session).acquire(mail, work.now + LEASE))


def _finish(mail: OutgoingMail) -> None:
    in_unit_of_work(lambda work: OutgoingMails(work.session).finish(mail.id, {"sent_at": work.now}))
    log.info("mail.sent", mail=mail.public_id, kind=mail.kind)


def _record_failure(mail: OutgoingMail, error: Exception) -> None:
    """Plan the next try, or give the message up: a refusal by number 5xx is final."""
    text = f"{type(error).__name__}: {error}"[:_ERROR_CHARACTERS_MAX]
    is_last = mail.tries >= len(PAUSES) or _is_final(error)

    def write(work: Work) -> None:
        mails = OutgoingMails(work.session)
        if is_last:
            mails.finish(mail.id, {"refused_at": work.now, "error": text})
        else:
            mails.try_again(mail.id, work.now + PAUSES[mail.tries], text)

    in_unit_of_work(write)
    log.warning("mail.refused" if is_last else "mail.postponed", mail=mail.public_id, error=text)


def _is_final(error: Exception) -> bool:
    """Whether the server refused this message or recipient for good."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code in _PERMANENT for code, _text in error.recipients.values())
    is_about_us = isinstance(error, smtplib.SMTPAuthenticationError | smtplib.SMTPConnectError)
    return (
        isinstance(error, smtplib.SMTPResponseException)
        and not is_about_us
        and error.smtp_code in _PERMANENT
    )


def _close(connection: Connection | None) -> None:
    if connection is not None:
        connection.deadline = time.monotonic() + _QUIT_SECONDS
        with suppress(OSError, smtplib.SMTPException):
            connection.quit()
