"""Parse form fields; collect one error message per field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from core.errors import InvalidMoney, MalformedJson
from core.money import typed_centavos
from core.typed import clean, plain_text
from web.bodies import check_storable
from web.pages import translate as _

# A host of at least two labels, the last without digits, so that "12.5" is no host.
_HOST = r"(?:[\w-]{1,63}\.)+[^\W\d_]{2,63}"
_HOST_WITHOUT_SCHEME = re.compile(_HOST + r"(?::[0-9]{1,5})?(?:[/?#][^ ]*)?")
_EMAIL_WITHOUT_SCHEME = re.compile(r"[^\s@/:?#]{1,64}@" + _HOST)


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
        text = " ".join(clean(self.values.get(name, "")).split())
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
        text = plain_text(self.values.get(name, ""))
        if re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) and least <= int(text) <= most:
            return int(text)
        words = {"least": least, "most": most}
        self.refuse(name, _("Escreva um número de %(least)s a %(most)s.") % words)
        return None

    def link(self, name: str, most: int = 500) -> str | None:
        """An https, http, mailto or tel URL; None if the field is empty or refused.

        People type `wa.me/5511…` or `www.loja.com.br`: `https://` is put before such an address,
        and `mailto:` before an e-mail address.
        """
        text = self.text(name, most)
        if text is not None:
            text = _with_scheme(text)
            if len(text) > most:
                self.refuse(name, _("Use no máximo %(n)s caracteres.") % {"n": most})
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


def _with_scheme(text: str) -> str:
    """The address with the scheme that was meant, if it has none."""
    if _HOST_WITHOUT_SCHEME.fullmatch(text):
        return f"https://{text}"
    if _EMAIL_WITHOUT_SCHEME.fullmatch(text):
        return f"mailto:{text}"
    return text


def _is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
        if parts.scheme in ("http", "https"):
            return bool(parts.hostname) and " " not in text
    except ValueError:
        return False
    return parts.scheme in ("mailto", "tel") and bool(parts.path) and " " not in text
