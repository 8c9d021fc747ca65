"""How amounts, instants and foreign texts are written for people."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta, timezone

BRASILIA = timezone(timedelta(hours=-3), "BRT")
"""Brazil has had no summer time since 2019; a fixed offset needs no time-zone database."""


def brl(amount_centavos: int) -> str:
    """Reais as Brazil writes them: `R$ 1.234,56`, with a space that does not break."""
    whole, cents = divmod(abs(amount_centavos), 100)
    sign = "\N{MINUS SIGN}" if amount_centavos < 0 else ""
    return f"{sign}R$\N{NO-BREAK SPACE}{whole:,}".replace(",", ".") + f",{cents:02d}"


def moment(instant: datetime) -> str:
    """An instant in Brasília: `31/01/2026 às 14:35:09`."""
    return f"{instant.astimezone(BRASILIA):%d/%m/%Y às %H:%M:%S}"


def day(instant: datetime) -> str:
    """A date and minute in Brasília, short: `31/01 14:35`."""
    return f"{instant.astimezone(BRASILIA):%d/%m %H:%M}"


def clean(text: str, characters_max: int) -> str:
    """Foreign text without characters that no screen shows or no database takes, cut to length."""
    kept = "".join(
        character
        for character in text
        if character == " " or unicodedata.category(character)[0] not in ("C", "Z")
    )
    return " ".join(kept.split())[:characters_max].strip()
