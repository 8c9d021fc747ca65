"""One form for the errors of all banks: a stable code, and a sentence without secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from providers.api_pix.reading import text_in

SENTENCE_MAX = 200
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,48}", re.ASCII)
_PARTS_MAX = 4
# An e-mail, a run of digits as in documents and phones, and a text as long as a token or an id.
_PRIVATE = re.compile(
    r"[^\s@\"'<>]+@[^\s@\"'<>]+|\+?\d[\d./-]{7,}\d|\*{2,}[\d.*/-]+|[A-Za-z0-9+/=_.-]{28,}"
)


@dataclass(frozen=True)
class BankProblem:
    """Why a bank refuses; `code` and `sentence` are those of `providers.port.ProviderRefusal`."""

    status: int
    code: str
    sentence: str
    has_body: bool
    """Whether the bank's program wrote it: an empty or strange body may be a gateway's."""
    is_own: bool = False
    """Whether the bank names the problem as its API does. A gateway's JSON names none, such as
    `{"message": "no Route matched"}` or Spring's `{"error": "Not Found", "path": …}`."""

    @property
    def word(self) -> str:
        """The code in one spelling: `cobranca_nao_encontrada` is `cobrancanaoencontrada`."""
        return re.sub(r"[^a-z0-9]", "", self.code.lower())

    @property
    def says_missing(self) -> bool:
        """Whether the code says that something does not exist."""
        return re.search(r"naoencontrad[oa]|notfound", self.word) is not None

    @property
    def blames_account(self) -> bool:
        """Whether a person must act: credentials, scopes, certificate or key."""
        if self.status in (401, 403):
            return True
        text = f"{self.code} {self.sentence}".lower()
        if re.search(r"\bscopes?\b|\bescopos?\b|invalid_scope", text):
            return True
        names_key = re.search(r"\bcob\.chave\b|\bwebhook\.chave\b", text) is not None
        return "chaveinvalida" in self.word or names_key


def problem_in(
    status: int, members: Any, without_secrets: Callable[[str], str] = str
) -> BankProblem:
    """Read an error in any of the five shapes: API Pix, Efí, BB, Sicoob, and gateways.

    A bank may repeat what it was sent, so `without_secrets` masks the account's secrets in a text.
    """
    code, sentences, is_own = f"status-{status}", [], False
    if isinstance(members, Mapping):
        rows = list(_rows(members))
        is_own = _has_name(members, "type", "nome") or any(
            _has_name(row, "type", "nome", "codigo") for row in rows
        )
        for place in [members, *rows]:
            name = _code_in(place)
            if name is not None and without_secrets(name) == name:
                code = name
                break
        sentences = [text for place in [members, *rows] for text in _sentences_in(place)]
    joined = without_secrets(": ".join(dict.fromkeys(sentences)))
    sentence = _PRIVATE.sub("…", joined)[:SENTENCE_MAX].strip()
    has_body = isinstance(members, Mapping)
    return BankProblem(status, code, sentence, has_body=has_body, is_own=is_own)


def _has_name(place: Mapping[str, Any], *names: str) -> bool:
    """Whether one of these members names a problem; `about:blank` names none (RFC 9457, 4.2.1)."""
    texts = (str(place[name]) for name in names if isinstance(place.get(name), str | int))
    return any(text.strip() not in ("", "about:blank") for text in texts)


def _rows(members: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in ("erros", "errors", "mensagens", "violacoes", "violations"):
        rows = members.get(name)
        if isinstance(rows, list):
            yield from (row for row in rows[:_PARTS_MAX] if isinstance(row, Mapping))


def _code_in(place: Mapping[str, Any]) -> str | None:
    kind = place.get("type")
    if isinstance(kind, str):
        last = re.split(r"[/#?:]", kind[:300].rstrip("/"))[-1]
        if _CODE.fullmatch(last) and last != "blank":
            return last
    for name in ("nome", "codigo", "code", "error"):
        value = place.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
            value = str(value)
        if isinstance(value, str):
            word = re.sub(r"\s+", "-", value.strip()[:60])
            if _CODE.fullmatch(word):
                return word
    return None


def _sentences_in(place: Mapping[str, Any]) -> Iterator[str]:
    names = ("title", "detail", "mensagem", "message", "error_description", "razao", "propriedade")
    for name in (*names, "caminho"):
        text = text_in(place.get(name), SENTENCE_MAX)
        if text:
            yield text
