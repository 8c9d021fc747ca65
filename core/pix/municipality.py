"""Municipality codes of IBGE: the `codMun` with which a payer's bank asks for a due-date charge.

A code has seven digits: two for the state, four for the municipality, one check digit.
"""

from __future__ import annotations

import re

_CODE = re.compile(r"[0-9]{7}", re.ASCII)

STATES = {
    "11": "RO", "12": "AC", "13": "AM", "14": "RR", "15": "PA", "16": "AP", "17": "TO",
    "21": "MA", "22": "PI", "23": "CE", "24": "RN", "25": "PB", "26": "PE", "27": "AL",
    "28": "SE", "29": "BA", "31": "MG", "32": "ES", "33": "RJ", "35": "SP", "41": "PR",
    "42": "SC", "43": "RS", "50": "MS", "51": "MT", "52": "GO", "53": "DF",
}  # fmt: skip
"""The states by the first two digits of a code (IBGE, Divisão Territorial Brasileira)."""

OTHER_CHECK_DIGITS = frozenset(
    {
        "2201919",  # Bom Princípio do Piauí
        "2201988",  # Brejo do Piauí
        "2202251",  # Canavieira
        "2611533",  # Quixaba
        "3117836",  # Cônego Marinho
        "3152131",  # Ponto Chique
        "4305871",  # Coronel Barros
        "5203939",  # Buriti de Goiás
        "5203962",  # Buritinópolis
    }
)
"""The nine codes whose check digit breaks the rule (Nota Técnica 2008/004 of the Nota Fiscal
Eletrônica)."""


def is_municipality_code(text: str) -> bool:
    """Whether a municipality can have this code: seven digits, a state that exists, a check digit.

    One in ten of the codes with a right state passes, so the function finds mistyped codes, but
    does not know which municipalities exist.
    """
    if not _CODE.fullmatch(text) or text[:2] not in STATES:
        return False
    return text in OTHER_CHECK_DIGITS or text[6] == _check_digit(text[:6])


def state_of(code: str) -> str:
    """The two letters of the state of a municipality. Raises ValueError for no such code."""
    if not is_municipality_code(code):
        raise ValueError("must be a municipality code of IBGE with 7 digits, as 3550308")
    return STATES[code[:2]]


def _check_digit(digits: str) -> str:
    """The last digit: weights 1 2 1 2 1 2, digits of the products, complement to a ten."""
    products = (int(digit) * (1 + place % 2) for place, digit in enumerate(digits))
    return str(-sum(product // 10 + product % 10 for product in products) % 10)
