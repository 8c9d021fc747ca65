"""Write and read the two texts in which other shops' systems put an order into a QR.

    KHQR:order_id=123:transaction_id=abc123def456789:amount=50.00
    ORDER_123_abc123def456_50.00

An order's name may contain the separators of the fields, so we percent-encode them (RFC 3986).
Other systems do not encode them; their texts are read as far as they are unambiguous.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from blueprints.recovery.reading.kinds import Kind, Reading
from core.errors import InvalidMoney, InvalidRequest
from core.ids import is_txid
from core.money import centavos_from, plain

ORDER_ID_MAX = 64

_KHQR_PREFIX, _ORDER_PREFIX = "KHQR:", "ORDER_"
_FIELDS = ("order_id", "transaction_id", "amount")
_TRANSACTION_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_AMOUNT = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,2})?", re.ASCII)
_HEX_32_IN_ANY_CASE = re.compile(r"[0-9A-Fa-f]{32}", re.ASCII)


def khqr_text(order_id: str, transaction_id: str, amount_centavos: int) -> str:
    """`KHQR:order_id=…:transaction_id=…:amount=…`, in ASCII.

    Raises InvalidRequest unless the order has 1 to 64 characters, and the transaction id 1 to 64
    letters, digits and hyphens.
    """
    _check(order_id, transaction_id)
    return (
        f"{_KHQR_PREFIX}order_id={quote(order_id, safe='')}"
        f":transaction_id={transaction_id}:amount={plain(amount_centavos)}"
    )


def order_text(order_id: str, transaction_id: str, amount_centavos: int) -> str:
    """`ORDER_<id>_<transaction>_<amount>`, in ASCII. Raises what `khqr_text` raises."""
    _check(order_id, transaction_id)
    # quote does not encode the underscore, which separates fields here.
    order = quote(order_id, safe="").replace("_", "%5F")
    return f"{_ORDER_PREFIX}{order}_{transaction_id}_{plain(amount_centavos)}"


def read_described(text: str) -> Reading | None:
    """Read one of the two forms, complete or damaged; None for any other text."""
    if text[: len(_KHQR_PREFIX)].upper() == _KHQR_PREFIX:
        return _khqr(text)
    if text[: len(_ORDER_PREFIX)].upper() == _ORDER_PREFIX:
        return _order(text)
    return None


def _check(order_id: str, transaction_id: str) -> None:
    if not 1 <= len(order_id) <= ORDER_ID_MAX or not _has_utf8_form(order_id):
        raise InvalidRequest(detail=f"order_id must have 1 to {ORDER_ID_MAX} characters")
    if not _TRANSACTION_ID.fullmatch(transaction_id):
        raise InvalidRequest(detail="transaction_id must be letters, digits and hyphens")


def _has_utf8_form(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _khqr(text: str) -> Reading:
    """Read the fields in any order; with an unknown or repeated field, the text is not complete."""
    fields: dict[str, str] = {}
    is_whole = True
    for part in text[len(_KHQR_PREFIX) :].split(":"):
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if not equals or name not in _FIELDS or name in fields:
            is_whole = False
        else:
            fields[name] = value.strip()
    return _reading(
        Kind.KHQR_ORDER,
        text,
        order_id=fields.get("order_id"),
        transaction_id=fields.get("transaction_id"),
        amount=fields.get("amount"),
        is_whole=is_whole,
    )


def _order(text: str) -> Reading:
    """Read from the right, because another system's order may contain underscores.

    Without its end, the text is unambiguous only if it has two or three parts.
    """
    parts = text[len(_ORDER_PREFIX) :].split("_")
    amount: str | None = None
    if len(parts) >= 3 and _AMOUNT.fullmatch(parts[-1]):
        order_id, transaction_id, amount = "_".join(parts[:-2]), parts[-2], parts[-1]
    elif len(parts) in (2, 3):
        order_id, transaction_id = parts[0], parts[1]
    else:
        return Reading(Kind.ORDER, text, is_whole=False)
    return _reading(
        Kind.ORDER,
        text,
        order_id=order_id,
        transaction_id=transaction_id,
        amount=amount,
        is_whole=True,
    )


def _reading(
    kind: Kind,
    text: str,
    *,
    order_id: str | None,
    transaction_id: str | None,
    amount: str | None,
    is_whole: bool,
) -> Reading:
    """Leave out malformed fields, because a guessed value might find another payment."""
    order = unquote(order_id) if order_id else None
    if order is not None and (len(order) > ORDER_ID_MAX or not order.isprintable()):
        order = None
    transaction = transaction_id or None
    if transaction is not None and not _TRANSACTION_ID.fullmatch(transaction):
        transaction = None
    if transaction is not None and _HEX_32_IN_ANY_CASE.fullmatch(transaction):
        transaction = transaction.lower()
    centavos = None if amount is None else _centavos(amount)
    return Reading(
        kind,
        text,
        is_whole=is_whole and None not in (order, transaction, centavos),
        order_id=order,
        transaction_id=transaction,
        payment_id=transaction if transaction and is_txid(transaction) else None,
        amount_centavos=centavos,
    )


def _centavos(amount: str) -> int | None:
    """The amount in centavos, or None if the text was cut within it.

    We and the described system always write two decimals; `5` may be the rest of `50.00`.
    """
    if not _AMOUNT.fullmatch(amount) or len(amount.rpartition(".")[2]) != 2 or "." not in amount:
        return None
    try:
        return centavos_from(amount)
    except InvalidMoney:
        return None
