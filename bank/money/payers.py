"""The bank's clients and their PINs, hashed with Argon2id; five wrong PINs in a row lock a card."""

from __future__ import annotations

import re
from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bank.database import Database
from bank.errors import BankBusy, InvalidInput, PinLocked, PinRefused, UnknownPayer
from bank.languages import translate as _
from bank.languages import translate_plural as ngettext
from bank.models import FAILED_PINS_MAX, BankAccount, BankPayer
from bank.updates import rows_changed
from core.errors import FieldError
from core.runtime.offload import Places
from core.typed import caseless, plain_text, with_plain_hyphens

_DEMO_PAYERS_MAX = 10

PINS_AT_ONCE_MAX = 2
PINS_WAITING_MAX = 60
PINS_PER_PAYER_MAX = 20
PIN_WAIT_SECONDS = 10.0

BRANCH = "0001"
"""The branch of every account: this bank has one."""

_ACCOUNT_DIGITS = 7
_SAME_DOCUMENT_MAX = 100

_places = Places(
    PINS_AT_ONCE_MAX,
    PINS_WAITING_MAX,
    share_max=PINS_PER_PAYER_MAX,
    wait_seconds=PIN_WAIT_SECONDS,
    busy=BankBusy,
)
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_HANDLE = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)
_CARD = re.compile(r"\d{12,19}", re.ASCII)
_PIN = re.compile(r"\d{4,6}", re.ASCII)


def hash_pin(pin: str) -> str:
    """Hash a PIN with Argon2id (19 MiB, two passes): tens of milliseconds on a worker thread."""
    return _places.run(_HASHER.hash, pin)


def demo_payers(session: Session) -> Sequence[BankPayer]:
    """The demo clients, oldest first, whom the login page offers in development.

    Wallets are left out, because only their holders know their PINs.
    """
    query = select(BankPayer).join(BankPayer.account).where(BankAccount.name.startswith("payer:"))
    return session.scalars(query.order_by(BankPayer.id).limit(_DEMO_PAYERS_MAX)).all()


def payer_by_login(session: Session, text: str) -> BankPayer:
    """The payer with this card number (spaces allowed) or handle. Raises UnknownPayer."""
    digits = card_digits(text)
    if not _CARD.fullmatch(digits):
        return payer_by_handle(session, caseless(text))
    payer = session.scalars(select(BankPayer).where(BankPayer.card_number == digits)).first()
    if payer is None:
        raise UnknownPayer(_("Este cartão não existe neste banco."))
    return payer


def card_digits(text: str) -> str:
    """A card number without the spaces, dots and hyphens that people write in it."""
    return re.sub(r"[ .-]", "", with_plain_hyphens(plain_text(text)))


def payer_by_handle(session: Session, handle: str | None) -> BankPayer:
    """The payer with this handle; without a handle the first payer. Raises UnknownPayer."""
    query = select(BankPayer).order_by(BankPayer.id).limit(1)
    if handle is not None:
        if not _HANDLE.fullmatch(handle):
            raise UnknownPayer(_("Este cliente não existe neste banco."))
        query = query.where(BankPayer.handle == handle)
    payer = session.scalars(query).first()
    if payer is None:
        raise UnknownPayer(_("Este cliente não existe neste banco."))
    return payer


def payer_by_document(session: Session, document: str, account: str | None) -> BankPayer | None:
    """The first payer with this CPF or CNPJ; with an account number, the one whose it is."""
    query = select(BankPayer).where(BankPayer.document == document).order_by(BankPayer.id)
    candidates = session.scalars(query.limit(_SAME_DOCUMENT_MAX)).all()
    return next((one for one in candidates if account is None or is_account(one, account)), None)


def account_number(payer: BankPayer) -> str:
    """The number of a payer's account with its check digit (modulo 11): `0000002-7`."""
    digits = f"{payer.account_id:0{_ACCOUNT_DIGITS}d}"
    weights = (2 + place % 8 for place in range(len(digits)))
    total = sum(
        int(digit) * weight for digit, weight in zip(reversed(digits), weights, strict=True)
    )
    return f"{digits}-{-total % 11 % 10}"


def is_account(payer: BankPayer, number: str) -> bool:
    """Whether this is the payer's account; zeros before it and the hyphen may be missing."""
    return _bare(number) == _bare(account_number(payer))


def is_branch(number: str | None) -> bool:
    """Whether this is the bank's branch; so is None."""
    return number is None or _bare(number) == _bare(BRANCH)


def _bare(number: str) -> str:
    return number.replace("-", "").lstrip("0")


def validate_pin_format(pin: str) -> None:
    """Raise InvalidInput unless the PIN is 4 to 6 digits."""
    if not _PIN.fullmatch(pin):
        error = FieldError("pin", "must be 4 to 6 digits")
        raise InvalidInput([error], detail=_("A senha tem de 4 a 6 números."))


def check_pin(database: Database, payer: BankPayer, pin: str) -> None:
    """Return if the PIN is right; a wrong PIN is counted in a transaction of its own.

    Raises InvalidInput for a malformed PIN, which is not counted, PinRefused, and PinLocked.
    """
    validate_pin_format(pin)
    if payer.pins_left == 0:
        raise _locked_error()
    if _places.run(_matches, payer.pin_hash, pin, owner=payer.handle):
        return
    with database.writing() as session:
        increment = update(BankPayer).where(
            BankPayer.id == payer.id, BankPayer.failed_pins < FAILED_PINS_MAX
        )
        session.execute(increment.values(failed_pins=BankPayer.failed_pins + 1))
        failed_count = session.scalars(
            select(BankPayer.failed_pins).where(BankPayer.id == payer.id)
        ).one()
    if failed_count >= FAILED_PINS_MAX:
        raise _locked_error()
    attempts_left = FAILED_PINS_MAX - failed_count
    sentence = ngettext(
        "A senha não confere. Você ainda tem %(num)s tentativa.",
        "A senha não confere. Você ainda tem %(num)s tentativas.",
        attempts_left,
    )
    raise PinRefused(sentence % {"num": attempts_left})


def reset_failed_pins(session: Session, payer: BankPayer) -> None:
    """Reset the count of wrong PINs in the payment's transaction. Raises PinLocked.

    The card may have been locked since the PIN was checked: among many guesses made at once, the
    right one must not pay after the fifth wrong one was counted.
    """
    reset = update(BankPayer).where(
        BankPayer.id == payer.id, BankPayer.failed_pins < FAILED_PINS_MAX
    )
    if rows_changed(session, reset.values(failed_pins=0, is_pin_proved=True)) != 1:
        raise _locked_error()


def unlock(session: Session, payer: BankPayer) -> bool:
    """Unlock the payer's card and return whether it was locked."""
    locked_payer = update(BankPayer).where(
        BankPayer.id == payer.id, BankPayer.failed_pins >= FAILED_PINS_MAX
    )
    return rows_changed(session, locked_payer.values(failed_pins=0)) == 1


def masked_document(document: str) -> str:
    """A CPF with its first and last digits hidden: `***.456.789-**`."""
    return f"***.{document[3:6]}.{document[6:9]}-**" if len(document) == 11 else "***"


def _matches(pin_hash: str, pin: str) -> bool:
    try:
        return _HASHER.verify(pin_hash, pin)
    except (VerificationError, InvalidHashError):
        return False


def _locked_error() -> PinLocked:
    return PinLocked(
        _(
            "A senha foi bloqueada depois de %(num)s tentativas erradas seguidas. "
            "O saldo continua seguro; o desbloqueio é com o banco."
        )
        % {"num": FAILED_PINS_MAX}
    )
