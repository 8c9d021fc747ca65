"""Where a sign-in leads: a path of this service, never an address that a stranger chose."""

from __future__ import annotations

import re
from urllib.parse import quote

from flask import request

from db_models.account import ADMIN, MERCHANT, PAYER

NEXT_CHARACTERS_MAX = 2048
HOME_OF_ROLE = {MERCHANT: "/portal", PAYER: "/pay", ADMIN: "/admin"}

# Browsers take a backslash for a slash and drop tabs and line breaks: both could name a host.
_LOCAL = re.compile(r"/(?:[^/\\\x00-\x20\x7f][^\\\x00-\x20\x7f]*)?")


def is_local(path: str) -> bool:
    """Whether the text is a path of this service, with its query."""
    return len(path) <= NEXT_CHARACTERS_MAX and _LOCAL.fullmatch(path) is not None


def after_sign_in(wished: str | None, role: str) -> str:
    """Where to go: the wished path if it is one of ours, else the role's own page."""
    if wished and is_local(wished):
        return wished
    return HOME_OF_ROLE.get(role, "/")


def login_path() -> str:
    """The sign-in page, with the way back to what the browser asks for now."""
    wished = request.full_path.rstrip("?") if request.method in ("GET", "HEAD") else ""
    if not wished or not is_local(wished):
        return f"{request.script_root}/login"
    return f"{request.script_root}/login?next={quote(wished, safe='')}"
