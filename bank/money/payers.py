"""The bank's clients and their PINs: Argon2id, five wrong ones in a row lock."""

from __future__ import annotations

import re
from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bank.database import Database
from bank.errors import InvalidInput, PinLocked, PinRefused, UnknownPayer
from bank.models import FAILED_PINS_MAX, BankAccount, BankPayer
from bank.updates import rows_changed
from core.errors import FieldError
from core.runtime.offload import offload

_DEMO_MAX = 10

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_HANDLE = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)
_CARD = re.compile(r"\d{12,19}", re.ASCII)
_PIN = re.compile(r"\d{4,6}", re.ASCII)


def hash_pin(pin: str) -> str:
    """Argon2id (19 MiB, two passes) of a PIN; takes tens of milliseconds, off the hub."""
    return offload(_HASHER.hash, pin)


def demo_payers(session: Session) -> Sequence[BankPayer]:
    """The first payers, oldest first, who may log in with one press in development.

    A wallet opened for somebody who signed up has a PIN that only its holder knows.
    """
    demo = select(BankPayer).join(BankPayer.account).where(BankAccount.name.startswith("payer:"))
    return session.scalars(demo.order_by(BankPayer.id).limit(_DEMO_MAX)).all()


def payer_by_login(session: Session, text: str) -> BankPayer:
    """The payer with this card number (spaces allowed) or handle. Raises UnknownPayer."""
    told = text.strip()
    digits = card_digits(told)
    if not _CARD.fullmatch(digits):
        return payer_by_handle(session, told.lower())
    payer = session.scalars(select(BankPayer).where(BankPayer.card_number == digits)).first()
    if payer is None:
        raise UnknownPayer("Este cartão não existe neste banco.")
    return payer


def card_digits(text: str) -> str:
    """A card's number without what people write between its digits."""
    return re.sub(r"[ .-]", "", text.strip())


def payer_by_handle(session: Session, handle: str | None) -> BankPayer:
    """The payer with this handle, or the first one when none is named. Raises UnknownPayer."""
    query = select(BankPayer).order_by(BankPayer.id).limit(1)
    if handle is not None:
        if not _HANDLE.fullmatch(handle):
            raise UnknownPayer("Este cliente não existe neste banco.")
        query = query.where(BankPayer.handle == handle)
    payer = session.scalars(query).first()
    if payer is None:
        raise UnknownPayer("Este cliente não existe neste banco.")
    return payer


def validate_pin_format(pin: str) -> None:
    """Pass what has the form of a PIN. Raises InvalidInput."""
    if not _PIN.fullmatch(pin):
        fault = FieldError("pin", "must be 4 to 6 digits")
        raise InvalidInput([fault], detail="A senha tem de 4 a 6 números.")


def check_pin(database: Database, payer: BankPayer, pin: str) -> None:
    """Return if the PIN is right; count it if it is wrong. Opens transactions of its own.

    Raises InvalidInput for what is no PIN (not counted), PinRefused and PinLocked.
    """
    validate_pin_format(pin)
    if payer.pins_left == 0:
        raise _locked()
    if offload(_matches, payer.pin_hash, pin):
        return
    with database.writing() as session:
        counted = update(BankPayer).where(
            BankPayer.id == payer.id, BankPayer.failed_pins < FAILED_PINS_MAX
        )
        session.execute(counted.values(failed_pins=BankPayer.failed_pins + 1))
        failed = session.scalars(
            select(BankPayer.failed_pins).where(BankPayer.id == payer.id)
        ).one()
    if failed >= FAILED_PINS_MAX:
        raise _locked()
    left = FAILED_PINS_MAX - failed
    tries = "tentativa" if left == 1 else "tentativas"
    raise PinRefused(f"A senha não confere. Você ainda tem {left} {tries}.")


def reset_failed_pins(session: Session, payer: BankPayer) -> None:
    """Start counting anew, inside the payment's transaction, unless the payer is locked by now.

    A right PIN among many guesses made at once must not pay after the fifth wrong one was counted.
    Raises PinLocked.
    """
    reset = update(BankPayer).where(
        BankPayer.id == payer.id, BankPayer.failed_pins < FAILED_PINS_MAX
    )
    if rows_changed(session, reset.values(failed_pins=0, is_pin_proved=True)) != 1:
        raise _locked()


def unlock(session: Session, payer: BankPayer) -> bool:
    """Let the payer's card be used again; whether it was locked. For the bank's own staff."""
    locked = update(BankPayer).where(
        BankPayer.id == payer.id, BankPayer.failed_pins >= FAILED_PINS_MAX
    )
    return rows_changed(session, locked.values(failed_pins=0)) == 1


def masked_document(document: str) -> str:
    """A CPF as it may be shown: `***.456.789-**`."""
    return f"***.{document[3:6]}.{document[6:9]}-**" if len(document) == 11 else "***"


def _matches(pin_hash: str, pin: str) -> bool:
    try:
        return _HASHER.verify(pin_hash, pin)
    except (VerificationError, InvalidHashError):
        return False


def _locked() -> PinLocked:
    return PinLocked(
        f"A senha foi bloqueada depois de {FAILED_PINS_MAX} tentativas erradas seguidas. "
        "O saldo continua seguro; o desbloqueio é com o banco."
    )
