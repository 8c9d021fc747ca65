"""What the bank's commands share: requests to a running bank, and text printed safely."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from click import ClickException, get_current_context
from flask.cli import ScriptInfo

from bank.codes.http import AnswerTooLarge, HttpClient, NoAnswer
from bank.text import clean

_PRINTED_CHARACTERS_MAX = 500


def installed(name: str) -> str | None:
    """A setting of the Flask application that runs the command; None without one."""
    script = get_current_context().find_object(ScriptInfo)
    value = script.load_app().config.get(name) if script else None
    return str(value) if value else None


def bank_url() -> str:
    """The address of the installation's bank, which follows BANK_URL, PUBLIC_URL and PORT."""
    return installed("BANK_URL") or "http://127.0.0.1:5000/bank"


def service_url() -> str:
    """The address of the installation's service, which follows PUBLIC_URL and PORT."""
    return installed("SERVICE_URL") or "http://127.0.0.1:5000"


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
    if not isinstance(answer_members, dict):
        fail(f"O que responde em {url} não é o banco. Diga outro endereço com --url.")
    if answer.status != 200:
        title, detail = answer_members.get("title"), answer_members.get("detail")
        fail(f"{printable(title)}: {printable(detail)}")
    return answer_members
