"""Money: integer centavos inside, reais only at the edge, and never a float."""

from __future__ import annotations

import re
from decimal import Decimal

from core.errors import InvalidMoney
from core.typed import clean

CENTAVOS_MAX = 999_999_999_999
"""9999999999.99 reais, the largest amount of API Pix: `\\d{1,10}\\.\\d{2}`."""

_NUMERAL = re.compile(r"-?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,4})?", re.ASCII)
_TEXT_MAX = 64

# People write thousands with one mark and centavos with another; both marks differ by country.
_BRAZILIAN = re.compile(r"([1-9][0-9]{0,2}(?:\.[0-9]{3})+|[0-9]{1,12})(?:,([0-9]{1,2}))?", re.ASCII)
_ENGLISH = re.compile(r"([1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]{1,12})\.([0-9]{1,2})", re.ASCII)
_SPACED = re.compile(r"([1-9][0-9]{0,2}(?: [0-9]{3})+)(?:[,.]([0-9]{1,2}))?", re.ASCII)
_CURRENCY = re.compile(r"\Ar ?\$ ?", re.IGNORECASE | re.ASCII)
_SPACE_AT_MARK = re.compile(r" ?([.,]) ?")
_TYPED_MAX = 40


def centavos_from(value: object) -> int:
    """Read reais from a JSON number (int or Decimal) or a numeral string, as integer centavos.

    Raises InvalidMoney for booleans, floats, NaN, infinities, zero, negatives, amounts that do not
    land on a whole centavo and amounts over 9999999999.99.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise InvalidMoney("must be a number of reais or a string holding one, as 54.90")
    if isinstance(value, int) and abs(value) > CENTAVOS_MAX:
        raise InvalidMoney("must be at most 9999999999.99")
    if isinstance(value, int) and 0 < value <= CENTAVOS_MAX // 100:
        return value * 100
    text = str(value)
    if len(text) > _TEXT_MAX or not _NUMERAL.fullmatch(text):
        raise InvalidMoney("must be a number of reais with at most two decimals, as 54.90")
    amount = Decimal(text)
    if amount <= 0:
        raise InvalidMoney("must be greater than zero")
    # The magnitude is checked before any arithmetic: 1e9999 must not become 10,000 digits.
    if amount.adjusted() > 10:
        raise InvalidMoney("must be at most 9999999999.99")
    exponent = amount.normalize().as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -2:
        raise InvalidMoney("must have at most two decimals")
    centavos = int(amount.scaleb(2))
    if centavos > CENTAVOS_MAX:
        raise InvalidMoney("must be at most 9999999999.99")
    return centavos


def typed_centavos(text: str) -> int:
    """Read reais as a person types them, as integer centavos. Raises InvalidMoney.

    `54,90`, `54.90`, `54`, `R$ 1.234,56`, `1,234.56`, `1 234,56`. One or two digits after the last
    mark are centavos. Three digits after points are thousands, as Brazil writes them: `1.234` is
    `1234`. An ambiguous amount is refused: `1,234`, `0.500`, `54 90`.
    """
    line = " ".join(clean(text).split())
    if len(line) <= _TYPED_MAX:
        numeral = _SPACE_AT_MARK.sub(r"\1", _CURRENCY.sub("", line))
        for form in (_BRAZILIAN, _ENGLISH, _SPACED):
            if match := form.fullmatch(numeral):
                whole = re.sub(r"[., ]", "", match[1])
                return centavos_from(f"{whole}.{match[2] or '0'}")
    raise InvalidMoney("must be an amount of reais, as 12,50")


def reais(centavos: int) -> Decimal:
    """The same amount in reais, with two decimals."""
    return Decimal(centavos).scaleb(-2)


def plain(centavos: int) -> str:
    """Reais as `54.90`: digits, a point, two decimals, as BR Code and API Pix write them."""
    return f"{centavos // 100}.{centavos % 100:02d}"


def json_number(centavos: int) -> float:
    """Reais as the JSON number of the wire; only for writing, never read back.

    A double holds every amount up to 9999999999.99 so that its shortest form has two decimals.
    """
    return centavos / 100
