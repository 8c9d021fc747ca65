"""Write outgoing mail in the transaction of its cause."""

from __future__ import annotations

from config import current_settings
from core.ids import new_public_id
from db_models import MailKind
from repository.database import Work
from repository.outgoing_mails import OutgoingMails

SUBJECT_CHARACTERS_MAX = 200


def can_send() -> bool:
    """Whether this service sends e-mail: SMTP_URL is set."""
    return current_settings().smtp_url is not None


def write_mail(work: Work, kind: MailKind, recipient: str, subject: str, body: str) -> None:
    """Queue one plain-text message; the job sends it after the commit.

    Call only if `can_send`: without a server the row would wait for ever.
    """
    OutgoingMails(work.session).insert(
        {
            "public_id": new_public_id(),
            "kind": kind,
            "recipient": recipient,
            "subject": " ".join(subject.split())[:SUBJECT_CHARACTERS_MAX],
            "body": body,
            "created_at": work.now,
            "next_try_at": work.now,
            "tries": 0,
        }
    )
