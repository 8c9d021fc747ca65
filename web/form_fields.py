"""Parse form fields; collect one error message per field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from core.errors import InvalidMoney, MalformedJson
from core.money import typed_centavos
from web.bodies import check_storable
from web.pages import translate as _


class Form:
    """The submitted values of a form, and an error message per invalid field."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """`values` are the submitted fields, not validated yet."""
        self.values = values
        self.errors: dict[str, str] = {}

    def refuse(self, name: str, sentence: str) -> None:
        """Set a field's error message, unless the field has one."""
        self.errors.setdefault(name, sentence)

    def text(self, name: str, most: int, *, required: bool = False) -> str | None:
        """A line of text with single spaces; None if the text is empty or refused."""
        text = " ".join(self.values.get(name, "").split())
        if required and not text:
            self.refuse(name, _("Preencha este campo."))
        if len(text) > most:
            self.refuse(name, _("Use no máximo %(n)s caracteres.") % {"n": most})
        if not text.isprintable() or not _is_storable(text):
            self.refuse(name, _("Este texto tem caracteres que não podemos guardar."))
        return text if text and name not in self.errors else None

    def money(self, name: str, *, required: bool = True) -> int | None:
        """An amount in centavos; None if the field is empty or refused."""
        text = self.values.get(name, "").strip()
        if not text:
            if required:
                self.refuse(name, _("Informe o valor."))
            return None
        try:
            return typed_centavos(text)
        except InvalidMoney:
            self.refuse(name, _("Escreva um valor em reais, maior que zero, como 54,90."))
            return None

    def whole(self, name: str, least: int, most: int) -> int | None:
        """A whole number from `least` to `most`; None if the field is refused."""
        text = self.values.get(name, "").strip()
        if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) and least <= int(text) <= most:
            return int(text)
        words = {"least": least, "most": most}
        self.refuse(name, _("Escreva um número de %(least)s a %(most)s.") % words)
        return None

    def link(self, name: str, most: int = 500) -> str | None:
        """An https, http, mailto or tel URL; None if the field is empty or refused."""
        text = self.text(name, most)
        if text is not None and not _is_link(text):
            self.refuse(name, _("Escreva um endereço que comece com https://, mailto: ou tel:."))
            return None
        return text


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
