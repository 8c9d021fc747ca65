"""Write the audit log: which account did what, in the transaction of the action."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import g, has_app_context, has_request_context, request

from db_models import Account, AuditAction
from repository.database import Work

KEY, KEY_NAME, REQUEST_ID = "key", "key_name", "request_id"
IS_CLIENT = "is_client"
"""Present if the key is a client of API Pix and no API key."""
"""The details of an entry that name the API key by which the action was done."""
SUBJECT_CHARACTERS_MAX = 140
ADDRESS_CHARACTERS_MAX = 45


def record(
    work: Work,
    account: Account | None,
    action: AuditAction,
    subject: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry to the audit log, with the request's API key, address and id.

    An `account` of None is an unknown person, or the operator at the terminal. `details` must never
    hold a secret.
    """
    work.audit.insert(
        {
            "account_id": None if account is None else account.id,
            "action": action,
            "subject": subject[:SUBJECT_CHARACTERS_MAX],
            "details": {**(details or {}), **_key_details()},
            "address": client_address(),
            "request_id": author().get(REQUEST_ID, ""),
            "occurred_at": work.now,
        }
    )


def author() -> dict[str, str]:
    """The API key (id and name) and the id of the request at hand; empty without a request.

    For a payment that a program creates: its first event is the record, and no audit row is
    written, because a shop creates thousands.
    """
    if not has_request_context():
        return _stored_author()
    return {**_key_details(), REQUEST_ID: g.get("request_id", "")}


@contextmanager
def on_behalf_of(stored_author: Mapping[str, str]) -> Iterator[None]:
    """Name this author in what is recorded within: a job does what a request has ordered."""
    g.stored_author = dict(stored_author)
    try:
        yield
    finally:
        del g.stored_author


def _stored_author() -> dict[str, str]:
    stored: dict[str, str] = g.get("stored_author", {}) if has_app_context() else {}
    return dict(stored)


def client_address() -> str:
    """The client's address, behind as many proxies as TRUSTED_PROXIES; empty without a request."""
    address = (request.remote_addr or "") if has_request_context() else ""
    return address[:ADDRESS_CHARACTERS_MAX]


def _key_details() -> dict[str, str]:
    if not has_request_context():
        return {name: text for name, text in _stored_author().items() if name != REQUEST_ID}
    caller = g.get("caller")
    if caller is None or caller.key_public_id is None:
        return {}
    details = {KEY: caller.key_public_id, KEY_NAME: caller.key_name}
    return details if caller.key_id is not None else {**details, IS_CLIENT: "yes"}
