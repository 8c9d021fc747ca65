"""Read the frame of a bank's answers: JSON or not, when to come back, and a sentence for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from core.errors import MalformedJson
from core.json_text import load_tolerant_json
from providers.api_pix.clock_offset import parse_http_date

RETRY_AFTER_MAX = timedelta(minutes=10)
SENTENCE_MAX = 200

_SENTENCES = ("detail", "mensagem", "error_description", "message", "descricao", "title", "error")
_LISTS = ("erros", "mensagens", "violacoes", "errors")
_PERSONAL = re.compile(r"[0-9][0-9.\-/]{8,}|[^\s@]+@[^\s@]+|\S{40,}", re.ASCII)
"""Documents, telephone numbers, addresses, and words that are codes or tokens."""
_MASK = "***"
_SHORTEST_SECRET = 4


def parse_answer(data: bytes) -> Any:
    """The JSON of an answer; numbers with a point become Decimal. Raises MalformedJson.

    NaN, Infinity and a member that is repeated with different values count as null. Bytes that are
    not UTF-8 are read as Latin-1.
    """
    try:
        data.decode("utf-8-sig")
        encoding = "utf-8-sig"
    except UnicodeDecodeError:
        encoding = "latin-1"
    answer = load_tolerant_json(data, encoding=encoding)
    # A lone surrogate or NUL, which no database stores, can be written only with this escape.
    try:
        return _storable(answer) if b"\\u" in data else answer
    except RecursionError:
        raise MalformedJson("The body is nested too deeply.") from None


def text_kind(data: bytes) -> str:
    """What an answer that is not JSON looks like, for the log: `empty`, `html` or `text`."""
    beginning = data[:512].lstrip().lower()
    if not beginning:
        return "empty"
    return "html" if beginning.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")) else "text"


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """The header `Retry-After`, at most RETRY_AFTER_MAX; None if it is missing or unreadable.

    A date is compared with the answer's own `Date`, so the bank's clock may be wrong.
    """
    text = (headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", text, re.ASCII):
        pause = timedelta(seconds=float(text))
    else:
        moment, date = parse_http_date(text), parse_http_date(headers.get("Date"))
        if moment is None or date is None:
            return None
        pause = max(moment - date, timedelta(0))
    return min(pause, RETRY_AFTER_MAX)


def sentence(answer: Any, secrets: Iterable[str]) -> str:
    """What the bank says in the body of a refusal, without secrets and people's data."""
    return masked(_first_sentence(answer), secrets)


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text for a log or a page, without these secrets, long numbers and e-mail addresses."""
    text = without_secrets(text, secrets)
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    return _PERSONAL.sub(_MASK, text)[:SENTENCE_MAX]


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text with a mask in place of each of these secrets."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, _MASK)
    return text


def _first_sentence(answer: Any) -> str:
    if not isinstance(answer, dict):
        return ""
    for name in _SENTENCES:
        if isinstance(text := answer.get(name), str) and text.strip():
            return text.strip()
    for name in _LISTS:
        entries = answer.get(name)
        if isinstance(entries, list):
            for entry in entries[:10]:
                if text := _first_sentence(entry) or _reason(entry):
                    return text
    return ""


def _reason(entry: Any) -> str:
    text = entry.get("razao") if isinstance(entry, dict) else None
    return text.strip() if isinstance(text, str) else ""


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "ignore").decode()
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(one) for name, one in value.items()}
    return value


__all__ = ["MalformedJson", "masked", "parse_answer", "retry_after", "sentence", "text_kind"]
