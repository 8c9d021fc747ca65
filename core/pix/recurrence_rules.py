"""The rules for the terms of a recurrence of Pix Automático, and its id.

They are the violations of RecOperacaoInvalida (API Pix 2.9.0), and limits of this service that the
standard leaves open. All violations are reported at once, each with the name of its field in
RecurrenceTerms, so that an API can translate names and sentences into its own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from core.ids import random_end

FIRST_IN_DAYS_MAX = 3_660
"""The first day may be this many days after the creation: ten years."""

TERM_DAYS_MAX = 36_600
"""The last day may be this many days after the first: a hundred years."""

ID_REC = re.compile(r"R[RN][0-9A-Z]{8}[0-9]{8}[a-zA-Z0-9]{11}", re.ASCII)
"""API Pix 2.9.0, RecId: `RR` if unpaid charges are tried again, else `RN`; ISPB, day, a rest."""

ID_SOLIC_REC = re.compile(r"SC[0-9A-Z]{8}[0-9]{8}[a-zA-Z0-9]{11}", re.ASCII)
"""API Pix 2.9.0, SolicRecId: `SC`, ISPB, day, a rest."""

REJECTION_CODES = frozenset({"AP13", "AP14"})
CANCELLATION_CODES = frozenset({"ACCL", "CPCL", "DCSD", "ERSL", "FRUD", "PCFD", "SLCR", "SLDB"})
"""API Pix 2.9.0, RecEncerramento: the codes of the messages between banks."""

CANCELLED_BY_PAYEE = "SLCR"

REASON_CHARACTERS_MAX = 400
"""API Pix 2.9.0, `descricao` of a cancellation and of a rejection, also of a charge's."""

OFFER_DAYS_AFTER_FIRST = 30
"""How many days after the first day a payer may still accept: as long as a request may stay open.

The standard sets no end. If the merchant sets a later first day, the end moves."""

JOURNEY_BY_REQUEST, JOURNEY_BY_CODE, JOURNEY_WITH_PAYMENT, JOURNEY_BESIDE_PAYMENT = 1, 2, 3, 4
"""How a payer meets a recurrence: the payer's bank shows a request, or the payer reads a code.

The code holds the recurrence alone; or with an immediate charge, whose payment accepts it; or with
a charge that has a due date, or a static code, whose payment does not.
"""


class Periodicity(StrEnum):
    """How often a recurrence is charged."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    HALF_YEARLY = "half-yearly"
    YEARLY = "yearly"


class RecurrenceRule(StrEnum):
    """A rule that terms can break; the text follows the field's name in a sentence."""

    FIRST_BEFORE_CREATION = "must not be before the day of the creation"
    FIRST_TOO_LATE = f"must be within {FIRST_IN_DAYS_MAX} days of the creation"
    LAST_BEFORE_FIRST = "must not be before the first day"
    LAST_TOO_LATE = f"must be within {TERM_DAYS_MAX} days of the first day"
    AMOUNT_ZERO = "must be greater than zero"
    TWO_AMOUNTS = "must not be there beside a fixed amount"


@dataclass(frozen=True)
class RecurrenceTerms:
    """What the payer agrees to. `fixed_centavos` or `minimum_centavos`, or neither."""

    first_day: date
    periodicity: Periodicity
    allows_retries: bool
    """Whether an unpaid charge may be tried three times more within seven days."""
    last_day: date | None = None
    fixed_centavos: int | None = None
    minimum_centavos: int | None = None
    """The least that a payer may set as the highest amount of one charge."""


@dataclass(frozen=True)
class RecurrenceViolation:
    """A broken rule, and the name of its field."""

    field: str
    rule: RecurrenceRule


def recurrence_violations(
    terms: RecurrenceTerms, creation_day: date
) -> tuple[RecurrenceViolation, ...]:
    """Every rule that the terms break, in the order of the fields; empty for good terms.

    `creation_day` is the day of the creation in Brasília, also when the terms are revised later.
    """
    return (*_days(terms, creation_day), *_amounts(terms))


def _days(terms: RecurrenceTerms, creation_day: date) -> Iterator[RecurrenceViolation]:
    if terms.first_day < creation_day:
        yield RecurrenceViolation("first_day", RecurrenceRule.FIRST_BEFORE_CREATION)
    elif (terms.first_day - creation_day).days > FIRST_IN_DAYS_MAX:
        yield RecurrenceViolation("first_day", RecurrenceRule.FIRST_TOO_LATE)
    if terms.last_day is None:
        return
    if terms.last_day < terms.first_day:
        yield RecurrenceViolation("last_day", RecurrenceRule.LAST_BEFORE_FIRST)
    elif (terms.last_day - terms.first_day).days > TERM_DAYS_MAX:
        yield RecurrenceViolation("last_day", RecurrenceRule.LAST_TOO_LATE)


def _amounts(terms: RecurrenceTerms) -> Iterator[RecurrenceViolation]:
    if terms.fixed_centavos == 0:
        yield RecurrenceViolation("fixed_centavos", RecurrenceRule.AMOUNT_ZERO)
    if terms.fixed_centavos is not None and terms.minimum_centavos is not None:
        yield RecurrenceViolation("minimum_centavos", RecurrenceRule.TWO_AMOUNTS)


def last_day_to_accept(first_day: date, last_day: date | None) -> date:
    """The last day, in Brasília, on which a payer may accept an offer."""
    end = first_day + timedelta(days=OFFER_DAYS_AFTER_FIRST)
    return end if last_day is None else min(end, last_day)


def new_id_rec(ispb: str, creation_day: date, *, allows_retries: bool) -> str:
    """A new id of a recurrence, with 65 random bits; `ispb` is the payee's bank."""
    retries = "R" if allows_retries else "N"
    return f"R{retries}{ispb}{creation_day:%Y%m%d}{random_end()}"


def new_id_solic_rec(ispb: str, creation_day: date) -> str:
    """A new id of a request to a payer, with 65 random bits; `ispb` is the payee's bank."""
    return f"SC{ispb}{creation_day:%Y%m%d}{random_end()}"
