"""What the bank's commands share: requests to a running bank, and text printed safely."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from click import ClickException

from bank.codes.http import AnswerTooLarge, HttpClient, NoAnswer
from bank.settings import bank_url_in, environment, public_url_in
from bank.text import clean
from core.runtime.text_files import UnreadableFile

_PRINTED_CHARACTERS_MAX = 500
_NO_SUCH_ROUTE = ("not-found", "method-not-allowed")
"""What a service without a bank answers; the bank has these routes."""


def variables() -> dict[str, str]:
    """The environment with the defaults of `.env`, alike in `flask bank` and `python -m bank`."""
    try:
        return environment()
    except UnreadableFile as error:
        fail(str(error))


def bank_url() -> str:
    """The bank's address, which follows BANK_INTERNAL_URL, BANK_URL, PUBLIC_URL, HOST and PORT."""
    return bank_url_in(variables())


def service_url() -> str:
    """The service's address, which follows BANK_SERVICE_URL, PUBLIC_URL, HOST and PORT."""
    settings = variables()
    return settings.get("BANK_SERVICE_URL", public_url_in(settings))


def fail(sentence: str) -> NoReturn:
    """End the command with this sentence and exit status 1."""
    raise ClickException(sentence)


def printable(value: object) -> str:
    """Text from outside without control characters, which could steer the terminal."""
    return clean(str(value), _PRINTED_CHARACTERS_MAX)


def ask_bank(
    method: str,
    url: str,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Send a request to a running bank and return the JSON object of its answer.

    A bank that does not answer, or refuses, ends the command with one sentence.
    """
    http_client = HttpClient()
    body = b"" if members is None else json.dumps(members).encode()
    try:
        answer = http_client.send(method, url, body, headers or {})
        answer_members = json.loads(answer.body)
    except NoAnswer as failure:
        fail(
            f"O banco não respondeu em {url} ({failure}). Ele está no ar? "
            "Diga outro endereço com --url."
        )
    except (AnswerTooLarge, ValueError, RecursionError):
        answer_members = None
    finally:
        http_client.close()
    if not isinstance(answer_members, dict) or answer_members.get("code") in _NO_SUCH_ROUTE:
        fail(f"O que responde em {url} não é o banco. Diga outro endereço com --url.")
    if answer.status != 200:
        title, detail = answer_members.get("title"), answer_members.get("detail")
        fail(f"{printable(title)}: {printable(detail)}")
    return answer_members
