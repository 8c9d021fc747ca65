"""One attempt, from a text or picture to the state of its payment; for the API and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

from blueprints.recovery import limits, texts
from blueprints.recovery.asking import ask_bank
from blueprints.recovery.finding import find
from blueprints.recovery.reading import Kind, Reading, is_ours, read_picture, read_text, read_texts
from config import current_settings
from core.errors import FieldError, InvalidRequest, NoCodeInPicture, NotOurCode, PaymentNotFound
from db_models import PaymentStatus
from payments.lifecycle import status_at
from payments.standing import PaymentState, payment_state_of
from repository.database import reading
from web.limits import client_network


@dataclass(frozen=True)
class LookupResult:
    """A payment's state, and the text that named the payment."""

    payment_state: PaymentState
    reading: Reading
    settled_now: bool = False
    """Whether this attempt confirmed the payment, because the bank's notice had been lost."""


def readings_of_text(text: str) -> tuple[Reading, ...]:
    """Read a typed or pasted text. Raises InvalidRequest for an empty or invalid text."""
    text_reading = read_text(text, location_base=current_settings().location_base)
    if text_reading.kind is Kind.EMPTY:
        raise InvalidRequest([FieldError("qr_data", "must not be empty")])
    return (text_reading,)


def readings_of_texts(texts: Sequence[str]) -> tuple[Reading, ...]:
    """Read the texts of one picture; those that may name a payment of ours come first."""
    return read_texts(texts, location_base=current_settings().location_base)


def readings_of_picture(picture: BinaryIO) -> tuple[Reading, ...]:
    """Read the codes of a picture. Raises what `read_picture` raises, and NoCodeInPicture."""
    base = current_settings().location_base
    codes = read_picture(
        picture, is_ours=partial(is_ours, location_base=base), owner=client_network()
    )
    if not codes.texts:
        raise NoCodeInPicture(texts.no_code().body)
    return read_texts(codes.texts, location_base=base)


def readings_of_picture_and_text(picture: BinaryIO, text: str) -> tuple[Reading, ...]:
    """Read a picture and the text sent with it; return the readings that name a payment.

    Raises InvalidRequest if they name two payments, because the payer can mean only one.
    """
    from_text = readings_of_text(text) if text.strip() else ()
    try:
        from_picture = readings_of_picture(picture)
    except NoCodeInPicture:
        if not from_text:
            raise
        return from_text
    if from_text:
        with reading() as work:
            in_picture, in_text = find(work, from_picture), find(work, from_text)
        if in_picture and in_text and in_picture.payment.id != in_text.payment.id:
            fault = "names another payment than the picture does"
            raise InvalidRequest([FieldError("qr_data", fault)])
        if in_picture is None and in_text is not None:
            return from_text
    return from_picture


def look(readings: Sequence[Reading], *, ask: bool) -> LookupResult:
    """Find the payment and its state; with `ask`, ask the bank for the payment's money first.

    Only the bank's answer changes a payment. Raises PaymentNotFound, NotOurCode and
    TooManyRequests.
    """
    with reading() as work:
        match = find(work, readings)
        if match is None:
            raise not_found_error(readings[0])
        txid = match.payment.txid
        status_before = status_at(match.payment, work.now)
        result = LookupResult(payment_state_of(work, txid), match.reading)
    limits.admit_for(txid)
    if not ask or not ask_bank(txid, status_before):
        return result
    with reading() as work:
        state_now = payment_state_of(work, txid)
    is_settled = (
        status_before is not state_now.status and state_now.status is PaymentStatus.CONFIRMED
    )
    return replace(result, payment_state=state_now, settled_now=is_settled)


def not_found_error(text_reading: Reading) -> PaymentNotFound | NotOurCode:
    """The error for a text without a payment.

    A payment that the text contradicts gets the same error as a payment that never existed.
    """
    message = texts.of_reading(text_reading)
    if text_reading.may_be_ours and text_reading.kind is not Kind.BAKONG:
        return PaymentNotFound(message.body)
    return NotOurCode(str(text_reading.kind), message.body)
