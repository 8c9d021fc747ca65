"""Personal data of account holders (LGPD): exported and erased on request. See docs/privacy.md."""

from __future__ import annotations

from typing import Any

from accounts import audit
from accounts.sign_ins import ENDED_BY_OPERATOR, end_others
from core.clock import rfc3339
from core.errors import Conflict
from db_models import AuditAction
from db_models.account import PAYER
from repository.account_data import AccountData
from repository.database import Work


def export_account(work: Work, login: str) -> dict[str, Any]:
    """All that is stored about the holder of an account. Raises NotFound."""
    account = work.accounts.by_login(login)
    stored = AccountData(work.session, account.id)
    half = work.accounts.find_test_half(account.id)
    return {
        "login": account.login,
        "role": account.role,
        "name": account.name,
        "city": account.city,
        "email": account.email,
        "pix_key": account.pix_key,
        "support_contact": account.support_contact,
        "institution": account.institution,
        "document": account.document,
        "street": account.street,
        "state": account.state,
        "postal_code": account.postal_code,
        "created_at": rfc3339(account.created_at),
        "signed_in_at": rfc3339(account.signed_in_at) if account.signed_in_at else None,
        "sign_ins": [
            {
                "started_at": rfc3339(row.created_at),
                "address": row.address,
                "user_agent": row.user_agent,
            }
            for row in stored.sign_ins()
        ],
        "audit_entries": _entries_of(stored),
        "test_half": None
        if half is None
        else {
            "login": half.login,
            "pix_key": half.pix_key,
            "created_at": rfc3339(half.created_at),
            "audit_entries": _entries_of(AccountData(work.session, half.id)),
        },
    }


def _entries_of(stored: AccountData) -> list[dict[str, Any]]:
    return [
        {
            "action": entry.action,
            "subject": entry.subject,
            "address": entry.address,
            "occurred_at": rfc3339(entry.occurred_at),
        }
        for entry in stored.audit_entries()
    ]


def erase_account(work: Work, login: str) -> int:
    """Erase a payer's account and addresses; return how many rows changed.

    The row stays, disabled and without a name, because audit entries refer to it. Raises NotFound,
    and Conflict for other roles: a merchant's records must be kept for the tax office.
    """
    account = work.accounts.by_login(login)
    if account.role != PAYER:
        raise Conflict(
            f"{login} is a {account.role}: only a payer's account can be erased. "
            "Disable it with `flask accounts disable`."
        )
    end_others(work, account, ENDED_BY_OPERATOR, None)
    public_id = account.public_id
    stored, replacement = AccountData(work.session, account.id), f"erased-{public_id}"
    changed = stored.erase_login(account.login, replacement) + stored.erase(replacement, work.now)
    audit.record(work, None, AuditAction.ACCOUNT_ERASED, public_id)
    return changed
