"""Amounts, counts and instants on pages and in sentences, in the request's language.

Apart from `bank.text`, which commands import without Flask.
"""

from __future__ import annotations

from datetime import date, datetime

from babel.dates import format_date

from bank import text
from bank.languages import language


def brl(amount_centavos: int) -> str:
    """`R$ 1.234,56`, with a no-break space; `R$1,234.56` in English."""
    if language() != "en":
        return text.brl(amount_centavos)
    reais, centavos = divmod(abs(amount_centavos), 100)
    sign = "\N{MINUS SIGN}" if amount_centavos < 0 else ""
    return f"{sign}R${reais:,}.{centavos:02d}"


def number(count: int) -> str:
    """`1.234`; `1,234` in English."""
    numeral = f"{count:,}"
    return numeral if language() == "en" else numeral.replace(",", ".")


def moment(instant: datetime) -> str:
    """`31/01/2026 às 14:35:09`, in Brasília; `31 Jan 2026 at 14:35:09` in English."""
    if language() != "en":
        return text.moment(instant)
    local = instant.astimezone(text.BRASILIA)
    return f"{format_date(local.date(), 'd MMM y', 'en')} at {local:%H:%M:%S}"


def calendar_day(on: date) -> str:
    """`31/01/2026`; `31 Jan 2026` in English."""
    return format_date(on, "d MMM y", "en") if language() == "en" else f"{on:%d/%m/%Y}"


def day(instant: datetime) -> str:
    """`31/01 14:35`, in Brasília; `31 Jan, 14:35` in English."""
    local = instant.astimezone(text.BRASILIA)
    if language() == "en":
        return f"{format_date(local.date(), 'd MMM', 'en')}, {local:%H:%M}"
    return f"{local:%d/%m %H:%M}"


def company_number(cnpj: str) -> str:
    """`12.345.678/0001-95`."""
    return f"{cnpj[:2]}.{cnpj[2:5]}.{cnpj[5:8]}/{cnpj[8:12]}-{cnpj[12:]}"
