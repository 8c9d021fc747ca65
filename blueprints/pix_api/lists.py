"""Lists of API Pix: the window of time, the filters, the page, and `parametros` of the answer.

Source: API Pix 2.9.0, schemas `ParametrosConsulta…` and `Paginacao`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import request

from blueprints.pix_api.fields import INT32_MAX, batch_number, parse_instant
from blueprints.pix_api.problems import PixProblem, Violation
from core.clock import rfc3339
from core.errors import MalformedJson
from core.pix.pix_key import KeyKind, kind_of
from web.bodies import check_storable

PAGE_DEFAULT, PAGE_MAX = 100, 1000
_PAGE, _ITEMS = "paginacao.paginaAtual", "paginacao.itensPorPagina"
_NUMERAL = re.compile(r"\d{1,10}", re.ASCII)

Read = Callable[[str], Any]
"""Reads a filter's text; raises ValueError with a Portuguese fragment."""


@dataclass(frozen=True)
class Window:
    """The query of a list: both ends are inclusive."""

    start: datetime | None
    end: datetime | None
    page: int
    """Counted from 0."""
    size: int
    filters: Mapping[str, Any] = field(default_factory=dict)
    """The values of the filters that were given, by the standard's names."""

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Both ends, where the list requires them."""
        if self.start is None or self.end is None:
            raise RuntimeError("this list was read without its span")
        return self.start, self.end

    @property
    def offset(self) -> int:
        """The number of items before the page."""
        return self.page * self.size

    def parameters(self, total: int) -> dict[str, Any]:
        """The member `parametros` for a list of this many items in all."""
        ends = {"inicio": self.start, "fim": self.end}
        return {
            **{name: rfc3339(end) for name, end in ends.items() if end is not None},
            **self.filters,
            "paginacao": {
                "paginaAtual": self.page,
                "itensPorPagina": self.size,
                "quantidadeDePaginas": max(1, -(-total // self.size)),
                "quantidadeTotalDeItens": total,
            },
        }


def read_window(
    kind: str, filters: Mapping[str, Read] | None = None, *, span_is_required: bool = True
) -> Window:
    """The query of the request at hand. Raises PixProblem of this kind with every violation."""
    query = _Query()
    start, end = (query.take(name, _instant, required=span_is_required) for name in _ENDS)
    if start is not None and end is not None and end < start:
        query.refuse("O fim é anterior ao inicio.", "fim", query.text("fim"))
    page = query.take(_PAGE, _whole_number)
    size = query.take(_ITEMS, _page_size)
    values = {name: query.take(name, read) for name, read in (filters or {}).items()}
    if values.get("cpf") is not None and values.get("cnpj") is not None:
        query.refuse("Os parâmetros cpf e cnpj não podem estar juntos.", "cpf", values["cpf"])
    if query.violations:
        raise PixProblem(kind, query.violations[0].reason, query.violations)
    filters_sent = {name: value for name, value in values.items() if value is not None}
    return Window(start, end, page or 0, size or PAGE_DEFAULT, filters_sent)


_ENDS = ("inicio", "fim")


class _Query:
    """Reads parameters and collects their violations."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def text(self, name: str) -> str | None:
        return request.args.get(name) or None

    def refuse(self, reason: str, name: str, value: object = None) -> None:
        self.violations.append(Violation(reason, name, value))

    def take(self, name: str, read: Read, *, required: bool = False) -> Any:
        text = self.text(name)
        if text is None:
            if required:
                self.refuse(f"O parâmetro {name} é obrigatório.", name)
            return None
        try:
            check_storable(text)
            return read(text)
        except (ValueError, MalformedJson) as error:
            why = str(error) if isinstance(error, ValueError) else "não pode ter NUL"
            self.refuse(f"O parâmetro {name} não respeita o schema: {why}.", name, text)
            return None


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except ValueError:
        raise ValueError("deve ser um horário RFC 3339 que existe") from None


def _whole_number(text: str) -> int:
    if not _NUMERAL.fullmatch(text) or int(text) > INT32_MAX:
        raise ValueError("deve ser um inteiro a partir de 0")
    return int(text)


def _page_size(text: str) -> int:
    if not _NUMERAL.fullmatch(text) or not 1 <= int(text) <= PAGE_MAX:
        raise ValueError(f"deve ser um inteiro de 1 a {PAGE_MAX}")
    return int(text)


def read_cpf(text: str) -> str:
    """A CPF. Raises ValueError."""
    if kind_of(text) is not KeyKind.CPF:
        raise ValueError("deve ser um CPF com dígitos verificadores certos")
    return text


def read_cnpj(text: str) -> str:
    """A CNPJ. Raises ValueError."""
    if kind_of(text) is not KeyKind.CNPJ:
        raise ValueError("deve ser um CNPJ com dígitos verificadores certos")
    return text


def read_batch_number(text: str) -> int:
    """The number of a batch of charges. Raises ValueError."""
    number = batch_number(text)
    if number is None:
        raise ValueError("deve ser um inteiro de 64 bits, a partir de 0")
    return number


def read_text(characters_max: int) -> Read:
    """Reads a text of at most so many characters."""

    def read(text: str) -> str:
        if len(text) > characters_max:
            raise ValueError(f"deve ter no máximo {characters_max} caracteres")
        return text

    return read


def read_boolean(text: str) -> bool:
    """`true` or `false`. Raises ValueError."""
    if text.lower() not in ("true", "false"):
        raise ValueError("deve ser true ou false")
    return text.lower() == "true"


def one_of(*values: str) -> Read:
    """Reads one of these values."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(f"deve ser {', '.join(values)}")
        return text

    return read
