"""The accounts of all people: search by role and login, show, disable and enable."""

from __future__ import annotations

from collections.abc import Callable

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from accounts import service
from accounts.access import acting_admin, page_guard
from blueprints.admin.page import admin_and_queries, bp, page
from core import ids
from core.errors import Conflict, NotFound
from db_models import Account
from db_models.account import ADMIN, MERCHANT, PAYER
from repository.database import Work, in_unit_of_work, reading
from web.pages import language_args
from web.pages import translate as _
from web.problems import status_of
from web.query_fields import QueryFields

PAGE = 25
KEYS_SHOWN, SESSIONS_SHOWN, DEEDS_SHOWN = 50, 30, 30
LOGIN_MAX = 64
ROLES = (MERCHANT, PAYER, ADMIN)
NOTICES = frozenset({"disabled", "enabled"})
DONE_TO = ("account.disabled", "account.enabled")
"""Audit actions of an administrator on another account."""


def role_name(role: str) -> str:
    """The word a person reads."""
    return {MERCHANT: _("Lojista"), PAYER: _("Pagador"), ADMIN: _("Administração")}[role]


@bp.get("/admin/accounts")
@page_guard("admin")
def accounts() -> ResponseReturnValue:
    """The list by login. Query: `role`, `q` (prefix of the login), `after`."""
    role, prefix, after = _filters()
    with reading() as work:
        admin, queries = admin_and_queries(work)
        accounts_page = queries.accounts(role, prefix, after, PAGE)
        last_seen = queries.last_seen(accounts_page.items)
    filters = {"role": role, "q": prefix, **language_args()}
    return page(
        "accounts.html",
        admin,
        "accounts",
        accounts=accounts_page.items,
        last_seen=last_seen,
        role=role,
        prefix=prefix,
        roles=[(value, role_name(value)) for value in ROLES],
        names={value: role_name(value) for value in ROLES},
        is_first=after is None,
        first_url=url_for("admin.accounts", **filters),
        next_url=url_for("admin.accounts", after=accounts_page.next, **filters)
        if accounts_page.next
        else None,
    )


@bp.get("/admin/accounts/<string:account_id>")
@page_guard("admin")
def account(account_id: str) -> ResponseReturnValue:
    """One account: its keys, its sessions, and the audit entries by and about it."""
    return _account_page(account_id)


@bp.post("/admin/accounts/<string:account_id>/disable")
@page_guard("admin")
def disable(account_id: str) -> ResponseReturnValue:
    """Refuse every credential of the account from now on, in all processes."""
    return _change(account_id, service.disable, "disabled")


@bp.post("/admin/accounts/<string:account_id>/enable")
@page_guard("admin")
def enable(account_id: str) -> ResponseReturnValue:
    """Accept the credentials of the account again."""
    return _change(account_id, service.enable, "enabled")


def _change(
    account_id: str, change: Callable[[Work, Account, Account], bool], notice: str
) -> ResponseReturnValue:
    def do(work: Work) -> None:
        change(work, _account(work, account_id), acting_admin(work))

    try:
        in_unit_of_work(do)
    except Conflict as error:
        sentence = _("A própria conta não se desativa: peça a outra pessoa da administração.")
        return _account_page(account_id, status_of(type(error)), sentence)
    address = url_for("admin.account", account_id=account_id, done=notice, **language_args())
    return redirect(address, 303)


def _account_page(
    account_id: str, status: int = 200, problem: str | None = None
) -> ResponseReturnValue:
    with reading() as work:
        admin, queries = admin_and_queries(work)
        account = _account(work, account_id)
        half = work.accounts.find_test_half(account.id)
        owners = [account] if half is None else [account, half]
        keys = [
            key
            for owner in owners
            for key in work.accounts.keys_of(owner.id, None, KEYS_SHOWN).items
        ]
        sessions = work.sign_ins.open_of(account.id, work.now, None, SESSIONS_SHOWN).items
        deeds = queries.audit_about(account, DONE_TO, DEEDS_SHOWN, half)
        last_uses = queries.last_seen(owners)
    notice = request.args.get("done")
    return page(
        "account.html",
        admin,
        "accounts",
        status,
        account=account,
        half=half,
        last_seen=max(last_uses.values(), default=None),
        role=role_name(account.role),
        is_own=account.id == admin.id,
        keys=keys,
        sessions=sessions,
        deeds=deeds,
        problem=problem,
        notice=notice if notice in NOTICES else None,
    )


def _account(work: Work, account_id: str) -> Account:
    account = work.accounts.find_by_public_id(account_id) if ids.is_txid(account_id) else None
    if account is None or account.is_test_half:  # a test half is changed with its merchant alone
        raise NotFound("This account does not exist.")
    return account


def _filters() -> tuple[str | None, str | None, str | None]:
    """Return role, prefix of the login and cursor. Raises InvalidRequest."""
    fields = QueryFields(request.args)
    role, prefix = fields.one_of("role", ROLES), fields.text("q", LOGIN_MAX)
    fields.require_valid()
    return role, prefix, request.args.get("after")
