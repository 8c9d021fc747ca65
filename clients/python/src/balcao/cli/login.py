"""`balcao login`."""

from __future__ import annotations

import getpass
import os
import platform
import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from balcao.cli.access import Access, store
from balcao.cli.output import OK, CommandFailed, printable, say
from balcao.client import DEFAULT_URL
from balcao.errors import ApiError
from balcao.transport import RetryPolicy, Transport

SCOPES = ("payments:read", "payments:write", "refunds:write", "webhooks:write")
_LINE_MAX = 4096


def add_arguments(parser: ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--username",
        help="sign in with a password and make an API key; without it, give a key that you have",
    )
    parser.epilog = (
        "Prompts for the key or the password; in a pipe, reads it from standard input. "
        "The key is stored in a file that only you can read."
    )


def run(args: Namespace) -> int:
    """Check the credentials and store them."""
    url = args.url or os.environ.get("BALCAO_URL") or _line(f"Address [{DEFAULT_URL}]: ")
    url = url or DEFAULT_URL
    if args.username:
        api_key = _new_key(url, args.username, _secret("Password: "))
    else:
        api_key = _secret("API key: ")
    account = _account(url, api_key)
    path = store(Access(url.rstrip("/"), api_key))
    name = printable(account.get("username") if isinstance(account, dict) else None)
    say(f"Signed in at {url} as {name}.")
    say(f"The key is in {path}. Revoke it in the portal, or at DELETE /api/keys/<id>.")
    return OK


def _new_key(url: str, username: str, password: str) -> str:
    form = {"username": username, "password": password}
    token = _member(_transport(url).request("POST", "/token", form=form).json(), "access_token")
    body = {"label": f"balcao on {platform.node()}"[:60].strip(), "scopes": list(SCOPES)}
    answer = _transport(url, token).request("POST", "/api/keys", body=body)
    return _member(answer.json(), "key")


def _account(url: str, api_key: str) -> Any:
    """The account of the key, which proves that the key is right."""
    try:
        return _transport(url, api_key).request("GET", "/users/me/").json()
    except ApiError as error:
        raise CommandFailed(f"Nothing was stored: {error}") from None


def _transport(url: str, token: str | None = None) -> Transport:
    try:
        return Transport(url, token, retries=RetryPolicy(attempts=2))
    except ValueError as error:
        raise CommandFailed(str(error)) from None


def _member(answer: Any, name: str) -> str:
    value = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(value, str):
        raise CommandFailed("The answer is not Balcão's: check the address.")
    return value


def _line(prompt: str) -> str:
    return input(prompt).strip() if sys.stdin.isatty() else ""


def _secret(prompt: str) -> str:
    """A secret typed without an echo, or a line of standard input. Raises CommandFailed."""
    secret = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline(_LINE_MAX)
    if not secret.strip():
        raise CommandFailed("Nothing was given, so nothing was stored.")
    return secret.strip("\r\n")
