"""The audit log in sentences, for the merchant who did the actions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.audit import KEY, KEY_NAME
from accounts.deed_words import sentence_of
from db_models import AuditEntry


@dataclass(frozen=True)
class Deed:
    """One action for the page: what was done, by whom, when, and in which request."""

    sentence: str
    subject: str
    at: datetime
    key_name: str | None
    """The API key that did it; None for the person, or for a program with a token."""
    address: str
    request_id: str


def deed_of(entry: AuditEntry) -> Deed:
    """An audit entry for the page."""
    return Deed(
        sentence=sentence_of(entry.action),
        subject=_subject_of(entry),
        at=entry.occurred_at,
        key_name=entry.details.get(KEY_NAME) or entry.details.get(KEY),
        address=entry.address,
        request_id=entry.request_id,
    )


def _subject_of(entry: AuditEntry) -> str:
    """What it was done to: a key, a till or a payment; nothing for the account itself."""
    for name in ("label", "name"):  # of an API key, of a till
        if isinstance(text := entry.details.get(name), str):
            return text
    return entry.subject if entry.action.startswith(("payment.", "refund.")) else ""
