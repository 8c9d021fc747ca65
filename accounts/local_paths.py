"""Where a sign-in leads: always to a path of this service, never to another site."""

from __future__ import annotations

import re
from urllib.parse import quote

from flask import request

from db_models.account import ADMIN, MERCHANT, PAYER

NEXT_CHARACTERS_MAX = 2048
HOME_OF_ROLE = {MERCHANT: "/portal", PAYER: "/pay", ADMIN: "/admin"}

# Browsers read a backslash as a slash and drop tabs and line breaks, so either could form a host.
_LOCAL = re.compile(r"/(?:[^/\\\x00-\x20\x7f][^\\\x00-\x20\x7f]*)?")


def is_local(path: str) -> bool:
    """Whether the text is a path of this service, with or without a query."""
    return len(path) <= NEXT_CHARACTERS_MAX and _LOCAL.fullmatch(path) is not None


def after_sign_in(next_path: str | None, role: str) -> str:
    """`next_path` if it is a path of this service, else the home page of the role."""
    if next_path and is_local(next_path):
        return next_path
    return HOME_OF_ROLE.get(role, "/")


def login_path() -> str:
    """The address of the sign-in page, with the requested page as `next`."""
    next_path = request.full_path.rstrip("?") if request.method in ("GET", "HEAD") else ""
    if not next_path or not is_local(next_path):
        return f"{request.script_root}/login"
    return f"{request.script_root}/login?next={quote(next_path, safe='')}"
