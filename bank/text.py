"""Amounts, instants and text from outside, formatted for people."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta, timezone

BRASILIA = timezone(timedelta(hours=-3), "BRT")
"""Brazil has had no daylight saving time since 2019, so a fixed offset is enough."""


def brl(amount_centavos: int) -> str:
    """`R$ 1.234,56`, with a no-break space."""
    reais, centavos = divmod(abs(amount_centavos), 100)
    sign = "\N{MINUS SIGN}" if amount_centavos < 0 else ""
    return f"{sign}R$\N{NO-BREAK SPACE}{reais:,}".replace(",", ".") + f",{centavos:02d}"


def moment(instant: datetime) -> str:
    """`31/01/2026 às 14:35:09`, in Brasília."""
    return f"{instant.astimezone(BRASILIA):%d/%m/%Y às %H:%M:%S}"


def clean(text: str, characters_max: int) -> str:
    """Text from outside without control and invisible characters, on one line, cut to length."""
    visible = "".join(
        character
        for character in text
        if character == " " or unicodedata.category(character)[0] not in ("C", "Z")
    )
    return " ".join(visible.split())[:characters_max].strip()
