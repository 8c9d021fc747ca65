"""Sign-ins: opened by a password, kept open by rotating refresh tokens, ended for good.

A refresh token is used once. Used again, its whole family ends: either its owner or a thief holds a
copy, and nobody can tell which. Only at the very moment of a rotation, when two tabs ask at once,
the second is given what the first was given (docs/decisions/0019-refresh-tokens.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from flask import request

from accounts import audit, csrf, passwords, throttle, tokens
from config import Settings, current_settings
from core.errors import Unauthorized
from core.ids import new_public_id
from db_models import Account, AuditAction, SignIn
from repository.database import Work, in_unit_of_work, now, reading

ROTATION_OVERLAP = timedelta(seconds=30)
"""How long the token before the last rotation is taken for a second tab's and not a thief's."""

SIGNED_OUT, PASSWORD_CHANGED, REUSED, ENDED_BY_OWNER, ENDED_BY_OPERATOR = (
    "signed-out",
    "password-changed",
    "token-reused",
    "ended-by-owner",
    "ended-by-operator",
)
_USER_AGENT_MAX = 200
_FORGET_AFTER = timedelta(days=30)
_FORGET_BATCH = 500

Channel = Literal["cookie", "token"]


@dataclass(frozen=True)
class OpenSignIn:
    """A sign-in that stands, its account, and what it gives out."""

    account: Account
    tokens: tokens.Tokens
    left: timedelta
    """How long it stays open without another refresh."""


def sign_in(login: str, password: str, channel: Channel) -> OpenSignIn:
    """Check a password and open a sign-in, in a unit of work of its own.

    Raises Unauthorized, the same for an unknown login and a wrong password and after the same time,
    and TooManyRequests.
    """
    attempt = throttle.admit(login)
    account = checked(login, password)
    if account is None:
        attempt.failed()
        in_unit_of_work(lambda work: _record_failure(work, login))
        raise Unauthorized("The login or the password is wrong.")
    known = str(account.password_hash)
    fresh_hash = passwords.rehashed(password, known)
    opened = in_unit_of_work(lambda work: _open(work, account, known, fresh_hash, channel))
    attempt.succeeded()
    return opened


def checked(login: str, password: str) -> Account | None:
    """The account, if the login is one and the password is its own; no sign-in is opened."""
    with reading() as work:
        account = work.accounts.find_by_login(login)
    known = account.password_hash if account is not None and account.disabled_at is None else None
    return account if passwords.is_right(password, known) else None


def open_for(work: Work, account: Account, channel: Channel) -> OpenSignIn:
    """Open a sign-in without asking for a password: right after a sign-up."""
    left = timedelta(seconds=current_settings().refresh_token_seconds)
    sign_in_id, refresh_id = new_public_id(), new_public_id()
    work.sign_ins.insert(
        {
            "public_id": sign_in_id,
            "account_id": account.id,
            "channel": channel,
            "refresh_id": refresh_id,
            "created_at": work.now,
            "seen_at": work.now,
            "expires_at": work.now + left,
            "address": audit.client_address(),
            "user_agent": _user_agent(),
        }
    )
    return _with_tokens(account, sign_in_id, refresh_id, left)


def refresh(refresh_token: str) -> OpenSignIn:
    """Change a refresh token for new tokens, in a unit of work of its own.

    Raises Unauthorized; for a token that was used before, the whole sign-in has ended then.
    """
    claims = tokens.read(refresh_token, "refresh")
    opened = in_unit_of_work(lambda work: _rotated(work, claims))
    if opened is None:  # raised here, outside, so that the end of the family is kept
        raise Unauthorized("This refresh token was used before: sign in again.")
    return opened


def end(work: Work, account: Account, sign_in_id: str, reason: str) -> bool:
    """End one sign-in of the account; False where it had ended."""
    if not work.sign_ins.end(sign_in_id, work.now, reason):
        return False
    audit.record(work, account, AuditAction.SESSION_ENDED, sign_in_id, {"reason": reason})
    return True


def end_others(work: Work, account: Account, reason: str, but: str | None) -> int:
    """End every sign-in of the account, but the one named; gives how many ended."""
    ended = work.sign_ins.end_all(account.id, work.now, reason, but)
    if ended:
        audit.record(
            work, account, AuditAction.SESSIONS_ENDED, "", {"reason": reason, "count": ended}
        )
    return ended


def forget_old(moment: datetime) -> int:
    """Drop a bounded batch of sign-ins that ended a month ago; returns how many."""
    return in_unit_of_work(
        lambda work: work.sign_ins.forget_before(moment - _FORGET_AFTER, _FORGET_BATCH)
    )


def forget_old_records(settings: Settings) -> int:
    """Drop old sign-ins and audit entries older than AUDIT_DAYS; returns how many rows."""
    moment = now()
    before = moment - timedelta(days=settings.audit_days)
    entries = in_unit_of_work(lambda work: work.audit.forget_before(before, _FORGET_BATCH))
    return entries + forget_old(moment)


def _open(
    work: Work, account: Account, known: str, fresh_hash: str | None, channel: Channel
) -> OpenSignIn:
    if not work.accounts.enter(account.id, known, work.now, fresh_hash):
        raise Unauthorized("The password was changed in this very moment: sign in again.")
    opened = open_for(work, account, channel)
    details = {"channel": channel}
    audit.record(work, account, AuditAction.SESSION_STARTED, opened.tokens.sign_in_id, details)
    return opened


def _record_failure(work: Work, login: str) -> None:
    """Unknown logins are not kept as they were typed: now and then one is a password."""
    account = work.accounts.find_by_login(login)
    audit.record(
        work, account, AuditAction.SESSION_REFUSED, login if account is not None else "(unknown)"
    )


def _rotated(work: Work, claims: tokens.Claims) -> OpenSignIn | None:
    account = work.accounts.find_signed_in(claims.account_public_id, claims.sign_in_id, work.now)
    if account is None:
        raise Unauthorized("This sign-in has ended.")
    fresh = new_public_id()
    if work.sign_ins.rotate(claims.sign_in_id, claims.token_id, fresh, work.now):
        present = fresh
    else:
        row = work.sign_ins.find(claims.sign_in_id)
        if row is None or not _is_second_tab(row, claims.token_id, work.now):
            work.sign_ins.end(claims.sign_in_id, work.now, REUSED)
            audit.record(
                work, account, AuditAction.SESSION_ENDED, claims.sign_in_id, {"reason": REUSED}
            )
            return None
        present = row.refresh_id
    row = work.sign_ins.find(claims.sign_in_id)
    if row is None:
        raise Unauthorized("This sign-in has ended.")
    left = tokens.lifetime(row.expires_at, work.now)
    return _with_tokens(account, claims.sign_in_id, present, left)


def _with_tokens(account: Account, sign_in_id: str, refresh_id: str, left: timedelta) -> OpenSignIn:
    csrf_token = csrf.sign_in_token(sign_in_id)
    issued = tokens.issue(account, sign_in_id, refresh_id, csrf_token, left)
    return OpenSignIn(account, issued, left)


def _is_second_tab(row: SignIn, spent: str, now: datetime) -> bool:
    return (
        row.ended_at is None
        and row.previous_refresh_id == spent
        and row.rotated_at is not None
        and now - row.rotated_at <= ROTATION_OVERLAP
    )


def _user_agent() -> str:
    return (request.user_agent.string or "").encode("ascii", "replace").decode()[:_USER_AGENT_MAX]
