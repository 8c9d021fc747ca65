"""Reads codes that offer a recurrence, alone or beside something to pay (Pix Automático)."""

from __future__ import annotations

from datetime import datetime

from bank.codes.locations import LocationReader
from bank.codes.reader import DUE_SEGMENT, read_code
from bank.codes.recurrence import ACCEPTED, WAITING, RecurrenceOffer, recurrence_offer_from
from bank.errors import CodeNotPayableHere, LocationGone, LocationNotFound, LocationRefused
from bank.languages import translate as _
from bank.mandates.errors import OfferEnded, OfferNotFound
from core.pix.br_code import BrCodeKind
from core.pix.recurrence_rules import (
    JOURNEY_BESIDE_PAYMENT,
    JOURNEY_BY_CODE,
    JOURNEY_WITH_PAYMENT,
)

_ENDED_STATUS = 400
"""What a location answers once its recurrence has ended (RecPayloadOperacaoInvalida)."""


def journey_of(code: str) -> int | None:
    """The journey that a pasted code begins; None without a recurrence. Raises CodeUnreadable."""
    decoded_code = read_code(code)[1]
    if decoded_code.recurrence_url is None:
        return None
    if decoded_code.kind is BrCodeKind.RECURRENCE_ONLY:
        return JOURNEY_BY_CODE
    if decoded_code.url is None or DUE_SEGMENT in decoded_code.url:
        return JOURNEY_BESIDE_PAYMENT
    return JOURNEY_WITH_PAYMENT


class RecurrenceReader:
    """Turns codes into the terms that a client may accept; thread-safe."""

    def __init__(self, locations: LocationReader) -> None:
        self._locations = locations

    def read(self, code: str, now: datetime) -> RecurrenceOffer:
        """The signed offer behind a code, which waits for an answer or is accepted.

        Raises a CodeRefused at the first check that fails.
        """
        location = read_code(code)[1].recurrence_url
        if location is None:
            raise CodeNotPayableHere(_("Este código não tem um Pix Automático."))
        try:
            offer = recurrence_offer_from(self._locations.payload_at(location, now))
        except LocationNotFound:
            raise OfferNotFound(
                _("O banco da empresa não conhece esta autorização. Peça um novo código.")
            ) from None
        except LocationGone:
            raise _ended_error() from None
        except LocationRefused as refusal:
            if refusal.answer_status != _ENDED_STATUS:
                raise
            raise _ended_error() from None
        if offer.status not in (WAITING, ACCEPTED):
            raise _ended_error()
        return offer


def _ended_error() -> OfferEnded:
    return OfferEnded(
        _("Ele foi recusado ou cancelado, ou o prazo acabou. Nada foi autorizado agora.")
    )
