"""Sign-ins: a password opens them, rotating refresh tokens keep them open, until they end.

A refresh token works once. A second use ends the sign-in, because either the owner or a thief has a
copy, and the service cannot tell which. The exception: two tabs may refresh at the same moment, and
then the second tab gets the same new token (docs/decisions/0019-refresh-tokens.md).
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
"""How long after a rotation the previous refresh token still counts as a second tab's."""

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
    """A sign-in that has not ended, with new tokens."""

    account: Account
    tokens: tokens.Tokens
    lifetime: timedelta
    """How long the sign-in stays open; a refresh does not prolong it."""


def sign_in(login: str, password: str, channel: Channel) -> OpenSignIn:
    """Check a password, open a sign-in and commit.

    Raises TooManyRequests, Busy, and Unauthorized: an unknown login and a wrong password get the
    same error after the same time.
    """
    with throttle.attempt_for(login) as attempt:
        account = check_password(login, password)
        if account is None:
            attempt.failed()
            in_unit_of_work(lambda work: _record_failure(work, login))
            raise Unauthorized("The login or the password is wrong.")
        old_hash = str(account.password_hash)
        new_hash = passwords.rehash(password, old_hash)
        open_sign_in = in_unit_of_work(
            lambda work: _open(work, account, old_hash, new_hash, channel)
        )
        attempt.succeeded()
    return open_sign_in


def check_password(login: str, password: str) -> Account | None:
    """The account with this login and password, or None; opens no sign-in."""
    with reading() as work:
        account = work.accounts.find_by_login(login)
    is_enabled = account is not None and account.disabled_at is None
    password_hash = account.password_hash if account is not None and is_enabled else None
    return account if passwords.is_right(password, password_hash) else None


def open_for(work: Work, account: Account, channel: Channel) -> OpenSignIn:
    """Open a sign-in without a password, right after a sign-up."""
    lifetime = timedelta(seconds=current_settings().refresh_token_seconds)
    sign_in_id, refresh_id = new_public_id(), new_public_id()
    work.sign_ins.insert(
        {
            "public_id": sign_in_id,
            "account_id": account.id,
            "channel": channel,
            "refresh_id": refresh_id,
            "created_at": work.now,
            "seen_at": work.now,
            "expires_at": work.now + lifetime,
            "address": audit.client_address(),
            "user_agent": _user_agent(),
        }
    )
    return _with_tokens(account, sign_in_id, refresh_id, lifetime)


def refresh(refresh_token: str) -> OpenSignIn:
    """Exchange a refresh token for new tokens and commit.

    Raises Unauthorized; if the token was used before, the sign-in ends as well.
    """
    claims = tokens.read(refresh_token, "refresh")
    open_sign_in = in_unit_of_work(lambda work: _rotate(work, claims))
    if open_sign_in is None:
        # Raised after the commit: a rollback would undo the end of the sign-in.
        raise Unauthorized("This refresh token was used before: sign in again.")
    return open_sign_in


def end(work: Work, account: Account, sign_in_id: str, reason: str) -> bool:
    """End one sign-in of the account; False if it had ended already."""
    if not work.sign_ins.end(sign_in_id, work.now, reason):
        return False
    audit.record(work, account, AuditAction.SESSION_ENDED, sign_in_id, {"reason": reason})
    return True


def end_others(work: Work, account: Account, reason: str, but: str | None) -> int:
    """End every sign-in of the account except `but`; return how many ended."""
    ended = work.sign_ins.end_all(account.id, work.now, reason, but)
    if ended:
        audit.record(
            work, account, AuditAction.SESSIONS_ENDED, "", {"reason": reason, "count": ended}
        )
    return ended


def forget_old(moment: datetime) -> int:
    """Delete a batch of sign-ins that ended a month ago; return how many."""
    return in_unit_of_work(
        lambda work: work.sign_ins.forget_before(moment - _FORGET_AFTER, _FORGET_BATCH)
    )


def forget_old_records(settings: Settings) -> int:
    """Delete old sign-ins, and audit entries older than AUDIT_DAYS; return how many rows."""
    moment = now()
    before = moment - timedelta(days=settings.audit_days)
    entries = in_unit_of_work(lambda work: work.audit.forget_before(before, _FORGET_BATCH))
    return entries + forget_old(moment)


def _open(
    work: Work, account: Account, old_hash: str, new_hash: str | None, channel: Channel
) -> OpenSignIn:
    if not work.accounts.note_sign_in(account.id, old_hash, work.now, new_hash):
        raise Unauthorized("The password was just changed elsewhere: sign in again.")
    open_sign_in = open_for(work, account, channel)
    details = {"channel": channel}
    audit.record(
        work, account, AuditAction.SESSION_STARTED, open_sign_in.tokens.sign_in_id, details
    )
    return open_sign_in


def _record_failure(work: Work, login: str) -> None:
    """Record a failed sign-in, without an unknown login: people type their password there."""
    account = work.accounts.find_by_login(login)
    subject = account.login if account is not None else "(unknown)"
    audit.record(work, account, AuditAction.SESSION_REFUSED, subject)


def _rotate(work: Work, claims: tokens.Claims) -> OpenSignIn | None:
    """Replace the refresh token; None if it was used before, which ends the sign-in."""
    account = work.accounts.find_signed_in(claims.account_public_id, claims.sign_in_id, work.now)
    if account is None:
        raise Unauthorized("This sign-in has ended.")
    refresh_id = new_public_id()
    if not work.sign_ins.rotate(claims.sign_in_id, claims.token_id, refresh_id, work.now):
        row = work.sign_ins.find(claims.sign_in_id)
        if row is None or not _is_second_tab(row, claims.token_id, work.now):
            work.sign_ins.end(claims.sign_in_id, work.now, REUSED)
            audit.record(
                work, account, AuditAction.SESSION_ENDED, claims.sign_in_id, {"reason": REUSED}
            )
            return None
        refresh_id = row.refresh_id
    row = work.sign_ins.find(claims.sign_in_id)
    if row is None:
        raise Unauthorized("This sign-in has ended.")
    lifetime = tokens.lifetime(row.expires_at, work.now)
    return _with_tokens(account, claims.sign_in_id, refresh_id, lifetime)


def _with_tokens(
    account: Account, sign_in_id: str, refresh_id: str, lifetime: timedelta
) -> OpenSignIn:
    csrf_token = csrf.sign_in_token(sign_in_id)
    issued = tokens.issue(account, sign_in_id, refresh_id, csrf_token, lifetime)
    return OpenSignIn(account, issued, lifetime)


def _is_second_tab(row: SignIn, token_id: str, now: datetime) -> bool:
    return (
        row.ended_at is None
        and row.previous_refresh_id == token_id
        and row.rotated_at is not None
        # Also after the clock was set back, or a stolen token would count as a second tab's.
        and abs(now - row.rotated_at) <= ROTATION_OVERLAP
    )


def _user_agent() -> str:
    return (request.user_agent.string or "").encode("ascii", "replace").decode()[:_USER_AGENT_MAX]
