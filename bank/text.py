"""Amounts, instants and text from outside, formatted for people in the request's language."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta, timezone

from babel.dates import format_date

from bank.languages import language

BRASILIA = timezone(timedelta(hours=-3), "BRT")
"""Brazil has had no daylight saving time since 2019, so a fixed offset is enough."""


def brl(amount_centavos: int) -> str:
    """`R$ 1.234,56`, with a no-break space; `R$1,234.56` in English."""
    reais, centavos = divmod(abs(amount_centavos), 100)
    sign = "\N{MINUS SIGN}" if amount_centavos < 0 else ""
    if language() == "en":
        return f"{sign}R${reais:,}.{centavos:02d}"
    return f"{sign}R$\N{NO-BREAK SPACE}{number(reais)},{centavos:02d}"


def number(count: int) -> str:
    """`1.234`; `1,234` in English."""
    text = f"{count:,}"
    return text if language() == "en" else text.replace(",", ".")


def moment(instant: datetime) -> str:
    """`31/01/2026 às 14:35:09`, in Brasília; `31 Jan 2026 at 14:35:09` in English."""
    local = instant.astimezone(BRASILIA)
    if language() == "en":
        return f"{format_date(local.date(), 'd MMM y', 'en')} at {local:%H:%M:%S}"
    return f"{local:%d/%m/%Y às %H:%M:%S}"


def day(instant: datetime) -> str:
    """`31/01 14:35`, in Brasília; `31 Jan, 14:35` in English."""
    local = instant.astimezone(BRASILIA)
    if language() == "en":
        return f"{format_date(local.date(), 'd MMM', 'en')}, {local:%H:%M}"
    return f"{local:%d/%m %H:%M}"


def clean(text: str, characters_max: int) -> str:
    """Text from outside without control and invisible characters, on one line, cut to length."""
    visible = "".join(
        character
        for character in text
        if character == " " or unicodedata.category(character)[0] not in ("C", "Z")
    )
    return " ".join(visible.split())[:characters_max].strip()
