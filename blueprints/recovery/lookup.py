"""One try, from what came to how its payment stands: what every door of recovery does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

from blueprints.recovery import limits, texts
from blueprints.recovery.finding import find
from blueprints.recovery.payment_state import PaymentState, ask_bank, standing_of
from blueprints.recovery.reading import Kind, Reading, is_ours, read_picture, read_text, read_texts
from config import current_settings
from core.errors import FieldError, InvalidRequest, NoCodeInPicture, NotOurCode, PaymentNotFound
from db_models import PaymentStatus
from payments.lifecycle import status_at
from repository.database import reading


@dataclass(frozen=True)
class LookupResult:
    """How a payment stands, and by which text it was found."""

    standing: PaymentState
    by: Reading
    settled_now: bool = False
    """Whether the bank's word, lost until now, settled it in this very try."""


def of_text(text: str) -> tuple[Reading, ...]:
    """What a typed or pasted text says. Raises InvalidRequest for one that is none."""
    read = read_text(text, location_base=current_settings().location_base)
    if read.kind is Kind.EMPTY:
        raise InvalidRequest([FieldError("qr_data", "must not be empty")])
    return (read,)


def of_texts(texts: Sequence[str]) -> tuple[Reading, ...]:
    """What several texts of one picture say, what may be ours first."""
    return read_texts(texts, location_base=current_settings().location_base)


def of_picture(picture: BinaryIO) -> tuple[Reading, ...]:
    """What the codes of a picture say. Raises as `read_picture` does, and NoCodeInPicture."""
    base = current_settings().location_base
    found = read_picture(picture, is_ours=partial(is_ours, location_base=base))
    if not found.texts:
        raise NoCodeInPicture(texts.no_code().body)
    return read_texts(found.texts, location_base=base)


def of_picture_and_text(picture: BinaryIO, text: str) -> tuple[Reading, ...]:
    """What a picture says, and the text that was sent with it.

    Raises InvalidRequest where they name two payments: one of them is not what the payer means.
    """
    typed = of_text(text) if text.strip() else ()
    try:
        seen = of_picture(picture)
    except NoCodeInPicture:
        if not typed:
            raise
        return typed
    if typed:
        with reading() as work:
            one, other = find(work, seen), find(work, typed)
        if one is not None and other is not None and one.payment.id != other.payment.id:
            fault = "names another payment than the picture does"
            raise InvalidRequest([FieldError("qr_data", fault)])
        if one is None and other is not None:
            return typed
    return seen


def look(readings: Sequence[Reading], *, ask: bool) -> LookupResult:
    """Find the payment and say how it stands; with `ask`, after asking the bank for its money.

    Nothing else is changed by looking. Raises PaymentNotFound, NotOurCode and TooManyRequests.
    """
    with reading() as work:
        found = find(work, readings)
        if found is None:
            raise unknown(readings[0])
        txid = found.payment.txid
        before = status_at(found.payment, work.now)
        answer = LookupResult(standing_of(work, txid), found.reading)
    limits.admit_for(txid)
    if not ask or not ask_bank(txid, before):
        return answer
    with reading() as work:
        now = standing_of(work, txid)
    settled = before is not now.status and now.status is PaymentStatus.CONFIRMED
    return replace(answer, standing=now, settled_now=settled)


def unknown(read: Reading) -> PaymentNotFound | NotOurCode:
    """Why a text led to no payment: the same for one that never was and one it contradicts."""
    told = texts.of_reading(read)
    if read.may_be_ours and read.kind is not Kind.BAKONG:
        return PaymentNotFound(told.body)
    return NotOurCode(str(read.kind), told.body)
