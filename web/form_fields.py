"""What a person typed into a form, read kindly; what cannot be read is said beside its field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from core.errors import InvalidMoney, MalformedJson
from core.money import typed_centavos
from web.bodies import check_storable
from web.pages import spoken as _


class Form:
    """The fields of a form that was sent, and what is wrong with them, by field."""

    def __init__(self, sent: Mapping[str, str]) -> None:
        """Take the fields as they came; nothing is trusted yet."""
        self.sent = sent
        self.errors: dict[str, str] = {}

    def refuse(self, name: str, sentence: str) -> None:
        """Say what is wrong with a field."""
        self.errors.setdefault(name, sentence)

    def text(self, name: str, most: int, *, required: bool = False) -> str | None:
        """A line of text without edges, or None where it is empty or refused."""
        given = " ".join(self.sent.get(name, "").split())
        if required and not given:
            self.refuse(name, _("Preencha este campo."))
        if len(given) > most:
            self.refuse(name, _("Use no máximo %(n)s caracteres.") % {"n": most})
        if not given.isprintable() or not _is_storable(given):
            self.refuse(name, _("Este texto tem caracteres que não podemos guardar."))
        return given if given and name not in self.errors else None

    def money(self, name: str, *, required: bool = True) -> int | None:
        """Centavos, or None where it is empty or refused."""
        given = self.sent.get(name, "").strip()
        if not given:
            if required:
                self.refuse(name, _("Informe o valor."))
            return None
        try:
            return typed_centavos(given)
        except InvalidMoney:
            self.refuse(name, _("Escreva um valor em reais, maior que zero, como 54,90."))
            return None

    def whole(self, name: str, least: int, most: int) -> int | None:
        """A whole number within its limits, or None where it is refused."""
        given = self.sent.get(name, "").strip()
        if re.fullmatch(r"[0-9]{1,9}", given, re.ASCII) and least <= int(given) <= most:
            return int(given)
        words = {"least": least, "most": most}
        self.refuse(name, _("Escreva um número de %(least)s a %(most)s.") % words)
        return None

    def link(self, name: str, most: int = 500) -> str | None:
        """An https, http, mailto or tel address; None where it is empty or refused."""
        given = self.text(name, most)
        if given is not None and not _is_link(given):
            self.refuse(name, _("Escreva um endereço que comece com https://, mailto: ou tel:."))
            return None
        return given


def _is_storable(text: str) -> bool:
    try:
        check_storable(text)
    except MalformedJson:
        return False
    return True


def _is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
        if parts.scheme in ("http", "https"):
            return bool(parts.hostname) and " " not in text
    except ValueError:
        return False
    return parts.scheme in ("mailto", "tel") and bool(parts.path) and " " not in text
